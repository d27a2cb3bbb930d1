"""From springs and responses to force constants Φ = ∂²E/∂u∂u of pairs, in float64."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from scatterml_ase.physics.sum_rules import merge_pairs

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Atoms i and j (p, 2), cell shifts (p, 3), blocks (p, 3, 3) in eV/Å²."""


def assemble(
    springs: tuple[np.ndarray, np.ndarray, np.ndarray],
    responses: tuple[np.ndarray, np.ndarray, np.ndarray],
    stiffness: np.ndarray,
) -> Pairs:
    """Return the force constants of one crystal.

    Parameters
    ----------
    springs
        Of each pair: its atoms (2, p), the cell shift (p, 3) of the second, and K (p, 3, 3).
    responses
        Of each edge: centre and neighbour (2, e), sorted by centre, cell shift (e, 3), and
        W (e, rows, 3).
    stiffness
        s (atoms, rows).
    """
    parts = [_of_springs(*springs)]
    (centres, others), shifts, W = responses
    bounds = np.searchsorted(centres, np.arange(len(stiffness) + 1))
    for atom, (start, stop) in enumerate(pairwise(bounds)):
        if start < stop:
            near = slice(start, stop)
            parts.append(_of_responses(atom, others[near], shifts[near], W[near], stiffness[atom]))
    pairs, cell_shifts, blocks = (np.concatenate(part) for part in zip(*parts, strict=True))
    return merge_pairs(pairs, cell_shifts, blocks)


def _of_springs(index: np.ndarray, shifts: np.ndarray, K: np.ndarray) -> Pairs:
    """½ (u_j − u_i)·K·(u_j − u_i): −K between the two, K at each."""
    i, j = index
    none = np.zeros_like(shifts)
    pairs = np.concatenate([[i, i, j, j], [j, i, j, i]]).reshape(2, 4, -1).reshape(2, -1).T
    return (
        pairs,
        np.concatenate([shifts, none, none, -shifts]),
        np.concatenate([-K, K, K, -K]),
    )


def _of_responses(
    atom: int, others: np.ndarray, shifts: np.ndarray, W: np.ndarray, stiffness: np.ndarray
) -> Pairs:
    """½ Σ_n s_n |Σ_j W_jn·(u_j − u_i)|²: W_j·s·W_k between any two of the atoms that move."""
    W = np.concatenate([W, -W.sum(axis=0, keepdims=True)])  # the centre's own displacement
    members = np.append(others, atom)
    cells = np.concatenate([shifts, np.zeros((1, 3), dtype=shifts.dtype)])
    rows = W.transpose(0, 2, 1).reshape(-1, W.shape[1])  # [member and xyz, row]
    count = len(members)
    blocks = ((rows * stiffness) @ rows.T).reshape(count, 3, count, 3).transpose(0, 2, 1, 3)
    first, second = (k.reshape(-1) for k in np.indices((count, count)))
    return (
        np.stack([members[first], members[second]], axis=1),
        cells[second] - cells[first],
        blocks.reshape(-1, 3, 3),
    )
