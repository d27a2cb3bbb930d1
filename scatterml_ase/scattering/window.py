"""What part of S(|Q|, E) is looked at: bins, resolution and the reach of an instrument."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.histogram import check_edges
from scatterml_ase.scattering import view
from scatterml_ase.scattering.instruments import Instrument

_DEFAULT_Q_MAX = 8.0
_DEFAULT_SHELLS = 160


class WindowOptions(Protocol):
    """The options that analyzers of powders share."""

    @property
    def instrument(self) -> Instrument | str | None: ...  # noqa: D102
    @property
    def incident_energy(self) -> float | None: ...  # noqa: D102
    @property
    def q_edges(self) -> Sequence[float] | np.ndarray | None: ...  # noqa: D102
    @property
    def energy_edges(self) -> Sequence[float] | np.ndarray | None: ...  # noqa: D102
    @property
    def energy_fwhm(self) -> float: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class PowderWindow:
    """Bins of |Q| and E, their resolution, and which of them an instrument measures.

    Parameters
    ----------
    instrument
        The spectrometer; None for everything.
    q_edges
        Of the shells, in Å⁻¹, shape (q + 1,).
    energies
        Energy bins with their resolution.
    mask
        True where measured, shape (q, energy).
    kinematics
        Of the instrument, for the result; None without one.
    """

    instrument: Instrument | None
    q_edges: np.ndarray
    energies: view.EnergyView
    mask: np.ndarray
    kinematics: dict[str, Any] | None

    @classmethod
    def of(cls, options: WindowOptions, highest: Callable[[], float]) -> Self:
        """Make what the options of an analyzer ask for.

        Parameters
        ----------
        options
            An analyzer.
        highest
            Returns the energy in meV that default bins go beyond.

        Raises
        ------
        InputError
            If the instrument is unknown, E_i is missing or too low, a width is given beside it, or
            bins are no bins.
        """
        instrument, fixed_energy = view.resolve_instrument(
            options.instrument, options.incident_energy, options.energy_fwhm
        )
        if options.energy_edges is not None:
            energy_edges = check_edges("energy_edges", options.energy_edges)
        else:
            smooth = instrument is not None or options.energy_fwhm > 0
            largest = view.largest_transfer(instrument, fixed_energy)
            energy_edges = view.default_energy_edges(highest(), largest, smooth=smooth)
        q_edges = _shells(options.q_edges, energy_edges, instrument, fixed_energy)
        mask = np.ones((len(q_edges) - 1, len(energy_edges) - 1), dtype=bool)
        kinematics = None
        if instrument is not None and fixed_energy is not None:
            mask = instrument.measured_bins(q_edges, energy_edges, fixed_energy)
            view.check_something_measured(mask, instrument, fixed_energy)
            kinematics = instrument.map_kinematics(fixed_energy)
        widths = view.energy_widths(instrument, fixed_energy, options.energy_fwhm)
        energies = view.EnergyView.make(energy_edges, widths)
        return cls(instrument, q_edges, energies, mask, kinematics)

    def describe(self) -> dict[str, Any] | None:
        """Return the instrument as plain values for provenance."""
        return self.instrument.describe() if self.instrument else None


def _shells(
    given: Sequence[float] | np.ndarray | None,
    energy_edges: np.ndarray,
    instrument: Instrument | None,
    fixed_energy: float | None,
) -> np.ndarray:
    """Return the edges of the shells: as given, what the instrument reaches, or 0 to 8 Å⁻¹."""
    if given is not None:
        edges = check_edges("q_edges", given)
        if edges[0] < 0:
            what = f"q_edges start at {edges[0]} Å⁻¹"
            raise InputError(explain(what, "|Q| is a length", "Start at 0 or above"))
        return edges
    if instrument is None or fixed_energy is None:
        return np.linspace(0.0, _DEFAULT_Q_MAX, _DEFAULT_SHELLS + 1)
    largest = instrument.largest_q(energy_edges, fixed_energy)
    step = 0.05 if largest <= 12 else 0.1
    return step * np.arange(max(1, int(np.ceil(largest / step))) + 1)
