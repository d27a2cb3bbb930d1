"""Spectrometers: what they can reach in (Q, E), and how sharply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, Self

import numpy as np

from scatterml_ase.physics import kinematics
from scatterml_ase.physics.broadening import SIGMA_TO_FWHM
from scatterml_ase.physics.rebinning import ring_overlaps
from scatterml_ase.results.cut import SqwCut
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering import instrument_checks, instrument_files
from scatterml_ase.scattering.bank_spectra import bank_name, bank_spectra
from scatterml_ase.scattering.fitted_resolution import Width, custom_resolution
from scatterml_ase.scattering.resolution import Resolution

Angles = float | tuple[float, float]


@dataclass(frozen=True)
class Instrument:
    """A spectrometer of direct geometry (E_i is fixed) or of indirect geometry (E_f is fixed).

    ``Instrument.load("ARCS")`` gives one of the known ones, :meth:`custom` any other.
    Widths calculated for direct geometry run 10–20 % below those measured on vanadium: see
    ``width_scale``.

    Parameters
    ----------
    name
        As users call it.
    two_theta
        Ranges (from, to) of scattering angles with detectors, in degrees; a single angle has equal
        ends. Between ranges there are gaps.
    resolution
        Gives the energy resolution; None for a sharp instrument.
    incident_energy_range
        Smallest and largest E_i in meV the instrument is used with.
    width_scale
        Factor on every calculated width.
    geometry
        ``"direct"``: E_i is fixed, by the user's choice. ``"indirect"``: E_f is, by crystals.
    sources
        Where the numbers are from, and when they were read.
    final_energy
        E_f in meV in indirect geometry, None in direct geometry.
    banks
        Names of the ranges of ``two_theta``; () for names made of their angles.
    two_theta_fwhm
        Full width at half maximum in degrees of the uncertainty of the scattering angle (detector,
        sample, divergence); None if it is not known.
    """

    name: str
    two_theta: tuple[tuple[float, float], ...]
    resolution: Resolution | None = None
    incident_energy_range: tuple[float, float] = (0.0, np.inf)
    width_scale: float = 1.0
    geometry: kinematics.Geometry = "direct"
    sources: tuple[str, ...] = ()
    final_energy: float | None = None
    banks: tuple[str, ...] = ()
    two_theta_fwhm: float | None = None

    def __post_init__(self) -> None:
        """Check angles and energies; name the banks."""
        ranges = tuple(kinematics.check_two_theta(self.two_theta))
        object.__setattr__(self, "two_theta", ranges)
        if not self.banks:
            object.__setattr__(self, "banks", tuple(bank_name(*pair) for pair in ranges))
        instrument_checks.check_description(self)

    @classmethod
    def load(
        cls, name: str, *, chopper_frequency: float | None = None, width_scale: float = 1.0
    ) -> Self:
        """Return a known instrument.

        Parameters
        ----------
        name
            Upper or lower case, see
            :func:`~scatterml_ase.scattering.instrument_files.known_instruments`. One that has
            several settings takes them after a colon: ``"Lagrange:Si311"``.
        chopper_frequency
            Of the chopper that selects E_i, in Hz; None for the usual one.
        width_scale
            Factor on every calculated width.

        Raises
        ------
        InputError
            If the name is not known; the message lists those that are.
        """
        return cls(**instrument_files.read(name, chopper_frequency), width_scale=width_scale)

    @classmethod
    def custom(
        cls,
        two_theta: Sequence[Angles],
        *,
        final_energy: float | None = None,
        relative_energy_fwhm: Width | None = None,
        energy_fwhm: Width | None = None,
        two_theta_fwhm: float | None = None,
        name: str = "custom",
    ) -> Self:
        """Describe an instrument by its detectors and, if known, its resolution.

        ``Instrument.custom([(3, 135)], relative_energy_fwhm=0.03)`` is of direct geometry,
        ``Instrument.custom([45, 135], final_energy=3.97, energy_fwhm=(0.7, 0.012))`` of indirect.

        Parameters
        ----------
        two_theta
            Scattering angles with detectors, in degrees: ranges (from, to) or single ones.
        final_energy
            E_f in meV, if that is what is fixed.
        relative_energy_fwhm
            FWHM/E_fixed, one number, or polynomial coefficients in E/E_fixed, lowest first:
            (0.04, -0.03) is 4 % of E_i at the elastic line and 1 % at E = E_i.
        energy_fwhm
            FWHM in meV, one number, or polynomial coefficients in E, lowest first.
        two_theta_fwhm
            Of the uncertainty of the scattering angle in degrees: gives the resolution in Q.
        name
            For titles and provenance.

        Raises
        ------
        InputError
            If an angle or energy is impossible, or the width is given twice.
        """
        return cls(
            name=name,
            two_theta=instrument_checks.angle_pairs(two_theta),
            resolution=custom_resolution(relative_energy_fwhm, energy_fwhm),
            geometry="direct" if final_energy is None else "indirect",
            final_energy=final_energy,
            two_theta_fwhm=two_theta_fwhm,
        )

    # -- energies -----------------------------------------------------------------------------

    def fixed_energy(self, incident_energy: float | None = None) -> float:
        """Return the energy in meV that is fixed: the given E_i, or the instrument's own E_f.

        Raises
        ------
        InputError
            If E_i is missing or not offered in direct geometry, or is given in indirect geometry.
        """
        if self.final_energy is None:
            return instrument_checks.check_incident_energy(self, incident_energy)
        instrument_checks.refuse_incident_energy(self, incident_energy)
        return self.final_energy

    def largest_transfer(self, fixed_energy: float) -> float:
        """Return the largest energy in meV a neutron can lose (∞ where nothing limits it)."""
        if self.final_energy is None:
            return fixed_energy
        return self.incident_energy_range[1] - fixed_energy

    # -- resolution ---------------------------------------------------------------------------

    def energy_sigma(self, energy_transfer: np.ndarray, fixed_energy: float) -> np.ndarray:
        """Return the standard deviation of the energy resolution in meV (0 if it is sharp)."""
        energy_transfer = np.asarray(energy_transfer, dtype=float)
        if self.resolution is None:
            return np.zeros_like(energy_transfer)
        return self.width_scale * self.resolution.energy_sigma(energy_transfer, fixed_energy)

    def energy_fwhm(self, energy_transfer: np.ndarray, fixed_energy: float) -> np.ndarray:
        """Return the full width at half maximum of the energy resolution in meV."""
        return SIGMA_TO_FWHM * self.energy_sigma(energy_transfer, fixed_energy)

    def q_sigma(
        self, q: np.ndarray, energy_transfer: np.ndarray, fixed_energy: float
    ) -> np.ndarray:
        """Return the standard deviation of |Q| in Å⁻¹, shape (q, energy); 0 if nothing is known.

        It is that of the scattering angle (``two_theta_fwhm``) and of the fixed energy.
        """
        spread = (
            0.0 if self.resolution is None else self.resolution.fixed_energy_sigma(fixed_energy)
        )
        angle = 0.0 if self.two_theta_fwhm is None else self.two_theta_fwhm / SIGMA_TO_FWHM
        return self.width_scale * kinematics.wavevector_sigma(
            q,
            energy_transfer,
            fixed_energy,
            self.geometry,
            two_theta_sigma=angle,
            fixed_energy_sigma=spread,
        )

    # -- what is measured ---------------------------------------------------------------------

    def measured(
        self, q: np.ndarray, energy_transfer: np.ndarray, fixed_energy: float
    ) -> np.ndarray:
        """Say which points (|Q| in Å⁻¹, E in meV) the detectors see, shape (q, energy)."""
        seen = kinematics.measured(q, energy_transfer, fixed_energy, self.two_theta, self.geometry)
        return seen & self._offered(energy_transfer, fixed_energy)

    def measured_bins(
        self, q_edges: np.ndarray, energy_edges: np.ndarray, fixed_energy: float
    ) -> np.ndarray:
        """Say which bins of |Q| and E the detectors see any part of, shape (q, energy)."""
        seen = np.zeros((len(q_edges) - 1, len(energy_edges) - 1), dtype=bool)
        rings = kinematics.ring_borders(self.two_theta)
        overlaps = ring_overlaps(rings, energy_edges, q_edges, fixed_energy, self.geometry)
        for _, energy, q, area in overlaps:
            seen[q[area > 0], energy[area > 0]] = True
        centres = (energy_edges[1:] + energy_edges[:-1]) / 2
        return seen & self._offered(centres, fixed_energy)

    def largest_q(self, energy_transfer: np.ndarray, fixed_energy: float) -> float:
        """Return the largest |Q| in Å⁻¹ seen at energy transfers in meV, 0 if none can be."""
        last = max(last for _, last in self.two_theta)
        q = kinematics.border(energy_transfer, fixed_energy, last, self.geometry)
        return float(np.max(q, initial=0.0, where=np.isfinite(q)))

    def trajectories(
        self, energy_transfer: np.ndarray, incident_energy: float | None = None
    ) -> dict[str, np.ndarray]:
        """Return |Q| in Å⁻¹ at energy transfers in meV in the middle of every bank, by its name."""
        fixed = self.fixed_energy(incident_energy)
        return {
            bank: kinematics.border(energy_transfer, fixed, (first + last) / 2, self.geometry)
            for bank, (first, last) in zip(self.banks, self.two_theta, strict=True)
        }

    def spectra(self, sqw: SqwMap, incident_energy: float | None = None) -> dict[str, SqwCut]:
        """Return what every bank sees of a powder map, as a function of energy, by its name.

        See :func:`~scatterml_ase.scattering.bank_spectra.bank_spectra`. A map made with another
        geometry or fixed energy is refused: it has that resolution.
        """
        fixed = self.fixed_energy(incident_energy)
        if sqw.kinematics is not None:
            instrument_checks.check_made_for(self, fixed, sqw.kinematics, angles_too=False)
        return bank_spectra(sqw, self.map_kinematics(fixed))

    # -- words --------------------------------------------------------------------------------

    def map_kinematics(self, fixed_energy: float) -> dict[str, Any]:
        """Return what a map says of the instrument it is of: ``SqwMap.kinematics``."""
        return {
            "geometry": self.geometry,
            "fixed_energy": fixed_energy,
            "two_theta": [list(pair) for pair in self.two_theta],
            "banks": list(self.banks),
        }

    def describe(self) -> dict[str, Any]:
        """Return plain values for provenance."""
        resolution = self.resolution
        return {
            "name": self.name,
            "geometry": self.geometry,
            "final_energy": self.final_energy,
            "two_theta": [list(pair) for pair in self.two_theta],
            "two_theta_fwhm": self.two_theta_fwhm,
            "width_scale": self.width_scale,
            "resolution": asdict(resolution) if is_dataclass(resolution) else None,
            "sources": list(self.sources),
        }

    def _offered(self, energy_transfer: np.ndarray, fixed_energy: float) -> np.ndarray:
        """Say at which energy transfers the incident energy is one the instrument has."""
        incident, _ = kinematics.incident_and_final(energy_transfer, fixed_energy, self.geometry)
        smallest, largest = self.incident_energy_range
        return (incident >= smallest) & (incident <= largest)


def find_instrument(instrument: Instrument | str | None) -> Instrument | None:
    """Return the instrument itself, or the one of that name."""
    return Instrument.load(instrument) if isinstance(instrument, str) else instrument
