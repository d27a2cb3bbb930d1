"""Paths through the Brillouin zone along its points of high symmetry."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from scatterml_ase.errors import InputError, explain

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_GREEK = {"GAMMA": "Γ", "G": "Γ", "DELTA": "Δ", "LAMBDA": "Λ", "SIGMA": "Σ"}


class Segment(NamedTuple):
    """A straight line between two named points, given in reciprocal-lattice units."""

    labels: tuple[str, str]
    start: np.ndarray
    end: np.ndarray


class BandPath(NamedTuple):
    """Sampled segments, one after the other; each has both of its end points.

    Attributes
    ----------
    q_reduced
        Shape (q, 3).
    directions
        Direction of the segment at each point, shape (q, 3), reciprocal-lattice units.
    distance
        Length along the path in Å⁻¹, shape (q,).
    labels
        (index, name) of every end point.
    segments
        Index where each segment starts.
    """

    q_reduced: np.ndarray
    directions: np.ndarray
    distance: np.ndarray
    labels: tuple[tuple[int, str], ...]
    segments: tuple[int, ...]


def segments_of(
    path: str | np.ndarray | Sequence[Sequence[float]] | None,
    cell: np.ndarray,
    scaled_positions: np.ndarray,
    numbers: np.ndarray,
) -> list[Segment]:
    """Return the segments of the standard path (None), of named points, or of corner points."""
    if path is None:
        return standard_segments(cell, scaled_positions, numbers)
    if isinstance(path, str):
        return named_segments(cell, path)
    return corner_segments(path)


def standard_segments(
    cell: np.ndarray, scaled_positions: np.ndarray, numbers: np.ndarray
) -> list[Segment]:
    """Return the path recommended by seekpath, in the basis of the cell as it is.

    Hinuma et al., doi:10.1016/j.commatsci.2016.10.015.
    """
    import warnings

    import seekpath

    with warnings.catch_warnings():  # it warns of supercells and of spglib's plans
        warnings.simplefilter("ignore")
        found = seekpath.get_path_orig_cell((cell, scaled_positions, numbers), symprec=1e-4)
    points = {name: np.array(q) for name, q in found["point_coords"].items()}
    return [
        Segment((pretty_label(a), pretty_label(b)), points[a], points[b]) for a, b in found["path"]
    ]


def named_segments(cell: np.ndarray, path: str) -> list[Segment]:
    """Return the path a string such as ``"GXWKGL"`` or ``"GXU,KG"`` names, by ASE's tables.

    Raises
    ------
    InputError
        If a point does not exist in this Bravais lattice.
    """
    from ase.cell import Cell
    from ase.dft.kpoints import parse_path_string

    points = Cell(cell).bandpath(npoints=0).special_points
    known = ", ".join(points)
    runs = [run for run in parse_path_string(path.replace("Γ", "G").replace("|", ",")) if run]
    for name in (name for run in runs for name in run):
        if name not in points:
            what = f"{name!r} in path {path!r} is no special point of this lattice"
            raise InputError(explain(what, f"it has {known}", "Use these, e.g. 'GX,KG'"))
    segments = [
        Segment((pretty_label(a), pretty_label(b)), points[a], points[b])
        for run in runs
        for a, b in pairwise(run)
    ]
    if not segments:
        what = f"Path {path!r} has no line"
        raise InputError(explain(what, "it takes two points", f"Use names among {known}"))
    return segments


def corner_segments(corners: Sequence[Sequence[float]] | np.ndarray) -> list[Segment]:
    """Return the path through given q-points, shape (k, 3), reciprocal-lattice units."""
    q = np.asarray(corners, dtype=float)
    if q.ndim != 2 or q.shape[1] != 3 or not np.isfinite(q).all() or not np.ptp(q, axis=0).any():
        what = f"A path of shape {q.shape} cannot be walked"
        fix = "Give a string such as 'GXWKGL', or two or more q-points, shape (k, 3)"
        raise InputError(explain(what, "it takes two or more different finite q-points", fix))
    names = ["Γ" if not p.any() else " ".join(f"{x:.3g}" for x in p) for p in q]
    return [
        Segment((names[k], names[k + 1]), q[k], q[k + 1])
        for k in range(len(q) - 1)
        if np.any(q[k] != q[k + 1])
    ]


def sample(segments: list[Segment], cell: np.ndarray, points: int) -> BandPath:
    """Put about ``points`` q-points on the path, shared among its segments by their length.

    Raises
    ------
    InputError
        If ``points`` is not a whole number of 2 or more.
    """
    if points != int(points) or points < 2:
        what = f"A path of points={points} cannot be drawn"
        raise InputError(explain(what, "a line has two ends", "Give a whole number, e.g. 300"))
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    lengths = np.array([np.linalg.norm((s.end - s.start) @ reciprocal) for s in segments])
    counts = np.maximum(2, np.rint(points * lengths / lengths.sum()).astype(int))
    starts = np.concatenate([[0], np.cumsum(counts)])
    before = np.concatenate([[0.0], np.cumsum(lengths)])
    q, directions, distance, labels = [], [], [], []
    for k, (segment, count) in enumerate(zip(segments, counts, strict=True)):
        t = np.linspace(0, 1, count)
        q.append(segment.start + t[:, None] * (segment.end - segment.start))
        directions.append(np.tile(segment.end - segment.start, (count, 1)))
        distance.append(before[k] + t * lengths[k])
        labels.append((int(starts[k]), segment.labels[0]))
        labels.append((int(starts[k + 1]) - 1, segment.labels[1]))
    return BandPath(
        np.concatenate(q),
        np.concatenate(directions),
        np.concatenate(distance),
        tuple(labels),
        tuple(int(s) for s in starts[:-1]),
    )


def pretty_label(name: str) -> str:
    """Write a point as papers do: ``GAMMA`` as Γ, ``X_1`` and ``X1`` as X₁."""
    found = re.fullmatch(r"([^_\d]*)_?(\d*)", name)
    letters, digits = found.groups() if found else (name, "")
    return _GREEK.get(letters, letters) + digits.translate(_SUBSCRIPTS)
