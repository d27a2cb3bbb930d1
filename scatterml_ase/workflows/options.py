"""The options of the main job: the one place that documents them, also for the command line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SpectrumOptions:
    """What can be chosen about a spectrum; every default suits a small crystal.

    Parameters
    ----------
    temperature
        In K, one or several; a map S(Q,E) is made for each.
    supercell
        Repetitions of the given cell for the displacements. By default the smallest supercell
        that keeps the symmetry and has periodic images minimum_length apart.
    minimum_length
        Distance in Å between periodic images of an atom, where no supercell is given.
    relax
        Whether positions and cell are relaxed first, keeping the space group.
    mesh_spacing
        Distance in 1/Å between the q-points of the mesh for DOS and thermal properties.
    instrument
        Name of a direct-geometry spectrometer, such as ARCS, whose resolution and kinematics
        S(Q,E) is shown with; needs incident_energy. By default S(Q,E) itself.
    incident_energy
        Energy of the incident neutrons in meV.
    q_max
        Largest |Q| of the map in 1/Å; by default what the instrument reaches, or 8.
    energy_fwhm
        Full width at half maximum in meV of the Gaussian that broadens the map where there is no
        instrument; by default a fortieth of the highest phonon energy.
    tolerance
        Sampling error of the map: mean |error| / mean intensity.
    """

    temperature: tuple[float, ...] = (300.0,)
    supercell: tuple[int, int, int] | None = None
    minimum_length: float = 15.0
    relax: bool = True
    mesh_spacing: float = 0.08
    instrument: str | None = None
    incident_energy: float | None = None
    q_max: float | None = None
    energy_fwhm: float | None = None
    tolerance: float = 0.05
