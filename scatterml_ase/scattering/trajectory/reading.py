"""Where the frames of a trajectory come from, and how far apart they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.units import fs

from scatterml_ase.errors import InputError, explain

Source = str | Path | Iterable[Atoms]

_REGULAR = 1e-3  # of a time step
_TIME_KEYS = ("time", "Time")


class Opened(NamedTuple):
    """A trajectory that can be read once.

    Attributes
    ----------
    name
        Of the file, or what stands for it.
    first
        A copy of the first frame.
    others
        Those that follow.
    total
        How many there are in all, if that is cheap to know.
    timestep
        Between frames in fs.
    """

    name: str
    first: Atoms
    others: Iterator[Atoms]
    total: int | None
    timestep: float


def open_trajectory(source: Source, timestep: float | None) -> Opened:
    """Open a file or an iterable, and read the first frame.

    Parameters
    ----------
    source
        A file that ASE reads, or frames.
    timestep
        In fs; None if the source says it.

    Raises
    ------
    InputError
        If it is no trajectory, has no periodic cell, or no time step is known.
    """
    frames, total, described = _open(source)
    name = Path(source).name if isinstance(source, str | Path) else "frames in memory"
    first = _first(frames, name)
    return Opened(name, first, frames, total, _check_timestep(timestep, described, first))


class Clock:
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
    if not isinstance(source, Iterable):
        what = f"{type(source).__name__} is no trajectory"
        fix = "Give a file that ASE reads, a list of Atoms, or a generator of them"
        raise InputError(explain(what, "frames come one after the other", fix))
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
    return first.copy()  # the source may change it on the way


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
    if isinstance(step, str) or not 0 < step < np.inf:
        what = f"timestep={step!r} fs is not possible"
        raise InputError(explain(what, "frames follow one another", "Give e.g. timestep=5.0"))
    return float(step)


def _described_step(description: Any) -> float | None:
    """Return the time between frames in fs that ASE's dynamics wrote into its trajectory."""
    if not isinstance(description, dict) or "timestep" not in description:
        return None
    return float(description["timestep"]) * int(description.get("interval", 1)) / fs


def _time_of(atoms: Atoms) -> float | None:
    value = next((atoms.info[key] for key in _TIME_KEYS if key in atoms.info), None)
    return float(value) if isinstance(value, int | float | np.number) else None
