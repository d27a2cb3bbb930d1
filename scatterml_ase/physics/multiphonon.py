"""Scattering by any number of phonons in the incoherent approximation.

A. Sjölander, Ark. Fys. 14 (1958) 315; Squires, doi 10.1017/CBO9781139107808. For one atom, per
σ/4π,

    S(Q, E) = exp(−2W) [δ(E) + Σ_n (2W)ⁿ/n! G_n(E)],       G_n = G_1 ⊗ G_{n−1}
    G_1(E) = g(|E|) / (E (1 − exp(−E/kT)) γ),               ∫ G_n dE = 1
    γ = ∫ g(E)/E coth(E/2kT) dE,                            2W = ħ² Q² γ/(2M)

with g the partial density of states over three, so that ∫ g dE = 1. Each G_n obeys detailed
balance, and the first moment of S is the recoil energy ħ²Q²/2M.

Here G_1 lives on a lattice of energies kΔ. G_1(E) exp(−E/2kT) is even in E, which makes both laws
hold for the sums over the lattice too, not only in the limit Δ → 0; convolutions run over the whole
support of G_n, so that nothing is cut off or wrapped around.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.special import pdtrc

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.debye_waller import bose
from scatterml_ase.physics.density_of_states import quadrature
from scatterml_ase.units import BOLTZMANN, HBAR2_PER_AMU

TRUNCATION = 1e-12
"""Share of the scattering that :func:`needed_orders` leaves out at most."""
MAXIMUM_EXPONENT = 600.0
"""Largest 2W: beyond, exp(−2W) and the orders around n = 2W leave the range of numbers."""


@dataclass(frozen=True, eq=False)
class OnePhononSpectrum:
    """G_1 of one atom on the lattice E = kΔ.

    Parameters
    ----------
    step
        Δ in meV.
    loss
        Content of the cells at 0, Δ, 2Δ, …, where the neutron loses energy; shape (cells,).
    temperature
        In K.
    inverse_energy
        γ = ⟨coth(E/2kT)/E⟩ in 1/meV; 1/γ is the mean energy that one phonon takes.
    """

    step: float
    loss: np.ndarray
    temperature: float
    inverse_energy: float

    @property
    def highest(self) -> int:
        """Index k of the last cell."""
        return len(self.loss) - 1

    def displacement(self, mass: float) -> float:
        """Return U = ⟨u_x²⟩ in Å² of an atom of ``mass`` in amu; 2W = Q²U."""
        return HBAR2_PER_AMU * self.inverse_energy / (2 * mass)


def one_phonon_spectrum(
    edges: np.ndarray, counts: np.ndarray, temperature: float, step: float
) -> OnePhononSpectrum:
    """Put the density of states of an atom on a lattice of energies.

    Parameters
    ----------
    edges
        Bin edges of the density of states in meV, shape (bins + 1,). Bins below zero, where
        imaginary modes are, are left out. Within a bin g goes as E², exact in the lowest ones.
    counts
        Share of the atom's modes in each bin, shape (bins,): they sum to 1 if none is imaginary.
    temperature
        In K; 0 exactly is allowed.
    step
        Δ in meV, well below the highest mode.

    Raises
    ------
    InputError
        If no mode has a positive energy.
    """
    edges, counts = _positive_part(np.asarray(edges, float), np.asarray(counts, float))
    if not counts.sum() > 0:
        what = "This density of states has no mode of positive energy"
        why = "nothing could be scattered"
        raise InputError(explain(what, why, "Check the partial density of states"))
    cells = int(np.ceil(edges[-1] / step - 0.5)) + 1
    borders = step * (np.arange(cells + 1) - 0.5)
    pieces = np.union1d(edges, borders[(borders > edges[0]) & (borders < edges[-1])])
    bins = np.searchsorted(edges, pieces[:-1], side="right") - 1
    volumes = np.diff(pieces**3) / np.diff(edges**3)[bins]
    energies, weights = quadrature(pieces)
    # Loss and gain together: g coth(E/2kT)/E, finite at E = 0.
    even = np.sum(weights * (1 + 2 * bose(energies, temperature)) / energies, axis=1)
    even *= counts[bins] * volumes
    cell = np.searchsorted(borders, (pieces[1:] + pieces[:-1]) / 2) - 1
    both = np.bincount(cell, even, minlength=cells)
    lattice = step * np.arange(cells)
    damping = boltzmann_factors(lattice, temperature)
    loss = both / (1 + damping)
    loss[0] = both[0]
    # First moment: ∫g, exactly, at the price of a change of γ of the order of Δ².
    scale = counts.sum() / np.sum(lattice * loss * (1 - damping))
    inverse_energy = float(both.sum() * scale)
    return OnePhononSpectrum(step, loss / both.sum(), temperature, inverse_energy)


def n_phonon_spectra(
    one: OnePhononSpectrum, orders: int, *, highest_energy: float = np.inf
) -> Iterator[np.ndarray]:
    """Yield the lattice content of G_1, G_2, … up to ``orders``, where the neutron loses energy.

    Shape (n·highest + 1,) for G_n, or fewer cells: those up to ``highest_energy`` in meV. Where it
    gains energy the content is smaller by :func:`boltzmann_factors`: :func:`both_signs` joins the
    two. One Fourier transform forth and one back for each order.
    """
    reach = int(min(orders * one.highest, np.ceil(highest_energy / one.step) + 1))
    yield one.loss[: reach + 1]
    if orders == 1:
        return
    # Cells from −n·highest to n·highest are occupied. On a circle of this length none of them
    # comes to lie on those from 0 to reach that does not belong there.
    length = fft.next_fast_len(orders * one.highest + reach + 1, real=True)
    content = np.zeros(length)
    content[: one.highest + 1] = one.loss
    gain = both_signs(one.loss, one.step, one.temperature)[: one.highest]
    content[length - one.highest :] = gain
    transform = fft.rfft(content)
    power = transform.copy()
    for order in range(2, orders + 1):
        power *= transform
        cells = min(order * one.highest, reach) + 1
        yield np.maximum(fft.irfft(power, length)[:cells], 0.0)


def boltzmann_factors(energies: np.ndarray | float, temperature: float) -> np.ndarray:
    """Return exp(−E/kT) of energies in meV ≥ 0; at T = 0 exactly, 1 at E = 0 and 0 above."""
    energies = np.asarray(energies, dtype=float)
    if temperature == 0:
        return np.where(energies > 0, 0.0, 1.0)
    return np.exp(-energies / (BOLTZMANN * temperature))


def both_signs(loss: np.ndarray, step: float, temperature: float) -> np.ndarray:
    """Return lattice content from −K to K from that of 0 to K, by detailed balance."""
    gain = loss * boltzmann_factors(step * np.arange(len(loss)), temperature)
    return np.concatenate([gain[:0:-1], loss])


def into_bins(loss: np.ndarray, step: float, temperature: float, edges: np.ndarray) -> np.ndarray:
    """Return the content of bins from that of the lattice cells, which are Δ wide.

    The cell at 0 is halved there as detailed balance has it: at T = 0 nothing is below.

    Parameters
    ----------
    loss
        Content of the cells at 0, Δ, 2Δ, …; those at negative energies follow from it.
    step
        Δ in meV.
    temperature
        In K.
    edges
        Bin edges in meV, shape (bins + 1,).
    """
    content = both_signs(loss, step, temperature)
    borders = step * (np.arange(len(content) + 1) - len(loss) + 0.5)
    below = np.concatenate([[0.0], np.cumsum(content)])
    middle, damping = len(loss) - 1, boltzmann_factors(step / 4, temperature)
    gain = below[middle] + content[middle] * damping / (1 + damping)
    borders, below = np.insert(borders, middle + 1, 0.0), np.insert(below, middle + 1, gain)
    return np.diff(np.interp(edges, borders, below))


def needed_orders(exponent: float) -> int:
    """Return how many orders are needed at 2W: P(more phonons) is below :data:`TRUNCATION`.

    The number of phonons has a Poisson distribution of mean 2W.

    Raises
    ------
    InputError
        If 2W is so large that the expansion in phonons makes no sense.
    """
    if not exponent <= MAXIMUM_EXPONENT:
        raise InputError(
            explain(
                f"The Debye–Waller exponent 2W = Q²U reaches {exponent:.4g}",
                f"an expansion in phonons is made up to {MAXIMUM_EXPONENT:g}",
                "Ask for smaller |Q| or order=1, and check the softest modes: they make U large",
            )
        )
    bound = exponent + 10 * np.sqrt(exponent) + 30
    candidates = np.arange(1, int(bound))
    return int(candidates[np.argmax(truncation_error(exponent, candidates) < TRUNCATION)])


def truncation_error(exponent: float, orders: np.ndarray | int) -> np.ndarray:
    """Return the share of the scattering by more than ``orders`` phonons at 2W."""
    return np.asarray(pdtrc(orders, exponent))


def phonon_probabilities(q: np.ndarray, displacement: np.ndarray, orders: int) -> np.ndarray:
    """Return the powder average of exp(−2W)(2W)ⁿ/n! at |Q|, shape (orders + 1, q).

    2W = Q·U·Q depends on the direction of Q where U is no multiple of one; the average is over the
    sphere. Over all n the probabilities sum to 1, and their mean n is Q² Tr U/3.

    Parameters
    ----------
    q
        |Q| in Å⁻¹, shape (q,).
    displacement
        U = ⟨uu⟩ in Å², shape (3, 3).
    orders
        The largest n.
    """
    widths, weights = _directions(np.linalg.eigvalsh(displacement))
    exponents = np.asarray(q)[:, None] ** 2 * widths  # [q, direction]
    term = np.exp(-exponents)
    found = np.empty((orders + 1, len(exponents)))
    for order in range(orders + 1):
        if order:
            term *= exponents / order
        found[order] = term @ weights
    return found


def _directions(principal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Q̂·U·Q̂ over an octant of directions and their weights, which sum to 1."""
    if np.ptp(principal) <= 1e-6 * np.abs(principal).max():
        return np.array([principal.mean()]), np.ones(1)
    nodes, gauss = np.polynomial.legendre.leggauss(12)
    cosine = (nodes + 1) / 2
    angle = np.pi / 2 * (np.arange(12) + 0.5) / 12
    x, y = np.cos(angle) ** 2, np.sin(angle) ** 2
    in_plane = principal[0] * x + principal[1] * y
    widths = (1 - cosine[:, None] ** 2) * in_plane + cosine[:, None] ** 2 * principal[2]
    weights = np.repeat(gauss / 2 / len(angle), len(angle))
    return widths.ravel(), weights


def _positive_part(edges: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut off the bins below zero, and the empty ones at the top."""
    kept = edges[1:] > 0
    edges, counts = np.append(edges[:-1][kept], edges[-1]), counts[kept]
    edges[0] = max(edges[0], 0.0)
    last = np.flatnonzero(counts > 0)[-1] + 1 if np.any(counts > 0) else len(counts)
    return edges[: last + 1], counts[:last]
