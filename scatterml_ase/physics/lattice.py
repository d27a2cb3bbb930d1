"""Harmonic lattice dynamics: from pair force constants to frequencies, eigenvectors, velocities.

The energy of a crystal with displacements u is ½ Σ u_i(0)·Φ_ij(S)·u_j(S) over cells; a pair is
(i, j, S). The dynamical matrix in the phase convention of phonopy, with positions in the phases,

    D_ij(q) = 1/√(M_i M_j) Σ_S Φ_ij(S) exp(2πi q·(S + x_j − x_i)),

is summed here without the x_j − x_i (its *cell gauge*: periodic in q, equal eigenvalues, and fewer
phases); only eigenvectors feel the difference, by one phase per atom. Born and Huang (1954);
M. T. Dove, Introduction to Lattice Dynamics (1993), doi:10.1017/CBO9780511619885.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from scatterml_ase.physics.supercell import unique_rows
from scatterml_ase.units import ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV

CHUNK_BYTES = 4_000_000
"""Memory one array of dynamical matrices may take; q-points are worked off in chunks of it."""
_DENSE_FILL = 0.05  # a denser table is multiplied by BLAS


class FourierTable(NamedTuple):
    """Mass-weighted blocks, ordered so that D(q) is two matrix products.

    D(q) = cos(2π q·S) @ even + i sin(2π q·S) @ odd, with S and −S folded into one shift.

    Attributes
    ----------
    shifts
        Lattice vectors S, shape (s, 3), integers; one of each pair ±S.
    even, odd
        Blocks in eV/Å²/amu, shape (s, 9 n²) in the order of a flattened (3n, 3n) matrix; dense, or
        sparse where most of the table is empty.
    atoms
        Number of atoms n.
    """

    shifts: np.ndarray
    even: Any
    odd: Any
    atoms: int


def fourier_table(
    pairs: np.ndarray, cell_shifts: np.ndarray, blocks: np.ndarray, masses: np.ndarray
) -> FourierTable:
    """Sort pair blocks into a :class:`FourierTable`; the cost is linear in the pairs.

    The Hermitian part is taken: Φ_ij(S) and Φ_ji(−S)ᵀ enter as their mean.

    Parameters
    ----------
    pairs
        Atoms i and j, shape (p, 2).
    cell_shifts
        Lattice vectors S, shape (p, 3), integers.
    blocks
        Force constants in eV/Å², shape (p, 3, 3).
    masses
        Masses in amu, shape (n,).
    """
    atoms = len(masses)
    roots = np.sqrt(masses)
    weighted = blocks / (2 * roots[pairs[:, 0]] * roots[pairs[:, 1]])[:, None, None]
    i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
    both = np.concatenate([weighted, weighted.swapaxes(1, 2)])
    sign = _half_space(cell_shifts)
    shifts, row = unique_rows(cell_shifts * sign[:, None])
    row = np.tile(row, 2)
    sign = np.concatenate([sign, -sign])
    a, b = np.arange(3)[:, None], np.arange(3)[None, :]
    column = 3 * atoms * (3 * i[:, None, None] + a) + (3 * j[:, None, None] + b)
    rows = np.repeat(row, 9)
    shape = (len(shifts), (3 * atoms) ** 2)
    tables = [
        sparse.csr_array((values.reshape(-1), (rows, column.reshape(-1))), shape=shape)
        for values in (both, both * sign[:, None, None])
    ]
    if tables[0].nnz > _DENSE_FILL * shape[0] * shape[1]:
        return FourierTable(shifts, tables[0].toarray(), tables[1].toarray(), atoms)
    return FourierTable(shifts, tables[0], tables[1], atoms)


def dynamical_matrices(table: FourierTable, q_reduced: np.ndarray) -> np.ndarray:
    """Return D(q) in the cell gauge, in eV/Å²/amu, shape (q, 3n, 3n), complex.

    All q are held in memory at once: see :func:`chunks`.
    """
    angles = (2 * np.pi * q_reduced) @ table.shifts.T  # [q, s]
    return _combine(table, np.cos(angles), np.sin(angles))


def dynamical_matrix_gradients(
    table: FourierTable, q_reduced: np.ndarray, cell: np.ndarray
) -> np.ndarray:
    """Return ∂D/∂q in the cell gauge, in eV/Å/amu, shape (q, 3 Cartesian, 3n, 3n), complex."""
    angles = (2 * np.pi * q_reduced) @ table.shifts.T
    cosine, sine = np.cos(angles), np.sin(angles)
    vectors = table.shifts @ cell  # [s, xyz] Å
    gradients = [_combine(table, -sine * x, cosine * x) for x in vectors.T]
    return np.stack(gradients, axis=1)


def solve(
    matrices: np.ndarray, *, eigenvectors: bool = True
) -> tuple[np.ndarray, np.ndarray | None]:
    """Diagonalise dynamical matrices.

    Returns
    -------
    frequencies
        Signed √(eigenvalue) in meV, imaginary modes negative, ascending, shape (q, 3n).
    eigenvectors
        Orthonormal, shape (q, modes, 3n), or None.
    """
    if not eigenvectors:
        return signed_frequencies(np.linalg.eigvalsh(matrices)), None
    values, vectors = np.linalg.eigh(matrices)
    return signed_frequencies(values), vectors.swapaxes(1, 2)


def signed_frequencies(eigenvalues: np.ndarray) -> np.ndarray:
    """Turn eigenvalues of D in eV/Å²/amu into meV; imaginary frequencies come out negative."""
    return np.copysign(np.sqrt(np.abs(eigenvalues)), eigenvalues) * ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV


def position_phases(q_reduced: np.ndarray, scaled_positions: np.ndarray) -> np.ndarray:
    """Return exp(−2πi q·x_i), shape (q, n): from eigenvectors of the cell gauge to phonopy's."""
    return np.exp(-2j * np.pi * (q_reduced @ scaled_positions.T))


def chunks(count: int, atoms: int, *, threads: int = 1) -> list[slice]:
    """Cut ``count`` q-points into slices whose matrices fit into :data:`CHUNK_BYTES`."""
    largest = max(1, CHUNK_BYTES // (16 * (3 * atoms) ** 2))
    size = max(1, min(largest, -(-count // threads)))
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _half_space(cell_shifts: np.ndarray) -> np.ndarray:
    """Return the sign, shape (p,), that makes the first non-zero component of S positive."""
    sign = np.sign(cell_shifts)
    first = np.where(sign[:, 0] != 0, sign[:, 0], np.where(sign[:, 1] != 0, sign[:, 1], sign[:, 2]))
    return np.where(first < 0, -1, 1)


def _combine(table: FourierTable, even: np.ndarray, odd: np.ndarray) -> np.ndarray:
    """Return even @ table.even + i odd @ table.odd as square matrices."""
    size = 3 * table.atoms
    result = np.empty((len(even), size * size), dtype=complex)
    result.real = even @ table.even
    result.imag = odd @ table.odd
    return result.reshape(-1, size, size)
