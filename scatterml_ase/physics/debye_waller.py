"""Mean-square displacements of harmonic atoms: the tensors behind every Debye–Waller factor.

Throughout, ``U = ⟨u uᵀ⟩`` in Å². An amplitude is damped by ``exp(-Q·U·Q / 2)``, an intensity by
``exp(-Q·U·Q)``; ``B = 8π²U``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.brillouin import SymmetryOperations
from scatterml_ase.units import BOLTZMANN, HBAR2_PER_AMU

MINIMUM_FREQUENCY = 0.02
"""Modes below this energy, in meV, are left out: acoustic modes at Γ and imaginary modes.

They have no finite harmonic amplitude. What the left-out volume around Γ would have contributed is
what :func:`extrapolate` puts back.
"""


def bose(energies: np.ndarray, temperature: float) -> np.ndarray:
    """Return the Bose occupation n(E) = 1/(exp(E/kT) − 1) of positive energies in meV.

    Zero at T = 0 exactly.
    """
    energies = np.asarray(energies, dtype=float)
    if temperature == 0:
        return np.zeros_like(energies)
    with np.errstate(over="ignore", divide="ignore"):
        return 1.0 / np.expm1(energies / (BOLTZMANN * temperature))


def displacement_tensors(
    frequencies: np.ndarray,
    eigenvectors: np.ndarray,
    weights: np.ndarray,
    masses: np.ndarray,
    temperatures: np.ndarray,
    *,
    minimum_frequency: float = MINIMUM_FREQUENCY,
) -> np.ndarray:
    """Return U_a = ħ²/(2 M_a) Σ_qν w_q e_a e_a* coth(E/2kT)/E (Squires, eq. 3.62 ff.).

    Doi 10.1017/CBO9781139107808. The real part is taken, which is the mean of q and −q. The
    tensors are *not* symmetrised: on a reduced mesh call :func:`symmetrize_tensors` after.

    Parameters
    ----------
    frequencies
        Mode energies in meV, imaginary ones negative, shape (q, modes).
    eigenvectors
        Orthonormal eigenvectors, shape (q, modes, atoms, 3).
    weights
        Weights of the wavevectors, shape (q,); normalised here.
    masses
        Masses in amu, shape (atoms,).
    temperatures
        Temperatures in K, shape (temperatures,); 0 gives the zero-point motion exactly.
    minimum_frequency
        Modes below it, in meV, are left out.

    Returns
    -------
    np.ndarray
        U in Å², real, shape (temperatures, atoms, 3, 3).

    Raises
    ------
    InputError
        If a temperature is negative or not finite.
    """
    temperatures = check_temperatures(temperatures)
    frequencies = np.asarray(frequencies, dtype=float)
    weights = np.asarray(weights, dtype=float) / np.sum(weights)
    kept = frequencies >= minimum_frequency
    energies = np.where(kept, frequencies, 1.0)
    amplitudes = [  # w (2n + 1)/E
        np.where(kept, (1 + 2 * bose(energies, t)) / energies, 0.0) * weights[:, None]
        for t in temperatures
    ]
    vectors = np.asarray(eigenvectors)
    modes = vectors.reshape(-1, *vectors.shape[2:])  # (q modes, atoms, 3)
    tensors = np.empty((len(temperatures), len(masses), 3, 3))
    flat = np.stack(amplitudes).reshape(len(temperatures), -1)
    for atom, mass in enumerate(masses):
        real, imaginary = modes[:, atom].real, modes[:, atom].imag
        outer = real[:, :, None] * real[:, None, :] + imaginary[:, :, None] * imaginary[:, None, :]
        sums = flat @ outer.reshape(-1, 9)
        tensors[:, atom] = (0.5 * HBAR2_PER_AMU / mass * sums).reshape(-1, 3, 3)
    return tensors


def symmetrize_tensors(
    tensors: np.ndarray, cell: np.ndarray, operations: SymmetryOperations
) -> np.ndarray:
    """Average tensors over the space group, so that a reduced mesh gives what the full one gives.

    Parameters
    ----------
    tensors
        One Cartesian tensor per atom, shape (..., atoms, 3, 3).
    cell
        Cell vectors as rows, in Å.
    operations
        The space group, as :func:`scatterml_ase.physics.brillouin.symmetry_operations` finds it.

    Returns
    -------
    np.ndarray
        The mean over all operations, the shape of ``tensors``.
    """
    mean = np.zeros_like(tensors)
    rotations = operations.cartesian(cell)
    for rotation, images in zip(rotations, operations.permutations, strict=True):
        mean[..., images, :, :] += rotation @ tensors @ rotation.T
    return mean / len(rotations)


def extrapolate(coarse: np.ndarray, fine: np.ndarray, *, ratio: float = 2.0) -> np.ndarray:
    """Extrapolate from two grids, the second ``ratio`` times denser, to the infinite grid.

    The volume left out around Γ makes the error of an n×n×n grid fall as 1/n (the integrand goes
    as 1/q²), so that the limit is (ratio·fine − coarse)/(ratio − 1): Richardson's extrapolation,
    doi 10.1098/rsta.1911.0009.
    """
    return (ratio * np.asarray(fine) - np.asarray(coarse)) / (ratio - 1)


def check_temperatures(temperatures: np.ndarray | Sequence[float] | float) -> np.ndarray:
    """Return temperatures as an array of K, shape (t,), after checking them."""
    try:
        values = np.atleast_1d(np.asarray(temperatures, dtype=float))
    except (TypeError, ValueError):  # no number at all
        values = np.array([np.nan])
    if not np.all(np.isfinite(values)) or np.any(values < 0):
        raise InputError(
            explain(
                f"Temperature {temperatures} K is not possible",
                "temperatures are absolute, in kelvin, zero or positive",
                "Give e.g. temperature=300 (0 is zero-point motion only)",
            )
        )
    return values
