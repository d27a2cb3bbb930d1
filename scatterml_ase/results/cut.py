"""One-dimensional cuts through S(Q, E)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.base import Result, array
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.plotting import PALETTE, intensity_label, new_axes, unit_label
from scatterml_ase.results.sqw_scale import Scale, spell_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scatterml_ase.results.sqw import SqwMap

Range = tuple[float, float] | None


@dataclass(frozen=True, eq=False, kw_only=True)
class SqwCut(Result):
    """The mean of S(Q, E) over a range of one axis, as a function of the other.

    Parameters
    ----------
    crystal
        The primitive cell; None if it is not known.
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
    ki_over_kf
        Whether k_i/k_f was applied (see :class:`~scatterml_ase.SqwMap`).
    """

    crystal: Crystal | None = None
    intensity: np.ndarray = array("bin", unit="mbarn/sr/{energy}")
    energy_transfer: np.ndarray | None = array("bin+1", unit="{energy}", default=None)
    q: np.ndarray | None = array("bin+1", unit="{wavevector}", default=None)
    error: np.ndarray | None = array("bin", unit="mbarn/sr/{energy}", default=None)
    q_range: np.ndarray | None = array("2", unit="{wavevector}", default=None)
    energy_range: np.ndarray | None = array("2", unit="{energy}", default=None)
    temperature: float = float("nan")
    axis: Literal["powder", "path"] = "powder"
    scale: Scale = "atom"
    ki_over_kf: bool | None = True

    signal: ClassVar[str] = "intensity"
    row_dims: ClassVar[tuple[str, ...]] = ("bin",)

    @property
    def axes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Name of the array along the bins."""
        return ("energy_transfer",) if self.q is None else ("q",)

    def unit_of(self, name: str) -> str:
        """Return the present unit of the array ``name``, e.g. ``"mbarn/sr/meV"``."""
        return spell_unit(super().unit_of(name), self.scale)

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
        unit, flag = self.units["energy"], self.ki_over_kf
        ax.set_ylabel(intensity_label(self.axis, unit, self.scale, ki_over_kf=flag))
        ax.set_xlim(self.edges[0], self.edges[-1])
        ax.set_ylim(bottom=0)
        return ax


def cut_map(sqw: SqwMap, q: Range, energy: Range) -> SqwCut:
    """Return the mean of a map over one range; see :meth:`SqwMap.cut`."""
    if (q is None) == (energy is None):
        raise InputError(
            explain(
                "A cut needs one range",
                f"q={q} and energy={energy} were given",
                "Give cut(q=(2, 4)) for a spectrum or cut(energy=(10, 20)) for a profile",
            )
        )
    along: dict[str, Any]
    if q is not None:
        values, error = _mean(sqw, 0, sqw.q_centres, np.diff(sqw.q), q)
        along = {"energy_transfer": sqw.energy_transfer, "q_range": np.array(q)}
    else:
        assert energy is not None
        widths = np.diff(sqw.energy_transfer)
        values, error = _mean(sqw, 1, sqw.energy_centres, widths, energy)
        along = {"q": sqw.q, "energy_range": np.array(energy)}
    return SqwCut(
        crystal=sqw.crystal,
        intensity=values,
        error=error,
        temperature=sqw.temperature,
        axis=sqw.axis,
        scale=sqw.scale,
        ki_over_kf=sqw.ki_over_kf,
        units=sqw.units,
        provenance=sqw.provenance,
        **along,
    )


def _mean(
    sqw: SqwMap, axis: int, centres: np.ndarray, widths: np.ndarray, limits: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the mean over the bins within ``limits`` along ``axis``, and its error."""
    chosen = (centres >= limits[0]) & (centres <= limits[1])
    if not chosen.any():
        raise InputError(
            explain(
                f"The range {limits[0]} … {limits[1]} holds no bin",
                f"bin centres run from {centres[0]:.4g} to {centres[-1]:.4g}",
                "Choose a range within these",
            )
        )
    across, rest = ((-1, 1), (1, -1)) if axis == 0 else ((1, -1), (-1, 1))
    weights = np.where(sqw.mask, (chosen * widths).reshape(across), 0.0)
    total = weights.sum(axis=axis)
    share = weights / np.where(total > 0, total, np.nan).reshape(rest)
    mean = np.where(total > 0, np.nansum(share * sqw.intensity, axis=axis), np.nan)
    if sqw.error is None:
        return mean, None
    return mean, np.sqrt(np.nansum((share * sqw.error) ** 2, axis=axis))
