"""Force constants of equivalent atoms follow from those of one.

An operation x' = W x + w of the space group takes atom i at x_i + S to atom p(i), and Φ with it:
Φ_p(i)p(j)(S') = R Φ_ij(S) Rᵀ, where R is W in Cartesian axes and
S' = W (S + x_j − x_i) − (x_p(j) − x_p(i)) is a whole number of cells.
"""

from __future__ import annotations

import numpy as np

from scatterml_ase.physics.brillouin import SymmetryOperations


def inequivalent_atoms(operations: SymmetryOperations) -> np.ndarray:
    """Return one atom of each orbit, (k,), rising: the first."""
    return np.unique(operations.permutations.min(axis=0))


def spread_rows(
    pairs: np.ndarray,
    cell_shifts: np.ndarray,
    blocks: np.ndarray,
    operations: SymmetryOperations,
    cell: np.ndarray,
    scaled_positions: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the force constants of all atoms from those of the inequivalent ones.

    Parameters
    ----------
    pairs
        Atoms i and j, shape (p, 2), with all pairs of each i of :func:`inequivalent_atoms`.
    cell_shifts
        Lattice vectors S, shape (p, 3), integers.
    blocks
        Φ_ij(S), shape (p, 3, 3).
    operations
        The space group.
    cell
        Cell vectors as rows, Å.
    scaled_positions
        x, shape (n, 3).

    Returns
    -------
    tuple of arrays
        Pairs, cell shifts and blocks of all atoms.
    """
    rotations, x = operations.cartesian(cell), scaled_positions
    firsts = operations.permutations.min(axis=0)
    parts = []
    for atom, first in enumerate(firsts):
        which = int(np.argmax(operations.permutations[:, first] == atom))
        if atom == first:
            which = _identity(operations)
        own = pairs[:, 0] == first
        j, R = pairs[own, 1], rotations[which]
        moved = operations.permutations[which, j]
        vectors = (cell_shifts[own] + x[j] - x[first]) @ operations.rotations[which].T
        shifts = np.rint(vectors - (x[moved] - x[atom])).astype(int)
        ends = np.column_stack([np.full(len(moved), atom), moved])
        parts.append((ends, shifts, R @ blocks[own] @ R.T))
    found_pairs, found_shifts, found_blocks = (
        np.concatenate(part) for part in zip(*parts, strict=True)
    )
    return found_pairs, found_shifts, found_blocks


def _identity(operations: SymmetryOperations) -> int:
    """Return the operation that moves nothing; a cell that is not primitive has translations."""
    same = (operations.rotations == np.eye(3, dtype=int)).all(axis=(1, 2))
    still = (operations.permutations == np.arange(operations.permutations.shape[1])).all(axis=1)
    return int(np.argmax(same & still))
