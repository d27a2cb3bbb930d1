"""Time series of a trajectory in segments: collected, transformed, averaged, forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import sparse

from scatterml_ase.physics.correlations import Taper, binning_matrix, correlations
from scatterml_ase.physics.running_average import RunningAverage
from scatterml_ase.physics.spatial_density import DensityWaves, atomic_phases
from scatterml_ase.scattering.trajectory.commensurate import CommensurateQ
from scatterml_ase.scattering.trajectory.site_weights import SiteWeights
from scatterml_ase.units import FM2_TO_MBARN

_PHASES = 1_000_000
"""How many phases of single atoms are held at once."""


class SegmentBuffer:
    """The latest frames of many time series.

    Parameters
    ----------
    shape
        Of what each frame brings.
    frames
        In a segment.
    hop
        After how many new frames the next segment is complete.
    """

    def __init__(self, shape: tuple[int, ...], frames: int, hop: int, dtype: type) -> None:
        self._data: np.ndarray = np.empty((*shape, frames), dtype=dtype)
        self._hop = hop
        self._filled = 0

    def add(self, values: np.ndarray) -> np.ndarray | None:
        """Take one frame; return the segment, shape (…, frames), if it completes one.

        What is returned changes with the next frame.
        """
        frames = self._data.shape[-1]
        if self._filled == frames:
            self._data[..., : frames - self._hop] = self._data[..., self._hop :]
            self._filled -= self._hop
        self._data[..., self._filled] = values
        self._filled += 1
        return self._data if self._filled == frames else None


class Transform(Protocol):
    """What is made of a segment of a time series."""

    @property
    def frames(self) -> int:
        """Frames in a segment."""

    def values(self, series: np.ndarray) -> np.ndarray:
        """Turn series (rows, frames) into (rows, values)."""

    def columns(self, values: np.ndarray) -> np.ndarray:
        """Turn means of values over rows, (rows, values), into columns of the result."""


@dataclass(eq=False)
class SpectrumTransform:
    """Spectra on energy bins.

    Parameters
    ----------
    taper
        Resolution.
    edges
        Of the bins in meV; None for one bin around each energy of the taper.
    """

    taper: Taper
    edges: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Prepare the bins."""
        self.profile = np.zeros(len(self.taper.energies))
        """Sum of all spectra before binning, up to the Nyquist energy."""
        self._matrix = None
        if self.edges is not None:
            self._matrix = sparse.csr_array(binning_matrix(self.taper.energies, self.edges))

    @property
    def frames(self) -> int:
        """Frames in a segment."""
        return self.taper.frames

    def values(self, series: np.ndarray) -> np.ndarray:
        """Return spectra in 1/meV."""
        return self.taper.spectra(series)

    def columns(self, values: np.ndarray) -> np.ndarray:
        """Return means over the bins."""
        self.profile += values.sum(axis=0)
        return values if self._matrix is None else (self._matrix @ values.T).T


@dataclass(frozen=True, eq=False)
class CorrelationTransform:
    """Correlation functions at lags 0 … frames − origins.

    Parameters
    ----------
    frames
        In a segment.
    origins
        Times from which lags are counted: every one starts one segment only.
    """

    frames: int
    origins: int

    def values(self, series: np.ndarray) -> np.ndarray:
        """Return correlation functions."""
        return correlations(series, self.origins)

    def columns(self, values: np.ndarray) -> np.ndarray:
        """Return them as they are."""
        return values


class CoherentSeries:
    """Σ_j b_j exp(iQ·r_j) of all atoms, and the mean of what a transform makes of it.

    Parameters
    ----------
    points
        Wavevectors and rows.
    weights
        Of the atoms.
    transform, hop
        What is made of segments, and frames from one to the next.
    """

    def __init__(
        self, points: CommensurateQ, weights: SiteWeights, transform: Transform, hop: int
    ) -> None:
        self.average = RunningAverage()
        self.points = points
        self._transform = transform
        self._waves = DensityWaves(points.indices, weights.kinds)
        amplitudes = weights.coherent(points.lengths)
        # |Σ b e|² averaged over ±Q has no terms that mix real and imaginary parts of b.
        parts = [amplitudes.real, amplitudes.imag] if amplitudes.imag.any() else [amplitudes.real]
        self._parts = np.stack(parts)  # [part, q, kind]
        self._scale = FM2_TO_MBARN / len(weights.kinds)
        shape = (len(parts), len(points.indices))
        self._buffer = SegmentBuffer(shape, transform.frames, hop, complex)

    def add(self, scaled: np.ndarray) -> None:
        """Take the positions of one frame, in units of the cell."""
        waves = self._waves.sums(scaled)
        segment = self._buffer.add(np.einsum("pqk,qk->pq", self._parts, waves))
        if segment is None:
            return
        values = sum(self._transform.values(part) for part in segment)
        rows = self.points.average @ (values * self._scale)
        self.average.add(self._transform.columns(rows))


class IncoherentSeries:
    """exp(iQ·r_j) of each atom alone, and the mean of what a transform makes of it.

    Parameters
    ----------
    As for :class:`CoherentSeries`.
    """

    def __init__(
        self, points: CommensurateQ, weights: SiteWeights, transform: Transform, hop: int
    ) -> None:
        self.average = RunningAverage()
        self.points = points
        self._transform = transform
        strengths = weights.incoherent()[weights.kinds]
        self._atoms = np.flatnonzero(strengths > 0)
        self._strengths = strengths[self._atoms] / len(weights.kinds)
        shape = (3, len(self._atoms))
        self._buffer = SegmentBuffer(shape, transform.frames, hop, float)

    def add(self, scaled: np.ndarray) -> None:
        """Take the positions of one frame, in units of the cell."""
        segment = self._buffer.add(scaled[self._atoms].T)
        if segment is None:
            return
        points = [self._of_point(segment, index) for index in self.points.indices]
        self.average.add(self._transform.columns(self.points.average @ np.array(points)))

    def _of_point(self, segment: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Return Σ_j of the transform at one Q, weighted, shape (values,)."""
        return sum(
            self._strengths[part]
            @ self._transform.values(atomic_phases(segment[:, part], index[None])[0])
            for part in self._chunks()
        )

    def _chunks(self) -> Iterator[slice]:
        """Yield groups of atoms; one empty group if none scatters."""
        step = max(1, _PHASES // self._transform.frames)
        for start in range(0, max(len(self._atoms), 1), step):
            yield slice(start, start + step)
