"""Gaussian resolution on histograms: what leaves one bin arrives in others."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr

SIGMA_TO_FWHM = 2 * math.sqrt(2 * math.log(2))
"""FWHM = 2.3548 σ of a Gaussian."""


def gaussian_matrix(edges: np.ndarray, sigma: np.ndarray | float) -> np.ndarray:
    """Return the share of each bin's content that a Gaussian moves into each bin.

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
    centres = (edges[1:] + edges[:-1]) / 2
    sigma = np.broadcast_to(np.asarray(sigma, dtype=float), centres.shape)
    positive = np.isfinite(sigma) & (sigma > 0)
    scaled = (edges[:, None] - centres[None]) / np.where(positive, sigma, 1.0)[None]
    matrix = np.diff(ndtr(scaled), axis=0)
    return np.where(positive[None], matrix, np.eye(len(centres)))


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
