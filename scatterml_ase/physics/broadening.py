"""Gaussian resolution on histograms: what leaves one bin arrives in others."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr

SIGMA_TO_FWHM = 2 * math.sqrt(2 * math.log(2))
"""FWHM = 2.3548 σ of a Gaussian."""
_REACH = 5.0
"""Where lines end, in standard deviations: 6e-7 of a line lies beyond."""
_CHUNK = 4_000_000
"""How many edges of lines are looked at in one piece."""


def gaussian_shares(
    edges: np.ndarray, energies: np.ndarray, sigma: np.ndarray | float
) -> np.ndarray:
    """Return the share of a Gaussian at each energy that lies in each bin.

    Parameters
    ----------
    edges
        Bin edges, ascending, shape (bins + 1,).
    energies
        Centres of the Gaussians, shape (sources,).
    sigma
        Standard deviations, shape (sources,) or one number; 0 or NaN means no broadening.

    Returns
    -------
    np.ndarray
        Shape (bins, sources).
    """
    edges, centres = np.asarray(edges, dtype=float), np.asarray(energies, dtype=float)
    sigma = np.broadcast_to(np.asarray(sigma, dtype=float), centres.shape)
    positive = np.isfinite(sigma) & (sigma > 0)
    scaled = (edges[:, None] - centres) / np.where(positive, sigma, 1.0)
    inside = (edges[:-1, None] <= centres) & (centres < edges[1:, None])
    return np.where(positive, np.diff(ndtr(scaled), axis=0), inside)


def lines_on_bins(
    energies: np.ndarray, strengths: np.ndarray, edges: np.ndarray, sigma: np.ndarray
) -> np.ndarray:
    """Return what each bin holds of the lines of each point, shape (points, bins).

    Lines are where they are, not at centres of bins, and only the bins near each are looked at.

    Parameters
    ----------
    energies, strengths, sigma
        Centre, integral and standard deviation of every line, shape (points, lines); a standard
        deviation of 0 puts the line into the bin that holds it.
    edges
        Of the bins, ascending, shape (bins + 1,).
    """
    bins = len(edges) - 1
    first = np.searchsorted(edges, energies - _REACH * sigma, side="right") - 1
    last = np.searchsorted(edges, energies + _REACH * sigma, side="right")
    seen = (strengths != 0) & (last > 0) & (first < bins)
    rows, columns = np.nonzero(seen)
    count = int((last - first)[seen].max(initial=0)) + 1
    total = np.zeros(energies.shape[0] * bins)
    size = max(1, _CHUNK // count)
    for start in range(0, len(rows), size):
        chosen = rows[start : start + size], columns[start : start + size]
        edge = np.clip(first[chosen][:, None] + np.arange(count), 0, bins)
        distance, width = edges[edge] - energies[chosen][:, None], sigma[chosen][:, None]
        below = ndtr(distance / np.where(width > 0, width, 1.0))
        shares = np.diff(np.where(width > 0, below, distance > 0), axis=1)
        place = chosen[0][:, None] * bins + np.minimum(edge[:, :-1], bins - 1)
        weights = strengths[chosen][:, None] * shares
        total += np.bincount(place.reshape(-1), weights.reshape(-1), minlength=len(total))
    return total.reshape(-1, bins)


def gaussian_matrix(edges: np.ndarray, sigma: np.ndarray | float) -> np.ndarray:
    """Return the share of each bin's content that a Gaussian at its centre moves into each bin.

    The Gaussian is integrated over the bins, so that a width far below the bin width changes
    nothing. Columns sum to 1 but for what leaves the range of the edges.

    Parameters
    ----------
    edges
        Bin edges, ascending, shape (bins + 1,).
    sigma
        Standard deviation at the centre of each source bin, shape (bins,) or one number; 0 or NaN
        means no broadening.

    Returns
    -------
    np.ndarray
        Shape (bins to, bins from).
    """
    edges = np.asarray(edges, dtype=float)
    return gaussian_shares(edges, (edges[1:] + edges[:-1]) / 2, sigma)


def broaden(
    density: np.ndarray, edges: np.ndarray, sigma: np.ndarray | float, *, axis: int = -1
) -> np.ndarray:
    """Broaden a histogram of densities along one axis, conserving the integral.

    Parameters
    ----------
    density
        Content per bin width, any shape with the bins along ``axis``.
    edges, sigma
        As for :func:`gaussian_matrix`.
    """
    widths = np.diff(edges)
    content = np.moveaxis(density, axis, -1) * widths
    moved = content @ gaussian_matrix(edges, sigma).T / widths
    return np.moveaxis(moved, -1, axis)


def broaden_known(
    density: np.ndarray, mask: np.ndarray, edges: np.ndarray, sigma: np.ndarray
) -> np.ndarray:
    """Return the mean of what is known around each bin, weighed by Gaussians along the first axis.

    What is not known counts for nothing, so that the border of the known region stays as bright.

    Parameters
    ----------
    density, mask
        Histograms, shape (..., bins, columns), and what of them is known, shape (bins, columns).
    edges
        Of the bins, shape (bins + 1,).
    sigma
        Standard deviation at every source bin, shape (bins, columns).

    Returns
    -------
    np.ndarray
        0 where nothing known is near, the shape of ``density``.
    """
    found = np.where(mask, density, 0.0)
    for k in np.flatnonzero((sigma > 0).any(axis=0)):
        share = gaussian_matrix(edges, sigma[:, k]) * np.diff(edges)
        known = share @ mask[:, k]
        content = found[..., k] @ share.T
        found[..., k] = np.where(known > 0, content / np.where(known > 0, known, 1.0), 0.0)
    return found
