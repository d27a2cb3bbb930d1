"""What is summed over frames at the wavevectors of one analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scatterml_ase.scattering.trajectory.series import CoherentSeries, IncoherentSeries, Transform
from scatterml_ase.scattering.trajectory.simulated_crystal import SimulatedCrystal

if TYPE_CHECKING:
    from scatterml_ase.scattering.trajectory import Scattering
    from scatterml_ase.scattering.trajectory.frames import Frame, TrajectoryFrames
    from scatterml_ase.scattering.trajectory.wavevector_options import WavevectorOptions

_SELF_POINTS = 4
"""Wavevectors per shell for incoherent scattering: atoms are averaged over already."""


class WavevectorSums:
    """Coherent and incoherent series of one analysis, and their sum.

    Parameters
    ----------
    options
        What to collect.
    frames
        Of which trajectory.
    transform
        What to make of segments.
    hops
        Frames from one segment to the next, of the coherent and the incoherent part.
    """

    def __init__(
        self,
        options: WavevectorOptions,
        frames: TrajectoryFrames,
        transform: Transform,
        hops: tuple[int, int],
    ) -> None:
        self.simulated = SimulatedCrystal.of(frames.first, options.unit_cell)
        self.points = options.wavevectors(self.simulated)
        self.weights = options.site_weights(frames)
        self.series: list[CoherentSeries | IncoherentSeries] = []
        if options.scattering != "incoherent":
            self.series.append(CoherentSeries(self.points, self.weights, transform, hops[0]))
        if options.scattering != "coherent":
            fewer = self.points
            if self.points.axis == "powder":
                fewer = self.points.thinned(_SELF_POINTS)
            self.series.append(IncoherentSeries(fewer, self.weights, transform, hops[1]))

    def add(self, frame: Frame) -> None:
        """Take one frame."""
        for series in self.series:
            series.add(frame.scaled)

    def mean(self) -> np.ndarray:
        """Return the mean of the sum, NaN in rows without wavevector, shape (rows, columns)."""
        return self._known(np.sum([series.average.mean for series in self.series], axis=0))

    def error(self) -> np.ndarray | None:
        """Return its standard error, or None if a part has one segment only."""
        errors = [series.average.error() for series in self.series]
        if any(error is None for error in errors):
            return None
        squares = [error**2 for error in errors if error is not None]
        return self._known(np.sqrt(np.sum(squares, axis=0)))

    def uncorrelated(self, scattering: Scattering) -> np.ndarray:
        """Return what atoms that know nothing of each other scatter, mbarn/sr, shape (rows,)."""
        total = np.zeros(len(self.points.edges) - 1)
        if scattering != "incoherent":
            total += self.points.average @ self.weights.mean_square(self.points.lengths)
        if scattering != "coherent":
            total += self.weights.mean_incoherent()
        return total

    def provenance(self) -> dict[str, Any]:
        """Return what was summed."""
        return {
            **self.weights.notes,
            "supercell_matrix": self.simulated.matrix,
            "segments": self.series[0].average.samples,
        }

    def _known(self, values: np.ndarray) -> np.ndarray:
        return np.where(self.points.known[:, None], values, np.nan)
