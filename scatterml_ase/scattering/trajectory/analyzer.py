"""Analyzers of trajectories: any number of them share one reading of the frames."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from scatterml_ase.errors import AccuracyWarning, InputError, explain, warn
from scatterml_ase.physics.correlations import finest_width
from scatterml_ase.physics.running_average import FEWEST_BLOCKS, RunningAverage
from scatterml_ase.results.base import Result
from scatterml_ase.scattering.trajectory.frames import Frame, TrajectoryFrames

if TYPE_CHECKING:
    from scatterml_ase.scattering.trajectory.reading import Source
    from scatterml_ase.scattering.trajectory.simulated_crystal import UnitCell

_ENOUGH = 0.21
"""A segment of this part of a trajectory has enough of its kind for an error bar."""


class Collector(Protocol):
    """What an analyzer does while frames come by."""

    def add(self, frame: Frame) -> None:
        """Take one frame."""

    def result(self) -> Result:
        """Return what was found, after the last frame."""


@dataclass(frozen=True, kw_only=True)
class TrajectoryAnalyzer:
    """Options that every analysis of a trajectory has.

    Parameters
    ----------
    timestep
        Between frames, in fs; None if the trajectory says it, as those of ASE's dynamics do.
    unit_cell
        What was repeated to make the simulated cell: Atoms, or the repeats as three numbers or a
        supercell matrix. None: the simulated cell as a whole, as for a liquid.
    remove_drift
        Whether to keep the centre of mass in place.
    progress
        Whether to show a progress bar.
    """

    timestep: float | None = None
    unit_cell: UnitCell | None = None
    remove_drift: bool = True
    progress: bool = True

    def __call__(self, trajectory: Source) -> Any:
        """Return what the class says of a trajectory.

        Parameters
        ----------
        trajectory
            A file that ASE reads, or anything that yields Atoms. Frames are read once and not
            kept.

        Raises
        ------
        InputError
            If the trajectory is too short, has a changing cell or irregular steps, does not say
            its time step, or an option does not fit it.
        """
        return analyze_trajectory(trajectory, self)[0]

    def collector(self, frames: TrajectoryFrames) -> Collector:
        """Prepare for frames whose first one is known."""
        raise NotImplementedError(f"{type(self).__name__} collects nothing")

    def options(self) -> dict[str, Any]:
        """Return the options that are plain values, for provenance."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        plain = (bool, int, float, str, type(None))
        return {
            name: value
            for name, value in values.items()
            if name not in ("progress", "timestep") and isinstance(value, plain)
        }


def analyze_trajectory(trajectory: Source, *analyzers: TrajectoryAnalyzer) -> tuple[Any, ...]:
    """Return the result of each analyzer, reading the trajectory once.

    Parameters
    ----------
    trajectory
        A file that ASE reads, or anything that yields Atoms.
    analyzers
        E.g. :class:`TrajectoryScattering`, :class:`TrajectoryCorrelations`,
        :class:`TrajectoryDOS`, with one timestep.

    Raises
    ------
    InputError
        As the analyzers do, or if they disagree on the frames.
    """
    shared = {(a.timestep, a.remove_drift) for a in analyzers}
    if len(shared) != 1:
        what = f"The analyzers have {len(shared)} sets of (timestep, remove_drift)"
        fix = "Give analyzers that agree on both"
        raise InputError(explain(what, "they share one reading of the frames", fix))
    ((timestep, remove_drift),) = shared
    frames = TrajectoryFrames(
        trajectory,
        timestep,
        remove_drift=remove_drift,
        progress=any(analyzer.progress for analyzer in analyzers),
    )
    collectors = [analyzer.collector(frames) for analyzer in analyzers]
    for frame in frames:
        for collector in collectors:
            collector.add(frame)
    return tuple(collector.result() for collector in collectors)


def check_enough(needed: int, frames: TrajectoryFrames, fix: str) -> None:
    """Raise if the frames, whose number may be known beforehand, are too few for one segment.

    Parameters
    ----------
    needed
        Frames in a segment.
    frames
        What is read.
    fix
        What to change, with ``{fwhm}`` for the width in meV that there are frames for.

    Raises
    ------
    InputError
        If there is not one segment.
    """
    total = frames.count or frames.total
    if total is None or total >= needed:
        return
    raise InputError(
        explain(
            f"{total} frames, {frames.timestep:g} fs apart, are too few",
            f"{needed} are needed at least, and several times as many for error bars",
            _advice(fix, total, frames.timestep),
        )
    )


def check_segments(
    average: RunningAverage, needed: int, frames: TrajectoryFrames, fix: str
) -> None:
    """Raise if not one segment was complete; warn if there were too few for an error.

    Parameters
    ----------
    average
        Over the segments.
    needed, frames, fix
        As for :func:`check_enough`.
    """
    if average.samples == 0:
        check_enough(max(needed, frames.count + 1), frames, fix)
    if average.samples < FEWEST_BLOCKS:
        warn(
            explain(
                f"{frames.count} frames make {average.samples} segments of {needed}",
                f"error bars need {FEWEST_BLOCKS} or more",
                _advice(fix, _ENOUGH * frames.count, frames.timestep),
            ),
            AccuracyWarning,
            stacklevel=6,
        )


def _advice(fix: str, usable: float, timestep: float) -> str:
    return fix.format(fwhm=f"{1.01 * finest_width(usable, timestep):.3g}")


def check_width(energy_fwhm: float) -> float:
    """Return a resolution in meV after checking it.

    Raises
    ------
    InputError
        If it is not positive and finite.
    """
    if not 0 < energy_fwhm < np.inf:
        what = f"energy_fwhm={energy_fwhm} meV is not possible"
        why = "a spectrum as sharp as a line takes a trajectory without end"
        raise InputError(explain(what, why, "Give a positive width, e.g. 1.0"))
    return float(energy_fwhm)
