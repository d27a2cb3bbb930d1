"""Neighbour searches that write out the periodic images around a box, for few atoms or much space.

Cell lists are made for many atoms that fill their box. With few atoms it is faster to compare each
with each image at once, in one matrix product; in a box that is nearly empty, a tree finds the
pairs. Both see the same images: those inside of the box or nearer to it than the cutoff.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Edges = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Centres (e,), neighbours (e,) and cell shifts (e, 3), int64."""


@dataclass(frozen=True)
class ImageSearch:
    """Atoms in the box and their images in it and around it.

    Parameters
    ----------
    positions
        (n, 3) Å, anywhere along periodic axes and inside of the box along the others.
    cell
        Three independent vectors of the box as rows (3, 3) Å.
    pbc
        Which of them are periodic.
    cutoff
        Largest distance of neighbours in Å.
    """

    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    cutoff: float

    def pairs_to_compare(self) -> float:
        """Estimate how many pairs of an atom and an image there are."""
        inverse = np.linalg.inv(self.cell)
        around = 1.0 + 2.0 * self._margin(inverse)[self.pbc]
        return float(len(self.positions) ** 2 * np.prod(around))

    def all_pairs(self) -> Edges:
        """Compare each atom with each image; edges rise in centre, neighbour and shift."""
        box = self._images()
        middle = box.home.mean(axis=0)
        a, b = box.home - middle, box.images - middle
        long_a, long_b = (np.einsum("ix,ix->i", x, x)[:, None] for x in (a, b))
        left = np.hstack([-2.0 * a, long_a, np.ones_like(long_a)])
        squares = left @ np.hstack([b, np.ones_like(long_b), long_b]).T  # |a|² − 2ab + |b|²
        rounding = 64 * np.finfo(np.float64).eps * (long_a.max() + long_b.max())
        near = np.flatnonzero(squares < self.cutoff**2 + rounding)  # of [atom, image]
        return self._within(box, *np.divmod(near, len(b)))

    def tree(self) -> Edges:
        """Ask a tree, whose cost does not grow with the size of the box; edges in any order."""
        from scipy.spatial import KDTree  # takes longer to import than most calculations

        box = self._images()
        reach = self.cutoff * (1 + 1e-9)
        pairs = KDTree(box.home).query_ball_tree(KDTree(box.images), reach)
        centres = np.repeat(np.arange(len(box.home)), [len(found) for found in pairs])
        return self._within(box, centres, np.array([k for row in pairs for k in row], dtype=int))

    def _within(self, box: _Images, centres: np.ndarray, found: np.ndarray) -> Edges:
        """Keep pairs of an atom and an image that are near, and count shifts from where atoms are.

        No atom neighbours itself.
        """
        vectors = np.take(box.images, found, axis=0)
        vectors -= np.take(box.home, centres, axis=0)
        itself = np.flatnonzero(~box.shifts.any(axis=1))  # of each atom the image at home
        near = np.einsum("ex,ex->e", vectors, vectors) < self.cutoff**2
        near &= np.take(itself, centres) != found
        kept = np.flatnonzero(near)
        centres, found = np.take(centres, kept), np.take(found, kept)
        others, shifts = np.take(box.owner, found), np.take(box.shifts, found, axis=0)
        if box.wraps.any():
            shifts += np.take(box.wraps, centres, axis=0) - np.take(box.wraps, others, axis=0)
        return centres, others, shifts

    def _images(self) -> _Images:
        inverse = np.linalg.inv(self.cell)
        scaled = self.positions @ inverse
        wraps = np.where(self.pbc, np.floor(scaled), 0.0)
        home, scaled = self.positions - wraps @ self.cell, scaled - wraps
        margin = self._margin(inverse)
        owner, shifts = np.arange(len(home)), np.zeros((len(home), 3))
        for axis in np.flatnonzero(self.pbc):
            reach = int(np.ceil(margin[axis]))
            steps = np.arange(-reach, reach + 1.0)
            place = np.take(scaled[:, axis], owner)[:, None] + steps  # [image so far, step]
            old, step = np.nonzero((place >= -margin[axis]) & (place <= 1 + margin[axis]))
            owner, shifts = np.take(owner, old), np.take(shifts, old, axis=0)
            shifts[:, axis] = steps[step]
        images = np.take(home, owner, axis=0) + shifts @ self.cell
        whole = np.int64
        return _Images(home, images, owner, shifts.astype(whole), wraps.astype(whole))

    def _margin(self, inverse: np.ndarray) -> np.ndarray:
        """Return the cutoff in units of the heights of the box."""
        return self.cutoff * np.linalg.norm(inverse, axis=0) * (1 + 1e-9)


@dataclass(frozen=True)
class _Images:
    """Atoms wrapped into the box, and their images, which rise in atom and shift."""

    home: np.ndarray  # (n, 3) Å
    images: np.ndarray  # (m, 3) Å
    owner: np.ndarray  # (m,)
    shifts: np.ndarray  # (m, 3)
    wraps: np.ndarray  # (n, 3) cell vectors from home to where an atom is
