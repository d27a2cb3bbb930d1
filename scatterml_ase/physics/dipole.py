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
_XX = np.array([[0, 3, 4], [3, 1, 5], [4, 5, 2]])  # where K_a K_b stands in six components


class DipoleSum(NamedTuple):
    """What the sum over G needs that does not depend on q.

    Attributes
    ----------
    cell
        Cell vectors as rows, Å.
    scaled_positions
        Shape (n, 3).
    charges
        Born charges / √M, e amu^-½, shape (n, 3, 3): first index polarisation.
    dielectric
        ε∞, shape (3, 3).
    width
        Λ in Å⁻¹.
    vectors
        G in Å⁻¹, shape (g, 3); the first is 0.
    waves
        cos and −sin of G·(x_j − x_i) for i < j after a column of ones, shape (g, 1 + n(n−1)).
    self_terms
        What the sum rule takes off the diagonal, eV/Å²/amu, shape (n, 3, 3).
    """

    cell: np.ndarray
    scaled_positions: np.ndarray
    charges: np.ndarray
    dielectric: np.ndarray
    width: float
    vectors: np.ndarray
    waves: np.ndarray
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
    sums = DipoleSum(
        cell=cell,
        scaled_positions=scaled_positions,
        charges=born_charges / np.sqrt(masses)[:, None, None],
        dielectric=dielectric,
        width=width,
        vectors=vectors,
        waves=waves,
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
    atoms = len(sums.charges)
    q_folded = brillouin.fold_to_first_zone(q_reduced, sums.cell)
    kernels = _kernels(sums, q_folded, q_direction)
    tensors = kernels @ sums.waves  # [q, six, columns]
    full = np.empty((len(q_reduced), 6, atoms, atoms), dtype=complex)
    diagonal = np.arange(atoms)
    full[:, :, diagonal, diagonal] = tensors[:, :, :1]
    i, j = np.triu_indices(atoms, k=1)
    upper = tensors[:, :, 1 : 1 + len(i)] + 1j * tensors[:, :, 1 + len(i) :]
    full[:, :, i, j], full[:, :, j, i] = upper, upper.conj()
    phases = np.exp(2j * np.pi * (q_folded @ sums.scaled_positions.T))
    full *= (phases[:, :, None] * phases.conj()[:, None, :])[:, None]
    matrices = _with_charges(full, sums.charges)
    matrices[:, diagonal, :, diagonal, :] -= sums.self_terms[:, None]
    return matrices.reshape(len(q_reduced), 3 * atoms, 3 * atoms)


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


def _kernels(sums: DipoleSum, q_folded: np.ndarray, q_direction: np.ndarray | None) -> np.ndarray:
    """Return K_a K_b exp(−K·ε·K/4Λ²)/(K·ε·K) times e²/ε₀V, shape (q, 6, g)."""
    reciprocal = 2 * np.pi * np.linalg.inv(sums.cell).T
    factor = 4 * np.pi * COULOMB_EV_ANGSTROM / abs(np.linalg.det(sums.cell))
    q = q_folded @ reciprocal
    at_gamma = np.linalg.norm(q, axis=1) < GAMMA_TOLERANCE
    k = [q[:, a, None] + sums.vectors[None, :, a] for a in range(3)]  # 3 × [q, g]
    squares = _quadratic(k, sums.dielectric)
    squares[at_gamma, 0] = np.inf
    damping = factor * np.exp(squares / (-4 * sums.width**2)) / squares
    kernels = np.empty((len(q), 6, len(sums.vectors)))
    scaled = [damping * x for x in k]
    for component, (a, b) in enumerate(((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))):
        np.multiply(scaled[a], k[b], out=kernels[:, component])
    if q_direction is not None and at_gamma.any():
        n = q_direction[at_gamma] @ reciprocal
        length = np.linalg.norm(n, axis=1)
        field = length > 0
        n = n[field] / length[field, None]
        limit = factor / np.einsum("qa,ab,qb->q", n, sums.dielectric, n)
        outer = np.stack([n[:, [0, 1, 2, 0, 0, 1]] * n[:, [0, 1, 2, 1, 2, 2]]])[0]
        kernels[np.flatnonzero(at_gamma)[field], :, 0] = outer * limit[:, None]
    return kernels


def _quadratic(k: list[np.ndarray], tensor: np.ndarray) -> np.ndarray:
    """Return K·ε·K for components K_a given apart."""
    symmetric = (tensor + tensor.T) / 2
    result = np.zeros_like(k[0])
    for a in range(3):
        for b in range(a, 3):
            weight = symmetric[a, b] * (1 if a == b else 2)
            if weight:
                result += weight * k[a] * k[b]
    return result


def _with_charges(tensors: np.ndarray, charges: np.ndarray) -> np.ndarray:
    """Contract six-component tensors [q, six, i, j] with Z_i and Z_j to [q, i, 3, j, 3]."""
    full = tensors[:, _XX.reshape(-1)].reshape(len(tensors), 3, 3, *tensors.shape[2:])
    return np.einsum("qcdij,ica,jdb->qiajb", full, charges, charges, optimize=True)
