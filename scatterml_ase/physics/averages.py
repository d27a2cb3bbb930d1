"""Averages over a trajectory with honest errors: neighbouring samples are not independent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scatterml_ase.errors import InputError, explain

_FEWEST_BLOCKS = 8


@dataclass(frozen=True)
class Estimate:
    """A value and its standard error, in the same unit."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.4g} ± {self.error:.1g}"


def block_average(samples: np.ndarray) -> Estimate:
    """Return the mean of correlated samples and its standard error.

    Pairs of neighbours are joined to blocks again and again; the naive error grows with the
    length of the blocks until they are independent, and the largest one found while there are
    at least eight blocks is taken (Flyvbjerg and Petersen, 10.1063/1.457480).

    Parameters
    ----------
    samples
        A time series at equal steps, shape (samples,).

    Raises
    ------
    InputError
        If there are fewer than eight samples or one of them is not finite.
    """
    blocks = _checked(samples)
    mean, errors = float(blocks.mean()), []
    while len(blocks) >= _FEWEST_BLOCKS:
        errors.append(float(blocks.std(ddof=1) / np.sqrt(len(blocks))))
        even = len(blocks) - len(blocks) % 2
        blocks = blocks[:even].reshape(-1, 2).mean(axis=1)
    return Estimate(mean, max(errors))


def slope(times: np.ndarray, samples: np.ndarray, *, blocks: int = 10) -> Estimate:
    """Return the slope of a straight line through a time series, with its block error.

    The line is fitted to the means of equal blocks, and the scatter of the block means about it
    gives the error: correlations shorter than a block do not make it look too small.

    Parameters
    ----------
    times, samples
        Shape (samples,); samples that do not fill a block are left out at the beginning.
    blocks
        Number of blocks.

    Raises
    ------
    InputError
        If there are fewer samples than blocks or one of them is not finite.
    """
    values = _checked(samples, fewest=max(blocks, 3))
    length = len(values) // blocks
    kept = slice(len(values) - length * blocks, None)
    x = np.asarray(times, dtype=float)[kept].reshape(blocks, length).mean(axis=1)
    y = values[kept].reshape(blocks, length).mean(axis=1)
    spread = float(((x - x.mean()) ** 2).sum())
    gradient = float(((x - x.mean()) * (y - y.mean())).sum() / spread)
    residual = y - y.mean() - gradient * (x - x.mean())
    return Estimate(gradient, float(np.sqrt((residual**2).sum() / (blocks - 2) / spread)))


def _checked(samples: np.ndarray, fewest: int = _FEWEST_BLOCKS) -> np.ndarray:
    values = np.asarray(samples, dtype=float)
    if values.ndim != 1 or len(values) < fewest:
        raise InputError(
            explain(
                f"A series of shape {values.shape} has no block average",
                f"its error needs {fewest} samples or more, one after the other",
                "Run for longer, or sample more often",
            )
        )
    if not np.isfinite(values).all():
        raise InputError(
            explain(
                "The series holds NaN or infinity",
                "nothing can be averaged with them",
                "Look at the step where they appear first: the simulation broke there",
            )
        )
    return values
