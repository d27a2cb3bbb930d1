"""A neighbour list that is kept while atoms move and cells change, and stays exact.

What makes it exact. The list holds every pair nearer than cutoff + skin at a reference
structure. Let F be the homogeneous deformation that takes the periodic cell vectors of the
reference to the present ones, and u_i what atom i moved beyond it, apart from a common
translation: r_i = r_i⁰ F + u_i. A pair with shift S then is d = d⁰ F + u_j − u_i, cell change and
shift included, so that

    |d| ≥ σ_min(F) |d⁰| − 2 max |u|

with the smallest singular value of F. A pair missing from the list has |d⁰| ≥ cutoff + skin, and
is no neighbour now as long as σ_min(F) (cutoff + skin) − 2 max |u| ≥ cutoff. If that cannot be
shown, the list is made anew. Pairs of the list beyond the cutoff are left out each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from ase import Atoms

from scatterml_ase.errors import InputError, explain
from scatterml_ase.graph import Graph
from scatterml_ase.neighbours import neighbours, rank


class VerletList:
    """Graphs of a structure as it moves, without searching neighbours at each step.

    Every graph has exactly the edges of a new search, in rising order of centre, neighbour and
    shift: it does not depend on what came before, and neither do sums over it. Only
    geometry counts: species may change. Atoms may be wrapped or hop by lattice vectors, alone or
    together. Other structures may come between; they only make the list anew.

    It can be used by several threads: what it keeps is replaced as a whole and never changed.
    Copies and pickles are new, empty lists.

    Parameters
    ----------
    cutoff
        Atoms closer than this are neighbours, in Å.
    skin
        How much farther the list reaches, in Å; 0 searches anew whenever something moves. It
        is added once a structure follows that moved little, so single structures pay nothing.
    """

    def __init__(self, cutoff: float, skin: float) -> None:
        if not (np.isfinite(skin) and skin >= 0):
            raise InputError(
                explain(
                    f"The skin is {skin} Å",
                    "a neighbour list reaches this much farther than the cutoff",
                    "Pass 0 Å to switch it off, or a number such as 0.5",
                )
            )
        self.cutoff, self.skin = float(cutoff), float(skin)
        self._reference: _Reference | None = None

    def __reduce__(self) -> tuple[type[VerletList], tuple[float, float]]:
        return type(self), (self.cutoff, self.skin)

    def __repr__(self) -> str:
        return f"VerletList(cutoff={self.cutoff} Å, skin={self.skin} Å)"

    def graph(self, atoms: Atoms) -> Graph:
        """Make the graph of a structure; raise InputError if it has none."""
        positions = np.array(atoms.positions, dtype=np.float64)
        cell = np.array(atoms.cell.array, dtype=np.float64)
        reference, hops = self._reference, None
        needed = np.inf
        if reference is not None and reference.fits(positions, cell, atoms.pbc):
            needed, hops = reference.needed_skin(positions, cell)
        if reference is None or needed > reference.skin:
            near = needed <= 2 * self.skin  # one structure on its way, not a list of strangers
            reference = _Reference.of(atoms, self.cutoff, self.skin if near else 0.0)
            self._reference, hops = reference, None
        centres, others, shifts, vectors = reference.edges(positions, cell, hops)
        arrays = {
            "pos": positions,
            "cell": cell.reshape(1, 3, 3),
            "pbc": np.array(atoms.pbc, dtype=bool).reshape(1, 3),
            "numbers": np.array(atoms.numbers, dtype=np.int64),
            "edge_index": np.stack([centres, others]),
            "cell_shifts": shifts,
            "vectors": vectors,
            "batch": np.zeros(len(positions), dtype=np.int64),
        }
        return Graph(**{name: torch.from_numpy(value) for name, value in arrays.items()})


@dataclass(frozen=True)
class _Reference:
    """All pairs nearer than cutoff + skin in one structure, and what tells how far it moved."""

    cutoff: float
    skin: float
    positions: np.ndarray
    """From the first atom to each (n, 3), in Å."""
    cell: np.ndarray
    pbc: np.ndarray
    centres: np.ndarray
    others: np.ndarray
    images: np.ndarray
    """The different cell shifts (m, 3), float64."""
    image: np.ndarray
    """Which of them an edge has (e,)."""

    @classmethod
    def of(cls, atoms: Atoms, cutoff: float, skin: float) -> _Reference:
        centres, others, shifts = neighbours(atoms, cutoff + skin)
        images, image = _distinct(shifts)
        return cls(
            cutoff,
            skin,
            atoms.positions - atoms.positions[0],
            np.array(atoms.cell.array),
            np.array(atoms.pbc),
            centres,
            others,
            images,
            image,
        )

    @cached_property
    def inverse(self) -> np.ndarray:
        """The pseudo-inverse (3, k) of the k periodic cell vectors."""
        return np.linalg.pinv(self.cell[self.pbc])

    @cached_property
    def rounding(self) -> float:
        """How far numbers of this size may be off, relative to their size."""
        condition = np.linalg.cond(self.cell[self.pbc]) if self.pbc.any() else 1.0
        return float(64 * np.finfo(np.float64).eps * condition)

    def fits(self, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray) -> bool:
        """Tell whether a structure can be compared: its atoms, periodic axes and numbers."""
        if len(positions) != len(self.positions) or (pbc != self.pbc).any():
            return False
        return bool(np.isfinite(positions).all() and np.isfinite(cell).all())

    def needed_skin(
        self, positions: np.ndarray, cell: np.ndarray
    ) -> tuple[float, np.ndarray | None]:
        """Return the skin in Å that would still hold all pairs, and how atoms hopped.

        The hops (n, 3) are by whole cell vectors, as floats; None if nothing did.
        """
        moved = positions - positions[0] - self.positions
        stretch, change = 1.0, cell[self.pbc] - self.cell[self.pbc]
        if change.any():
            strain = self.inverse @ change  # F − 1; orthogonally to the periodic axes it is 0
            moved = moved - self.positions @ strain
            stretch = float(np.linalg.svd(np.eye(3) + strain, compute_uv=False)[-1])
        elif not moved.any():
            return 0.0, None
        if stretch < 0.1:
            return np.inf, None
        size = np.abs(positions - positions[0]).max() + np.abs(cell).max() + self.cutoff
        needed = self._needed(moved, stretch, size)
        if needed <= self.skin or not self.pbc.any():
            return needed, None
        hops = np.zeros_like(positions)
        hops[:, self.pbc] = np.rint(moved @ np.linalg.pinv(cell[self.pbc]))
        if not hops.any():
            return needed, None
        return self._needed(moved - hops @ cell, stretch, size), hops

    def _needed(self, moved: np.ndarray, stretch: float, size: float) -> float:
        moved = moved - moved.mean(axis=0)  # a translation of all changes no distance
        farthest = np.sqrt(np.einsum("ix,ix->i", moved, moved).max())
        farthest += self.rounding * size
        return float((self.cutoff + 2 * farthest) / stretch - self.cutoff)

    def edges(
        self, positions: np.ndarray, cell: np.ndarray, hops: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return centres, neighbours, shifts and vectors of the edges within the cutoff."""
        centres, others, image = self.centres, self.others, self.image
        vectors = np.take(positions, others, axis=0)
        vectors -= np.take(positions, centres, axis=0)
        if hops is None:
            vectors += np.take(_translations(self.images, cell), image, axis=0)
        else:
            shifts = self.images[image] + (hops[centres] - hops[others])
            vectors += _translations(shifts, cell)
        near = np.flatnonzero(np.einsum("ex,ex->e", vectors, vectors) < self.cutoff**2)
        if len(near) < len(vectors):
            centres, others, image = centres[near], others[near], image[near]
            vectors = np.take(vectors, near, axis=0)
        shifts = np.take(self.images, image, axis=0) if hops is None else shifts[near]
        return centres, others, shifts, vectors


def _translations(shifts: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Return shifts (m, 3) @ cell, each row alike however many there are."""
    first, second, third = shifts.T[:, :, None]
    return first * cell[0] + second * cell[1] + third * cell[2]


def _distinct(shifts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different rows (m, 3), float64, and which of them each row is."""
    ranks = rank(*shifts.T)
    size = int(ranks.max(initial=-1)) + 1
    if size > 8 * len(ranks) + 1000:
        _, first, label = np.unique(ranks, return_index=True, return_inverse=True)
        return shifts[first].astype(np.float64), label
    example = np.full(size, -1)  # of each rank
    example[ranks] = np.arange(len(ranks))
    present = example >= 0
    label = np.cumsum(present) - 1
    return np.take(shifts, example[present], axis=0).astype(np.float64), np.take(label, ranks)
