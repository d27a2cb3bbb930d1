"""Any list of scattering vectors brought to as few wavevectors q as symmetry allows.

S(Q) = S(RQ) for every rotation R of the crystal, and S(−Q) = S(Q) for real scattering lengths. All
Q whose q = Q − G are related by these share one diagonalisation, at the q that stands for them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scatterml_ase.physics.brillouin import on_reciprocal_lattice

_STEPS = 1_000_000_000
"""Reduced coordinates that agree to 1e-9 are equal: two of them make one 64-bit key."""


class FoldedPoints(NamedTuple):
    """Scattering vectors sorted by the wavevector that stands for them.

    Attributes
    ----------
    q_reduced
        Wavevectors to solve, shape (q, 3), reciprocal-lattice units within ±½.
    solution
        Which of them belongs to each point, shape (points,).
    images
        A vector equivalent to each point that differs from its q by a lattice vector, (points, 3).
    """

    q_reduced: np.ndarray
    solution: np.ndarray
    images: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """How many points each wavevector stands for, shape (q,)."""
        return np.bincount(self.solution, minlength=len(self.q_reduced))


def fold(hkl: np.ndarray, rotations: np.ndarray | None, *, inversion: bool) -> FoldedPoints:
    """Find the fewest wavevectors for scattering vectors.

    Parameters
    ----------
    hkl
        Scattering vectors, shape (points, 3), reciprocal-lattice units of the primitive cell.
    rotations
        Of the crystal on fractional coordinates, integers, shape (g, 3, 3); None: identity.
    inversion
        Whether S(−Q) = S(Q) may be used whatever the rotations are.
    """
    rotations = np.eye(3, dtype=int)[None] if rotations is None else rotations
    operations = on_reciprocal_lattice(rotations, inversion=inversion)
    first, zone = _distinct(_keys(hkl))
    q = hkl[first]
    best = np.full((2, len(q)), np.iinfo(np.int64).max)
    chosen = np.zeros(len(q), dtype=np.int64)
    for number, operation in enumerate(operations):
        keys = _keys(q @ operation.T)
        better = (keys[0] < best[0]) | ((keys[0] == best[0]) & (keys[1] < best[1]))
        best[:, better] = keys[:, better]
        chosen[better] = number
    stars, star = _distinct(best)
    images = np.einsum("pab,pb->pa", operations[chosen[zone]], hkl)
    solved = images[first[stars]]
    return FoldedPoints(solved - np.rint(solved), star[zone], images)


def _keys(hkl: np.ndarray) -> np.ndarray:
    """Return two integers that tell q = Q − G, shape (2, points)."""
    whole = np.rint((hkl - np.floor(hkl)) * _STEPS).astype(np.int64) % _STEPS
    return np.stack([whole[:, 0] * _STEPS + whole[:, 1], whole[:, 2]])


def _distinct(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first of each kind of equal columns, and the kind of every column."""
    order = np.lexsort(keys[::-1])
    starts = np.any(np.diff(keys[:, order], axis=1, prepend=-1), axis=0)
    kind = np.empty(keys.shape[1], dtype=np.int64)
    kind[order] = np.cumsum(starts) - 1
    return order[starts], kind
