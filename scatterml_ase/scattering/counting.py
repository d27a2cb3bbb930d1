"""Counting statistics."""

from __future__ import annotations

import numpy as np

from scatterml_ase.errors import InputError, explain


def poisson_counts(content: np.ndarray, counts: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what is counted in bins, in the unit of their content, and its standard deviation.

    Parameters
    ----------
    content
        What is expected in every bin, any shape and unit; below zero counts as zero.
    counts
        Mean number of neutrons in the fullest bin.
    seed
        Of the noise.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        Poisson-distributed numbers and their roots, both over the number that one unit of content
        makes. A bin without a neutron has the error of one, so that a fit can weigh it.

    Raises
    ------
    InputError
        If nothing is in any bin.
    """
    expected = np.maximum(content, 0.0)
    if not expected.max() > 0:
        raise InputError(
            explain(
                "There is nothing to count",
                "the intensity is zero in every measured bin",
                "Leave counts out, or look where the sample scatters",
            )
        )
    exposure = counts / expected.max()
    numbers = np.random.default_rng(seed).poisson(expected * exposure)
    return numbers / exposure, np.sqrt(np.maximum(numbers, 1)) / exposure
