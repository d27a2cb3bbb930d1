"""Histograms on other bins: every new bin is the mean over what it shares with the old ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from scatterml_ase.physics.kinematics import Geometry, incident_and_final, wavevector_transfer

_CELLS = 200_000
"""How many (ring, energy) cells are worked on at a time: memory stays below about 100 MB."""


class Rebinned(NamedTuple):
    """Means over new bins.

    Parameters
    ----------
    values
        NaN where nothing is known, shape of the new bins.
    error
        Standard deviation, if that of the old bins is known; neighbours that share an old bin are
        correlated, which is not kept.
    coverage
        Share of the area of each new bin that known old bins cover.
    """

    values: np.ndarray
    error: np.ndarray | None
    coverage: np.ndarray


def shared_lengths(edges: np.ndarray, new_edges: np.ndarray) -> np.ndarray:
    """Return the length each new bin shares with each old one, shape (new, old)."""
    low = np.maximum(new_edges[:-1, None], edges[None, :-1])
    high = np.minimum(new_edges[1:, None], edges[None, 1:])
    return np.maximum(high - low, 0.0)


def rebin(
    values: np.ndarray,
    error: np.ndarray | None,
    mask: np.ndarray,
    edges: tuple[np.ndarray, np.ndarray],
    new_edges: tuple[np.ndarray, np.ndarray],
) -> Rebinned:
    """Average a two-dimensional histogram of densities over other rectangular bins.

    Parameters
    ----------
    values, error, mask
        On the old bins, shape (x, y); what ``mask`` calls False is left out.
    edges, new_edges
        Of the bins along x and y.
    """
    rows, columns = (shared_lengths(*pair) for pair in zip(edges, new_edges, strict=True))
    area = rows @ mask @ columns.T
    whole = np.diff(new_edges[0])[:, None] * np.diff(new_edges[1])
    total = rows @ np.where(mask, values, 0.0) @ columns.T
    variance = None
    if error is not None:
        variance = rows**2 @ np.where(mask, error, 0.0) ** 2 @ (columns**2).T
    return _means(total, variance, area, whole)


def rings_to_q(
    values: np.ndarray,
    error: np.ndarray | None,
    mask: np.ndarray,
    overlaps: Iterator[tuple[np.ndarray, ...]],
    edges: tuple[np.ndarray, np.ndarray],
) -> Rebinned:
    """Average rings of detectors over bins of |Q|.

    Parameters
    ----------
    values, error, mask
        Of the rings, shape (ring, energy).
    overlaps
        From :func:`ring_overlaps`.
    edges
        Of the bins of |Q| and of energy.
    """
    shape = (len(edges[0]) - 1, len(edges[1]) - 1)
    area, total, variance = (np.zeros(shape) for _ in range(3))
    squared = None if error is None else np.where(mask, error, 0.0) ** 2
    clean = np.where(mask, values, 0.0)
    for ring, energy, q, share in overlaps:
        place = np.ravel_multi_index((q, energy), shape)
        known = share * mask[ring, energy]
        area += _collected(place, known, shape)
        total += _collected(place, known * clean[ring, energy], shape)
        if squared is not None:
            variance += _collected(place, known**2 * squared[ring, energy], shape)
    whole = np.diff(edges[0])[:, None] * np.diff(edges[1])
    return _means(total, None if error is None else variance, area, whole)


def q_to_rings(
    values: np.ndarray,
    error: np.ndarray | None,
    mask: np.ndarray,
    overlaps: Iterator[tuple[np.ndarray, ...]],
    rings: int,
) -> Rebinned:
    """Average bins of |Q| over what each ring of detectors sees at each energy.

    Parameters
    ----------
    values, error, mask
        Of the bins, shape (q, energy).
    overlaps
        From :func:`ring_overlaps`, with bins that hold all of what the rings see: what lies
        outside them does not count as missing.
    rings
        How many.
    """
    shape = (rings, values.shape[1])
    area, whole, total, variance = (np.zeros(shape) for _ in range(4))
    squared = None if error is None else np.where(mask, error, 0.0) ** 2
    clean = np.where(mask, values, 0.0)
    for ring, energy, q, share in overlaps:
        place = np.ravel_multi_index((ring, energy), shape)
        known = share * mask[q, energy]
        whole += _collected(place, share, shape)
        area += _collected(place, known, shape)
        total += _collected(place, known * clean[q, energy], shape)
        if squared is not None:
            variance += _collected(place, known**2 * squared[q, energy], shape)
    return _means(total, None if error is None else variance, area, whole)


def ring_overlaps(
    two_theta: tuple[np.ndarray, np.ndarray],
    energy_edges: np.ndarray,
    q_edges: np.ndarray,
    fixed_energy: float,
    geometry: Geometry,
) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield the areas in (|Q|, E) that rings of detectors share with bins, in portions.

    At one energy a ring covers |Q| between its two borders, which are taken as straight between
    the edges of an energy bin.

    Parameters
    ----------
    two_theta
        Inner and outer scattering angle of each ring in degrees, two arrays of shape (ring,).
    energy_edges
        In meV.
    q_edges
        In Å⁻¹.
    fixed_energy, geometry
        E_i (direct) or E_f (indirect) in meV.

    Yields
    ------
    tuple
        Indices of ring, energy bin and |Q| bin, and the area shared in meV/Å, all of one shape.
    """
    step = max(1, _CELLS // len(energy_edges))
    energies = incident_and_final(energy_edges, fixed_energy, geometry)
    for start in range(0, len(two_theta[0]), step):
        inner, outer = (
            wavevector_transfer(*energies, angle[start : start + step, None]) for angle in two_theta
        )
        for ring, energy, q, area in _cell_overlaps(inner, outer, q_edges):
            yield ring + start, energy, q, area * np.diff(energy_edges)[energy]


def _cell_overlaps(
    inner: np.ndarray, outer: np.ndarray, q_edges: np.ndarray
) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield ring, energy, q and mean length shared; the borders have shape (ring, energy + 1)."""
    possible = np.isfinite(inner + outer)
    ring, energy = np.nonzero(possible[:, 1:] & possible[:, :-1])
    lines = np.array([line[ring, energy + k] for line in (inner, outer) for k in (0, 1)])
    first = np.searchsorted(q_edges, lines[:2].min(axis=0), side="right") - 1
    last = np.searchsorted(q_edges, lines[2:].max(axis=0), side="left")
    q, last = np.maximum(first, 0), np.minimum(last, len(q_edges) - 1)
    below = _left_of(q_edges[q], lines)
    while len(kept := np.flatnonzero(q < last)):
        ring, energy, q, last, below = (x[kept] for x in (ring, energy, q, last, below))
        lines = lines[:, kept]
        up_to = _left_of(q_edges[q + 1], lines)
        yield ring, energy, q, up_to - below
        q, below = q + 1, up_to


def _left_of(q: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Return how much of each cell lies below q: its mean length over the energy bin."""
    inner, outer = lines[:2], lines[2:]
    return _positive_mean(q - inner[0], q - inner[1]) - _positive_mean(q - outer[0], q - outer[1])


def _positive_mean(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return the mean of max(0, line) over a line that goes from ``first`` to ``last``."""
    low, high = np.minimum(first, last), np.maximum(first, last)
    crossing = high**2 / (2 * np.where(high > low, high - low, 1.0))
    return np.where(low >= 0, (low + high) / 2, np.where(high > 0, crossing, 0.0))


def _collected(place: np.ndarray, weights: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.bincount(place, weights, shape[0] * shape[1]).reshape(shape)


def _means(
    total: np.ndarray, variance: np.ndarray | None, area: np.ndarray, whole: np.ndarray
) -> Rebinned:
    """Divide sums over known area by that area; tiny areas are rounding."""
    coverage = area / np.where(whole > 0, whole, 1.0)
    known = np.where(coverage > 1e-9, area, np.nan)
    error = None if variance is None else np.sqrt(variance) / known
    return Rebinned(total / known, error, coverage)
