"""Wavevectors whose waves fit a simulated cell: along a path, as given, or in shells of |Q|."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np
from scipy import sparse

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics import paths
from scatterml_ase.scattering.path import bin_edges
from scatterml_ase.scattering.trajectory.simulated_crystal import SimulatedCrystal

_ON_LINE = 1e-6  # Å⁻¹
_FITS = 1e-4  # of a vector of the reciprocal cell
_MOST_POINTS = 30_000_000


@dataclass(frozen=True, eq=False)
class CommensurateQ:
    """Wavevectors chosen, ±Q counted once, and how they make up the rows of a result.

    Parameters
    ----------
    indices
        In units of the reciprocal vectors of the simulated cell, integers, shape (points, 3).
    lengths
        |Q| in Å⁻¹, shape (points,).
    average
        Mean over the points of each row, sparse, shape (rows, points).
    edges
        Edges of the rows in Å⁻¹, shape (rows + 1,).
    axis
        ``"path"`` or ``"powder"``.
    distance, q_reduced
        Along a path: place of each row, and Q in reciprocal-lattice units of the unit cell.
    labels
        (row, name) of special points.
    """

    indices: np.ndarray
    lengths: np.ndarray
    average: sparse.csr_array
    edges: np.ndarray
    axis: Literal["path", "powder"]
    distance: np.ndarray | None = None
    q_reduced: np.ndarray | None = None
    labels: tuple[tuple[int, str], ...] = ()

    @property
    def known(self) -> np.ndarray:
        """Rows with a wavevector other than Q = 0, shape (rows,)."""
        return self.average @ (self.lengths > 0) > 0

    def thinned(self, most: int) -> CommensurateQ:
        """Keep the first ``most`` wavevectors of each row."""
        starts = self.average.indptr
        rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        kept = np.arange(len(rows)) - starts[rows] < most
        points, place = np.unique(self.average.indices[kept], return_inverse=True)
        return replace(
            self,
            indices=self.indices[points],
            lengths=self.lengths[points],
            average=_row_means(rows[kept], place.reshape(-1), len(starts) - 1),
        )

    @classmethod
    def along_path(
        cls, simulated: SimulatedCrystal, segments: list[paths.Segment], zone: np.ndarray
    ) -> Self:
        """Take the points on a path; where a line has none but its ends, the nearest to it.

        Parameters
        ----------
        simulated
            Whose waves must fit.
        segments
            The path in reciprocal-lattice units of the unit cell.
        zone
            Added to every point, in the same units.

        Raises
        ------
        InputError
            If fewer than two points fit, or the zone does not.
        """
        reciprocal = 2 * np.pi * np.linalg.inv(_cell(simulated)).T
        to_simulated = simulated.matrix.T
        offset = _whole(zone[None] @ to_simulated, simulated, "zone")[0]
        rows: list[tuple[float, tuple[int, ...], str]] = []
        before = 0.0
        for segment in segments:
            ends = np.array([segment.start, segment.end]) @ to_simulated
            length = float(np.linalg.norm((ends[1] - ends[0]) @ reciprocal))
            for share, index in _near_line(ends[0], ends[1], reciprocal):
                exact = np.abs(ends - index).max(axis=1) < _FITS
                name = segment.labels[int(exact[1])] if exact.any() else ""
                row = (before + share * length, tuple(index.tolist()), name)
                if not rows or rows[-1][1] != row[1]:
                    rows.append(row)
            before += length
        if len({index for _, index, _ in rows}) < 2:
            raise InputError(
                explain(
                    "Fewer than two wavevectors of the path fit the simulated cell",
                    f"its matrix of unit cells is {simulated.matrix.tolist()}",
                    "Simulate a larger cell, or choose a path along its reciprocal vectors",
                )
            )
        places, chosen = _spread([row[0] for row in rows]), np.array([row[1] for row in rows])
        labels = tuple((number, row[2]) for number, row in enumerate(rows) if row[2])
        return cls._listed(simulated, chosen + offset, places, labels)

    @classmethod
    def at_points(cls, simulated: SimulatedCrystal, q_points: Any) -> Self:
        """Take wavevectors as given, shape (q, 3), reciprocal-lattice units of the unit cell.

        Raises
        ------
        InputError
            If one does not fit the simulated cell, or two that follow each other are equal.
        """
        try:
            points = np.atleast_2d(np.asarray(q_points, dtype=float))
        except (TypeError, ValueError):
            points = np.zeros(0)
        if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
            what = f"q_points of shape {np.shape(q_points)} are no wavevectors"
            raise InputError(explain(what, "each has three components", "Give shape (q, 3)"))
        indices = _whole(points @ simulated.matrix.T, simulated, "q_points")
        reciprocal = 2 * np.pi * np.linalg.inv(_cell(simulated)).T
        steps = np.linalg.norm(np.diff(indices, axis=0) @ reciprocal, axis=1)
        if (steps == 0).any() or not indices.any(axis=1).all():
            raise InputError(
                explain(
                    "q_points has two equal points in a row, or Q = 0",
                    "the map has one column each, and nothing is scattered at Q = 0",
                    "Remove them",
                )
            )
        return cls._listed(simulated, indices, np.concatenate([[0.0], np.cumsum(steps)]), ())

    @classmethod
    def in_shells(
        cls, simulated: SimulatedCrystal, edges: np.ndarray, most: int, seed: int
    ) -> Self:
        """Take the wavevectors in each shell of |Q|, ``most`` at random where there are more.

        Raises
        ------
        InputError
            If no shell has a wavevector, or there are too many to list.
        """
        cell = _cell(simulated)
        reciprocal = 2 * np.pi * np.linalg.inv(cell).T
        indices = _half_sphere(cell, float(edges[-1]))
        lengths = np.linalg.norm(indices @ reciprocal, axis=1)
        shell = np.searchsorted(edges, lengths, side="right") - 1
        order = np.random.default_rng(seed).permutation(len(indices))
        order = order[np.argsort(shell[order], kind="stable")]
        inside = order[(shell[order] >= 0) & (shell[order] < len(edges) - 1)]
        starts = np.searchsorted(shell[inside], np.arange(len(edges)))
        kept = np.concatenate([inside[a : min(b, a + most)] for a, b in pairwise(starts)])
        if len(kept) == 0:
            smallest = lengths.min(initial=np.inf)
            raise InputError(
                explain(
                    f"No wavevector between {edges[0]:g} and {edges[-1]:g} Å⁻¹ fits the cell",
                    f"the shortest one that was found is {smallest:.3g} Å⁻¹ long",
                    "Raise the last of q_edges, or simulate a larger cell",
                )
            )
        return cls(
            indices=indices[kept],
            lengths=lengths[kept],
            average=_row_means(shell[kept], np.arange(len(kept)), len(edges) - 1),
            edges=edges,
            axis="powder",
        )

    @classmethod
    def _listed(
        cls,
        simulated: SimulatedCrystal,
        indices: np.ndarray,
        distance: np.ndarray,
        labels: tuple[tuple[int, str], ...],
    ) -> Self:
        """Make one row of each wavevector; equal ones and ±Q are computed once."""
        reciprocal = 2 * np.pi * np.linalg.inv(_cell(simulated)).T
        signs = [next((np.sign(h) for h in row if h), 1) for row in indices.tolist()]
        half = indices * np.array(signs, dtype=int)[:, None]
        unique, place = np.unique(half, axis=0, return_inverse=True)
        edges = bin_edges(distance)
        if len(distance) == 1:  # a column needs some width to be drawn
            edges = np.linalg.norm(reciprocal, axis=1).min() / 2 * np.array([-1.0, 1.0])
        return cls(
            indices=unique,
            lengths=np.linalg.norm(unique @ reciprocal, axis=1),
            average=_row_means(np.arange(len(indices)), place.reshape(-1), len(indices)),
            edges=edges,
            axis="path",
            distance=distance,
            q_reduced=indices @ np.linalg.inv(simulated.matrix.T),
            labels=labels,
        )


def _cell(simulated: SimulatedCrystal) -> np.ndarray:
    """Return the simulated cell in Å."""
    return simulated.matrix @ simulated.crystal.to("angstrom").cell


def _row_means(rows: np.ndarray, points: np.ndarray, count: int) -> sparse.csr_array:
    """Return the matrix that averages the points of each row."""
    share = 1 / np.bincount(rows, minlength=count)[rows]
    return sparse.csr_array((share, (rows, points)), shape=(count, points.max() + 1))


def _whole(indices: np.ndarray, simulated: SimulatedCrystal, name: str) -> np.ndarray:
    """Return commensurate indices as integers, or explain which one is not."""
    nearest = np.rint(indices)
    wrong = np.flatnonzero(np.abs(indices - nearest).max(axis=1) > _FITS)
    if len(wrong):
        back = np.linalg.inv(simulated.matrix.T)
        given, near = (values[wrong[0]] @ back for values in (indices, nearest))
        raise InputError(
            explain(
                f"{name} has {np.round(given, 4).tolist()}, which does not fit the simulated cell",
                "a wave that breaks at the cell's border is no wave of the trajectory",
                f"The nearest that fits is {np.round(near, 4).tolist()}; a larger cell has more",
            )
        )
    return nearest.astype(int)


def _near_line(
    start: np.ndarray, end: np.ndarray, reciprocal: np.ndarray
) -> list[tuple[float, np.ndarray]]:
    """Return (share of the way, indices) of the integer points on a line, or the nearest to it."""
    steps = int(np.ceil(8 * np.abs(end - start).max())) + 1
    line = start + np.linspace(0, 1, steps + 1)[:, None] * (end - start)
    nearest = np.unique(np.rint(line).astype(int), axis=0)
    direction = (end - start) @ reciprocal
    apart = (nearest - start) @ reciprocal
    share = apart @ direction / (direction @ direction)
    offset = np.linalg.norm(apart - share[:, None] * direction, axis=1)
    exact = (offset < _ON_LINE) & (share > -_ON_LINE) & (share < 1 + _ON_LINE)
    kept = exact if exact.sum() >= 2 else np.ones(len(nearest), dtype=bool)
    order = np.flatnonzero(kept)[np.argsort(share[kept], kind="stable")]
    return [(float(np.clip(share[k], 0.0, 1.0)), nearest[k]) for k in order]


def _spread(places: list[float]) -> np.ndarray:
    """Move points that share a place a little apart, so that each has a column of its own.

    Two points may share one where a path breaks; more do where points beside the path are taken.
    """
    values = np.array(places)
    last = len(values) - 1
    least = 1e-3 * float(np.ptp(values)) / len(values)
    for k in range(1, len(values)):
        before = max(k - 2, 0) if k < last else k - 1
        if values[k] - values[before] < least:
            values[k] = values[k - 1] + least
    return values


def _half_sphere(cell: np.ndarray, radius: float) -> np.ndarray:
    """Return the integer points within ``radius`` (Å⁻¹), without 0 and one of each pair ±h."""
    reach = np.floor(radius * np.linalg.norm(cell, axis=1) / (2 * np.pi)).astype(int)
    count = float(np.prod(2.0 * reach + 1))
    if count > _MOST_POINTS:
        raise InputError(
            explain(
                f"About {count:.1g} wavevectors up to {radius:g} Å⁻¹ fit the simulated cell",
                "they are listed before some of each shell are chosen",
                "Lower the last of q_edges",
            )
        )
    h, k, ell = (np.arange(-n, n + 1) for n in reach)
    grid = np.stack(np.meshgrid(h[reach[0] :], k, ell, indexing="ij"), axis=-1).reshape(-1, 3)
    h, k, ell = grid.T
    half = (h > 0) | ((h == 0) & ((k > 0) | ((k == 0) & (ell > 0))))
    squares = np.sum((grid @ (2 * np.pi * np.linalg.inv(cell).T)) ** 2, axis=1)
    return grid[half & (squares <= radius**2)]
