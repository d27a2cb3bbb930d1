"""Supercells for finite displacements: checked when given, chosen by symmetry when not."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from ase.spacegroup.symmetrize import check_symmetry

from scatterml_ase.errors import InputError, explain

_FIX = "Give three whole numbers ≥ 1, such as (4, 4, 4), or a 3×3 integer matrix with det > 0"


def supercell_matrix(supercell: Sequence[int] | Sequence[Sequence[int]] | Any) -> np.ndarray:
    """Return the (3, 3) integer matrix whose rows make the supercell vectors from the cell's.

    Raises
    ------
    InputError
        If the shape is wrong, an entry is no whole number, or the determinant is not positive.
    """
    try:
        matrix = np.asarray(supercell, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(
            explain(f"Supercell {supercell!r} cannot be used", "it is no array of numbers", _FIX)
        ) from error
    if matrix.shape == (3,):
        matrix = np.diag(matrix)
        if np.any(np.diag(matrix) < 1):
            why = "it repeats the cell less than once along an axis"
            raise InputError(explain(f"Supercell {supercell!r} cannot be used", why, _FIX))
    if matrix.shape != (3, 3):
        why = f"its shape is {np.shape(supercell)}"
        raise InputError(explain(f"Supercell {supercell!r} cannot be used", why, _FIX))
    if not np.all(np.isfinite(matrix)) or np.any(matrix != np.round(matrix)):
        why = "a supercell vector must be a whole-number combination of cell vectors"
        raise InputError(explain(f"Supercell {supercell!r} cannot be used", why, _FIX))
    matrix = matrix.astype(int)
    if (determinant := round(np.linalg.det(matrix))) < 1:
        why = f"its determinant is {determinant}, so it spans no right-handed volume"
        raise InputError(explain(f"Supercell {matrix.tolist()} cannot be used", why, _FIX))
    return matrix


def choose_supercell(atoms: Atoms, minimum_length: float, symmetry_precision: float) -> np.ndarray:
    """Choose the smallest supercell in which an atom is ``minimum_length`` from its images.

    Multiples of the given (primitive) cell and of the conventional cell are compared; only those
    that keep the point group are taken, because any other supercell would break the symmetry of
    the force constants. Face- and body-centred lattices so get nearly close-packed images, which
    need up to 30 % fewer atoms than a cube.

    Parameters
    ----------
    atoms
        The primitive cell.
    minimum_length
        Shortest allowed supercell lattice vector, in Å.
    symmetry_precision
        Tolerance in Å for finding the symmetry.

    Returns
    -------
    np.ndarray
        Supercell matrix, shape (3, 3), rows, integers.
    """
    if not np.isfinite(minimum_length) or minimum_length <= 0:
        raise InputError(
            explain(f"minimum_length={minimum_length} cannot be used", "it is a length in Å",
                    "Give a positive number such as 15")
        )  # fmt: skip
    conventional, rotations = _symmetry(atoms, symmetry_precision)
    candidates = [
        np.diag(repeats) @ base
        for base in (np.eye(3, dtype=int), conventional)
        for repeats in _repeats(base @ atoms.cell.array, minimum_length)
    ]
    candidates.sort(key=lambda matrix: round(np.linalg.det(matrix)))
    for matrix in candidates:
        if keeps_rotations(matrix, rotations).all():
            reduced, _ = minkowski_reduce(matrix @ atoms.cell.array)
            if np.linalg.norm(reduced, axis=1).min() >= minimum_length - 1e-6:
                return matrix
    raise InputError(
        explain(f"No supercell with images {minimum_length} Å apart was found",
                "no multiple of the cell up to that size keeps its symmetry",
                "Give the supercell yourself: supercell=(n1, n2, n3)")
    )  # fmt: skip


def shortest_image(cell: np.ndarray) -> float:
    """Return the distance in Å between an atom and its nearest periodic image."""
    reduced, _ = minkowski_reduce(np.asarray(cell))
    return float(np.linalg.norm(reduced, axis=1).min())


def _symmetry(atoms: Atoms, precision: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the conventional cell as an integer matrix (rows) and the rotations (r, 3, 3)."""
    dataset = check_symmetry(atoms, symprec=precision)
    if dataset is None:
        return np.eye(3, dtype=int), np.eye(3, dtype=int)[None]
    # spglib: columns (a b c) = (a_s b_s c_s) P, so rows of the standard cell are inv(P).T @ rows
    conventional = np.round(np.linalg.inv(dataset.transformation_matrix).T).astype(int)
    if round(np.linalg.det(conventional)) < 1:
        conventional = np.eye(3, dtype=int)
    return conventional, dataset.rotations


def _repeats(cell: np.ndarray, minimum_length: float) -> list[tuple[int, ...]]:
    """List the diagonal repetitions that can reach the length without a needless layer."""
    lengths = np.linalg.norm(cell, axis=1)
    heights = abs(np.linalg.det(cell)) / np.linalg.norm(
        np.cross(np.roll(cell, -1, axis=0), np.roll(cell, -2, axis=0)), axis=1
    )
    low = np.maximum(1, np.ceil(minimum_length / lengths - 1e-6)).astype(int)
    high = np.maximum(low, np.ceil(minimum_length / heights - 1e-6)).astype(int)
    ranges = (range(first, last + 1) for first, last in zip(low, high, strict=True))
    return list(itertools.product(*ranges))


def keeps_rotations(matrix: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Tell of each rotation (r, 3, 3) whether it maps the supercell lattice onto itself."""
    # Columns of matrix.T are supercell vectors in fractional coordinates of the cell.
    images = np.linalg.inv(matrix.T) @ rotations @ matrix.T
    return np.isclose(images, np.round(images), atol=1e-6).all(axis=(1, 2))
