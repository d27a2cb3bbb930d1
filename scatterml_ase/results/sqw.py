"""S(Q, E): what a neutron spectrometer sees, on bins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.broadening import SIGMA_TO_FWHM, broaden
from scatterml_ase.results import sqw_figure
from scatterml_ase.results.base import Result, array
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.cut import SqwCut

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Scale = Literal["atom", "formula_unit", "cell"]
Width = float | np.ndarray | Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False, kw_only=True)
class SqwMap(Result):
    """d²σ/dΩdE divided by k_f/k_i, on bins of Q and of energy transfer E.

    E > 0 where the neutron loses energy. Bins that are not measured hold NaN.

    Parameters
    ----------
    crystal
        The primitive cell.
    q
        Edges of the Q bins in Å⁻¹, shape (q + 1,): |Q| of a powder, or length along a path.
    energy_transfer
        Edges of the energy bins in meV, shape (energy + 1,).
    intensity
        Mean over each bin, shape (q, energy), in mbarn sr⁻¹ meV⁻¹ per atom (see ``scale``).
    mask
        True where measured or calculated, shape (q, energy); None: where the intensity is finite.
    error
        Standard deviation of the intensity, if known.
    temperature
        In K.
    axis
        ``"powder"``: q is |Q|; ``"path"``: q runs along straight lines.
    scale
        What the intensity is per.
    distance, q_reduced
        Along a path: where in each bin the wavevector was taken (Å⁻¹), and the wavevector in
        reciprocal-lattice units, shape (q, 3).
    labels
        Along a path: (index of the point, name) of special points.
    kinematics
        ``geometry``, ``fixed_energy`` in meV and ``two_theta`` in degrees of the instrument.
    relative_error
        Estimated sampling error of a powder average: mean |error| / mean intensity.
    wavevectors
        How many wavevectors were sampled, symmetry-equivalent ones counted once.
    imaginary_share
        Share of sampled modes that are imaginary and left out.
    """

    crystal: Crystal
    q: np.ndarray = array("q+1", unit="{wavevector}")
    energy_transfer: np.ndarray = array("energy+1", unit="{energy}")
    intensity: np.ndarray = array("q", "energy", unit="mbarn/sr/{energy}")
    mask: np.ndarray = array("q", "energy", default=None)
    error: np.ndarray | None = array("q", "energy", unit="mbarn/sr/{energy}", default=None)
    distance: np.ndarray | None = array("q", unit="{wavevector}", default=None)
    q_reduced: np.ndarray | None = array("q", "xyz", default=None)
    temperature: float = float("nan")
    axis: Literal["powder", "path"] = "powder"
    scale: Scale = "atom"
    labels: tuple[tuple[int, str], ...] = ()
    kinematics: Mapping[str, Any] | None = None
    relative_error: float | None = None
    wavevectors: int | None = None
    imaginary_share: float = 0.0

    signal: ClassVar[str] = "intensity"
    axes: ClassVar[tuple[str, ...]] = ("q", "energy_transfer")
    row_dims: ClassVar[tuple[str, ...]] = ("q", "energy")

    def __post_init__(self) -> None:
        """Check the edges; put NaN where nothing is measured."""
        for name in ("q", "energy_transfer"):
            edges = np.asarray(getattr(self, name), dtype=float)
            if edges.ndim != 1 or len(edges) < 2 or not np.all(np.diff(edges) > 0):
                raise InputError(
                    explain(
                        f"SqwMap.{name} is no list of bin edges",
                        "edges are ascending, and there are two at least",
                        "Give e.g. np.linspace(0, 80, 161)",
                    )
                )
        intensity = np.array(self.intensity, dtype=float)
        mask = np.isfinite(intensity) if self.mask is None else np.asarray(self.mask, dtype=bool)
        if mask.shape == intensity.shape:  # otherwise the base class explains
            intensity[~mask] = np.nan
        object.__setattr__(self, "intensity", intensity)
        object.__setattr__(self, "mask", mask)
        super().__post_init__()

    @property
    def q_centres(self) -> np.ndarray:
        """Centres of the Q bins, in the unit of ``q``."""
        return (self.q[1:] + self.q[:-1]) / 2

    @property
    def energy_centres(self) -> np.ndarray:
        """Centres of the energy bins, in the unit of ``energy_transfer``."""
        return (self.energy_transfer[1:] + self.energy_transfer[:-1]) / 2

    def per(self, scale: Scale) -> Self:
        """Return the same map per ``"atom"``, ``"formula_unit"`` or primitive ``"cell"``."""
        atoms = {
            "atom": 1.0,
            "formula_unit": len(self.crystal) / self.crystal.formula_units,
            "cell": float(len(self.crystal)),
        }
        if scale not in atoms:
            raise InputError(
                explain(
                    f"A spectrum per {scale!r} is not known",
                    f"it can be per {', '.join(atoms)}",
                    "Use one of these",
                )
            )
        factor = atoms[scale] / atoms[self.scale]
        error = None if self.error is None else self.error * factor
        return replace(self, intensity=self.intensity * factor, error=error, scale=scale)

    def cut(
        self,
        *,
        q: tuple[float, float] | None = None,
        energy: tuple[float, float] | None = None,
    ) -> SqwCut:
        """Return the mean over a range of q, as a function of energy, or the other way round.

        Bins are taken if their centre lies in the range; only measured ones count.

        Parameters
        ----------
        q
            Range in the unit of ``q``; the cut runs over energy.
        energy
            Range in the unit of ``energy_transfer``; the cut runs over q.
        """
        if (q is None) == (energy is None):
            raise InputError(
                explain(
                    "A cut needs one range",
                    f"q={q} and energy={energy} were given",
                    "Give cut(q=(2, 4)) for a spectrum or cut(energy=(10, 20)) for a profile",
                )
            )
        if q is not None:
            values, error = self._mean(0, self.q_centres, np.diff(self.q), q)
            axis = {"energy_transfer": self.energy_transfer}
        else:
            assert energy is not None
            widths = np.diff(self.energy_transfer)
            values, error = self._mean(1, self.energy_centres, widths, energy)
            axis = {"q": self.q}
        return SqwCut(
            crystal=self.crystal,
            intensity=values,
            error=error,
            q_range=None if q is None else np.array(q),
            energy_range=None if energy is None else np.array(energy),
            temperature=self.temperature,
            axis=self.axis,
            scale=self.scale,
            units=self.units,
            provenance=self.provenance,
            **axis,
        )

    def broadened(self, *, energy_fwhm: Width | None = None, q_fwhm: Width | None = None) -> Self:
        """Convolve with Gaussians whose full widths at half maximum are given.

        Integrals are conserved, but for what leaves the ends of an axis and what would have come
        in from beyond them. Unmeasured bins give nothing and stay unmeasured.

        Parameters
        ----------
        energy_fwhm, q_fwhm
            One width, one per bin, or a function of the bin centres; in the units of the axes.
        """
        intensity = np.where(self.mask, self.intensity, 0.0)
        jobs = (
            (energy_fwhm, self.energy_transfer, self.energy_centres, 1),
            (q_fwhm, self.q, self.q_centres, 0),
        )
        for width, edges, centres, axis in jobs:
            if width is not None:
                fwhm = width(centres) if callable(width) else width
                sigma = np.asarray(fwhm, dtype=float) / SIGMA_TO_FWHM
                intensity = broaden(intensity, edges, sigma, axis=axis)
        return replace(self, intensity=intensity, error=None)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        maximum: float | None = None,
        log: bool = False,
        colormap: str = "viridis",
    ) -> Axes:
        """Draw the map with a colour bar; unmeasured bins are grey.

        Parameters
        ----------
        maximum
            Intensity at the top of the colour scale; None: above nearly all bins.
        log
            Logarithmic colours over three decades.
        colormap
            Name of a matplotlib colour map.
        """
        return sqw_figure.draw_map(self, ax, maximum=maximum, log=log, colormap=colormap)

    def _mean(
        self, axis: int, centres: np.ndarray, widths: np.ndarray, limits: tuple[float, float]
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
        shape = (-1, 1) if axis == 0 else (1, -1)
        weights = np.where(self.mask, (chosen * widths).reshape(shape), 0.0)
        total = weights.sum(axis=axis)
        share = weights / np.where(total > 0, total, np.nan).reshape(
            (1, -1) if axis == 0 else (-1, 1)
        )
        mean = np.where(total > 0, np.nansum(share * self.intensity, axis=axis), np.nan)
        if self.error is None:
            return mean, None
        return mean, np.sqrt(np.nansum((share * self.error) ** 2, axis=axis))
