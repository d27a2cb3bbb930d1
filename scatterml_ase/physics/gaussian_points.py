"""Points that stand for a normal distribution in three dimensions."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.special import ndtri

_PLASTIC = 1.2207440846057596
"""Root of x⁴ = x + 1: its powers fill a cube evenly, for any number of points."""


@cache
def gaussian_points(pairs: int) -> np.ndarray:
    """Return points of equal weight with mean 0 and covariance 1, shape (2 pairs, 3).

    Quantiles of an additive recurrence with irrational steps (as of Kronecker and Weyl), with each
    point its opposite, stretched so that all moments up to the third are exact. Projected on any
    line they are all different, so that what varies along one direction is well sampled.

    Parameters
    ----------
    pairs
        Half the number of points, three or more.
    """
    steps = _PLASTIC ** -np.arange(1.0, 4.0)
    half = ndtri(np.mod(0.5 + np.arange(1, pairs + 1)[:, None] * steps, 1.0))
    points = np.concatenate([half, -half])
    covariance = points.T @ points / len(points)
    stretched = points @ np.linalg.inv(np.linalg.cholesky(covariance)).T
    stretched.flags.writeable = False
    return stretched
