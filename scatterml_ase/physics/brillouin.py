"""Points in the Brillouin zone: symmetry, meshes and their irreducible points, folding, paths."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

SYMMETRY_TOLERANCE = 1e-5
"""Distance in Å within which atoms count as equivalent (phonopy's default)."""


class SymmetryOperations(NamedTuple):
    """Space-group operations of a primitive cell.

    Attributes
    ----------
    rotations
        Integer matrices W on fractional coordinates, shape (g, 3, 3): x' = W x + w.
    permutations
        Where each atom goes, shape (g, n): operation g takes atom i to atom permutations[g, i].
    """

    rotations: np.ndarray
    permutations: np.ndarray

    def cartesian(self, cell: np.ndarray) -> np.ndarray:
        """Return the rotations as orthogonal matrices, shape (g, 3, 3), v' = R v."""
        return cell.T @ self.rotations @ np.linalg.inv(cell.T)


def symmetry_operations(
    cell: np.ndarray, scaled_positions: np.ndarray, numbers: np.ndarray, masses: np.ndarray
) -> SymmetryOperations:
    """Find the space group with spglib; isotopes (equal numbers, other masses) are different."""
    _, kinds = np.unique(np.stack([numbers, masses], axis=1), axis=0, return_inverse=True)
    kinds = kinds.reshape(-1) + 1
    dataset = _find_symmetry((cell, scaled_positions, kinds))
    if dataset is None:
        identity = np.eye(3, dtype=int)[None]
        return SymmetryOperations(identity, np.arange(len(numbers))[None])
    rotations = np.asarray(dataset["rotations"], dtype=int)
    moved = np.einsum("gab,nb->gna", rotations, scaled_positions)
    moved += np.asarray(dataset["translations"])[:, None]
    permutations = np.array([_nearest_atoms(m, scaled_positions, cell, kinds) for m in moved])
    return SymmetryOperations(rotations, permutations)


def _find_symmetry(cell: tuple) -> dict[str, np.ndarray] | None:
    """Ask spglib, whose way of telling failure changes between versions 2.5 and 3."""
    import spglib

    failure = getattr(spglib, "SpglibError", ValueError)
    with quiet_spglib():
        try:
            return spglib.get_symmetry(cell, symprec=SYMMETRY_TOLERANCE)
        except failure:
            return None


@contextmanager
def quiet_spglib() -> Iterator[None]:
    """Silence what spglib 2.7 and 2.8 say on every call: how later versions will fail."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Set OLD_ERROR_HANDLING", DeprecationWarning)
        yield


class Mesh(NamedTuple):
    """A mesh reduced by symmetry.

    Attributes
    ----------
    q_reduced
        Irreducible points, shape (q, 3), in reciprocal-lattice units within (−½, ½].
    weights
        Shape (q,), sum 1.
    mapping
        Irreducible point of every point of the full mesh, shape (n1 n2 n3,), last index fastest.
    """

    q_reduced: np.ndarray
    weights: np.ndarray
    mapping: np.ndarray


def mesh_points(
    mesh: tuple[int, int, int],
    *,
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0),
    rotations: np.ndarray | None = None,
) -> Mesh:
    """Make a regular mesh of q = (k + shift)/n and keep one point of each symmetry star.

    Time reversal (q and −q) always holds for phonons. Operations that do not map the mesh onto
    itself (an uneven mesh of a cubic crystal, say) are left out, so the result is exact.

    Parameters
    ----------
    mesh
        Divisions along the three reciprocal vectors; the mesh holds Γ unless shifted.
    shift
        Offset in mesh steps, e.g. ½ for a mesh that avoids Γ.
    rotations
        Rotations of the crystal on fractional coordinates, shape (g, 3, 3); None: keep all points.
    """
    divisions, offset = np.array(mesh), np.asarray(shift, dtype=float)
    label = np.arange(divisions.prod(), dtype=np.int32).reshape(mesh)
    if rotations is not None:
        for operation in on_reciprocal_lattice(rotations):
            image = _mesh_image(operation, divisions, offset)
            if image is not None:
                np.minimum(label, image, out=label)
    first, mapping, counts = np.unique(label, return_inverse=True, return_counts=True)
    q_reduced = (np.stack(np.unravel_index(first, mesh), axis=1) + offset) / divisions
    q_reduced -= np.ceil(q_reduced - 0.5 - 1e-12)
    return Mesh(q_reduced, counts / counts.sum(), mapping.reshape(-1))


def on_reciprocal_lattice(rotations: np.ndarray, *, inversion: bool = True) -> np.ndarray:
    """Return the distinct matrices that act on reduced q, shape (k, 3, 3).

    Time reversal (q and −q) is included unless ``inversion`` is false.
    """
    inverse_transposed = np.rint(np.linalg.inv(rotations)).astype(int).swapaxes(1, 2)
    both = [inverse_transposed, -inverse_transposed] if inversion else [inverse_transposed]
    return np.unique(np.concatenate(both), axis=0)


def _mesh_image(
    operation: np.ndarray, divisions: np.ndarray, shift: np.ndarray
) -> np.ndarray | None:
    """Return the mesh index of every rotated point, or None if points leave the mesh."""
    matrix = operation * divisions[:, None] / divisions[None, :]  # acts on steps k, q = (k + s)/n
    offset = matrix @ shift - shift
    whole, start = np.rint(matrix).astype(np.int32), np.rint(offset).astype(np.int32)
    if max(np.abs(matrix - whole).max(), np.abs(offset - start).max()) > 1e-9:
        return None
    k = np.ogrid[tuple(slice(n) for n in divisions)]
    image = np.zeros(1, dtype=np.int32)
    for row, first, n in zip(whole, start, divisions.astype(np.int32), strict=True):
        steps = (first + sum(m * x.astype(np.int32) for m, x in zip(row, k, strict=True))) % n
        image = image * n + steps
    return image


def _nearest_atoms(
    moved: np.ndarray, scaled_positions: np.ndarray, cell: np.ndarray, kinds: np.ndarray
) -> np.ndarray:
    """Return the atom of equal kind each moved position falls on, shape (n,)."""
    difference = moved[:, None] - scaled_positions[None]
    difference -= np.rint(difference)
    distance = np.linalg.norm(difference @ cell, axis=-1)
    distance[kinds[:, None] != kinds[None]] = np.inf
    return distance.argmin(axis=1)


def fold_to_first_zone(q_reduced: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Move q-points by reciprocal-lattice vectors into the first Brillouin zone.

    Parameters
    ----------
    q_reduced
        Shape (q, 3), reciprocal-lattice units.
    cell
        Cell vectors as rows, Å.
    """
    from ase.geometry.minkowski_reduction import minkowski_reduce

    reciprocal = np.linalg.inv(cell).T
    reduced, operation = minkowski_reduce(reciprocal)  # reduced = operation @ reciprocal
    q = q_reduced @ np.linalg.inv(operation)  # in the reduced basis, where 27 cells are enough
    q = q - np.rint(q)
    neighbours = np.array(list(np.ndindex(3, 3, 3))) - 1
    candidates = q[:, None] - neighbours[None]  # [q, 27, 3]
    length = np.linalg.norm(candidates @ reduced, axis=-1)
    length[:, 13] -= 1e-9 * np.linalg.norm(reduced[0])  # stay put on the zone boundary
    best = candidates[np.arange(len(q)), length.argmin(axis=1)]
    return best @ operation


def zone_radius(cell: np.ndarray) -> float:
    """Return a length in Å⁻¹ that no q of the first Brillouin zone exceeds."""
    from ase.geometry.minkowski_reduction import minkowski_reduce

    reduced, _ = minkowski_reduce(2 * np.pi * np.linalg.inv(cell).T)
    return float(np.linalg.norm(reduced) / 2)
