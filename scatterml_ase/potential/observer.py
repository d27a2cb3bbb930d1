"""A watch over simulations: stop, or warn, before they leave what the potential knows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.io import write
from ase.io.formats import IOFormat, UnknownFileTypeError, filetype, ioformats

from scatterml_ase.atomic_write import atomic_write, writable_folder
from scatterml_ase.errors import AccuracyWarning, InputError, explain, warn
from scatterml_ase.protocols import SupportsExtrapolation


class ExtrapolationError(RuntimeError):
    """A simulation has left what its potential was trained on.

    Attributes
    ----------
    atoms
        The offending structure; ``atoms.arrays["extrapolation"]`` holds the grades.
    """

    def __init__(self, message: str, atoms: Atoms) -> None:
        super().__init__(message)
        self.atoms = atoms

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.atoms)


class StopOnExtrapolation:
    """Watch the extrapolation grade of a running simulation.

    It works with every ASE dynamics and optimizer, and asks as often as it is attached:

    >>> dynamics.attach(StopOnExtrapolation(atoms, file="odd.xyz"), interval=10)  # doctest: +SKIP

    Parameters
    ----------
    atoms
        The structure that moves. Its calculator is a :class:`CommitteeCalculator`, or anything
        else with ``get_extrapolation(atoms)``.
    limit
        Largest grade that is let pass. Among held-out atoms 1 % pass 1, so that a long run of a
        large structure passes 1 now and then; beyond 1.5 it is no accident.
    action
        ``"stop"`` raises :class:`ExtrapolationError`, each time it is asked beyond the limit;
        ``"warn"`` goes on with an ``AccuracyWarning`` each time the grade is the highest so far.
    file
        Where to write the offending structures, in a format that ASE knows by its suffix; extxyz
        keeps the grades too. Frames that only warned stand in the order of their grade; they are
        the ones to compute and train on next. A format of one structure keeps the last. Written
        whole or not at all.
    """

    def __init__(
        self,
        atoms: Atoms,
        *,
        limit: float = 1.5,
        action: Literal["stop", "warn"] = "stop",
        file: str | Path | None = None,
    ) -> None:
        if action not in ("stop", "warn"):
            raise InputError(
                explain(f"action is {action!r}", "it is stop or warn", "Choose one of the two")
            )
        if not limit > 0:
            raise InputError(
                explain(f"limit is {limit}", "grades are positive", "Pass for example limit=1.5")
            )
        _grades_of(atoms)  # now, not after hours
        self.atoms, self.limit, self.action = atoms, float(limit), action
        self.file = None if file is None else _writable(Path(file).resolve())
        self.highest = 0.0
        """The highest grade seen so far."""
        self.frames: list[Atoms] = []
        """The offending structures; those that only warned each with a higher grade than before."""

    def __call__(self) -> None:
        """Look at the structure as it is now.

        Raises
        ------
        ExtrapolationError
            If an atom's grade passes the limit and the action is to stop.
        """
        grades = np.nan_to_num(_grades_of(self.atoms)(self.atoms), nan=np.inf, posinf=np.inf)
        worst = int(np.argmax(grades))
        grade, before = float(grades[worst]), self.highest
        self.highest = max(grade, before)
        if not grade > self.limit or (self.action == "warn" and grade <= before):
            return
        frame = self.atoms.copy()
        frame.set_array("extrapolation", grades)
        self.frames.append(frame)
        if self.file is not None:
            kind = _format_of(self.file)
            with atomic_write(self.file) as temporary:
                write(temporary, frame if kind.single else self.frames, format=kind.name)
        message = self._message(grades, worst)
        if self.action == "stop":
            raise ExtrapolationError(message, frame)
        warn(message, AccuracyWarning)

    def _message(self, grades: np.ndarray, worst: int) -> str:
        count = int((grades > self.limit).sum())
        kept = f" (the structure is in {self.file})" if self.file is not None else ""
        return explain(
            f"{count} of {len(grades)} atoms have left what the potential was trained on: atom "
            f"{worst} ({self.atoms.symbols[worst]}) has the extrapolation grade "
            f"{grades[worst]:.2f}, the limit is {self.limit:g}{kept}",
            "its surroundings are unlike any in the training set, so energies and forces are "
            "guesses",
            "Check the structure and the conditions; if they are meant, add structures like it to "
            "the training set, or pass a higher limit",
        )


def _grades_of(atoms: Atoms) -> Callable[[Atoms], Any]:
    """Return what tells the grades of a structure."""
    if not isinstance(atoms.calc, SupportsExtrapolation):
        have = "no calculator" if atoms.calc is None else type(atoms.calc).__name__
        raise InputError(
            explain(
                f"StopOnExtrapolation was given atoms with {have}",
                "only a calculator with get_extrapolation(atoms) knows what is extrapolation",
                'Set atoms.calc = CommitteeCalculator("si") first',
            )
        )
    if not getattr(atoms.calc, "knows_extrapolation", True):
        raise InputError(
            explain(
                "StopOnExtrapolation was given atoms with a committee of independent models",
                "it has spreads but no extrapolation grade: their training sets are not known",
                'Use one model that has a committee, such as CommitteeCalculator("si")',
            )
        )
    return atoms.calc.get_extrapolation


def _writable(file: Path) -> Path:
    """Return a file after making sure that structures can be written to it."""
    writable_folder(file.parent, create=False)
    if file.is_dir():
        raise InputError(
            explain(f"Cannot write {str(file)!r}", "it is a folder", "Name a file in it")
        )
    _format_of(file)
    return file


def _format_of(file: Path) -> IOFormat:
    """Return the format ASE writes a file of this name in."""
    try:
        kind = ioformats[filetype(str(file), read=False)]
    except (UnknownFileTypeError, KeyError):
        kind = None
    if kind is None or not kind.can_write:
        raise InputError(
            explain(
                f"Structures cannot be written to {str(file)!r}",
                "ASE writes no format of that suffix",
                "Name it .xyz or .traj",
            )
        )
    return kind
