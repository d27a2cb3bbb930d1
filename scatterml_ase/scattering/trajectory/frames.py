"""Frames of a molecular-dynamics trajectory, one at a time, checked and unwrapped."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.units import fs, kB
from tqdm import tqdm

from scatterml_ase.errors import AccuracyWarning, InputError, explain, warn
from scatterml_ase.scattering.trajectory.reading import Clock, Source, open_trajectory

_SAME_CELL = 1e-5  # relative
_UNSAFE_JUMP = 0.4  # of the cell: beyond half of it the direction of a jump is not known
_CONSISTENT = (0.6, 1.05)  # displacement per time over velocity, root mean square


class Frame(NamedTuple):
    """One moment.

    Attributes
    ----------
    scaled
        Positions in units of the cell, unwrapped, shape (atoms, 3).
    velocities
        In ASE's unit, Å √(eV/amu)/Å, shape (atoms, 3); None if the trajectory has none.
    """

    scaled: np.ndarray
    velocities: np.ndarray | None


class TrajectoryFrames:
    """The frames of a trajectory at constant cell, read once.

    Parameters
    ----------
    source
        A file that ASE reads, or frames, one after the other.
    timestep
        Between frames, in fs; None if the file says it.
    remove_drift
        Whether to keep the centre of mass where it was in the first frame.
    progress
        Whether to show a progress bar.

    Raises
    ------
    InputError
        If there is no trajectory, no time step, or no periodic cell.
    """

    def __init__(
        self,
        source: Source,
        timestep: float | None = None,
        *,
        remove_drift: bool = True,
        progress: bool = False,
    ) -> None:
        self._source = open_trajectory(source, timestep)
        self.first = self._source.first
        self.timestep = self._source.timestep
        self.remove_drift = remove_drift
        self.progress = progress
        self.masses = self.first.get_masses()
        self.cell = self.first.cell.array.copy()
        self.has_velocities = self.first.has("momenta") and bool(np.any(self.first.get_momenta()))
        self.count = 0
        self._squares = np.zeros(2)  # Σ displacement², Σ velocity² between and at frames
        self._kinetic = 0.0
        self._jump = 0.0

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; afterwards warn of what they have in common."""
        inverse = np.linalg.inv(self.cell)
        scaled = self.first.positions @ inverse
        start = self._centre(scaled)
        clock = Clock()
        bar = tqdm(
            chain([self.first], self._source.others),
            desc="Trajectory",
            unit=" frames",
            total=self._source.total,
            disable=not self.progress,
        )
        for atoms in bar:
            self._check_same(atoms)
            clock.check(atoms, self.count)
            moved = atoms.positions @ inverse - scaled
            moved -= np.rint(moved)
            scaled = scaled + moved
            velocities = self._velocities(atoms)
            self._measure(moved, velocities)
            self.count += 1
            centred = scaled - (self._centre(scaled) - start) if self.remove_drift else scaled
            yield Frame(centred, velocities)
        self._warn()

    @property
    def total(self) -> int | None:
        """How many frames there are, if that is known before they are read."""
        return self._source.total

    @property
    def tells_temperature(self) -> bool:
        """Whether a kinetic temperature follows from the frames."""
        return self.has_velocities and len(self.masses) > 1

    @property
    def temperature(self) -> float | None:
        """Mean kinetic temperature in K, without the centre of mass; None without velocities."""
        if not self.tells_temperature or self.count == 0:
            return None
        return float(self._kinetic / self.count / (3 * len(self.masses) - 3) / kB)

    def provenance(self) -> dict[str, Any]:
        """Return what was read."""
        return {
            "trajectory": self._source.name,
            "frames": self.count,
            "timestep_fs": self.timestep,
            "picoseconds": round(1e-3 * self.timestep * max(self.count - 1, 0), 6),
            "atoms": len(self.masses),
            "drift_removed": self.remove_drift,
        }

    # -- parts of the above --------------------------------------------------------------------

    def _centre(self, values: np.ndarray) -> np.ndarray:
        return self.masses @ values / self.masses.sum()

    def _velocities(self, atoms: Atoms) -> np.ndarray | None:
        if not self.has_velocities:
            return None
        if not atoms.has("momenta"):
            raise InputError(
                explain(
                    f"Frame {self.count} has no velocities, while the first one has",
                    "a spectrum takes all or none",
                    "Write momenta with every frame, or with none",
                )
            )
        velocities = atoms.get_velocities()
        return velocities - self._centre(velocities) if self.remove_drift else velocities

    def _measure(self, moved: np.ndarray, velocities: np.ndarray | None) -> None:
        """Collect temperature and what tells whether time step, jumps and velocities agree."""
        self._jump = max(self._jump, float(np.abs(moved).max()))
        if velocities is None:
            return
        about = velocities - self._centre(velocities)
        self._kinetic += float(self.masses @ np.sum(about**2, axis=1))
        if self.count:
            steps = (moved - self._centre(moved)) @ self.cell
            self._squares += [np.sum(steps**2), np.sum(about**2) * (self.timestep * fs) ** 2]

    def _check_same(self, atoms: Atoms) -> None:
        """Refuse what a correlation function cannot hold."""
        if len(atoms) != len(self.first) or (atoms.numbers != self.first.numbers).any():
            raise InputError(
                explain(
                    f"Frame {self.count} has {atoms.symbols}, the first {self.first.symbols}",
                    "each atom is followed through time by its place in the list",
                    "Give frames of one simulation, atoms in one order",
                )
            )
        if not np.isfinite(atoms.positions).all():
            what = f"Frame {self.count} has positions that are NaN or infinite"
            fix = "Leave out what follows the step where the simulation broke"
            raise InputError(explain(what, "nothing can be transformed with them", fix))
        change = np.abs(atoms.cell.array - self.cell).max()
        if change > _SAME_CELL * np.abs(self.cell).max():
            raise InputError(
                explain(
                    f"The cell changes: that of frame {self.count} is off by {change:.2g} Å",
                    "which wavevectors fit the cell would change with it (NPT)",
                    "Equilibrate at constant pressure, then sample at constant volume",
                )
            )

    def _warn(self) -> None:
        if self._jump > _UNSAFE_JUMP:
            warn(
                explain(
                    f"An atom moves by {self._jump:.2f} of the cell between frames",
                    "beyond half of it one cannot tell which way it went",
                    "Write frames more often, or use a larger cell",
                ),
                AccuracyWarning,
                stacklevel=5,
            )
        displaced, expected = self._squares
        if expected <= 0:
            return
        ratio = float(np.sqrt(displaced / expected))
        if not _CONSISTENT[0] <= ratio <= _CONSISTENT[1]:
            warn(
                explain(
                    f"Between frames atoms move by {ratio:.2g} times velocity · timestep",
                    f"either frames are not {self.timestep:g} fs apart, or motion between them is "
                    "too fast to be followed",
                    "Check timestep (fs between frames, not between steps of the simulation), or "
                    "write frames more often",
                ),
                AccuracyWarning,
                stacklevel=5,
            )
