"""From files to labelled structures, with every fault of the data named before training starts."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.db import connect
from ase.io import iread
from ase.io.formats import filetype, string2index

from scatterml_ase.errors import AccuracyWarning, InputError, explain, name_species, warn
from scatterml_ase.training.config import DataConfig
from scatterml_ase.training.labels import Frame, fault, label_frame

_log = logging.getLogger(__name__)


def read_frames(files: Iterable[str], config: DataConfig) -> list[Frame]:
    """Read labelled structures of any format ASE knows.

    Raises
    ------
    InputError
        If a file cannot be read, or a structure lacks a label or has one that cannot be right:
        naming the first, and how many there are.
    """
    frames, faults = scan_frames(files, config)
    if len(faults) == 1:
        raise faults[0].error
    if faults:
        first, *rest = faults
        more = ", ".join(fault.origin for fault in rest[:5]) + (", …" if len(rest) > 5 else "")
        raise InputError(
            explain(
                f"{len(faults)} of {len(frames) + len(faults)} structures cannot be used",
                f"the first: {first.error} Also {more}",
                "scatterml check-data lists all of them by what is wrong",
            )
        )
    return frames


@dataclass(frozen=True)
class Fault:
    """A structure that cannot be used, and why."""

    origin: str
    error: InputError

    @property
    def kind(self) -> str:
        """What is wrong, without where."""
        return str(self.error).removeprefix(self.origin).strip()


def scan_frames(files: Iterable[str], config: DataConfig) -> tuple[list[Frame], list[Fault]]:
    """Read labelled structures, collecting the faults of those that cannot be used.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    frames: list[Frame] = []
    faults: list[Fault] = []
    for name in files:
        base = Path(name).name
        for number, atoms in enumerate(read_structures(name)):
            origin = f"{base}, structure {number}"
            try:
                frames.append(label_frame(atoms, config, origin=origin))
            except InputError as error:
                faults.append(Fault(origin, error))
    return frames, faults


def read_structures(name: str) -> list[Atoms]:
    """Read all structures of a file: extxyz, ASE database, trajectory, vasprun.xml, OUTCAR, ….

    Rows of an ASE database receive their key-value pairs in ``info``. What ASE takes after an @
    is taken here: ``run.traj@::10``, ``data.db@group=melt``.

    Raises
    ------
    InputError
        If the file cannot be read or has no structures.
    """
    path, at, which = name.partition("@")
    try:
        if Path(path).is_file() and filetype(path) in ("db", "json"):
            images = _read_database(path, which)
        else:
            images = list(iread(name, index=None if at else ":"))
    except Exception as error:  # ASE's readers raise anything
        why = str(error) or type(error).__name__
        raise InputError(
            explain(f"Cannot read the data file {name!r}", why, "Check the path and the format")
        ) from error
    if not images:
        raise InputError(
            explain(f"{name!r} has no structures", "nothing to learn from", "Check the file")
        )
    return images


def _read_database(path: str, which: str) -> list[Atoms]:
    """Read the rows of an ASE database that a query or a slice names."""
    query, part = which, slice(None)
    if re.fullmatch(r"[-\d:]+", which):
        query, found = "", string2index(which)
        part = found if isinstance(found, slice) else slice(int(found), int(found) + 1 or None)
    with connect(path, serial=True) as database:
        rows = list(database.select(query))
    images = []
    for row in rows[part]:
        atoms = row.toatoms()
        atoms.info |= row.key_value_pairs
        images.append(atoms)
    return images


def drop_duplicates(frames: Sequence[Frame]) -> list[Frame]:
    """Return the frames without later copies of earlier ones, warning about what was dropped.

    Raises
    ------
    InputError
        If one structure stands in the data with two different energies.
    """
    copies = duplicates(frames)
    for seen, frame in copies:
        if abs(seen.energy - frame.energy) > 1e-4 * len(frame.atoms):
            raise InputError(
                explain(
                    f"{seen.origin} and {frame.origin} are the same structure with the energies "
                    f"{seen.energy:.6f} and {frame.energy:.6f} eV",
                    "a potential cannot give both",
                    "Keep the one computed with the settings of the rest",
                )
            )
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
        unique.setdefault(_fingerprint(frame.atoms), frame)
    return list(unique.values())


def duplicates(frames: Sequence[Frame]) -> list[tuple[Frame, Frame]]:
    """Return every structure that occurred before, after the one it is a copy of."""
    first: dict[str, Frame] = {}
    copies: list[tuple[Frame, Frame]] = []
    for frame in frames:
        key = _fingerprint(frame.atoms)
        if key in first:
            copies.append((first[key], frame))
        first.setdefault(key, frame)
    return copies


def drop_leaks(train: Sequence[Frame], validation: Sequence[Frame]) -> list[Frame]:
    """Return the training frames that are not also in the validation set, warning if any are."""
    known = {_fingerprint(frame.atoms) for frame in validation}
    kept = [frame for frame in train if _fingerprint(frame.atoms) not in known]
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


def species_of(frames: Iterable[Frame]) -> tuple[int, ...]:
    """Return the sorted atomic numbers that occur."""
    return tuple(sorted({int(z) for frame in frames for z in frame.atoms.numbers}))


def require_species(frames: Iterable[Frame], species: Iterable[int], *, who: str) -> None:
    """Refuse frames with species that ``who`` does not know.

    Raises
    ------
    InputError
        Naming the first such structure and species.
    """
    known = set(species)
    for frame in frames:
        unknown = set(frame.atoms.numbers.tolist()) - known
        if unknown:
            raise fault(
                frame.origin,
                f"contains {name_species(unknown)}",
                f"{who} knows {name_species(known)} only",
                "Remove the structure, or add structures with that species to the training data",
            )


def reference_energies(frames: Sequence[Frame], species: Sequence[int]) -> tuple[float, ...]:
    """Fit one energy per species to the total energies by least squares.

    Parameters
    ----------
    frames
        Labelled structures.
    species
        Sorted atomic numbers.

    Returns
    -------
    tuple of float
        eV per atom of each species; where the compositions do not decide, the shortest solution.
    """
    counts = np.array([[np.sum(f.atoms.numbers == z) for z in species] for f in frames], float)
    # Per atom, so that large cells do not decide alone.
    sizes = counts.sum(axis=1)
    energies = np.array([frame.energy for frame in frames]) / sizes
    solution = np.linalg.lstsq(counts / sizes[:, None], energies, rcond=None)[0]
    return tuple(float(value) for value in solution)


def data_hash(frames: Iterable[Frame]) -> str:
    """Return a sha256 of structures and labels, so that a resumed run knows its data again."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(_fingerprint(frame.atoms).encode())
        for values in (frame.energy, frame.forces, frame.stress, frame.stress_mask):
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _fingerprint(atoms: Atoms) -> str:
    """Return a hash of species, cell and positions to 1e-6 Å."""
    digest = hashlib.sha256(np.asarray(atoms.numbers, dtype=np.int64).tobytes())
    for array in (atoms.cell.array, atoms.positions):
        digest.update((np.round(array, 6) + 0.0).tobytes())  # + 0.0 turns −0 into 0
    digest.update(np.asarray(atoms.pbc).tobytes())
    return digest.hexdigest()
