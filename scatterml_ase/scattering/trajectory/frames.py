"""Frames of a molecular-dynamics trajectory, one at a time, checked and unwrapped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.units import fs, kB
from tqdm import tqdm

from scatterml_ase.errors import AccuracyWarning, InputError, explain, warn

_SAME_CELL = 1e-5  # relative
_REGULAR = 1e-3  # of a time step
_UNSAFE_JUMP = 0.4  # of the cell: beyond half of it the direction of a jump is not known
_CONSISTENT = (0.6, 1.05)  # displacement per time over velocity, root mean square
_TIME_KEYS = ("time", "Time")

Source = str | Path | Iterable[Atoms]


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
        self._frames, self._total, described = _open(source)
        self.name = str(source) if isinstance(source, str | Path) else "frames in memory"
        self.first = _first(self._frames, self.name)
        self.timestep = _check_timestep(timestep, described, self.first)
        self.remove_drift = remove_drift
        self.progress = progress
        self.masses = self.first.get_masses()
        self.cell = self.first.cell.array.copy()
        self.has_velocities = _has_velocities(self.first)
        self.count = 0
        self._squares = np.zeros(2)  # Σ displacement², Σ velocity² between and at frames
        self._kinetic = 0.0
        self._jump = 0.0

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; afterwards warn of what they have in common."""
        inverse = np.linalg.inv(self.cell)
        before = scaled = self.first.positions @ inverse
        start = self._centre(scaled)
        clock = _Clock()
        bar = tqdm(
            chain([self.first], self._frames),
            desc="Trajectory",
            unit=" frames",
            total=self._total,
            disable=not self.progress,
        )
        for atoms in bar:
            self._check_same(atoms)
            clock.check(atoms, self.count)
            moved = atoms.positions @ inverse - before
            moved -= np.rint(moved)
            before = before + moved
            scaled = scaled + moved
            velocities = self._velocities(atoms)
            self._measure(moved, velocities)
            self.count += 1
            centred = scaled - (self._centre(scaled) - start) if self.remove_drift else scaled
            yield Frame(centred, velocities)
        self._warn()

    @property
    def temperature(self) -> float | None:
        """Mean kinetic temperature in K, without the centre of mass; None without velocities."""
        degrees = 3 * len(self.masses) - 3
        if not self.has_velocities or self.count == 0 or degrees <= 0:
            return None
        return float(self._kinetic / self.count / degrees / kB)

    def provenance(self) -> dict[str, Any]:
        """Return what was read."""
        return {
            "trajectory": Path(self.name).name,
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


class _Clock:
    """Checks that frames which tell their time come at equal steps."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._step: float | None = None

    def check(self, atoms: Atoms, index: int) -> None:
        """Compare the step to this frame with the first step."""
        now = _time_of(atoms)
        if now is not None and self._last is not None:
            step = now - self._last
            self._step = step if self._step is None else self._step
            if not step > 0 or abs(step - self._step) > _REGULAR * abs(self._step):
                raise InputError(
                    explain(
                        f"Frame {index} comes {step:g} after the one before, the second one "
                        f"{self._step:g} after the first",
                        "a spectrum needs frames at equal steps of time",
                        "Write frames at equal intervals, or give those that are: frames[::n]",
                    )
                )
        self._last = now


def _open(source: Source) -> tuple[Iterator[Atoms], int | None, float | None]:
    """Return the frames, how many if that is cheap to know, and the time step in fs if told."""
    if isinstance(source, Atoms):
        what, why = "One structure is no trajectory", "dynamics is in how frames follow another"
        raise InputError(explain(what, why, "Give a list of Atoms, or a file of many frames"))
    if isinstance(source, str | Path):
        return _open_file(Path(source))
    described = _described_step(getattr(source, "description", None))
    total = len(source) if isinstance(source, Sized) else None
    return iter(source), total, described


def _open_file(path: Path) -> tuple[Iterator[Atoms], int | None, float | None]:
    from ase.io import iread
    from ase.io.formats import UnknownFileTypeError, filetype
    from ase.io.trajectory import Trajectory

    if not path.is_file():
        fix = "Check the name; it is taken as it stands from the current folder"
        raise InputError(explain(f"There is no file {str(path)!r}", "nothing to read", fix))
    try:
        if filetype(str(path)) == "traj":
            with Trajectory(path) as reader:
                described = _described_step(getattr(reader, "description", None))
                return _readable(_read_traj(path), path), len(reader), described
        return _readable(iter(iread(path, index=":")), path), None, None
    except (UnknownFileTypeError, OSError, ValueError) as error:
        what = f"Cannot read {str(path)!r} as a trajectory"
        fix = "Give .traj, .extxyz or another format that ASE reads"
        raise InputError(explain(what, str(error) or type(error).__name__, fix)) from error


def _read_traj(path: Path) -> Iterator[Atoms]:
    from ase.io.trajectory import Trajectory

    with Trajectory(path) as reader:
        yield from reader


def _readable(frames: Iterator[Atoms], path: Path) -> Iterator[Atoms]:
    """Yield what a reader of ASE yields, and explain what it raises, which may be anything."""
    index = 0
    while True:
        try:
            atoms = next(frames)
        except StopIteration:
            return
        except Exception as error:
            why = str(error) or type(error).__name__
            fix = "Repair the file, or pass the frames before it as a list"
            raise InputError(explain(f"Cannot read frame {index} of {path}", why, fix)) from error
        yield atoms
        index += 1


def _first(frames: Iterator[Atoms], name: str) -> Atoms:
    first = next(frames, None)
    if not isinstance(first, Atoms) or len(first) == 0:
        what = f"{name} has no frame with atoms"
        raise InputError(explain(what, "there is nothing to follow", "Give Atoms, one per moment"))
    if not first.pbc.all() or first.cell.rank < 3:
        raise InputError(
            explain(
                f"The trajectory has pbc={first.pbc.tolist()} and a cell of rank {first.cell.rank}",
                "the wavevectors that fit a trajectory are those of its periodic cell",
                "Set cell and pbc=True on every frame",
            )
        )
    return first


def _check_timestep(timestep: float | None, described: float | None, first: Atoms) -> float:
    step = described if timestep is None else timestep
    if step is None:
        key = next((key for key in _TIME_KEYS if key in first.info), None)
        hint = f" (atoms.info[{key!r}] is there, but not its unit)" if key else ""
        raise InputError(
            explain(
                "The trajectory does not say how far its frames are apart in time" + hint,
                "energies follow from it",
                "Give timestep= in fs, between frames: step of the simulation times interval",
            )
        )
    if not 0 < step < np.inf:
        what = f"timestep={step} fs is not possible"
        raise InputError(explain(what, "frames follow one another", "Give e.g. timestep=5.0"))
    return float(step)


def _described_step(description: Any) -> float | None:
    """Return the time between frames in fs that ASE's dynamics wrote into its trajectory."""
    if not isinstance(description, dict) or "timestep" not in description:
        return None
    return float(description["timestep"]) * int(description.get("interval", 1)) / fs


def _has_velocities(atoms: Atoms) -> bool:
    return atoms.has("momenta") and bool(np.any(atoms.get_momenta()))


def _time_of(atoms: Atoms) -> float | None:
    value = next((atoms.info[key] for key in _TIME_KEYS if key in atoms.info), None)
    return float(value) if isinstance(value, int | float | np.number) else None
