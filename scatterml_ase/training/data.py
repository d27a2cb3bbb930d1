"""From files to labelled structures, with every fault of the data named before training starts."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import iread

from scatterml_ase.errors import AccuracyWarning, InputError, explain, name_species, warn
from scatterml_ase.training.config import DataConfig

_log = logging.getLogger(__name__)

_VOIGT = {"xx": (0, 0), "yy": (1, 1), "zz": (2, 2), "yz": (1, 2), "xz": (0, 2), "xy": (0, 1)}


@dataclass(frozen=True)
class Frame:
    """One labelled structure.

    Attributes
    ----------
    atoms
        Structure without its calculator; ``info`` as read.
    energy
        Total energy in eV.
    forces
        (atoms, 3), eV/Å.
    stress
        (3, 3), eV/Å³, tension positive; zero where not known.
    stress_mask
        (3, 3), True where the stress is known and to be trusted.
    group
        Group for the metrics, "" if it has none.
    origin
        Where it came from, for messages ("si.extxyz, structure 12").
    """

    atoms: Atoms
    energy: float
    forces: np.ndarray
    stress: np.ndarray
    stress_mask: np.ndarray
    group: str
    origin: str


def read_frames(files: Iterable[str], config: DataConfig) -> list[Frame]:
    """Read labelled structures of any format ASE knows.

    Raises
    ------
    InputError
        If a file cannot be read, or a structure lacks a label or has one that cannot be right.
    """
    frames = []
    for name in files:
        try:
            images = list(iread(name, index=":"))
        except Exception as error:  # ASE's readers raise anything
            why = str(error) or type(error).__name__
            raise InputError(
                explain(f"Cannot read the data file {name!r}", why, "Check the path and the format")
            ) from error
        if not images:
            raise InputError(
                explain(f"{name!r} has no structures", "nothing to learn from", "Check the file")
            )
        base = Path(name).name
        frames += [
            label_frame(atoms, config, origin=f"{base}, structure {number}")
            for number, atoms in enumerate(images)
        ]
    return frames


def label_frame(atoms: Atoms, config: DataConfig, *, origin: str = "structure") -> Frame:
    """Collect the labels of one structure and check them.

    Raises
    ------
    InputError
        If a label is missing, has a wrong shape, or is not finite, or the structure is broken.
    """
    if len(atoms) == 0:
        raise _fault(origin, "has no atoms", "nothing to learn from", "Remove it")
    _require_finite(origin, "positions", atoms.positions)
    _require_finite(origin, "cell", atoms.cell.array)
    if any(atoms.pbc) and abs(atoms.cell.volume) < 1e-6 and all(atoms.pbc):
        raise _fault(origin, "is periodic in a cell without volume", "no images", "Set its cell")
    energy = np.asarray(_label(atoms, config.energy, origin, required=True), dtype=float)
    if energy.size != 1:
        what = f"has an energy of shape {energy.shape} under {config.energy!r}"
        raise _fault(origin, what, "one total energy (eV) is needed", "Name the right key")
    forces = np.asarray(_label(atoms, config.forces, origin, required=True), dtype=float)
    if forces.shape != (len(atoms), 3):
        what = f"has forces of shape {forces.shape} under {config.forces!r}"
        raise _fault(origin, what, f"({len(atoms)}, 3) is needed", "Name the right key")
    _require_finite(origin, "energy", energy)
    _require_finite(origin, "forces", forces)
    group = str(atoms.info.get(config.group, ""))
    stress, mask = _stress(atoms, config, group, origin)
    bare = atoms.copy()  # leaves the calculator behind
    bare.constraints = []
    return Frame(bare, energy.item(), forces, stress, mask, group, origin)


def drop_duplicates(frames: Sequence[Frame]) -> list[Frame]:
    """Return the frames without later copies of earlier ones, warning about what was dropped.

    Raises
    ------
    InputError
        If one structure stands in the data with two different energies.
    """
    first: dict[str, Frame] = {}
    copies: list[tuple[Frame, Frame]] = []
    for frame in frames:
        seen = first.setdefault(_fingerprint(frame.atoms), frame)
        if seen is not frame:
            copies.append((seen, frame))
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
    return list(first.values())


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
            raise _fault(
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


def _label(atoms: Atoms, key: str, origin: str, *, required: bool) -> Any:
    """Find a label in ``info``, ``arrays`` or, where ASE has moved it, the attached results."""
    for place in (atoms.info, atoms.arrays):
        if key in place:
            return place[key]
    results = getattr(atoms.calc, "results", {})
    if key in results:
        return results[key]
    if not required:
        return None
    here = sorted({*atoms.info, *atoms.arrays, *results} - {"numbers", "positions"})
    raise _fault(
        origin,
        f"has no {key!r}",
        f"it has {', '.join(map(repr, here)) or 'no labels at all'}",
        "Name the right key in [data], or remove the structure",
    )


def _stress(
    atoms: Atoms, config: DataConfig, group: str, origin: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return stress (3, 3) and mask (3, 3); without label or volume nothing is known."""
    value = _label(atoms, config.stress, origin, required=False) if config.stress else None
    if value is None or not all(atoms.pbc):
        return np.zeros((3, 3)), np.zeros((3, 3), dtype=bool)
    stress = np.asarray(value, dtype=float)
    if stress.shape == (6,):
        xx, yy, zz, yz, xz, xy = stress
        stress = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    elif stress.size == 9:
        stress = stress.reshape(3, 3)
    else:
        what = f"has a stress of shape {stress.shape} under {config.stress!r}"
        raise _fault(origin, what, "(6,) Voigt or (3, 3) is needed", "Name the right key")
    _require_finite(origin, "stress", stress)
    mask = np.ones((3, 3), dtype=bool)
    for name in config.ignore_stress.get(group, ()):
        if name != "all" and name not in _VOIGT:
            raise InputError(
                explain(
                    f"ignore_stress of group {group!r} names {name!r}",
                    "that is no component of the stress",
                    f"Use {', '.join(_VOIGT)} or all",
                )
            )
        for i, j in _VOIGT.values() if name == "all" else [_VOIGT[name]]:
            mask[i, j] = mask[j, i] = False
    return np.where(mask, stress, 0.0), mask


def _fingerprint(atoms: Atoms) -> str:
    """Return a hash of species, cell and positions to 1e-6 Å."""
    digest = hashlib.sha256(np.asarray(atoms.numbers, dtype=np.int64).tobytes())
    for array in (atoms.cell.array, atoms.positions):
        digest.update((np.round(array, 6) + 0.0).tobytes())  # + 0.0 turns −0 into 0
    digest.update(np.asarray(atoms.pbc).tobytes())
    return digest.hexdigest()


def _require_finite(origin: str, name: str, values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        what = f"has {count} values in its {name} that are not finite"
        raise _fault(origin, what, "NaN or infinity cannot be learned", "Remove the structure")


def _fault(origin: str, what: str, why: str, fix: str) -> InputError:
    return InputError(explain(f"{origin} {what}", why, fix))
