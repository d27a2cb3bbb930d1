"""S(Q, E): what a neutron spectrometer sees, on bins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from scatterml_ase.results import sqw_bins, sqw_figure
from scatterml_ase.results.base import Result, array
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.cut import SqwCut, cut_map
from scatterml_ase.results.histogram import bin_centres, check_edges, known_bins
from scatterml_ase.results.parts import known_parts, part_index
from scatterml_ase.results.sqw_scale import Scale, ki_over_kf_factor, scale_factor, spell_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scatterml_ase.results.sqw_comparison import Background, SqwComparison


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
    parts, part_names
        What the intensity is the sum of, shape (part, q, energy) in its unit, and what each is:
        ``"coherent 1"``, ``"incoherent 1"``, ``"2 phonons"``, …, ``"beyond"``. None if it was not
        taken apart.
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
    parts: np.ndarray | None = array("part", "q", "energy", unit="mbarn/sr/{energy}", default=None)
    part_names: tuple[str, ...] = ()

    signal: ClassVar[str] = "intensity"
    axes: ClassVar[tuple[str, ...]] = ("q", "energy_transfer")
    row_dims: ClassVar[tuple[str, ...]] = ("q", "energy")

    def __post_init__(self) -> None:
        """Check the edges; put NaN where nothing is measured."""
        for name in ("q", "energy_transfer"):
            check_edges(f"SqwMap.{name}", getattr(self, name))
        intensity, mask = known_bins(self.intensity, self.mask)
        object.__setattr__(self, "intensity", intensity)
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "parts", known_parts(self.parts, self.part_names, intensity))
        super().__post_init__()

    @property
    def q_centres(self) -> np.ndarray:
        """Centres of the Q bins, in the unit of ``q``."""
        return bin_centres(self.q)

    @property
    def energy_centres(self) -> np.ndarray:
        """Centres of the energy bins, in the unit of ``energy_transfer``."""
        return bin_centres(self.energy_transfer)

    def per(self, scale: Scale) -> Self:
        """Return the same map per ``"atom"``, ``"formula_unit"`` or primitive ``"cell"``."""
        factor = scale_factor(self.scale, scale, self.crystal)
        return replace(self, **self._times(factor), scale=scale)

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
        factor = ki_over_kf_factor(self, applied=applied)
        mask = self.mask & np.isfinite(factor)
        return replace(self, **self._times(factor), mask=mask, ki_over_kf=applied)

    def scaled(self, factor: np.ndarray | float, told: Mapping[str, Any] | None = None) -> Self:
        """Return the map times a factor of each bin, with its error and parts.

        Parameters
        ----------
        factor
            Shape (q, energy) or what broadcasts to it; bins where it is not finite count as not
            measured.
        told
            What is added to the provenance.
        """
        mask = self.mask & np.isfinite(factor)
        known = {**self.provenance, **(told or {})}
        return replace(self, **self._times(factor), mask=mask, provenance=known)

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
        return sqw_bins.rebinned(self, q, energy_transfer, minimum_coverage=minimum_coverage)

    def cut(
        self,
        *,
        q: tuple[float, float] | None = None,
        energy: tuple[float, float] | None = None,
        part: str | None = None,
    ) -> SqwCut:
        """Return the mean over a range of q, as a function of energy, or the other way round.

        Bins are taken if their centre lies in the range; only measured ones count.

        Parameters
        ----------
        q
            Range in the unit of ``q``; the cut runs over energy.
        energy
            Range in the unit of ``energy_transfer``; the cut runs over q.
        part
            One of ``part_names``, to cut through that part alone.
        """
        return cut_map(self if part is None else self.part(part), q, energy)

    def part(self, name: str) -> Self:
        """Return the map of one of ``part_names`` alone.

        Raises
        ------
        InputError
            If there is no such part.
        """
        index = part_index(self.part_names, name)
        assert self.parts is not None  # names without parts are refused
        return replace(self, intensity=self.parts[index], error=None, parts=None, part_names=())

    def broadened(
        self, *, energy_fwhm: sqw_bins.Width | None = None, q_fwhm: sqw_bins.Width | None = None
    ) -> Self:
        """Convolve with Gaussians whose full widths at half maximum are given.

        Integrals are conserved, but for what leaves the ends of an axis and what would have come
        in from beyond them. Unmeasured bins give nothing and stay unmeasured.

        Parameters
        ----------
        energy_fwhm, q_fwhm
            One width, one per bin, or a function of the bin centres; in the units of the axes.
        """
        return sqw_bins.broadened(self, energy_fwhm, q_fwhm)

    def compare(
        self,
        measured: SqwMap,
        *,
        background: Background = "constant",
        components: Mapping[str, SqwMap] | None = None,
        q: tuple[float, float] | None = None,
        energy: tuple[float, float] | None = None,
    ) -> SqwComparison:
        """Fit this simulation to a measured map: scale · simulated + components + background.

        The simulation is averaged over the measured bins, and k_f/k_i put in if it is in the
        measurement. Bins known in both count, weighted by 1/error². Broaden the simulation with
        the instrument's resolution before.

        Parameters
        ----------
        measured
            From e.g. :func:`~scatterml_ase.read_sqw`.
        background
            ``"constant"``, ``"linear"`` in energy, or ``"none"``.
        components
            Maps that are fitted too, each with a scale of its own, by name: multiple scattering
            (:class:`~scatterml_ase.scattering.multiple.MultipleScattering`), another phase, a can.
        q, energy
            Ranges to fit, in the units of ``measured``; leave out the elastic line, which is not
            simulated, by ``energy``.

        Raises
        ------
        InputError
            If they share too few bins, or scale and background cannot be told apart.

        Warns
        -----
        AccuracyWarning
            If more than 10 % of the bins hold no count: then the scale comes out low.
        """
        from scatterml_ase.results.sqw_comparison import compare

        return compare(
            self, measured, background=background, components=components, q=q, energy=energy
        )

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

    def _times(self, factor: np.ndarray | float) -> dict[str, Any]:
        """Return everything in the unit of the intensity, multiplied."""
        names = ("intensity", "error", "parts")
        values = {name: getattr(self, name) for name in names}
        return {name: None if v is None else v * factor for name, v in values.items()}
