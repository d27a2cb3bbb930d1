"""One-dimensional cuts through S(Q, E)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from scatterml_ase.results.base import Result, array
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.plotting import PALETTE, intensity_label, new_axes, unit_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, kw_only=True)
class SqwCut(Result):
    """The mean of S(Q, E) over a range of one axis, as a function of the other.

    Parameters
    ----------
    crystal
        The primitive cell.
    intensity
        Mean over the range, shape (bin,); NaN where nothing is measured.
    energy_transfer, q
        Bin edges of the axis the cut runs along, shape (bin + 1,), in meV or Å⁻¹; one is None.
    error
        Standard deviation, if known.
    q_range, energy_range
        The range averaged over, in the units of the axes, shape (2,); one is None.
    temperature
        In K.
    axis
        ``"powder"``: q is |Q|; ``"path"``: q runs along straight lines.
    scale
        What the intensity is per.
    """

    crystal: Crystal
    intensity: np.ndarray = array("bin", unit="mbarn/sr/{energy}")
    energy_transfer: np.ndarray | None = array("bin+1", unit="{energy}", default=None)
    q: np.ndarray | None = array("bin+1", unit="{wavevector}", default=None)
    error: np.ndarray | None = array("bin", unit="mbarn/sr/{energy}", default=None)
    q_range: np.ndarray | None = array("2", unit="{wavevector}", default=None)
    energy_range: np.ndarray | None = array("2", unit="{energy}", default=None)
    temperature: float = float("nan")
    axis: Literal["powder", "path"] = "powder"
    scale: str = "atom"

    signal: ClassVar[str] = "intensity"
    row_dims: ClassVar[tuple[str, ...]] = ("bin",)

    @property
    def axes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Name of the array along the bins."""
        return ("energy_transfer",) if self.q is None else ("q",)

    @property
    def edges(self) -> np.ndarray:
        """Bin edges of whichever axis the cut runs along."""
        edges = self.energy_transfer if self.energy_transfer is not None else self.q
        assert edges is not None
        return edges

    @property
    def centres(self) -> np.ndarray:
        """Bin centres of whichever axis the cut runs along."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    def plot(self, ax: Axes | None = None, *, color: str = PALETTE[0], label: str = "") -> Axes:
        """Draw the cut as a line, with a band for its error."""
        ax = new_axes(ax)
        marker = "o" if len(self.intensity) == 1 else None  # a line needs two points
        ax.plot(
            self.centres,
            self.intensity,
            color=color,
            linewidth=1.2,
            marker=marker,
            label=label or None,
        )
        if self.error is not None:
            low, high = self.intensity - self.error, self.intensity + self.error
            ax.fill_between(self.centres, low, high, color=color, alpha=0.25, linewidth=0)
        if self.energy_transfer is not None:
            ax.set_xlabel(f"Energy transfer ({unit_label(self.units['energy'])})")
        else:
            name = "|Q|" if self.axis == "powder" else "Wavevector"
            ax.set_xlabel(f"{name} ({unit_label(self.units['wavevector'])})")
        ax.set_ylabel(intensity_label(self.axis, self.units["energy"], self.scale))
        ax.set_xlim(self.edges[0], self.edges[-1])
        ax.set_ylim(bottom=0)
        return ax
