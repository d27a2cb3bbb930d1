"""What a force-constant model learns from: Φ(q) at the q-points that fit the reference supercell.

At these points the Fourier sum of the supercell's force constants is exact, whatever happens
between them. The dipole–dipole part, known from Born charges, is kept apart: what is left is
short-ranged, and that is what a model with a cutoff can learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from scatterml_ase.physics import dipole, lattice, supercell
from scatterml_ase.results.force_constants import ForceConstants

MOST_POINTS = 8


@dataclass(frozen=True)
class HarmonicTarget:
    """The reference of one crystal, in eV, Å and amu.

    The phases of Φ_ij(q) = Σ_S Φ_ij(S) exp(i q·(S + x_j − x_i)) hold the positions.
    """

    name: str
    cell: np.ndarray
    """Cell vectors as rows, (3, 3)."""
    scaled_positions: np.ndarray
    """(n, 3)."""
    numbers: np.ndarray
    """(n,)."""
    masses: np.ndarray
    """(n,)."""
    q: np.ndarray
    """Wavevectors (k, 3) in Å⁻¹ with 2π, one of each pair ±q, Γ first."""
    weights: np.ndarray
    """(k,), sum 1: how many of the commensurate points each stands for."""
    total: np.ndarray
    """Φ(q) (k, 3n, 3n) complex64; at Γ without macroscopic field."""
    dipoles: np.ndarray
    """Its dipole–dipole part (k, 3n, 3n) complex64; (0, 3n, 3n) without Born charges."""
    born: np.ndarray
    """Z* (n, 3, 3); (0, 3, 3) if the source has none."""
    dielectric: np.ndarray
    """ε∞ (3, 3); (0, 3) if the source has none."""

    @property
    def atoms(self) -> Atoms:
        """The crystal."""
        return Atoms(
            numbers=self.numbers,
            cell=self.cell,
            scaled_positions=self.scaled_positions,
            pbc=True,
        )

    @property
    def polar(self) -> bool:
        """Whether Born charges are known."""
        return len(self.born) > 0


def harmonic_target(name: str, constants: ForceConstants, seed: int = 0) -> HarmonicTarget:
    """Transform force constants to the q-points that fit their supercell.

    Of more than ``MOST_POINTS`` points, Γ and random others are taken, with the weights of all.
    """
    crystal = constants.crystal.to("angstrom")
    points, weights = _commensurate(np.asarray(constants.supercell_matrix), seed)
    ones = np.ones(len(crystal))
    table = lattice.fourier_table(constants.pairs, constants.cell_shifts, constants.blocks, ones)
    total = lattice.dynamical_matrices(table, points)
    dipoles = total[:0]
    born, dielectric = constants.born_charges, constants.dielectric
    if born is not None and dielectric is not None:
        sums = dipole.dipole_sum(crystal.cell, crystal.scaled_positions, ones, born, dielectric)
        dipoles = dipole.dipole_matrices(sums, points)
        dipoles = _single(dipoles, points, crystal.scaled_positions)
    return HarmonicTarget(
        name=name,
        cell=crystal.cell,
        scaled_positions=crystal.scaled_positions,
        numbers=crystal.numbers,
        masses=crystal.masses,
        q=points @ crystal.reciprocal_cell,
        weights=weights,
        total=_single(total, points, crystal.scaled_positions),
        dipoles=dipoles,
        born=np.zeros((0, 3, 3)) if born is None else born,
        dielectric=np.zeros((0, 3)) if dielectric is None else dielectric,
    )


def position_phases(
    matrices: np.ndarray, q_reduced: np.ndarray, scaled_positions: np.ndarray
) -> np.ndarray:
    """Put positions into the phases of matrices (q, 3n, 3n) in the cell gauge."""
    phases = lattice.position_phases(q_reduced, scaled_positions).repeat(3, axis=1)
    return phases[:, :, None] * matrices * phases.conj()[:, None, :]


def _single(matrices: np.ndarray, q: np.ndarray, scaled_positions: np.ndarray) -> np.ndarray:
    return position_phases(matrices, q, scaled_positions).astype(np.complex64)


def _commensurate(matrix: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return one of each ±q in reduced units, Γ first, with weights."""
    points = supercell.commensurate_points(matrix)
    points = points - np.rint(points)
    order = np.argsort(np.linalg.norm(points, axis=1), kind="stable")
    kept: list[np.ndarray] = []
    counts: list[int] = []
    for q in points[order]:
        for k, other in enumerate(kept):
            if np.abs((q + other) - np.rint(q + other)).max() < 1e-6:
                counts[k] += 1
                break
        else:
            kept.append(q)
            counts.append(1)
    q, weights = np.array(kept), np.array(counts, dtype=float)
    if len(q) > MOST_POINTS:
        generator = np.random.default_rng(seed)
        chosen = 1 + generator.choice(len(q) - 1, MOST_POINTS - 1, replace=False)
        scale = weights[1:].sum() / weights[chosen].sum()
        q = np.concatenate([q[:1], q[chosen]])
        weights = np.concatenate([weights[:1], weights[chosen] * scale])
    return q, weights / weights.sum()
