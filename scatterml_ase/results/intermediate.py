"""F(Q, t): how long a density wave remembers itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from scatterml_ase.results.base import Result, array
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.histogram import bin_centres
from scatterml_ase.results.plotting import PALETTE, new_axes, unit_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_CURVES = 6


@dataclass(frozen=True, eq=False, kw_only=True)
class IntermediateScattering(Result):
    """The classical intermediate scattering function, real and even in time.

    S(Q, E) is its Fourier transform, so that F(Q, 0) is the integral of S over E.

    Parameters
    ----------
    crystal
        The unit cell, or the simulated cell.
    q
        Edges of the Q bins in Å⁻¹, shape (q + 1,): |Q| of a powder, or length along a path.
    time
        In fs, from 0, shape (time,).
    intensity
        Shape (q, time), in mbarn sr⁻¹ per atom; NaN where there is no wavevector.
    error
        Standard error of it, if known.
    uncorrelated
        What it would be at t = 0 for atoms that know nothing of each other, shape (q,), in
        mbarn sr⁻¹ per atom: the mean of b² (coherent), of σ/4π (incoherent), or their sum.
    q_reduced
        Along a path: the wavevectors in reciprocal-lattice units, shape (q, 3).
    axis
        ``"powder"``: q is |Q|; ``"path"``: q runs along straight lines.
    scattering
        ``"coherent"``, ``"incoherent"`` or ``"total"``.
    """

    crystal: Crystal
    q: np.ndarray = array("q+1", unit="{wavevector}")
    time: np.ndarray = array("time", unit="fs")
    intensity: np.ndarray = array("q", "time", unit="mbarn/sr")
    error: np.ndarray | None = array("q", "time", unit="mbarn/sr", default=None)
    uncorrelated: np.ndarray = array("q", unit="mbarn/sr")
    q_reduced: np.ndarray | None = array("q", "xyz", default=None)
    axis: Literal["powder", "path"] = "powder"
    scattering: Literal["coherent", "incoherent", "total"] = "coherent"

    signal: ClassVar[str] = "intensity"
    axes: ClassVar[tuple[str, ...]] = ("q", "time")
    row_dims: ClassVar[tuple[str, ...]] = ("q", "time")

    @property
    def q_centres(self) -> np.ndarray:
        """Centres of the Q bins, in the unit of ``q``."""
        return bin_centres(self.q)

    @property
    def structure_factor(self) -> np.ndarray:
        """F(Q, 0) over that of uncorrelated atoms, shape (q,): S(Q) of a system of one species."""
        return self.intensity[:, 0] / self.uncorrelated

    @property
    def normalized(self) -> np.ndarray:
        """F(Q, t)/F(Q, 0), shape (q, time)."""
        return self.intensity / self.intensity[:, :1]

    def plot(
        self, ax: Axes | None = None, *, q: Sequence[float] | None = None, log_time: bool = False
    ) -> Axes:
        """Draw F(Q, t)/F(Q, 0) over time, with bands for the errors.

        Parameters
        ----------
        q
            Which bins, named by a q in each; None: six of those that are known, evenly chosen.
        log_time
            Logarithmic time, without t = 0.
        """
        ax = new_axes(ax)
        curves, start = self.normalized, self.intensity[:, 0]
        first = int(log_time)
        picoseconds = self.time[first:] / 1e3
        for number, row in enumerate(self._chosen(q)):
            color = PALETTE[number % len(PALETTE)]
            curve = curves[row, first:]
            ax.plot(picoseconds, curve, color=color, linewidth=1.3, label=self._name(row))
            if self.error is not None:
                band = self.error[row, first:] / start[row]
                ax.fill_between(
                    picoseconds, curve - band, curve + band, color=color, alpha=0.25, linewidth=0
                )
        ax.axhline(0, color="0.6", linewidth=0.7, linestyle=":")
        if log_time:
            ax.set_xscale("log")
        ax.set_xlim(picoseconds[0], picoseconds[-1])
        ax.set_xlabel("t (ps)")
        ax.set_ylabel(f"F(Q, t) / F(Q, 0), {self.scattering}")
        ax.legend(edgecolor="none", framealpha=0.7, fontsize="small", handlelength=1.2)
        return ax

    def _chosen(self, q: Sequence[float] | None) -> list[int]:
        if q is not None:
            rows = np.searchsorted(self.q, np.asarray(q, dtype=float), side="right") - 1
            return np.clip(rows, 0, len(self.q) - 2).tolist()
        known = np.flatnonzero(np.isfinite(self.intensity[:, 0]))
        if self.q_reduced is not None:  # a path passes some points twice
            _, first = np.unique(np.round(self.q_reduced, 6), axis=0, return_index=True)
            known = np.intersect1d(known, first)
        count = min(_MOST_CURVES, len(known))
        return known[np.linspace(0, len(known) - 1, count).round().astype(int)].tolist()

    def _name(self, row: int) -> str:
        if self.q_reduced is not None:
            return "(" + " ".join(f"{x:.3g}" for x in self.q_reduced[row]) + ")"
        return f"{self.q_centres[row]:.3g} {unit_label(self.units['wavevector'])}"
