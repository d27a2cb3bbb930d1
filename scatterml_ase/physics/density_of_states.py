"""Densities of states: counting modes into energy bins.

Everything here counts *exactly per bin*: a bin holds the integral of the density over it, so a sum
over all bins is the number of modes whatever the bin width.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse
from scipy.special import erf

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.debye_waller import bose
from scatterml_ase.units import HBAR2_PER_AMU

FWHM_PER_SIGMA = float(np.sqrt(8 * np.log(2)))
"""FWHM of a Gaussian in units of its standard deviation (2.3548)."""
_CHUNK = 2_000_000
"""Tetrahedra times modes times columns that are worked on at once (16 MB an array)."""

# A cube's corners are numbered 4a + 2b + c; six tetrahedra share the diagonal from 0 to 7.
_AROUND_DIAGONAL = np.array(
    [[0, 1, 3, 7], [0, 1, 5, 7], [0, 2, 3, 7], [0, 2, 6, 7], [0, 4, 5, 7], [0, 4, 6, 7]]
)


def count_points(energies: np.ndarray, shares: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Count modes at single points into bins.

    Parameters
    ----------
    energies
        Shape (q, modes).
    shares
        Weight of each mode in each column (an atom, say), shape (q, modes, columns).
    edges
        Bin edges, ascending, shape (bins + 1,).

    Returns
    -------
    np.ndarray
        Counts per bin, shape (columns, bins); energies outside the edges are left out.
    """
    bins = np.searchsorted(edges, energies.ravel(), side="right") - 1
    bins[energies.ravel() == edges[-1]] = len(edges) - 2
    inside = (bins >= 0) & (bins < len(edges) - 1)
    columns = shares.reshape(-1, shares.shape[-1])[inside].T
    return np.array([np.bincount(bins[inside], column, len(edges) - 1) for column in columns])


def tetrahedra(
    mesh: tuple[int, ...], mapping: np.ndarray, reciprocal_cell: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Cut the Brillouin zone into tetrahedra with corners on a regular mesh.

    Each parallelepiped is cut into six around its shortest diagonal (P. E. Blöchl et al. (1994),
    doi:10.1103/PhysRevB.49.16223); tetrahedra with equivalent corners are merged.

    Parameters
    ----------
    mesh
        Divisions along the three reciprocal vectors.
    mapping
        Index of the q-point that stands for each mesh point, last index fastest, shape (grid,).
    reciprocal_cell
        Reciprocal vectors as rows, shape (3, 3).

    Returns
    -------
    corners
        Indices of q-points, shape (tetrahedra, 4).
    weights
        Shares of the zone, shape (tetrahedra,), sum 1.
    """
    grid = np.asarray(mapping).reshape(mesh)
    steps = reciprocal_cell / np.array(mesh)[:, None]
    signs = np.array([[1, 1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, -1]])
    sign = signs[np.linalg.norm(signs @ steps, axis=1).argmin()]
    offsets = np.array(np.unravel_index(np.arange(8), (2, 2, 2))).T * sign
    cubes = np.stack([np.roll(grid, -offset, axis=(0, 1, 2)).ravel() for offset in offsets], axis=1)
    corners = np.sort(cubes[:, _AROUND_DIAGONAL].reshape(-1, 4), axis=1)
    corners, counts = _unique_rows(corners)
    return corners, counts / counts.sum()


def count_tetrahedra(
    energies: np.ndarray,
    shares: np.ndarray,
    corners: np.ndarray,
    weights: np.ndarray,
    edges: np.ndarray,
) -> np.ndarray:
    """Count modes into bins with energies interpolated linearly in tetrahedra.

    The integral over each tetrahedron and bin is exact (G. Lehmann and M. Taut (1972),
    doi:10.1002/pssb.2220540211); the shares are taken at their mean over the corners, which is of
    the same order in the mesh step and keeps their sum.

    Parameters
    ----------
    energies
        Shape (q, modes).
    shares
        Weight of each mode in each column (an atom, say), shape (q, modes, columns).
    corners, weights
        From :func:`tetrahedra`.
    edges
        Bin edges, ascending, shape (bins + 1,).

    Returns
    -------
    np.ndarray
        Counts per bin, shape (columns, bins); energies outside the edges are left out.
    """
    below = np.zeros((shares.shape[-1], len(edges)))
    size = max(1, _CHUNK // (energies.shape[1] * max(4, shares.shape[-1])))
    for start in range(0, len(corners), size):
        part = corners[start : start + size]
        share = sum(shares[corner] for corner in part.T)
        share *= weights[start : start + size, None, None] / 4
        share = share.reshape(-1, shares.shape[-1])  # [tetrahedron mode, column]
        corner_energies = np.sort(energies[part], axis=1).swapaxes(1, 2).reshape(-1, 4)
        first = np.searchsorted(edges, corner_energies[:, 0], side="right")
        last = np.searchsorted(edges, corner_energies[:, 3], side="left")
        below += _count_crossed(corner_energies, share, first, last, edges)
        whole = [np.bincount(last, column, len(edges) + 1)[:-1] for column in share.T]
        below += np.cumsum(whole, axis=1)
    return np.diff(below, axis=1)


def _count_crossed(
    energies: np.ndarray, share: np.ndarray, first: np.ndarray, last: np.ndarray, edges: np.ndarray
) -> np.ndarray:
    """Sum the parts below each edge of the tetrahedra that the edge cuts: (columns, edges)."""
    crossings = np.maximum(last - first, 0)
    pointers = np.concatenate([[0], np.cumsum(crossings)])
    owner = np.repeat(np.arange(len(energies)), crossings)
    edge = np.arange(pointers[-1]) - pointers[owner] + first[owner]
    part = _volume_below(edges[edge], *energies[owner].T)
    table = sparse.csr_array((part, edge, pointers), shape=(len(energies), len(edges)))
    return (table.T @ share).T


def _volume_below(
    energy: np.ndarray, e1: np.ndarray, e2: np.ndarray, e3: np.ndarray, e4: np.ndarray
) -> np.ndarray:
    """Return the share of a tetrahedron with corner energies e1 ≤ … ≤ e4 that is below ``energy``.

    ``energy`` lies strictly between e1 and e4, so no denominator of the branch taken vanishes.
    """
    low, high = energy <= e2, energy > e3
    with np.errstate(divide="ignore", invalid="ignore"):
        bottom = (energy - e1) ** 3 / ((e2 - e1) * (e3 - e1) * (e4 - e1))
        top = 1 - (e4 - energy) ** 3 / ((e4 - e1) * (e4 - e2) * (e4 - e3))
        above, width = energy - e2, e2 - e1
        bend = (e3 - e1 + e4 - e2) / ((e3 - e2) * (e4 - e2)) * above**3
        middle = (width**2 + 3 * width * above + 3 * above**2 - bend) / ((e3 - e1) * (e4 - e1))
    return np.where(low, bottom, np.where(high, top, middle))


def broadening_matrix(edges: np.ndarray, fwhm: np.ndarray | float) -> np.ndarray:
    """Return the matrix that spreads bin counts with a Gaussian; its columns sum to one.

    What would leave the range is reflected at its ends: integrals stay, and a spectrum of a stable
    crystal that starts at zero gets no weight at negative energies.

    Parameters
    ----------
    edges
        Bin edges in meV, shape (bins + 1,).
    fwhm
        Full width at half maximum in meV, a number or one per bin.
    """
    centres = (edges[1:] + edges[:-1]) / 2
    sigma = np.broadcast_to(np.asarray(fwhm, dtype=float) / FWHM_PER_SIGMA, centres.shape)
    sigma = np.maximum(sigma, 1e-9 * (edges[-1] - edges[0]))
    matrix = np.zeros((len(centres), len(centres)))
    for image in (centres, 2 * edges[0] - centres, 2 * edges[-1] - centres):
        matrix += np.diff(0.5 * erf((edges[:, None] - image) / (np.sqrt(2) * sigma)), axis=0)
    return matrix / matrix.sum(axis=0)


def quadrature(edges: np.ndarray, order: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Return energies and weights that integrate f(E) over bins of a density that goes as E².

    Sum ``counts[:, None] * weights * f(energies)``. Within a bin the density is taken as ∝ E²,
    exact for a Debye spectrum: 1/E² integrands converge at the lowest bin too.

    Parameters
    ----------
    edges
        Bin edges, shape (bins + 1,); bins below zero get weight zero.

    Returns
    -------
    energies, weights
        Shape (bins, order); the weights of a bin sum to one.
    """
    nodes, gauss = np.polynomial.legendre.leggauss(order)
    low, high = np.maximum(edges[:-1, None], 0), np.maximum(edges[1:, None], 0)
    energies = low + (high - low) * (nodes + 1) / 2
    weights = gauss * energies**2
    total = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return np.where(total > 0, energies, 1.0), weights


def isotropic_displacements(
    counts: np.ndarray, edges: np.ndarray, masses: np.ndarray, temperatures: np.ndarray
) -> np.ndarray:
    """Return U = 1·ħ²/(6M) ∫ g(E) coth(E/2kT)/E dE of each atom, isotropic.

    Exact for atoms on sites of cubic symmetry, the mean of the directions otherwise.

    Parameters
    ----------
    counts
        Modes of each atom (three in all) per bin, shape (atoms, bins).
    edges
        Bin edges in meV, shape (bins + 1,).
    masses
        In amu, shape (atoms,).
    temperatures
        In K, shape (temperatures,).

    Returns
    -------
    np.ndarray
        In Å², shape (temperatures, atoms, 3, 3).
    """
    energies, weights = quadrature(edges)
    factors = [np.sum(weights * (1 + 2 * bose(energies, t)) / energies, axis=1)
               for t in temperatures]  # fmt: skip
    isotropic = HBAR2_PER_AMU / (6 * masses) * (np.array(factors) @ counts.T)
    return isotropic[:, :, None, None] * np.eye(3)


def nice_edges(lowest: float, highest: float, step: float | None = None) -> np.ndarray:
    """Return equal bins that cover a spectrum, with an edge at zero.

    Parameters
    ----------
    lowest, highest
        Range of the energies in meV; the bins start at zero if nothing is below.
    step
        Width of a bin; a round number that makes about 320 bins if None.

    Raises
    ------
    InputError
        If the step is not positive.
    """
    if step is not None and not step > 0:
        what = f"energy_step = {step} meV is not possible"
        raise InputError(explain(what, "a bin has a positive width", "Give e.g. 0.2"))
    step = step or nice_step((max(highest, 0.0) - min(lowest, 0.0)) / 320)
    first = np.floor(1.04 * lowest / step) - 1 if lowest < 0 else 0
    return step * np.arange(first, np.ceil(1.04 * max(highest, 0.0) / step) + 2)


def check_edges(energy_edges: np.ndarray) -> np.ndarray:
    """Return bin edges as an array of shape (bins + 1,).

    Raises
    ------
    InputError
        If they are fewer than two or do not ascend.
    """
    edges = np.asarray(energy_edges, dtype=float)
    if edges.ndim != 1 or len(edges) < 2 or not np.all(np.diff(edges) > 0):
        raise InputError(
            explain(
                f"energy_edges of shape {edges.shape} are no bin edges",
                "edges are at least two energies that ascend",
                "Give e.g. numpy.arange(0, 70.2, 0.2), in meV",
            )
        )
    return edges


def nice_step(value: float) -> float:
    """Return the round number (1, 2, 2.5 or 5 times a power of ten) next to ``value``."""
    if not value > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    choices = np.array([1, 2, 2.5, 5, 10]) * power
    return float(choices[np.abs(np.log(choices / value)).argmin()])


def _unique_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct rows of small non-negative integers and how often each occurs."""
    base = int(rows.max()) + 1
    if base ** rows.shape[1] >= 2**62:
        return np.unique(rows, axis=0, return_counts=True)
    keys, counts = np.unique(rows @ _powers(base, rows.shape[1]), return_counts=True)
    return np.stack(list(_digits(keys, base, rows.shape[1])), axis=1), counts


def _powers(base: int, count: int) -> np.ndarray:
    return np.array([base**k for k in range(count)], dtype=np.int64)


def _digits(keys: np.ndarray, base: int, count: int) -> Iterator[np.ndarray]:
    for _ in range(count):
        yield keys % base
        keys = keys // base
