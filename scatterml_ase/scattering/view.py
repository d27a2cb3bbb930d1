"""The bins a spectrum is wanted on, and what an instrument does to it there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.broadening import SIGMA_TO_FWHM, gaussian_shares
from scatterml_ase.physics.damped_oscillator import damping_matrix
from scatterml_ase.physics.kinematics import reachable_transfer
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.scattering.instruments import Instrument, find_instrument
from scatterml_ase.scattering.scatterer import MINIMUM_FREQUENCY

_MARGIN = 4.0
"""How many standard deviations beyond the ends of the energy axis matter."""
_PARTS = 4
"""Modes are collected in bins no wider than this part of the width of their lines ..."""
_MOST_PARTS = 64
"""... but for bins so much wider than lines that what crosses their ends hardly counts."""


@dataclass(frozen=True, eq=False)
class EnergyView:
    """Energy bins asked for, and finer ones, over a wider range, to collect in.

    Parameters
    ----------
    edges
        Of the bins of the result, in meV.
    inner_edges
        Of the bins to collect in: parts of the same, and more beyond both ends.
    smear
        Share of each inner bin's content that arrives in each bin of the result, (energy, inner).
    smooth
        True where the standard deviation exceeds the bin, shape (energy,).
    sigma
        Function that gives the standard deviation in meV at energies in meV.
    """

    edges: np.ndarray
    inner_edges: np.ndarray
    smear: np.ndarray
    smooth: np.ndarray
    sigma: Any

    @classmethod
    def make(cls, edges: np.ndarray, sigma: Any) -> Self:
        """Extend the bins by what broadening brings in.

        Parameters
        ----------
        edges
            In meV.
        sigma
            Function that gives the standard deviation in meV at energies in meV.
        """
        centres = (edges[1:] + edges[:-1]) / 2
        widths = sigma(centres)
        reach = _MARGIN * float(np.max(widths, initial=0.0))
        step = reach / _MARGIN / _PARTS or 1.0  # without broadening nothing comes from beyond
        before = edges[0] - step * np.arange(int(np.ceil(reach / step)), 0, -1)
        after = edges[-1] + step * np.arange(1, int(np.ceil(reach / step)) + 1)
        inner = _divided(np.concatenate([before, edges, after]), sigma)
        inner_centres = (inner[1:] + inner[:-1]) / 2
        shares = gaussian_shares(edges, inner_centres, sigma(inner_centres))
        return cls(edges, inner, shares, widths > np.diff(edges), sigma)

    def damped(self, fwhm: Any, temperature: float, highest: float) -> Self:
        """Return bins that take in sharp modes and show damped harmonic oscillators.

        Parameters
        ----------
        fwhm
            Function that gives the full width at half maximum in meV of modes at energies in meV.
        temperature
            In K.
        highest
            Energy in meV of the highest mode: all from 0 to there are to be taken in.
        """
        inner = self.inner_edges
        step = float(np.median(np.diff(inner)))
        before = np.arange(inner[0] - step, -step, -step)[::-1]
        after = np.arange(inner[-1] + step, highest + 2 * step, step)

        def of_size(energies: np.ndarray) -> np.ndarray:
            return np.asarray(fwhm(np.abs(energies)))

        wide = _divided(np.concatenate([before, inner, after]), of_size)
        centres = (wide[1:] + wide[:-1]) / 2
        lines = damping_matrix(inner, centres, of_size(centres), temperature)
        return replace(self, inner_edges=wide, smear=self.smear @ lines)

    def density(self, content: np.ndarray) -> np.ndarray:
        """Return densities in 1/meV on the bins of the result from content of the inner bins."""
        return content @ self.smear.T / np.diff(self.edges)


def _divided(edges: np.ndarray, widths: Any) -> np.ndarray:
    """Cut bins into equal parts, narrow beside the widths of lines in them; 0: not cut."""
    sizes = np.diff(edges)
    lines = np.nan_to_num(widths((edges[1:] + edges[:-1]) / 2))
    wanted = np.ceil(_PARTS * sizes / np.where(lines > 0, lines, np.inf) - 1e-9)
    counts = np.clip(wanted, 1, _MOST_PARTS).astype(int)
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.append(
        np.repeat(edges[:-1], counts) + number * np.repeat(sizes / counts, counts), edges[-1]
    )


def energy_widths(
    instrument: Instrument | None, fixed_energy: float | None, energy_fwhm: float
) -> Any:
    """Return a function that gives the standard deviation in meV at energy transfers in meV.

    Raises
    ------
    InputError
        If ``energy_fwhm`` is negative or not finite.
    """
    if not 0 <= energy_fwhm < np.inf:
        what = f"energy_fwhm={energy_fwhm} is no width"
        raise InputError(explain(what, "a width in meV is zero or positive", "Give e.g. 1.5"))

    def sigma(energy_transfer: np.ndarray) -> np.ndarray:
        if instrument is None or fixed_energy is None:
            return np.full(np.shape(energy_transfer), energy_fwhm / SIGMA_TO_FWHM)
        possible = reachable_transfer(energy_transfer, fixed_energy, instrument.geometry)
        return instrument.energy_sigma(possible, fixed_energy)

    return sigma


def resolve_instrument(
    instrument: Instrument | str | None,
    incident_energy: float | None,
    energy_fwhm: float | None = None,
) -> tuple[Instrument | None, float | None]:
    """Return the instrument and the energy that is fixed, E_i or its E_f in meV, or None and None.

    Raises
    ------
    InputError
        If the instrument is unknown, or E_i is missing, out of range or without an instrument, or
        given to an instrument of indirect geometry, or a width is given beside an instrument.
    """
    found = find_instrument(instrument)
    if found is not None and energy_fwhm:
        what = f"energy_fwhm={energy_fwhm} was given with {found.name}"
        why = f"{found.name} has a resolution of its own"
        fix = "Leave energy_fwhm out, or set the width_scale of the instrument"
        raise InputError(explain(what, why, fix))
    if found is not None:
        return found, found.fixed_energy(incident_energy)
    if incident_energy is not None:
        raise InputError(
            explain(
                f"incident_energy={incident_energy} was given without an instrument",
                "without detector angles it limits nothing",
                "Add instrument='ARCS' (or another), or leave incident_energy out",
            )
        )
    return None, None


def highest_mode(force_constants: ForceConstants) -> float:
    """Return the highest mode of a coarse mesh, in meV."""
    return float(force_constants.mesh_modes(6, eigenvectors=False).frequencies.max())


def default_energy_edges(
    highest: float, largest_transfer: float | None, *, smooth: bool
) -> np.ndarray:
    """Return energy bins from 0 to above the highest mode, or to where neutrons have no energy.

    Parameters
    ----------
    highest
        Of the mode energies, in meV.
    largest_transfer
        The largest energy a neutron can lose, in meV, if an instrument limits it.
    smooth
        Whether the map is broadened: then bins may be finer.

    Raises
    ------
    InputError
        If no mode has a positive energy.
    """
    if not highest > MINIMUM_FREQUENCY:
        raise InputError(
            explain(
                "The crystal has no mode of positive energy",
                "all are imaginary, so no spectrum follows from these force constants",
                "Relax the structure, check the force constants, or give energy_edges",
            )
        )
    top = 1.12 * highest
    if largest_transfer is not None:
        top = min(top, 0.95 * largest_transfer)
    most = 220 if smooth else 110
    step = 10.0 ** np.floor(np.log10(top / most))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if top / (factor * step) <= most)
    return step * np.arange(int(np.ceil(top / step)) + 1)


def largest_transfer(instrument: Instrument | None, fixed_energy: float | None) -> float | None:
    """Return the largest energy in meV a neutron can lose, None without an instrument."""
    if instrument is None or fixed_energy is None:
        return None
    return instrument.largest_transfer(fixed_energy)


def check_something_measured(mask: np.ndarray, instrument: Instrument, energy: float) -> None:
    """Raise if the instrument sees none of the bins."""
    if mask.any():
        return
    direct = instrument.final_energy is None
    smallest = instrument.incident_energy_range[0]
    why = "Q² = ki² + kf² − 2 ki kf cos 2θ has no solution at its detectors there"
    if not direct and smallest > energy:
        largest = instrument.largest_transfer(energy)
        why += f", or E is not within {smallest - energy:g} … {largest:g} meV, as its E_i allow"
    raise InputError(
        explain(
            f"{instrument.name} at {'E_i' if direct else 'E_f'} = {energy:g} meV measures none of "
            "the bins",
            why,
            f"{'Raise incident_energy, or choose' if direct else 'Choose'} other q_edges and "
            "energy_edges",
        )
    )
