"""The cell whose reciprocal lattice a user counts in: the primitive one, or one made of it.

Cell vectors are rows: ``named = transformation @ primitive``. The reciprocal-lattice units of both
are related by the same matrix, (h k l)_named = transformation · (h k l)_primitive.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.brillouin import SYMMETRY_TOLERANCE, quiet_spglib

_WHOLE = 1e-3
"""How far from whole numbers the conventional cell may come out, relative to its vectors."""
_FIX = (
    "Give 'primitive', 'conventional', or three rows such as [[-1, 1, 1], [1, -1, 1], [1, 1, -1]]"
)


def cell_transformation(
    named: Any, cell: np.ndarray, scaled_positions: np.ndarray, numbers: np.ndarray
) -> np.ndarray:
    """Return the matrix that makes the cell a user names of the primitive one, shape (3, 3).

    Parameters
    ----------
    named
        ``"primitive"``, ``"conventional"`` (the standard cell of the International Tables, in the
        orientation of the crystal), or the matrix itself, shape (3, 3).
    cell
        Primitive vectors as rows, in Å.
    scaled_positions, numbers
        Fractional coordinates (atoms, 3) and atomic numbers (atoms,).

    Raises
    ------
    InputError
        If the name is not known, or the matrix is none or makes no volume.
    """
    if isinstance(named, str):
        if named == "primitive":
            return np.eye(3)
        if named == "conventional":
            return conventional_transformation(cell, scaled_positions, numbers)
        what, why = f"cell={named!r} is not known", "a name or a matrix says whose units are meant"
        raise InputError(explain(what, why, _FIX))
    try:
        matrix = np.array(named, dtype=float)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        what = f"cell={named!r} is no cell"
        raise InputError(explain(what, "it takes three rows of three finite numbers", _FIX))
    if abs(np.linalg.det(matrix)) < 1e-6:
        what = f"cell={matrix.tolist()} has no volume"
        raise InputError(explain(what, "its three vectors lie in a plane", _FIX))
    return matrix


def conventional_transformation(
    cell: np.ndarray, scaled_positions: np.ndarray, numbers: np.ndarray
) -> np.ndarray:
    """Return the matrix from the primitive to the standard conventional cell, shape (3, 3).

    spglib (doi 10.1080/27660400.2024.2384822) finds it; isotopes do not change its axes. Of the
    choices that the Laue group makes equivalent, the one closest to x, y and z is returned.

    Raises
    ------
    InputError
        If no symmetry is found.
    """
    import spglib

    with quiet_spglib():
        described: tuple = (cell, scaled_positions, numbers)
        dataset = spglib.get_symmetry_dataset(described, symprec=SYMMETRY_TOLERANCE)
    if dataset is None:
        what = "The conventional cell of this crystal is not known"
        fix = "Give the matrix: cell=[[…], […], […]] of rows that combine the primitive vectors"
        raise InputError(explain(what, "spglib finds no symmetry in it", fix))
    rotations = np.asarray(dataset.rotations, dtype=float)
    rotations *= np.linalg.det(rotations)[:, None, None]  # proper ones
    choices = np.linalg.inv(dataset.transformation_matrix).T @ rotations.swapaxes(1, 2)
    vectors = choices @ cell
    straight = np.trace(vectors / np.linalg.norm(vectors, axis=2)[..., None], axis1=1, axis2=2)
    matrix = choices[np.argmax(np.round(straight, 6))]
    whole = np.rint(matrix)
    return whole + 0.0 if np.abs(matrix - whole).max() < _WHOLE else matrix


def to_primitive(hkl: np.ndarray, transformation: np.ndarray) -> np.ndarray:
    """Return r.l.u. of the primitive cell from those of the named one, shape (..., 3)."""
    return np.asarray(hkl, dtype=float) @ np.linalg.inv(transformation).T


def from_primitive(hkl: np.ndarray, transformation: np.ndarray) -> np.ndarray:
    """Return r.l.u. of the named cell from those of the primitive one, shape (..., 3)."""
    return np.asarray(hkl, dtype=float) @ np.asarray(transformation).T


def reciprocal_of(cell: np.ndarray) -> np.ndarray:
    """Return reciprocal vectors as rows in Å⁻¹ with 2π: Q = (h k l) @ reciprocal."""
    return 2 * np.pi * np.linalg.inv(cell).T
