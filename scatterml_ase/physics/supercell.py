"""Lattice arithmetic of supercells: their cells, commensurate points, and shortest images."""

from __future__ import annotations

import numpy as np

IMAGE_TOLERANCE = 1e-5
"""Images whose distances differ by less, in Å, count as equally near (phonopy's default)."""


def cells_of(supercell_matrix: np.ndarray) -> np.ndarray:
    """Return the lattice vectors S inside a supercell, shape (N, 3), integers.

    Parameters
    ----------
    supercell_matrix
        Integer rows: supercell vectors = supercell_matrix @ cell.
    """
    corners = np.array(list(np.ndindex(2, 2, 2))) @ supercell_matrix
    low, high = corners.min(axis=0), corners.max(axis=0)
    grid = np.indices(high - low + 1).reshape(3, -1).T + low
    return unique_rows(wrap(grid, supercell_matrix))[0]


def commensurate_points(supercell_matrix: np.ndarray) -> np.ndarray:
    """Return the q whose waves fit into the supercell, shape (N, 3), reciprocal-lattice units."""
    points = cells_of(supercell_matrix.T)  # numerators: q = inv(M) k, q periodic with integers
    return points @ np.linalg.inv(supercell_matrix).T


def wrap(cell_shifts: np.ndarray, supercell_matrix: np.ndarray) -> np.ndarray:
    """Move lattice vectors S, shape (..., 3), by supercell vectors into the supercell."""
    scaled = cell_shifts @ np.linalg.inv(supercell_matrix)
    return cell_shifts - np.floor(scaled + 1e-9).astype(int) @ supercell_matrix


def shortest_images(vectors: np.ndarray, supercell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest periodic images of vectors, all of them where several are equally near.

    Parameters
    ----------
    vectors
        Cartesian vectors from one atom to another, shape (p, 3), in Å.
    supercell
        Supercell vectors as rows, in Å.

    Returns
    -------
    index
        Which vector an image belongs to, shape (m,), ascending.
    translations
        Supercell vectors to add, shape (m, 3), integers.
    """
    from ase.geometry.minkowski_reduction import minkowski_reduce

    reduced, operation = minkowski_reduce(supercell)
    base = -np.rint(vectors @ np.linalg.inv(reduced)).astype(int)
    near = np.array(list(np.ndindex(3, 3, 3))) - 1  # enough for a Minkowski-reduced cell
    offsets = near @ reduced
    start = vectors + base @ reduced
    distance = np.linalg.norm(start[:, None] + offsets[None], axis=-1)  # [p, 27]
    index, which = np.nonzero(distance < distance.min(axis=1, keepdims=True) + IMAGE_TOLERANCE)
    return index, (base[index] + near[which]) @ operation


def enclosing_matrix(vectors: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Return a diagonal supercell in which each of the vectors, in Å, is its shortest image."""
    reach = np.linalg.norm(vectors, axis=1).max(initial=0.0)
    spacing = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)  # of lattice planes
    return np.diag(np.floor(2 * reach / spacing + 1 + 1e-9).astype(int))


def unique_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct rows of an integer array, sorted, and where each row went.

    Rows become single numbers first: many times faster than ``np.unique(axis=0)``.
    """
    if len(rows) == 0:
        return rows, np.zeros(0, dtype=int)
    low = rows.min(axis=0)
    sizes = rows.max(axis=0) - low + 1
    if np.prod(sizes.astype(float)) > 2.0**62:  # too many to count them through
        unique, inverse = np.unique(rows, axis=0, return_inverse=True)
        return unique, inverse.reshape(-1)
    keys = np.ravel_multi_index(tuple((rows - low).T), tuple(sizes))
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return rows[first], inverse.reshape(-1)
