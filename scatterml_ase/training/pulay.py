"""Normal stresses that contradict the energies: the Pulay stress of a basis that is too small.

Plane waves up to an energy cutoff are fewer in a smaller cell. Energies at one cutoff then change
with the volume by another slope than the stress says, off by about the same pressure everywhere
(Francis & Payne 1990, 10.1088/0953-8984/2/19/007). Shear is not concerned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from scatterml_ase.training.consistency import compare
from scatterml_ase.training.data import Frame

_FEWEST_PAIRS, _FEWEST_STRUCTURES = 8, 5
_MOST_MEMBERS, _MOST_PAIRS = 150, 1000
_SMALLEST_CHANGE, _LARGEST_CHANGE = 0.003, 0.04  # of the volume; beyond, the energy is no parabola
_LARGEST_STRAIN = 0.05
_FARTHEST = 0.1  # Å: the atoms of both are on the same places
_TELLING = 4e-3  # eV/Å³ (0.6 GPa); well converged data looked at had a third of it


@dataclass(frozen=True)
class PressureOffset:
    """By how much normal stresses exceed the slope of the energy with the volume.

    Attributes
    ----------
    value
        eV/Å³; positive where the labels have too much tension.
    scatter
        Of single pairs of structures, standard deviation of the bulk, eV/Å³.
    pairs
        How many pairs of structures of one kind, strained differently, it is the median of.
    """

    value: float
    scatter: float
    pairs: int

    @property
    def telling(self) -> bool:
        """Whether it is too large, and the same everywhere, to be anything but a wrong pressure."""
        return abs(self.value) > max(_TELLING, 3 * self.scatter)


def pressure_offset(frames: Sequence[Frame]) -> PressureOffset | None:
    """Compare normal stresses with the energies of the same crystals under strain.

    Between two of them ΔE = W + p ΔV with the work W of forces and stress, and p the offset. None
    if there are too few.
    """
    offsets: list[float] = []
    used: set[int] = set()
    for i, j in _strained_pairs(frames):
        pair = compare(frames, i, j)
        if pair is None or pair.distance > _FARTHEST:
            continue
        change = frames[j].atoms.cell.volume - frames[i].atoms.cell.volume
        offsets.append((sum(pair.work) - pair.energy) / change)
        used |= {i, j}
    if len(offsets) < _FEWEST_PAIRS or len(used) < _FEWEST_STRUCTURES:
        return None
    value = float(np.median(offsets))
    scatter = 1.4826 * float(np.median(np.abs(np.array(offsets) - value)))
    return PressureOffset(value, scatter, len(offsets))


def _strained_pairs(frames: Sequence[Frame]) -> list[tuple[int, int]]:
    """Return the pairs with the most similar cells of different volume, crystals at rest first."""
    found = [pair for members in _kinds(frames) for pair in _pairs_of_a_kind(frames, members)]
    return [(i, j) for _, i, j in sorted(found)[:_MOST_PAIRS]]


def _kinds(frames: Sequence[Frame]) -> list[list[int]]:
    """Return the structures with the same atoms, of each kind the quietest."""
    kinds: dict[bytes, list[int]] = {}
    for index, frame in enumerate(frames):
        if frame.atoms.pbc.all() and frame.stress_mask.diagonal().any():
            kinds.setdefault(frame.atoms.numbers.tobytes(), []).append(index)
    loudness = {i: float((frames[i].forces ** 2).mean()) for kind in kinds.values() for i in kind}
    return [sorted(kind, key=loudness.__getitem__)[:_MOST_MEMBERS] for kind in kinds.values()]


def _pairs_of_a_kind(
    frames: Sequence[Frame], members: Sequence[int]
) -> Iterator[tuple[float, int, int]]:
    """Yield pairs that differ by a small strain and in volume, after how large the strain is."""
    cells = np.array([frames[i].atoms.cell.array.ravel() for i in members])
    volumes = np.array([frames[i].atoms.cell.volume for i in members])
    for place, index in enumerate(members[:-1]):
        rest = slice(place + 1, None)
        strain = np.abs(cells[rest] - cells[place]).max(axis=1) / np.abs(cells[place]).max()
        change = np.abs(volumes[rest] / volumes[place] - 1)
        near = (change > _SMALLEST_CHANGE) & (change < _LARGEST_CHANGE) & (strain < _LARGEST_STRAIN)
        for other in np.flatnonzero(near):
            yield float(strain[other]), index, members[place + 1 + int(other)]
