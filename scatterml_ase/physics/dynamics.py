"""Solve a harmonic crystal at many q-points: bounded memory, one thread per free core."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from scatterml_ase.physics import dipole, lattice
from scatterml_ase.units import (
    ROOT_EV_PER_AMU_TO_METRE_PER_SECOND,
    ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV,
)

_SMALL = 100  # LAPACK is left to one thread of ours for matrices below this size
_DEGENERATE = 1e-4  # meV
_STEP = 1e-4  # Å⁻¹, for differences of the smooth dipole sum
_LONG_WAVE = 2e-3  # Å⁻¹, for the limit of long waves


class HarmonicCrystal(NamedTuple):
    """What D(q) is made of.

    Attributes
    ----------
    table
        The (short-range) force constants.
    cell, scaled_positions, masses
        Of the primitive cell: Å, fractions, amu.
    dipoles
        The dipole–dipole part, or None.
    """

    table: lattice.FourierTable
    cell: np.ndarray
    scaled_positions: np.ndarray
    masses: np.ndarray
    dipoles: dipole.DipoleSum | None = None


class Solution(NamedTuple):
    """Frequencies (q, 3n) in meV; eigenvectors (q, 3n, n, 3) and velocities (q, 3n, 3), or None."""

    frequencies: np.ndarray
    eigenvectors: np.ndarray | None
    velocities: np.ndarray | None


def matrices(
    crystal: HarmonicCrystal, q_reduced: np.ndarray, q_direction: np.ndarray | None = None
) -> np.ndarray:
    """Return D(q) in the cell gauge, eV/Å²/amu, shape (q, 3n, 3n)."""
    result = lattice.dynamical_matrices(crystal.table, q_reduced)
    if crystal.dipoles is not None:
        result += dipole.dipole_matrices(crystal.dipoles, q_reduced, q_direction)
    return result


def gradients(crystal: HarmonicCrystal, q_reduced: np.ndarray) -> np.ndarray:
    """Return ∂D/∂q in the cell gauge, eV/Å/amu, shape (q, 3, 3n, 3n)."""
    result = lattice.dynamical_matrix_gradients(crystal.table, q_reduced, crystal.cell)
    if crystal.dipoles is not None:
        for axis in range(3):
            step = np.zeros(3)
            step[axis] = _STEP
            step = step @ crystal.cell.T / (2 * np.pi)
            ahead = dipole.dipole_matrices(crystal.dipoles, q_reduced + step)
            behind = dipole.dipole_matrices(crystal.dipoles, q_reduced - step)
            result[:, axis] += (ahead - behind) / (2 * _STEP)
    return result


def solve(
    crystal: HarmonicCrystal,
    q_reduced: np.ndarray,
    *,
    q_direction: np.ndarray | None = None,
    eigenvectors: bool = True,
    velocities: bool = False,
    report: Callable[[int], Any] | None = None,
) -> Solution:
    """Solve for the modes at many q-points.

    Parameters
    ----------
    crystal
        The harmonic crystal.
    q_reduced
        Shape (q, 3), reciprocal-lattice units.
    q_direction
        Shape (q, 3), or None: see :func:`scatterml_ase.physics.dipole.dipole_matrices`.
    eigenvectors
        Whether to return them (with the phases of atomic positions, as phonopy has them).
    velocities
        Whether to return group velocities in m/s.
    report
        Told the number of q-points each time some are done.
    """
    atoms = crystal.table.atoms
    count = len(q_reduced)
    frequencies = np.empty((count, 3 * atoms))
    vectors = np.empty((count, 3 * atoms, atoms, 3), dtype=complex) if eigenvectors else None
    speeds = np.empty((count, 3 * atoms, 3)) if velocities else None

    def work(part: slice) -> None:
        direction = None if q_direction is None else q_direction[part]
        dynamical = matrices(crystal, q_reduced[part], direction)
        frequencies[part], found = lattice.solve(dynamical, eigenvectors=eigenvectors or velocities)
        if report is not None:
            report(part.stop - part.start)
        if found is None:
            return
        if speeds is not None:
            derivative = gradients(crystal, q_reduced[part])
            speeds[part] = group_velocities(frequencies[part], found, derivative)
        if vectors is not None:
            found = found.reshape(*found.shape[:2], atoms, 3)
            phases = lattice.position_phases(q_reduced[part], crystal.scaled_positions)
            np.multiply(found, phases[:, None, :, None], out=vectors[part])

    _for_each(work, lattice.chunks(count, atoms, threads=_threads(atoms)), _threads(atoms))
    for result in (frequencies, vectors, speeds):
        if result is not None:
            result.flags.writeable = False  # so that results need not copy it
    return Solution(frequencies, vectors, speeds)


def group_velocities(
    frequencies: np.ndarray, eigenvectors: np.ndarray, derivative: np.ndarray
) -> np.ndarray:
    """Return ∂ω/∂q in m/s by the Hellmann–Feynman theorem, shape (q, modes, 3).

    Degenerate modes are first mixed so that they split along z, then y, then x, as degenerate
    perturbation theory asks for. Modes of zero frequency have no group velocity: 0 is returned.

    Parameters
    ----------
    frequencies
        Shape (q, modes), meV.
    eigenvectors
        In the gauge of ``derivative``, shape (q, modes, 3n).
    derivative
        ∂D/∂q, shape (q, 3, 3n, 3n), eV/Å/amu.
    """
    projected = eigenvectors.conj()[:, None] @ derivative @ eigenvectors.swapaxes(1, 2)[:, None]
    slopes = np.einsum("qamm->qma", projected).real.copy()  # ∂ω²/∂q
    close = np.diff(frequencies, axis=1) < _DEGENERATE
    for q in np.flatnonzero(close.any(axis=1)):
        edges = np.concatenate([[0], np.flatnonzero(~close[q]) + 1, [frequencies.shape[1]]])
        for first, last in pairwise(edges):
            if last - first > 1:
                slopes[q, first:last] = _split(projected[q, :, first:last, first:last])
    roots = frequencies / ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV
    moving = np.abs(frequencies) > _DEGENERATE
    speeds = slopes / (2 * np.where(moving, np.abs(roots), np.inf))[..., None]
    return speeds * ROOT_EV_PER_AMU_TO_METRE_PER_SECOND


def sound_velocities(crystal: HarmonicCrystal, directions: np.ndarray) -> np.ndarray:
    """Return the three sound velocities along each direction, ascending, in m/s, shape (d, 3).

    The optic modes are folded into the acoustic block of D(q) (a Schur complement, the harmonic
    form of Born's method of long waves) at two small q, so that degenerate branches and a residue
    of the acoustic sum rule do no harm. Instabilities come out negative.

    Parameters
    ----------
    crystal
        The harmonic crystal.
    directions
        Cartesian, any length, shape (d, 3).
    """
    units = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    reduced = units @ crystal.cell.T / (2 * np.pi)  # per Å⁻¹
    at_gamma = _acoustic_blocks(crystal, np.zeros_like(reduced), reduced)
    one, two = (
        (_acoustic_blocks(crystal, h * reduced, None) - at_gamma) / h**2
        for h in (_LONG_WAVE, 2 * _LONG_WAVE)
    )
    squares = np.linalg.eigvalsh((4 * one - two) / 3)  # the q⁴ term removed
    return np.copysign(np.sqrt(np.abs(squares)), squares) * ROOT_EV_PER_AMU_TO_METRE_PER_SECOND


def acoustic_residual(crystal: HarmonicCrystal) -> float:
    """Return the largest |energy| in meV of the three modes at Γ that are closest to a shift."""
    matrix = matrices(crystal, np.zeros((1, 3)))
    frequencies, vectors = lattice.solve(matrix)
    assert vectors is not None
    overlap = np.abs(vectors[0] @ _translations(crystal.masses)) ** 2
    acoustic = np.argsort(overlap.sum(axis=1))[-3:]
    return float(np.abs(frequencies[0, acoustic]).max())


def lowest_frequency(q_reduced: np.ndarray, frequencies: np.ndarray) -> float:
    """Return the lowest of frequencies (q, modes); the three smallest at q = 0 do not count."""
    rest = np.array(frequencies)
    for q in np.flatnonzero(~np.any(q_reduced, axis=1)):
        rest[q, np.argsort(np.abs(rest[q]))[:3]] = np.inf
    return float(rest.min()) if np.isfinite(rest).any() else 0.0


def _split(blocks: np.ndarray) -> np.ndarray:
    """Return slopes (m, 3) of degenerate modes, given ∂D/∂q among them, shape (3, m, m)."""
    # Weights that no symmetry relates: they split whatever any direction splits.
    mixed = np.tensordot(np.array([0.0123, 0.1, 1.0]), blocks, axes=1)
    _, turn = np.linalg.eigh((mixed + mixed.conj().T) / 2)
    return np.einsum("im,aij,jm->ma", turn.conj(), blocks, turn).real


def _acoustic_blocks(
    crystal: HarmonicCrystal, q_reduced: np.ndarray, q_direction: np.ndarray | None
) -> np.ndarray:
    """Return D(q) among the three translations with the optic modes folded in, (q, 3, 3)."""
    dynamical = matrices(crystal, q_reduced, q_direction)
    phases = lattice.position_phases(q_reduced, crystal.scaled_positions)
    phases = np.repeat(phases, 3, axis=1)
    dynamical = phases[:, :, None] * dynamical * phases.conj()[:, None, :]  # positions in phases
    basis, _ = np.linalg.qr(_translations(crystal.masses), mode="complete")
    basis[:, :3] = _translations(crystal.masses)
    turned = basis.T @ dynamical @ basis
    acoustic, mixed, optic = turned[:, :3, :3], turned[:, :3, 3:], turned[:, 3:, 3:]
    if optic.shape[-1]:
        acoustic = acoustic - mixed @ np.linalg.solve(optic, mixed.conj().swapaxes(1, 2))
    return acoustic.real


def _translations(masses: np.ndarray) -> np.ndarray:
    """Return mass-weighted rigid shifts along x, y, z as orthonormal columns, shape (3n, 3)."""
    return np.kron(np.sqrt(masses / masses.sum())[:, None], np.eye(3))


def _threads(atoms: int) -> int:
    """Return how many chunks to work on at once: one per free core for small matrices.

    Our threads and those of BLAS slow each other down a hundredfold, so it is one or the other:
    large matrices are left to BLAS, and so are all where its threads cannot be held back.
    """
    if 3 * atoms > _SMALL or _blas() is None:
        return 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    free = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(free(0)) if free else os.cpu_count() or 1


@lru_cache(maxsize=1)
def _blas() -> Any:
    """Return what limits the threads of BLAS, or None if threadpoolctl is not installed."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController()


def _for_each(work: Callable[[slice], None], parts: list[slice], threads: int) -> None:
    if threads == 1 or len(parts) == 1:
        for part in parts:
            work(part)
        return
    with _blas().limit(limits=1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, parts))
