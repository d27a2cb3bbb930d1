"""Phonon dispersion along a path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from scatterml_ase.results.base import Result, array
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.plotting import PALETTE, new_axes, path_ticks, unit_label
from scatterml_ase.units import conversion_factor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_IMAGINARY = -0.2  # meV: what lies above is numerical noise of acoustic modes at Γ


@dataclass(frozen=True, eq=False, kw_only=True)
class PhononBands(Result):
    """Frequencies along straight segments between points of high symmetry.

    Parameters
    ----------
    crystal
        The primitive cell.
    q_reduced
        Shape (q, 3), reciprocal-lattice units; each segment has both of its end points.
    distance
        Length along the path, shape (q,), in Å⁻¹.
    frequencies
        Signed (imaginary modes negative), ascending, shape (q, mode), in meV.
    labels
        (index into q, name) of the ends of segments.
    segments
        Index where each segment starts.
    """

    crystal: Crystal
    q_reduced: np.ndarray = array("q", "xyz")
    distance: np.ndarray = array("q", unit="{wavevector}")
    frequencies: np.ndarray = array("q", "mode", unit="{energy}")
    labels: tuple[tuple[int, str], ...] = ()
    segments: tuple[int, ...] = (0,)

    signal: ClassVar[str] = "frequencies"
    axes: ClassVar[tuple[str, ...]] = ("distance", "")
    row_dims: ClassVar[tuple[str, ...]] = ("q",)

    def ticks(self) -> tuple[list[float], list[str]]:
        """Return where the special points are and their names; a break is named ``"U|K"``."""
        return path_ticks(self.distance, self.labels)

    def plot(self, ax: Axes | None = None, *, color: str = PALETTE[0]) -> Axes:
        """Draw the dispersion with the names of the special points; imaginary modes go below 0."""
        ax = new_axes(ax)
        for part in self._parts():
            ax.plot(self.distance[part], self.frequencies[part], color=color, linewidth=1.1)
        places, names = self.ticks()
        for place in places[1:-1]:
            ax.axvline(place, color="0.75", linewidth=0.7, zorder=0)
        ax.set_xticks(places, names)
        ax.tick_params(axis="x", length=0)
        ax.set_xlim(places[0], places[-1])
        lowest, highest = float(self.frequencies.min()), float(self.frequencies.max())
        margin = 0.04 * (max(highest, 0) - min(lowest, 0))
        if lowest < _IMAGINARY * conversion_factor("meV", self.units["energy"]):
            ax.axhline(0, color="0.3", linewidth=0.8, linestyle="--", zorder=0)
            ax.set_ylim(lowest - margin, max(highest, 0) + margin)
        else:
            ax.set_ylim(0, highest + margin)
        ax.set_ylabel(f"Energy ({unit_label(self.units['energy'])})")
        return ax

    def _parts(self) -> list[slice]:
        """Return the continuous stretches of the path: a line is not broken at a mere corner."""
        stops = [*self.segments[1:], len(self.distance)]
        return [slice(a, b) for a, b in zip(self.segments, stops, strict=True)]
