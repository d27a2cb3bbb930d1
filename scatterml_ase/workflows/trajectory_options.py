"""Options of the scattering of a trajectory: documented once, also for the command line."""

from __future__ import annotations

from dataclasses import dataclass

from scatterml_ase.physics.quantum_correction import QuantumCorrection
from scatterml_ase.scattering.probe import ProbeName
from scatterml_ase.scattering.trajectory import Scattering


@dataclass(frozen=True, kw_only=True)
class TrajectoryOptions:
    """What can be chosen about the scattering of a trajectory.

    Parameters
    ----------
    timestep
        Between frames, in fs; by default what the file says, as those of ASE's dynamics do.
    temperature
        In K, for the quantum correction; by default that of the velocities.
    scattering
        What is shown of the atoms: coherent, incoherent, or total.
    probe
        What is scattered: neutrons or x-rays.
    energy_fwhm
        Resolution in meV, full width at half maximum: 1 meV takes segments of 8.8 ps.
    q_max
        Largest |Q| of the powder map in 1/Å.
    path
        Instead of a powder, a path through the zone of the unit cell, such as GXWKGL.
    zone
        Added to the path: the Brillouin zone to look into, such as 2 0 0.
    repeats
        How often the unit cell was repeated along its three vectors.
    unit_cell
        Or the unit cell itself: a structure file, or a name such as "Cu".
    longest_time
        How far F(Q,t) goes, in fs.
    quantum_correction
        What makes the classical map obey detailed balance.
    """

    timestep: float | None = None
    temperature: float | None = None
    scattering: Scattering = "coherent"
    probe: ProbeName = "neutron"
    energy_fwhm: float = 1.0
    q_max: float = 6.0
    path: str | None = None
    zone: tuple[float, float, float] = (0.0, 0.0, 0.0)
    repeats: tuple[int, int, int] | None = None
    unit_cell: str | None = None
    longest_time: float = 2000.0
    quantum_correction: QuantumCorrection = "harmonic"
