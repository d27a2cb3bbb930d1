"""One-dimensional cuts through S(Q, E)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.base import Result, array
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.histogram import bin_centres
from scatterml_ase.results.parts import draw_parts, known_parts
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
    parts, part_names
        What the intensity is the sum of, shape (part, bin), and what each is; None if the map was
        not taken apart.
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
    parts: np.ndarray | None = array("part", "bin", unit="mbarn/sr/{energy}", default=None)
    part_names: tuple[str, ...] = ()

    signal: ClassVar[str] = "intensity"
    row_dims: ClassVar[tuple[str, ...]] = ("bin",)

    def __post_init__(self) -> None:
        """Check that the parts add up."""
        intensity = np.asarray(self.intensity, dtype=float)
        object.__setattr__(self, "parts", known_parts(self.parts, self.part_names, intensity))
        super().__post_init__()

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
        return bin_centres(self.edges)

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

    def plot_parts(self, ax: Axes | None = None) -> Axes:
        """Draw the parts on top of each other, and their sum as a line; return the axes.

        Raises
        ------
        InputError
            If there are none.
        """
        return draw_parts(self, ax)


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
        mean = _Mean.of(sqw, 0, sqw.q_centres, np.diff(sqw.q), q)
        along = {"energy_transfer": sqw.energy_transfer, "q_range": np.array(q)}
    else:
        assert energy is not None
        widths = np.diff(sqw.energy_transfer)
        mean = _Mean.of(sqw, 1, sqw.energy_centres, widths, energy)
        along = {"q": sqw.q, "energy_range": np.array(energy)}
    return SqwCut(
        crystal=sqw.crystal,
        intensity=mean(sqw.intensity),
        error=None if sqw.error is None else np.sqrt(mean.of_squares(sqw.error)),
        parts=None if sqw.parts is None else np.array([mean(part) for part in sqw.parts]),
        part_names=sqw.part_names,
        temperature=sqw.temperature,
        axis=sqw.axis,
        scale=sqw.scale,
        ki_over_kf=sqw.ki_over_kf,
        units=sqw.units,
        provenance=sqw.provenance,
        **along,
    )


class _Mean(NamedTuple):
    """The mean over a range of one axis of a map: which, with the shares of the bins."""

    axis: int
    share: np.ndarray
    known: np.ndarray

    @classmethod
    def of(
        cls, sqw: SqwMap, axis: int, centres: np.ndarray, widths: np.ndarray, limits: Range
    ) -> Self:
        """Weigh the measured bins with centres within ``limits`` by their widths."""
        low, high = limits or (-np.inf, np.inf)
        chosen = (centres >= low) & (centres <= high)
        if not chosen.any():
            raise InputError(
                explain(
                    f"The range {low} … {high} holds no bin",
                    f"bin centres run from {centres[0]:.4g} to {centres[-1]:.4g}",
                    "Choose a range within these",
                )
            )
        across, rest = ((-1, 1), (1, -1)) if axis == 0 else ((1, -1), (-1, 1))
        weights = np.where(sqw.mask, (chosen * widths).reshape(across), 0.0)
        total = weights.sum(axis=axis)
        share = weights / np.where(total > 0, total, np.nan).reshape(rest)
        return cls(axis, share, total > 0)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return the mean, NaN where nothing is measured."""
        mean = np.nansum(self.share * values, axis=self.axis)
        return np.where(self.known, mean, np.nan)

    def of_squares(self, errors: np.ndarray) -> np.ndarray:
        """Return the variance of the mean of independent values."""
        return np.nansum((self.share * errors) ** 2, axis=self.axis)
