"""Weighted linear least squares."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class LinearFit(NamedTuple):
    """Coefficients, their covariance, and Σ ((values − fit)/sigma)²."""

    coefficients: np.ndarray
    covariance: np.ndarray
    chi2: float


def fit_linear(columns: np.ndarray, values: np.ndarray, sigma: np.ndarray) -> LinearFit | None:
    """Fit ``columns @ coefficients`` to values with independent standard deviations.

    Parameters
    ----------
    columns
        Shape (values, coefficients).
    values, sigma
        Shape (values,); sigma > 0.

    Returns
    -------
    LinearFit or None
        None if the columns do not determine all coefficients.
    """
    size = np.linalg.norm(columns / sigma[:, None], axis=0)
    if not np.all(size > 0) or len(values) < columns.shape[1]:
        return None
    scaled = columns / sigma[:, None] / size
    solution, _, rank, _ = np.linalg.lstsq(scaled, values / sigma, rcond=1e-10)
    if rank < columns.shape[1]:
        return None
    rest = values / sigma - scaled @ solution
    covariance = np.linalg.inv(scaled.T @ scaled) / np.outer(size, size)
    return LinearFit(solution / size, covariance, float(rest @ rest))
