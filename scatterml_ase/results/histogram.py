"""What maps on bins check and fill in."""

from __future__ import annotations

from typing import Any

import numpy as np

from scatterml_ase.errors import InputError, explain


def check_edges(name: str, edges: Any) -> np.ndarray:
    """Return bin edges as floats.

    Raises
    ------
    InputError
        If they are not two or more ascending finite numbers.
    """
    try:
        values = np.asarray(edges, dtype=float)
    except (TypeError, ValueError):
        values = np.array(np.nan)
    good = values.ndim == 1 and len(values) > 1 and bool(np.isfinite(values).all())
    if not good or not np.all(np.diff(values) > 0):
        raise InputError(
            explain(
                f"{name} is no list of bin edges",
                "edges are finite and ascending, and there are two at least",
                "Give e.g. np.linspace(0, 80, 161)",
            )
        )
    return values


def bin_centres(edges: np.ndarray) -> np.ndarray:
    """Return the centres of bins from their edges."""
    return (edges[1:] + edges[:-1]) / 2


def known_bins(intensity: Any, mask: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return intensity with NaN where nothing is known, and where it is.

    Parameters
    ----------
    intensity
        Any shape.
    mask
        True where known; None: where the intensity is finite.
    """
    values = np.array(intensity, dtype=float)
    known = np.isfinite(values) if mask is None else np.asarray(mask, dtype=bool)
    if known.shape == values.shape:  # otherwise the result's own check of shapes explains
        values[~known] = np.nan
    return values, known
