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

from scatterml_ase.errors import InputError, explain, name_species
from scatterml_ase.training.config import DataConfig
from scatterml_ase.training.labels import Frame, fault, label_frame, require_components

_log = logging.getLogger(__name__)


def read_frames(files: Iterable[str], config: DataConfig) -> list[Frame]:
    """Read labelled structures of any format ASE knows.

    Raises
    ------
    InputError
        If a file cannot be read, or a structure lacks a label or has one that cannot be right:
        naming the first, and how many there are.
    """
    frames, faults = scan_frames(list(files), config)
    require_all(frames, faults)
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


def require_all(frames: Sequence[Frame], faults: Sequence[Fault]) -> None:
    """Refuse to go on if there are faults.

    Raises
    ------
    InputError
        Naming the first, and how many there are.
    """
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


def scan_frames(
    files: Sequence[str], config: DataConfig, *, names: Sequence[str] = ()
) -> tuple[list[Frame], list[Fault]]:
    """Read labelled structures, collecting the faults of those that cannot be used.

    ``names`` are what messages call the files; their own names without folders by default.

    Raises
    ------
    InputError
        If a file cannot be read, or ``ignore_stress`` names what is no component.
    """
    require_components(config)
    frames: list[Frame] = []
    faults: list[Fault] = []
    for name, base in zip(files, names or [Path(name).name for name in files], strict=True):
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
    path, which = _path_and_part(name)
    try:
        if Path(path).is_file() and filetype(path) in ("db", "json"):
            images = _read_database(path, which)
        else:
            images = list(iread(path, index=which or ":", do_not_split_by_at_sign=True))
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


def _path_and_part(name: str) -> tuple[str, str]:
    """Split ``run.traj@::10``; an @ in the name of an existing file or folder stays there."""
    ends = [at.start() for at in re.finditer("@", name)]
    path = next((name[:end] for end in ends if Path(name[:end]).is_file()), name)
    return path, name[len(path) + 1 :]


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
