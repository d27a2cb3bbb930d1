"""S(Q, E): what a neutron spectrometer sees, on bins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.broadening import SIGMA_TO_FWHM, broaden
from scatterml_ase.physics.rebinning import rebin
from scatterml_ase.results import sqw_figure
from scatterml_ase.results.base import Result, array
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.cut import SqwCut, cut_map
from scatterml_ase.results.sqw_scale import Scale, kf_over_ki, scale_factor, spell_unit
from scatterml_ase.units import conversion_factor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Width = float | np.ndarray | Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False, kw_only=True)
class SqwMap(Result):
    """d²σ/dΩdE divided by k_f/k_i, on bins of Q and of energy transfer E.

    E > 0 where the neutron loses energy. Bins that are not measured hold NaN.

    Parameters
    ----------
    crystal
        The primitive cell; None if it is not known, as in most measurements.
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
        What the intensity is per; ``"arbitrary"``: its unit is not known, as in most measurements.
    ki_over_kf
        True: the measured intensity was multiplied by k_i/k_f, or calculated without k_f/k_i;
        False: k_f/k_i is in it; None: not known.
    distance, q_reduced
        Along a path: where in each bin the wavevector was taken (Å⁻¹), and the wavevector in
        reciprocal-lattice units, shape (q, 3).
    labels
        Along a path: (index of the point, name) of special points.
    kinematics
        Of the instrument: ``geometry`` ("direct" or "indirect"), ``fixed_energy`` in meV,
        ``two_theta`` (ranges) and, of a turned crystal, ``psi`` in degrees, as far as known.
    relative_error
        Estimated sampling error of a powder average: mean |error| / mean intensity.
    wavevectors
        How many wavevectors were sampled, symmetry-equivalent ones counted once.
    imaginary_share
        Share of sampled modes that are imaginary and left out.
    """

    crystal: Crystal | None = None
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
    ki_over_kf: bool | None = True
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
        factor = scale_factor(self.scale, scale, self.crystal)
        error = None if self.error is None else self.error * factor
        return replace(self, intensity=self.intensity * factor, error=error, scale=scale)

    def unit_of(self, name: str) -> str:
        """Return the present unit of the array ``name``, e.g. ``"mbarn/sr/meV"``."""
        return spell_unit(super().unit_of(name), self.scale)

    def with_ki_over_kf(self, *, applied: bool = True) -> Self:
        """Return the map with k_f/k_i divided out of it, or (``applied=False``) with it in.

        Raises
        ------
        InputError
            If it is not known whether k_f/k_i is in, or at what energy.
        """
        if self.ki_over_kf is None:
            raise InputError(
                explain(
                    "Whether k_f/k_i is in this map is not known",
                    "its file did not say",
                    "Set it: dataclasses.replace(sqw, ki_over_kf=True) if it was divided out",
                )
            )
        if self.ki_over_kf == applied:
            return self
        energies = self.energy_centres * conversion_factor(self.units["energy"], "meV")
        factor = kf_over_ki(energies, self.kinematics) ** (-1 if applied else 1)
        error = None if self.error is None else self.error * factor
        intensity, mask = self.intensity * factor, self.mask & np.isfinite(factor)
        return replace(self, intensity=intensity, error=error, mask=mask, ki_over_kf=applied)

    def rebinned(
        self,
        q: np.ndarray | None = None,
        energy_transfer: np.ndarray | None = None,
        *,
        minimum_coverage: float = 0.999,
    ) -> Self:
        """Return the map on other bins: means over the area shared with bins that are known.

        Parameters
        ----------
        q, energy_transfer
            Edges in the units of the map; None: as they are.
        minimum_coverage
            Share of a new bin that must be known, or it counts as not measured.
        """
        new_q = np.asarray(self.q if q is None else q, dtype=float)
        energies = self.energy_transfer if energy_transfer is None else energy_transfer
        new_energy = np.asarray(energies, dtype=float)
        edges = (self.q, self.energy_transfer)
        found = rebin(self.intensity, self.error, self.mask, edges, (new_q, new_energy))
        changed: dict[str, Any] = {}
        if q is not None:
            changed = {"distance": None, "q_reduced": None, "labels": ()}
        return replace(
            self,
            q=new_q,
            energy_transfer=new_energy,
            intensity=found.values,
            error=found.error,
            mask=found.coverage >= minimum_coverage,
            **changed,
        )

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
        return cut_map(self, q, energy)

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
