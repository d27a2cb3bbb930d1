"""Thermodynamics of harmonic oscillators, and the Debye temperatures that sum them up.

Energies are in meV, entropies and heat capacities in units of k_B, so that a sum over the modes of
a primitive cell is per primitive cell. Formulae: M. T. Dove, Introduction to Lattice Dynamics
(1993), doi:10.1017/CBO9780511619885, ch. 5.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scatterml_ase.physics.debye_waller import MINIMUM_FREQUENCY, check_temperatures
from scatterml_ase.units import BOLTZMANN, HBAR_PER_BOLTZMANN


class HarmonicSums(NamedTuple):
    """Sums over oscillators, each of shape (..., temperatures).

    Attributes
    ----------
    heat_capacity, entropy
        In units of k_B.
    free_energy, internal_energy
        In meV, with the zero-point energy.
    """

    heat_capacity: np.ndarray
    entropy: np.ndarray
    free_energy: np.ndarray
    internal_energy: np.ndarray


def harmonic_sums(
    energies: np.ndarray, weights: np.ndarray, temperatures: np.ndarray | float
) -> HarmonicSums:
    """Sum heat capacity, entropy, free and internal energy over independent oscillators.

    With x = E/kT: C = x²eˣ/(eˣ−1)², S = x/(eˣ−1) − ln(1−e⁻ˣ), F = E/2 + kT ln(1−e⁻ˣ),
    U = E/2 + E/(eˣ−1). T = 0 is exact: C = S = 0 and F = U = E/2.

    Parameters
    ----------
    energies
        Oscillator energies in meV, positive, shape (oscillators,).
    weights
        How many oscillators each stands for, shape (..., oscillators): several spectra of the
        same energies cost little more than one.
    temperatures
        In K, shape (temperatures,).
    """
    temperatures = check_temperatures(temperatures)
    zero_point = np.asarray(weights @ energies / 2)
    sums = np.zeros((4, *zero_point.shape, len(temperatures)))
    sums[2:] = zero_point[..., None]
    for k, temperature in enumerate(temperatures):
        if temperature == 0:
            continue
        x = energies / (BOLTZMANN * temperature)
        with np.errstate(under="ignore"):
            decay = np.exp(-x)
            gap = -np.expm1(-x)  # 1 − e⁻ˣ
            occupation = decay / gap
        logarithm = np.log(gap)
        thermal = weights @ (energies * occupation)
        free = BOLTZMANN * temperature * (weights @ logarithm)
        sums[0, ..., k] = weights @ (x**2 * occupation / gap)
        sums[1, ..., k] = weights @ (x * occupation - logarithm)
        sums[2, ..., k] += free
        sums[3, ..., k] += thermal
    return HarmonicSums(*sums)


def acoustic_modes_at_gamma(
    q_reduced: np.ndarray,
    frequencies: np.ndarray,
    eigenvectors: np.ndarray | None = None,
    masses: np.ndarray | None = None,
) -> np.ndarray:
    """Mark the three translations at Γ, whose frequency is zero but for numerical noise.

    With eigenvectors, they are the modes that overlap most with uniform translations (a soft
    optical mode may be lower); else the three frequencies nearest to zero.

    Parameters
    ----------
    q_reduced
        Shape (q, 3), reciprocal-lattice units.
    frequencies
        Shape (q, modes), signed.
    eigenvectors
        Shape (q, modes, atoms, 3).
    masses
        Shape (atoms,), needed with ``eigenvectors``.

    Returns
    -------
    np.ndarray
        Boolean, shape (q, modes).
    """
    marked = np.zeros(np.shape(frequencies), dtype=bool)
    at_gamma = np.all(np.abs(q_reduced - np.round(q_reduced)) < 1e-9, axis=1)
    for q in np.flatnonzero(at_gamma):
        if eigenvectors is None or masses is None:
            order = np.argsort(np.abs(frequencies[q]))
        else:
            roots = np.sqrt(masses / np.sum(masses))
            overlap = np.einsum("a,max->mx", roots, eigenvectors[q])
            order = np.argsort(-np.sum(np.abs(overlap) ** 2, axis=1))
        marked[q, order[:3]] = True
    return marked


def imaginary_modes(frequencies: np.ndarray, acoustic: np.ndarray) -> np.ndarray:
    """Mark modes that have no finite harmonic average, the translations ``acoustic`` aside."""
    return (np.asarray(frequencies) < MINIMUM_FREQUENCY) & ~acoustic


# -- Debye temperatures ----------------------------------------------------------------------


def debye_heat_capacity(ratio: np.ndarray | float) -> np.ndarray:
    """Return C/(3N k_B) of a Debye solid at Θ/T = ``ratio``.

    3 (T/Θ)³ ∫₀^{Θ/T} x⁴eˣ/(eˣ−1)² dx; P. Debye (1912), doi:10.1002/andp.19123441404.
    """
    ratio = np.asarray(ratio, dtype=float)
    nodes, weights = np.polynomial.legendre.leggauss(80)
    upper = np.minimum(ratio, 80.0)  # beyond, the integrand is below 1e-27
    x = np.multiply.outer(upper, (nodes + 1) / 2)
    integrand = x**4 * np.exp(-x) / np.expm1(-x) ** 2
    return 3 / ratio**3 * (integrand @ weights) * upper / 2


def debye_temperature_from_moment(second_moment: float) -> float:
    """Return the Debye temperature in K with the same mean square energy, in meV².

    A Debye spectrum has ⟨E²⟩ = (3/5) (kΘ)², hence kΘ = √(5⟨E²⟩/3). It is the limit of the caloric
    Debye temperature at high temperature, where C/3Nk = 1 − ⟨E²⟩/12(kT)² + …
    """
    return float(np.sqrt(5 / 3 * second_moment) / BOLTZMANN)


def debye_temperature_from_sound(mean_velocity: float, number_density: float) -> float:
    """Return the Debye temperature in K of the low-temperature (T³) heat capacity.

    Θ = (ħ/k)(6π²n)^{1/3} v with v⁻³ the mean of v⁻³ over directions and branches; O. L. Anderson
    (1963), doi:10.1016/0022-3697(63)90067-2.

    Parameters
    ----------
    mean_velocity
        v in m/s.
    number_density
        Atoms per Å³.
    """
    wavevector = (6 * np.pi**2 * number_density) ** (1 / 3) * 1e10  # 1/m
    return float(HBAR_PER_BOLTZMANN * wavevector * mean_velocity)


def caloric_debye_temperatures(heat_capacity: np.ndarray, temperatures: np.ndarray) -> np.ndarray:
    """Return the Debye temperature in K that gives each heat capacity at its temperature.

    NaN where none does: at T = 0, and where C has reached 3N k_B.

    Parameters
    ----------
    heat_capacity
        C/(3N k_B), shape (temperatures,).
    temperatures
        In K, shape (temperatures,).
    """
    from scipy.optimize import brentq  # its import takes long, and few need it

    found = np.full(len(temperatures), np.nan)
    low, high = 1e-3, 1e3
    least, most = float(debye_heat_capacity(high)), float(debye_heat_capacity(low))
    for k, (value, temperature) in enumerate(zip(heat_capacity, temperatures, strict=True)):
        if temperature > 0 and least < value < most:
            ratio = brentq(lambda x, c=value: float(debye_heat_capacity(x)) - c, low, high)
            found[k] = ratio * temperature
    return found
