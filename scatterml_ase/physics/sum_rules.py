"""What translation and the order of differentiation demand of force constants.

Index permutation: Φ_ij(S) = Φ_ji(−S)ᵀ. Acoustic sum rule: Σ_jS Φ_ij(S) = 0, no force from a rigid
shift. Symmetrising each alone breaks the other; here both are imposed together, by the smallest
change of the blocks that are there (Mounet and Marzari, doi:10.1103/PhysRevB.71.205214, project in
the same spirit).
"""

from __future__ import annotations

import numpy as np

from scatterml_ase.physics.supercell import unique_rows


def reversed_pairs(pairs: np.ndarray, cell_shifts: np.ndarray) -> np.ndarray:
    """Return for each pair (i, j, S) the index of (j, i, −S), −1 where it is missing.

    Parameters
    ----------
    pairs
        Shape (p, 2); each (i, j, S) at most once.
    cell_shifts
        Shape (p, 3).
    """
    forward = np.concatenate([pairs, cell_shifts], axis=1)
    backward = np.concatenate([pairs[:, ::-1], -cell_shifts], axis=1)
    _, label = unique_rows(np.concatenate([forward, backward]))
    place = np.full(label.max(initial=-1) + 1, -1)
    place[label[: len(pairs)]] = np.arange(len(pairs))
    return place[label[len(pairs) :]]


def merge_pairs(
    pairs: np.ndarray, cell_shifts: np.ndarray, blocks: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum the blocks of equal pairs (i, j, S); return pairs, shifts and blocks, sorted."""
    keys = np.concatenate([pairs, cell_shifts], axis=1)
    unique, label = unique_rows(keys)
    total = np.zeros((len(unique), 3, 3))
    np.add.at(total, label, blocks)
    return unique[:, :2], unique[:, 2:], total


def permutation_residual(pairs: np.ndarray, cell_shifts: np.ndarray, blocks: np.ndarray) -> float:
    """Return the largest violation of Φ_ij(S) = Φ_ji(−S)ᵀ, in the unit of the blocks."""
    back = reversed_pairs(pairs, cell_shifts)
    transposed = np.where(back[:, None, None] >= 0, blocks[back].swapaxes(1, 2), 0.0)
    return float(np.abs(blocks - transposed).max(initial=0.0))


def drift(pairs: np.ndarray, blocks: np.ndarray, atoms: int) -> np.ndarray:
    """Return Σ_jS Φ_ij(S), shape (n, 3, 3): the force on atom i from a rigid shift."""
    total = np.zeros((atoms, 3, 3))
    np.add.at(total, pairs[:, 0], blocks)
    return total


def symmetrized(
    pairs: np.ndarray, cell_shifts: np.ndarray, blocks: np.ndarray, atoms: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Impose index permutation and the acoustic sum rule together.

    The smallest change of blocks has the form λ_i + λ_jᵀ. Its symmetric and antisymmetric parts
    solve (N + A)λ = −drift and (N − A)λ = −drift, where A counts the pairs between two atoms and N
    those of one.

    Returns
    -------
    tuple
        Pairs, shifts and blocks; missing reversed pairs are added.
    """
    pairs, cell_shifts, blocks = merge_pairs(
        np.concatenate([pairs, pairs[:, ::-1]]),
        np.concatenate([cell_shifts, -cell_shifts]),
        np.concatenate([blocks, blocks.swapaxes(1, 2)]) / 2,
    )
    counts = np.zeros((atoms, atoms))
    np.add.at(counts, (pairs[:, 0], pairs[:, 1]), 1.0)
    diagonal = np.diag(counts.sum(axis=1))
    excess = drift(pairs, blocks, atoms)
    multipliers = np.zeros_like(excess)
    for sign in (1, -1):
        part = (excess + sign * excess.swapaxes(1, 2)) / 2
        solution, *_ = np.linalg.lstsq(diagonal + sign * counts, part.reshape(atoms, 9))
        multipliers -= solution.reshape(atoms, 3, 3)
    i, j = pairs.T
    return pairs, cell_shifts, blocks + multipliers[i] + multipliers[j].swapaxes(1, 2)


def rotational_residual(pairs: np.ndarray, vectors: np.ndarray, blocks: np.ndarray) -> float:
    """Return how far force constants are from the rotational sum rule, relative, 0 to 1.

    A rigid rotation exerts no force on a crystal without stress (Born and Huang 1954, § 23): for
    each atom i, Σ_j Φ_ij^ab r_ij^c must not change when b and c are exchanged. The residual is the
    norm of what does change, over all atoms, divided by that of Σ_j |Φ_ij| |r_ij|.

    Parameters
    ----------
    pairs
        Atoms i and j, shape (p, 2).
    vectors
        From atom i to atom j, shape (p, 3), Å.
    blocks
        Φ_ij, shape (p, 3, 3).
    """
    atoms = int(pairs.max(initial=-1)) + 1
    moments, sizes = np.zeros((atoms, 3, 3, 3)), np.zeros(atoms)
    np.add.at(moments, pairs[:, 0], blocks[:, :, :, None] * vectors[:, None, None, :])
    lengths = np.linalg.norm(blocks, axis=(1, 2)) * np.linalg.norm(vectors, axis=1)
    np.add.at(sizes, pairs[:, 0], lengths)
    total = np.linalg.norm(sizes)
    return float(np.linalg.norm(moments - moments.swapaxes(2, 3)) / total) if total else 0.0
