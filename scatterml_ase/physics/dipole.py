"""Dipole–dipole forces in polar crystals: the non-analytical term correction (NAC).

Displaced ions with Born charges Z* in a medium of dielectric tensor ε∞ interact as dipoles, over
any distance. Gonze and Lee, doi:10.1103/PhysRevB.55.10355, split that interaction by an Ewald sum.
As phonopy does, only its reciprocal part is separated from the force constants,

    C_ij(q) = (e²/ε₀V) Σ_{K=q+G≠0} (K·Z_i)(K·Z_j) / (K·ε·K) exp(−K·ε·K/4Λ²) exp(iK·(x_i − x_j)),

because what remains beyond the width 1/Λ is short-ranged and interpolates well. Everything is in
the cell gauge of :mod:`scatterml_ase.physics.lattice`, periodic in q.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scatterml_ase.physics import brillouin, supercell
from scatterml_ase.units import COULOMB_EV_ANGSTROM

RECIPROCAL_POINTS = 300
"""G-vectors inside the sphere from which the width Λ is chosen (phonopy's default)."""
EXPONENT = 10 * np.log(10)
"""Where the Gaussian is cut off: exp(−EXPONENT) = 1e-10."""
GAMMA_TOLERANCE = 1e-8
"""A shorter q, in Å⁻¹, is Γ."""
_COMPONENTS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
_KERNEL_BYTES = 1_000_000  # fits into the cache of a core


class DipoleSum(NamedTuple):
    """What the sum over G needs that does not depend on q.

    Attributes
    ----------
    cell
        Cell vectors as rows, Å.
    scaled_positions
        Shape (n, 3).
    dielectric
        ε∞, shape (3, 3).
    width
        Λ in Å⁻¹.
    vectors
        G in Å⁻¹, shape (g, 3); the first is 0.
    waves
        A row of ones, then cos and −sin of G·(x_j − x_i) for i < j, shape (1 + n(n−1), g).
    couplings
        What six components K_a K_b become between atoms with Born charges / √M, e²/amu, for i = j
        and then i < j, shape (n + n(n−1)/2, 9, 6).
    self_terms
        What the sum rule takes off the diagonal, eV/Å²/amu, shape (n, 3, 3).
    """

    cell: np.ndarray
    scaled_positions: np.ndarray
    dielectric: np.ndarray
    width: float
    vectors: np.ndarray
    waves: np.ndarray
    couplings: np.ndarray
    self_terms: np.ndarray


def dipole_sum(
    cell: np.ndarray,
    scaled_positions: np.ndarray,
    masses: np.ndarray,
    born_charges: np.ndarray,
    dielectric: np.ndarray,
) -> DipoleSum:
    """Prepare the sum over reciprocal vectors for a crystal (units: Å, amu, e)."""
    volume = abs(np.linalg.det(cell))
    sphere = 2 * np.pi * (3 * RECIPROCAL_POINTS / (4 * np.pi * volume)) ** (1 / 3)
    width = float(np.sqrt(sphere**2 * np.trace(dielectric) / 3 / 4 / EXPONENT))
    vectors = _reciprocal_vectors(cell, dielectric, width)
    i, j = np.triu_indices(len(masses), k=1)
    angles = vectors @ ((scaled_positions[j] - scaled_positions[i]) @ cell).T
    waves = np.concatenate([np.ones((len(vectors), 1)), np.cos(angles), -np.sin(angles)], axis=1)
    charges = born_charges / np.sqrt(masses)[:, None, None]
    diagonal = np.arange(len(masses))
    pairs = np.concatenate([diagonal, i]), np.concatenate([diagonal, j])
    sums = DipoleSum(
        cell=cell,
        scaled_positions=scaled_positions,
        dielectric=dielectric,
        width=width,
        vectors=vectors,
        waves=np.ascontiguousarray(waves.T),
        couplings=_couplings(charges[pairs[0]], charges[pairs[1]]),
        self_terms=np.zeros((len(masses), 3, 3)),
    )
    # A rigid shift of the crystal must cost nothing: Σ_j C_ij(0) is taken off C_ii.
    at_gamma = dipole_matrices(sums, np.zeros((1, 3)))[0].real.reshape(len(masses), 3, -1, 3)
    drift = np.einsum("iajb,j->iab", at_gamma, np.sqrt(masses)) / np.sqrt(masses)[:, None, None]
    return sums._replace(self_terms=(drift + drift.swapaxes(1, 2)) / 2)


def dipole_matrices(
    sums: DipoleSum, q_reduced: np.ndarray, q_direction: np.ndarray | None = None
) -> np.ndarray:
    """Return the dipole–dipole part of D(q) in the cell gauge, eV/Å²/amu, shape (q, 3n, 3n).

    Parameters
    ----------
    sums
        Made by :func:`dipole_sum`.
    q_reduced
        Shape (q, 3); folded into the first Brillouin zone here.
    q_direction
        Directions of approach where q is Γ, shape (q, 3), reciprocal-lattice units; rows of zeros
        (or None) leave out the macroscopic field of Γ.
    """
    size, count = 3 * len(sums.scaled_positions), len(q_reduced)
    q_folded = brillouin.fold_to_first_zone(q_reduced, sums.cell)
    matrices = np.empty((count, size, size), dtype=complex)
    step = max(1, _KERNEL_BYTES // (48 * len(sums.vectors)))
    for start in range(0, count, step):
        part = slice(start, start + step)
        direction = None if q_direction is None else q_direction[part]
        _fill(matrices[part], sums, q_folded[part], direction)
    phases = np.exp(2j * np.pi * (q_folded @ sums.scaled_positions.T)).repeat(3, axis=1)
    matrices *= phases[:, :, None]
    matrices *= phases.conj()[:, None, :]
    return matrices


def dipole_pairs(
    sums: DipoleSum, supercell_matrix: np.ndarray, masses: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the dipole–dipole force constants of a supercell as pairs, shifts and blocks.

    They are what total force constants contain of the dipole–dipole sum, image by image; minus
    them, force constants are short-ranged.
    """
    atoms = len(masses)
    q = supercell.commensurate_points(supercell_matrix)
    cells = supercell.cells_of(supercell_matrix)
    roots = np.repeat(np.sqrt(masses), 3)
    matrices = dipole_matrices(sums, q) * roots[:, None] * roots[None, :]
    waves = np.exp(-2j * np.pi * (cells @ q.T)) / len(q)
    blocks = (waves @ matrices.reshape(len(q), -1)).real.reshape(-1, atoms, 3, atoms, 3)
    s, i, j = (k.reshape(-1) for k in np.indices((len(cells), atoms, atoms)))
    vectors = (cells[s] + sums.scaled_positions[j] - sums.scaled_positions[i]) @ sums.cell
    index, translations = supercell.shortest_images(vectors, supercell_matrix @ sums.cell)
    share = 1 / np.bincount(index)[index]
    s, i, j = s[index], i[index], j[index]
    shifts = cells[s] + translations @ supercell_matrix
    return np.stack([i, j], axis=1), shifts, blocks[s, i, :, j, :] * share[:, None, None]


def _reciprocal_vectors(cell: np.ndarray, dielectric: np.ndarray, width: float) -> np.ndarray:
    """Return every G that matters for some q of the first zone, shape (g, 3), shortest first."""
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    stretch = np.linalg.eigvalsh(dielectric)  # K·ε·K ≥ stretch[0] K²
    zone = brillouin.zone_radius(cell)
    radius = 2 * width * np.sqrt(EXPONENT / stretch[0]) + zone
    limits = np.ceil(radius * np.linalg.norm(cell, axis=1) / (2 * np.pi)).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in limits), indexing="ij"), axis=-1)
    vectors = grid.reshape(-1, 3) @ reciprocal
    squares = np.einsum("ga,ab,gb->g", vectors, dielectric, vectors)
    reach = 2 * width * np.sqrt(EXPONENT) + zone * np.sqrt(stretch[-1])
    vectors = vectors[squares < reach**2]
    return vectors[np.argsort(np.linalg.norm(vectors, axis=1), kind="stable")]


def _fill(
    matrices: np.ndarray, sums: DipoleSum, q_folded: np.ndarray, q_direction: np.ndarray | None
) -> None:
    """Write the sum over G, without the phases of q, for q-points few enough for the cache."""
    atoms, count = len(sums.scaled_positions), len(q_folded)
    kernels = _kernels(sums, q_folded, q_direction)  # [g, six, q]
    tensors = (sums.waves @ kernels.reshape(len(kernels), -1)).reshape(-1, 6, count)
    i, j = np.triu_indices(atoms, k=1)
    same = (sums.couplings[:atoms] @ tensors[0]).reshape(atoms, 3, 3, count)
    other = sums.couplings[atoms:]
    upper = np.empty((len(i), 3, 3, count), dtype=complex)
    upper.real = (other @ tensors[1 : 1 + len(i)]).reshape(upper.shape)
    upper.imag = (other @ tensors[1 + len(i) :]).reshape(upper.shape)
    blocks = matrices.reshape(count, atoms, 3, atoms, 3)
    diagonal = np.arange(atoms)
    blocks[:, diagonal, :, diagonal, :] = same.transpose(0, 3, 1, 2) - sums.self_terms[:, None]
    blocks[:, i, :, j, :] = upper.transpose(0, 3, 1, 2)
    blocks[:, j, :, i, :] = upper.conj().transpose(0, 3, 2, 1)


def _kernels(sums: DipoleSum, q_folded: np.ndarray, q_direction: np.ndarray | None) -> np.ndarray:
    """Return e²/ε₀V K_a K_b exp(−K·ε·K/4Λ²)/(K·ε·K), shape (g, 6, q), for ab of _COMPONENTS."""
    reciprocal = 2 * np.pi * np.linalg.inv(sums.cell).T
    factor = 4 * np.pi * COULOMB_EV_ANGSTROM / abs(np.linalg.det(sums.cell))
    q = q_folded @ reciprocal
    at_gamma = np.linalg.norm(q, axis=1) < GAMMA_TOLERANCE
    k = [np.add.outer(sums.vectors[:, a], q[:, a]) for a in range(3)]  # 3 × [g, q]
    squares = _quadratic(k, sums.dielectric)
    squares[0, at_gamma] = np.inf
    damping = np.exp(squares * (-0.25 / sums.width**2))
    damping *= factor
    damping /= squares
    scaled = [damping * x for x in k]
    kernels = np.empty((len(damping), 6, len(q)))
    for component, (a, b) in enumerate(_COMPONENTS):
        np.multiply(scaled[a], k[b], out=kernels[:, component])
    if q_direction is not None and at_gamma.any():
        kernels[0][:, at_gamma] = factor * _limit(q_direction[at_gamma] @ reciprocal, sums).T
    return kernels


def _limit(directions: np.ndarray, sums: DipoleSum) -> np.ndarray:
    """Return n_a n_b/(n·ε·n), shape (q, 6), the macroscopic field; 0 where n is 0."""
    screening = np.einsum("qa,ab,qb->q", directions, sums.dielectric, directions)
    outer = np.stack([directions[:, a] * directions[:, b] for a, b in _COMPONENTS], axis=1)
    return outer / np.where(screening > 0, screening, np.inf)[:, None]


def _quadratic(k: list[np.ndarray], tensor: np.ndarray) -> np.ndarray:
    """Return K·ε·K for components K_a given apart."""
    result = np.zeros_like(k[0])
    for a, b in _COMPONENTS:
        weight = tensor[a, b] if a == b else tensor[a, b] + tensor[b, a]
        if weight:
            result += weight * (k[a] * k[b])
    return result


def _couplings(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the matrices, shape (p, 9, 6), from K_c K_d to Z_ca K_c K_d Z_db."""
    outer = np.einsum("pca,pdb->pabcd", first, second).reshape(-1, 9, 3, 3)
    return np.stack(
        [outer[..., a, b] if a == b else outer[..., a, b] + outer[..., b, a]
         for a, b in _COMPONENTS], axis=-1,
    )  # fmt: skip
