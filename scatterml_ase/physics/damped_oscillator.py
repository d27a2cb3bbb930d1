"""Phonons of finite lifetime: damped harmonic oscillators in thermal equilibrium.

A mode of energy Ω whose line has the full width Γ at half maximum scatters (Fåk and Dorner, doi
10.1016/S0921-4526(97)00121-X)

    S(E) = F (n(E) + 1) Γ E / (π ((E² − Ω²)² + Γ² E²)),    F = 2 Ω S(Ω) of the undamped mode,

at every E, gain and loss: S(−E) = exp(−E/kT) S(E) holds exactly, ∫ E S dE = F/2 whatever Γ is, and
Γ → 0 gives back (F/2Ω) ((n + 1) δ(E − Ω) + n δ(E + Ω)). Γ is twice the imaginary part of the
self-energy.
"""

from __future__ import annotations

import numpy as np

from scatterml_ase.physics.structure_factor import occupation_factors
from scatterml_ase.units import BOLTZMANN

_CRITICAL = 1e-4
"""Oscillators closer to critical damping than this, relative to Γ, are moved away from it."""
_FINE, _REACH = 0.05, 20.0
"""Bins are cut to this share of kT within so many kT of E = 0, where n(E) varies."""


def spectrum(
    energy_transfer: np.ndarray,
    frequencies: np.ndarray,
    fwhm: np.ndarray,
    temperature: float,
) -> np.ndarray:
    """Return S(E)/F in 1/meV², shape (..., energy).

    Parameters
    ----------
    energy_transfer
        In meV, shape (energy,), not zero at T = 0.
    frequencies, fwhm
        Ω and Γ in meV, both positive, shape (...).
    temperature
        In K.
    """
    energy = np.asarray(energy_transfer, dtype=float)
    omega, gamma = (np.asarray(x, dtype=float)[..., None] for x in (frequencies, fwhm))
    even = gamma / (np.pi * ((energy**2 - omega**2) ** 2 + (gamma * energy) ** 2))
    return (_thermal_weight(energy, temperature) + energy / 2) * even


def bin_integrals(
    edges: np.ndarray, frequencies: np.ndarray, fwhm: np.ndarray, temperature: float
) -> np.ndarray:
    """Return ∫ S(E) dE / F over each bin in 1/meV, shape (..., bins).

    The line is integrated exactly, however narrow it is; of n(E), E coth(E/2kT) is taken as
    straight within fractions of kT.

    Parameters
    ----------
    edges
        Of the bins in meV, ascending, shape (bins + 1,).
    frequencies, fwhm, temperature
        As in :func:`spectrum`.
    """
    fine, owner = _refined(np.asarray(edges, dtype=float), temperature)
    odd, even = (np.diff(x, axis=-1) for x in _primitives(fine, frequencies, fwhm))
    low, high = _thermal_weight(fine[:-1], temperature), _thermal_weight(fine[1:], temperature)
    middle = (fine[1:] + fine[:-1]) / 2
    slope = (high - low) / np.diff(fine)
    mean = (low + 4 * _thermal_weight(middle, temperature) + high) / 6
    offset = mean - slope * middle
    content = (slope + 0.5) * odd + offset * even
    return np.add.reduceat(content, np.flatnonzero(np.diff(owner, prepend=-1)), axis=-1)


def damping_matrix(
    edges: np.ndarray, energies: np.ndarray, fwhm: np.ndarray, temperature: float
) -> np.ndarray:
    """Return what undamped modes at given energies become in every bin when they are damped.

    Both sides of the line follow from the loss, so that columns of damped gain are zero.

    Parameters
    ----------
    edges
        Of the bins in meV, shape (bins + 1,).
    energies
        Of the modes in meV, negative for gain, shape (modes,).
    fwhm
        Γ of the modes in meV, that of |E| at E < 0, shape (modes,); 0: sharp, as they are.
    temperature
        In K.

    Returns
    -------
    np.ndarray
        Shape (bins, modes).
    """
    inside = (edges[:-1, None] <= energies) & (energies < edges[1:, None])
    matrix = np.where(fwhm <= 0, inside, 0.0)
    broad = (energies > 0) & (fwhm > 0)
    lines = bin_integrals(edges, energies[broad], fwhm[broad], temperature)
    loss, _ = occupation_factors(energies[broad], temperature)
    matrix[:, broad] = (lines / loss[:, None]).T
    return matrix


def _thermal_weight(energy: np.ndarray, temperature: float) -> np.ndarray:
    """Return E coth(E/2kT)/2 = E (n(E) + ½), even in E: kT at E = 0, |E|/2 at T = 0."""
    size = np.abs(energy)
    if temperature == 0:
        return size / 2
    thermal = BOLTZMANN * temperature
    ratio = np.where(size > 0, size / (2 * thermal), 1.0)
    return np.where(size > 1e-6 * thermal, size / 2 / np.tanh(ratio), thermal)


def _primitives(
    energy: np.ndarray, frequencies: np.ndarray, fwhm: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the antiderivatives of Γ E/(π N) and Γ/(π N), N = (E² − Ω²)² + Γ²E².

    Γ E/N is −Im 1/((E − z₁)(E − z₂)) with both z in the lower half plane, so that partial
    fractions give logarithms without a branch cut on the real axis.
    """
    omega, gamma = (np.asarray(x, dtype=float)[..., None] for x in (frequencies, fwhm))
    root = np.sqrt((omega**2 - gamma**2 / 4).astype(complex))
    root = np.where(np.abs(root) < _CRITICAL * gamma, _CRITICAL * gamma, root)
    first, second = -0.5j * gamma + root, -0.5j * gamma - root
    one, two = np.log(energy - first), np.log(energy - second)
    odd = -((one - two) / (2 * root)).imag / np.pi
    even = -((one / first - two / second) / (2 * root)).imag / np.pi
    return odd, even


def _refined(edges: np.ndarray, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Return edges of finer bins, and the bin each is part of; E = 0 is an edge."""
    widest = np.full(len(edges) - 1, np.inf)
    if temperature > 0:
        thermal = BOLTZMANN * temperature
        nearest = np.minimum(np.abs(edges[1:]), np.abs(edges[:-1]))
        crossing = (edges[:-1] < 0) & (edges[1:] > 0)
        widest[crossing | (nearest < _REACH * thermal)] = _FINE * thermal
    counts = np.maximum(1, np.ceil(np.diff(edges) / widest)).astype(int)
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    steps = np.repeat(np.diff(edges) / counts, counts)
    points = np.append(np.repeat(edges[:-1], counts) + number * steps, edges[-1])
    if edges[0] < 0 < edges[-1]:
        points = np.union1d(points, [0.0])
    return points, np.searchsorted(edges, points[:-1], side="right") - 1
