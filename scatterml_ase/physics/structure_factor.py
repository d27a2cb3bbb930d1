"""Coherent one-phonon structure factors.

For every mode, per atom (Squires 1978, ch. 3, doi 10.1017/CBO9781139107808; Dove 2003, p. 225):

    S_ν(Q) = ħ²/(2 N E_ν) |Σ_k b_k M_k^-½ (Q·e*_kν) exp(iQ·r_k) exp(−W_k(Q))|²,   W_k = Q·U_k·Q/2

with eigenvectors that carry the phases of atom positions, so that the phase left is exp(i(Q−q)·r).
The part without 1/E, F = 2 E S, is what varies smoothly with Q.
"""

from __future__ import annotations

import numpy as np

from scatterml_ase.physics.debye_waller import bose
from scatterml_ase.units import FM2_TO_MBARN, HBAR2_PER_AMU


def scattering_amplitudes(
    Q: np.ndarray,
    lattice_vectors: np.ndarray,
    positions: np.ndarray,
    lengths: np.ndarray,
    masses: np.ndarray,
    displacements: np.ndarray | None,
) -> np.ndarray:
    """Return b_k M_k^-½ exp(iτ·r_k) exp(−W_k(Q)) Q, shape (points, atoms, 3), fm amu^-½ Å⁻¹.

    Parameters
    ----------
    Q
        Scattering vectors in Å⁻¹, Cartesian, shape (points, 3).
    lattice_vectors
        τ = Q − q, the part of Q that the mode's wavevector q does not hold, in Å⁻¹, (points, 3).
    positions
        Of the atoms, in Å, shape (atoms, 3).
    lengths
        Coherent scattering lengths in fm, complex, shape (atoms,); or r_e f(|Q|) of x-rays, shape
        (points, atoms).
    masses
        In amu, shape (atoms,).
    displacements
        ⟨uu⟩ tensors in Å², shape (atoms, 3, 3); None for no Debye–Waller factor.
    """
    phases = np.exp(1j * (lattice_vectors @ positions.T))  # [points, atoms]
    phases *= lengths / np.sqrt(masses)
    if displacements is not None:
        phases *= np.exp(-0.5 * debye_waller_exponents(Q, displacements))
    return phases[:, :, None] * Q[:, None, :]


def debye_waller_exponents(Q: np.ndarray, displacements: np.ndarray) -> np.ndarray:
    """Return 2W_k = Q·U_k·Q of every point and atom, shape (points, atoms)."""
    products = Q[:, :, None] * Q[:, None, :]
    return products.reshape(len(Q), 9) @ displacements.reshape(-1, 9).T


def mode_strengths(eigenvectors: np.ndarray, amplitudes: np.ndarray, *, atoms: int) -> np.ndarray:
    """Return F = 2 E S of every mode in mbarn meV per atom, shape (points, modes).

    Parameters
    ----------
    eigenvectors
        Shape (points, modes, atoms, 3), phases with atom positions (phonopy's).
    amplitudes
        From :func:`scattering_amplitudes`, shape (points, atoms, 3).
    atoms
        Number N of atoms that the result is per.
    """
    points, modes = eigenvectors.shape[:2]
    # conj(e)·a = conj(e·conj(a)): one batched matrix product without copying the eigenvectors.
    vectors = eigenvectors.reshape(points, modes, -1)
    sums = (vectors @ amplitudes.conj().reshape(points, -1, 1))[..., 0]
    squares = sums.real**2 + sums.imag**2
    return squares * (HBAR2_PER_AMU * FM2_TO_MBARN / atoms)


def shared_mode_strengths(
    eigenvectors: np.ndarray, amplitudes: np.ndarray, *, atoms: int
) -> np.ndarray:
    """Return what :func:`mode_strengths` does for points that share one wavevector.

    Parameters
    ----------
    eigenvectors
        Shape (modes, atoms, 3).
    amplitudes
        Shape (points, atoms, 3).
    atoms
        Number N of atoms that the result is per.
    """
    modes, points = len(eigenvectors), len(amplitudes)
    sums = amplitudes.reshape(points, -1) @ eigenvectors.reshape(modes, -1).conj().T
    squares = sums.real**2 + sums.imag**2
    return squares * (HBAR2_PER_AMU * FM2_TO_MBARN / atoms)


def loss_and_gain(
    strengths: np.ndarray, energies: np.ndarray, temperature: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return intensities at +E (a phonon is made) and −E (one is taken), in mbarn/sr per atom.

    S₊ = F (n + 1)/2E and S₋ = F n/2E.

    Parameters
    ----------
    strengths
        F in mbarn meV, shape (points, modes).
    energies
        In meV, broadcast against the strengths; modes at 0 or below are left out and give zero.
    temperature
        In K.
    """
    loss, gain = occupation_factors(energies, temperature)
    return strengths * loss, strengths * gain


def occupation_factors(energies: np.ndarray, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (n + 1)/2E and n/2E in 1/meV, zero where E ≤ 0."""
    kept = np.asarray(energies) > 0
    positive = np.where(kept, energies, 1.0)
    occupation = bose(positive, temperature)
    half = np.where(kept, 0.5 / positive, 0.0)
    return half * (occupation + 1), half * occupation
