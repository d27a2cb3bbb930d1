"""The same structure twice: copies are dropped, contradictions and leaks are named."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from ase import Atoms

from scatterml_ase.errors import AccuracyWarning, InputError, explain, warn
from scatterml_ase.training.labels import Frame


def drop_duplicates(frames: Sequence[Frame]) -> list[Frame]:
    """Return the frames without later copies of earlier ones, warning about what was dropped.

    Raises
    ------
    InputError
        If one structure stands in the data with two different energies or forces.
    """
    copies = duplicates(frames)
    for error in contradictions(copies):
        raise InputError(error)
    if copies:
        pairs = "; ".join(f"{b.origin} = {a.origin}" for a, b in copies[:5])
        warn(
            explain(
                f"{len(copies)} of {len(frames)} structures are copies ({pairs})",
                "copies weigh twice and may straddle training and validation",
                "They were dropped; clean the file to be rid of this warning",
            ),
            AccuracyWarning,
        )
    unique: dict[str, Frame] = {}
    for frame in frames:
        unique.setdefault(_place(frame.atoms), frame)
    return list(unique.values())


def duplicates(frames: Sequence[Frame]) -> list[tuple[Frame, Frame]]:
    """Return every structure that occurred before, after the one it is a copy of."""
    first: dict[str, Frame] = {}
    copies: list[tuple[Frame, Frame]] = []
    for frame in frames:
        key = _place(frame.atoms)
        if key in first:
            copies.append((first[key], frame))
        first.setdefault(key, frame)
    return copies


def contradictions(copies: Iterable[tuple[Frame, Frame]]) -> Iterator[str]:
    """Yield a message for every two copies of a structure whose labels differ."""
    for seen, frame in copies:
        apart = float(np.abs(seen.forces - frame.forces).max())
        if abs(seen.energy - frame.energy) > 1e-4 * len(frame.atoms):
            labels = f"the energies {seen.energy:.6f} and {frame.energy:.6f} eV"
        elif apart > 0.01:
            labels = f"forces that differ by up to {apart:.3g} eV/Å"
        else:
            continue
        yield explain(
            f"{seen.origin} and {frame.origin} are the same structure with {labels}",
            "a potential cannot give both",
            "Keep the one computed with the settings of the rest",
        )


def drop_leaks(train: Sequence[Frame], validation: Sequence[Frame]) -> list[Frame]:
    """Return the training frames that are not also in the validation set, warning if any are.

    Raises
    ------
    InputError
        If a structure has other labels in the one than in the other.
    """
    for error in contradictions(duplicates([*validation, *train])):
        raise InputError(error)
    known = {_place(frame.atoms) for frame in validation}
    kept = [frame for frame in train if _place(frame.atoms) not in known]
    if len(kept) < len(train):
        warn(
            explain(
                f"{len(train) - len(kept)} training structures are also validation structures",
                "the error on them would say nothing about new structures",
                "They were dropped from training",
            ),
            AccuracyWarning,
        )
    return kept


def _place(atoms: Atoms) -> str:
    """Return a hash that is the same when atoms are moved by lattice vectors."""
    cell = atoms.cell.complete().array
    reduced = atoms.positions @ np.linalg.inv(cell)
    angles = np.where(atoms.pbc, 2 * np.pi * reduced, 0.0)
    free = np.where(atoms.pbc, 0.0, reduced) @ cell
    digest = hashlib.sha256(np.asarray(atoms.numbers, dtype=np.int64).tobytes())
    for array in (atoms.cell.array, np.cos(angles), np.sin(angles), free):
        digest.update((np.round(array, 6) + 0.0).tobytes())  # + 0.0 turns −0 into 0
    digest.update(np.asarray(atoms.pbc).tobytes())
    return digest.hexdigest()
