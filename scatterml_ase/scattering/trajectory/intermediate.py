"""F(Q, t) from molecular dynamics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.intermediate import IntermediateScattering
from scatterml_ase.scattering.trajectory.analyzer import check_enough, check_segments
from scatterml_ase.scattering.trajectory.series import CorrelationTransform
from scatterml_ase.scattering.trajectory.wavevector_options import WavevectorOptions
from scatterml_ase.scattering.trajectory.wavevector_sums import WavevectorSums

if TYPE_CHECKING:
    from scatterml_ase.scattering.trajectory.frames import Frame, TrajectoryFrames

_ORIGINS = 4
"""The longest lag over the origins of one segment."""
_FIX = "Run longer, or lower longest_time"


@dataclass(frozen=True, kw_only=True)
class TrajectoryCorrelations(WavevectorOptions):
    """The intermediate scattering function F(Q, t), whose spectrum is S(Q, E).

    ``TrajectoryCorrelations(q_edges=np.linspace(0, 4, 21), scattering="incoherent")("md.traj")``
    returns an :class:`~scatterml_ase.results.intermediate.IntermediateScattering` with error bars.
    It is classical: no quantum correction, no window. The options of
    :class:`~scatterml_ase.scattering.trajectory.wavevector_options.WavevectorOptions` come first.

    Parameters
    ----------
    longest_time
        How far t goes, in fs.
    """

    longest_time: float = 5000.0

    def collector(self, frames: TrajectoryFrames) -> _CorrelationCollector:
        """Prepare for frames whose first one is known."""
        if not frames.timestep <= self.longest_time < np.inf:
            what = f"longest_time={self.longest_time} fs is not possible"
            why = f"frames are {frames.timestep:g} fs apart"
            raise InputError(explain(what, why, "Give a finite time above that"))
        return _CorrelationCollector(self, frames)


class _CorrelationCollector:
    """Sums of one F(Q, t)."""

    def __init__(self, options: TrajectoryCorrelations, frames: TrajectoryFrames) -> None:
        self._options = options
        self._frames = frames
        self._lags = int(options.longest_time / frames.timestep + 1e-9)
        origins = max(1, self._lags // _ORIGINS)
        self._needed = self._lags + origins
        check_enough(self._needed, frames, _FIX)
        transform = CorrelationTransform(self._needed, origins)
        self._sums = WavevectorSums(options, frames, transform, (origins, origins))

    def add(self, frame: Frame) -> None:
        """Take one frame."""
        self._sums.add(frame)

    def result(self) -> IntermediateScattering:
        """Return the functions."""
        for series in self._sums.series:
            check_segments(series.average, self._needed, self._frames, _FIX)
        points = self._sums.points
        return IntermediateScattering(
            crystal=self._sums.simulated.crystal,
            q=points.edges,
            time=np.arange(self._lags + 1) * self._frames.timestep,
            intensity=self._sums.mean(),
            error=self._sums.error(),
            uncorrelated=self._sums.uncorrelated(self._options.scattering),
            q_reduced=points.q_reduced,
            axis=points.axis,
            scattering=self._options.scattering,
            provenance={
                **self._frames.provenance(),
                **self._sums.provenance(),
                "trajectory_correlations": self._options.options(),
                "errors": "standard errors from blocks of time origins",
            },
        )
