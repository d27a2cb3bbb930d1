"""Elastic coherent scattering of a powder: Bragg peaks on the axis of |Q|.

The mean over all directions of a crystal's elastic scattering is, per atom (Squires 1978, ch. 2,
doi 10.1017/CBO9781139107808),

    ⟨S(Q, E)⟩ = δ(E) (2π²/(N V)) Σ_G |F(G)|² δ(Q − |G|)/G²,
    F(G) = Σ_k b_k exp(iG·r_k) exp(−W_k(G))

for N atoms in a cell of volume V. Integrated over the angles of a detector at k = 2π/λ it is the
Debye–Scherrer cone's λ³ |F|²/(4 V sin θ) per cell.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import ndtr

from scatterml_ase.physics.structure_factor import debye_waller_exponents
from scatterml_ase.units import FM2_TO_MBARN

_SAME = 1e-6  # Å⁻¹: reflections closer than this are one line
_CHUNK = 500_000
"""Reflections times atoms, or lines times bins, at once: some 20 MB."""


def powder_lines(
    G: np.ndarray,
    positions: np.ndarray,
    lengths: np.ndarray,
    displacements: np.ndarray | None,
    volume: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return |G| in Å⁻¹ and the strength of every powder line in mbarn sr⁻¹ Å⁻¹ per atom.

    The strength is the integral over E and |Q|: (2π²/(N V)) Σ |F(G)|²/G² over all G of one length.

    Parameters
    ----------
    G
        Reciprocal-lattice vectors in Å⁻¹, Cartesian, shape (reflections, 3), the origin not among
        them.
    positions
        Of the atoms in Å, shape (atoms, 3).
    lengths
        Coherent scattering lengths in fm, complex, shape (atoms,).
    displacements
        ⟨uu⟩ tensors in Å², shape (atoms, 3, 3); None for no Debye–Waller factor.
    volume
        Of the cell in Å³.
    """
    squares = np.empty(len(G))
    for part in _pieces(len(G), len(positions)):
        terms = np.exp(1j * (G[part] @ positions.T)) * lengths  # [reflection, atom]
        if displacements is not None:
            terms *= np.exp(-0.5 * debye_waller_exponents(G[part], displacements))
        squares[part] = np.abs(terms.sum(axis=1)) ** 2
    norms = np.linalg.norm(G, axis=1)
    strengths = 2 * np.pi**2 / (len(positions) * volume) * FM2_TO_MBARN * squares / norms**2
    order = np.argsort(norms)
    line = np.cumsum(np.diff(norms[order], prepend=-np.inf) > _SAME) - 1
    counts = np.bincount(line)
    mean = np.bincount(line, norms[order]) / counts
    return mean, np.bincount(line, strengths[order], minlength=len(counts))


def lines_in_bins(
    places: np.ndarray, strengths: np.ndarray, edges: np.ndarray, sigma: np.ndarray
) -> np.ndarray:
    """Return the mean density in each bin of Gaussian lines, shape (bins,).

    Parameters
    ----------
    places, strengths, sigma
        Centre, integral and standard deviation of every line, shape (lines,); a standard deviation
        of 0 puts the line into the bin that holds it.
    edges
        Of the bins, shape (bins + 1,).
    """
    content = np.zeros(len(edges) - 1)
    for part in _pieces(len(places), len(edges)):
        distance, width = edges[:, None] - places[part], sigma[part]  # [edge, line]
        with np.errstate(divide="ignore", invalid="ignore"):
            below = np.where(width > 0, ndtr(distance / width), distance > 0)
        content += np.diff(below, axis=0) @ strengths[part]
    return content / np.diff(edges)


def _pieces(count: int, each: int) -> Iterator[slice]:
    """Yield slices of ``count`` things that need ``each`` numbers, so that memory is bounded."""
    size = max(1, _CHUNK // each)
    return (slice(start, start + size) for start in range(0, count, size))
