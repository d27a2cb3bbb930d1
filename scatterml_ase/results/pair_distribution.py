"""The pair distribution g(r) of a liquid, a glass or a hot crystal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from scatterml_ase.results.base import Result, array, new_axes
from scatterml_ase.results.plotting import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, kw_only=True)
class PairDistribution(Result):
    """g(r) of all pairs: density of atoms around an atom over the mean density.

    Parameters
    ----------
    formula
        Of the simulated cell.
    r_edges
        Edges of the bins in Å, shape (r + 1,).
    g, g_error
        g(r), without unit, and its standard error (zero where none was estimated), shape (r,).
    density
        Atoms per Å³.
    temperature
        In K.
    picoseconds
        Sampled, after equilibration; 0 if only snapshots were at hand.
    """

    formula: str
    r_edges: np.ndarray = array("r+1", unit="{length}")
    g: np.ndarray = array("r")
    g_error: np.ndarray = array("r")
    density: float
    temperature: float
    picoseconds: float = 0.0

    signal: ClassVar[str] = "g"
    axes: ClassVar[tuple[str, ...]] = ("r_edges",)
    row_dims: ClassVar[tuple[str, ...]] = ("r",)

    @property
    def r(self) -> np.ndarray:
        """Middles of the bins, shape (r,)."""
        return (self.r_edges[:-1] + self.r_edges[1:]) / 2

    @property
    def first_peak(self) -> tuple[float, float]:
        """Position in Å (parabola through the top) and height of the highest peak."""
        radii, top = self.to("angstrom").r, int(self.g.argmax())
        near = slice(max(top - 2, 0), top + 3)
        c2, c1, c0 = np.polyfit(radii[near] - radii[top], self.g[near], 2)
        if c2 >= 0:
            return float(radii[top]), float(self.g[top])
        shift = float(np.clip(-c1 / (2 * c2), -0.2, 0.2))
        return float(radii[top]) + shift, float(c0 + c1 * shift + c2 * shift**2)

    def coordination(self, radius: float) -> float:
        """Return the mean number of atoms within ``radius`` (Å) of an atom."""
        edges = self.to("angstrom").r_edges
        shells = 4 / 3 * np.pi * np.diff(edges**3) * self.density
        filled = np.clip((radius - edges[:-1]) / np.diff(edges), 0, 1)
        return float((shells * filled * self.g).sum())

    def plot(
        self, ax: Axes | None = None, *, color: str = PALETTE[0], label: str | None = None
    ) -> Axes:
        """Draw g(r) with its error as a band."""
        ax = new_axes(ax)
        low, high = self.g - self.g_error, self.g + self.g_error
        ax.fill_between(self.r, low, high, color=color, alpha=0.25, linewidth=0)
        ax.plot(self.r, self.g, color=color, linewidth=1.4, label=label)
        ax.axhline(1, color="0.6", linewidth=0.7, linestyle=":")
        ax.set_xlim(0, self.r_edges[-1])
        ax.set_ylim(bottom=0)
        ax.set_xlabel("r (Å)")
        ax.set_ylabel("g(r)")
        return ax
