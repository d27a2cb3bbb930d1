"""A simulated map beside a measured one: scale, background and how well they agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from scatterml_ase.errors import AccuracyWarning, InputError, explain, warn
from scatterml_ase.physics.least_squares import LinearFit, fit_linear
from scatterml_ase.results.base import Result, array
from scatterml_ase.results.comparison_figure import draw_maps, draw_spectra
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.results.sqw_scale import Scale, spell_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Background = Literal["none", "constant", "linear"]
Range = tuple[float, float] | None
_EMPTY = 0.1
"""Share of bins without a count above which a fit is warned of."""
_COLUMNS = {"none": 0, "constant": 1, "linear": 2}


@dataclass(frozen=True, eq=False, kw_only=True)
class SqwComparison(Result):
    """Measured ≈ scale · simulated + background, fitted by weighted linear least squares.

    Made by :meth:`SqwMap.compare`.

    Parameters
    ----------
    q, energy_transfer
        Edges of the measured bins, in Å⁻¹ and meV.
    measured, error
        Measured intensity and its standard deviation (None if it was not given), shape
        (q, energy), in the unit of the measurement.
    fitted
        scale · simulated + background on the measured bins.
    mask
        True where a bin took part in the fit: known on both sides and in the ranges asked for.
    background, background_error
        Fitted background at each energy, shape (energy,), and its standard deviation.
    scale, scale_error
        Factor on the simulation and its standard deviation.
    chi2
        Σ ((measured − fitted)/error)² over the bins of the fit; NaN without errors.
    degrees_of_freedom
        Bins less fitted numbers.
    temperature
        Of the measurement, in K.
    measured_scale, axis
        Of the measurement, as in :class:`SqwMap`.
    components, component_names
        What was fitted beside the simulation, such as multiple scattering: share of each in
        ``fitted``, shape (component, q, energy), and what it is. None if nothing was.
    component_scales, component_errors
        Factor on each component and its standard deviation, shape (component,).
    """

    q: np.ndarray = array("q+1", unit="{wavevector}")
    energy_transfer: np.ndarray = array("energy+1", unit="{energy}")
    measured: np.ndarray = array("q", "energy", unit="mbarn/sr/{energy}")
    fitted: np.ndarray = array("q", "energy", unit="mbarn/sr/{energy}")
    mask: np.ndarray = array("q", "energy")
    background: np.ndarray = array("energy", unit="mbarn/sr/{energy}")
    background_error: np.ndarray = array("energy", unit="mbarn/sr/{energy}")
    error: np.ndarray | None = array("q", "energy", unit="mbarn/sr/{energy}", default=None)
    scale: float
    scale_error: float
    chi2: float
    degrees_of_freedom: int
    temperature: float = float("nan")
    measured_scale: Scale = "arbitrary"
    axis: Literal["powder", "path"] = "powder"
    components: np.ndarray | None = array(
        "component", "q", "energy", unit="mbarn/sr/{energy}", default=None
    )
    component_scales: np.ndarray | None = array("component", default=None)
    component_errors: np.ndarray | None = array("component", default=None)
    component_names: tuple[str, ...] = ()

    signal: ClassVar[str] = "measured"
    axes: ClassVar[tuple[str, ...]] = ("q", "energy_transfer")
    row_dims: ClassVar[tuple[str, ...]] = ("q", "energy")

    @property
    def chi2_per_degree(self) -> float:
        """χ² per degree of freedom: about 1 where the two agree within the errors."""
        return self.chi2 / self.degrees_of_freedom if self.degrees_of_freedom else float("nan")

    @property
    def relative_difference(self) -> float:
        """Mean |measured − fitted| over mean |measured|, in the bins of the fit."""
        rest = np.abs(self.measured - self.fitted)[self.mask].sum()
        return float(rest / np.abs(self.measured)[self.mask].sum())

    @property
    def residual(self) -> SqwMap:
        """Measured − fitted on the bins of the fit, as a map with the measured errors."""
        return self._map(self.measured - self.fitted)

    def unit_of(self, name: str) -> str:
        """Return the present unit of the array ``name``."""
        return spell_unit(super().unit_of(name), self.measured_scale)

    def plot(self, ax: Axes | None = None, *, q: Range = None) -> Axes:
        """Draw measured and fitted spectra over energy, mean over the bins of the fit.

        Parameters
        ----------
        q
            Range of Q to average over; None: all.
        """
        limits = q or (self.q[0], self.q[-1])
        measured = self._map(self.measured).cut(q=limits)
        fitted = self._map(self.fitted, errors=False).cut(q=limits)
        others = () if self.components is None else self.components
        cuts = [self._map(values, errors=False).cut(q=limits) for values in others]
        components = dict(zip(self.component_names, cuts, strict=True))
        return draw_spectra(self, measured, fitted, ax, components=components)

    def plot_maps(self) -> Figure:
        """Draw measured map, fitted map, and their difference in standard deviations."""
        fitted = self._map(self.fitted, errors=False)
        return draw_maps(self, self._map(self.measured), fitted)

    def _map(self, intensity: np.ndarray, *, errors: bool = True) -> SqwMap:
        return SqwMap(
            q=self.q,
            energy_transfer=self.energy_transfer,
            intensity=intensity,
            error=self.error if errors else None,
            mask=self.mask,
            temperature=self.temperature,
            axis=self.axis,
            scale=self.measured_scale,
            units=self.units,
            provenance=self.provenance,
        )


def compare(
    simulated: SqwMap,
    measured: SqwMap,
    *,
    background: Background = "constant",
    components: Mapping[str, SqwMap] | None = None,
    q: Range = None,
    energy: Range = None,
) -> SqwComparison:
    """Fit a simulated map to a measured one; see :meth:`SqwMap.compare`."""
    if background not in _COLUMNS:
        what = f"background={background!r} is not known"
        fix = f"Use one of {', '.join(map(repr, _COLUMNS))}"
        raise InputError(explain(what, "it is fitted with the scale", fix))
    names = tuple(components or {})
    maps = [_on_bins_of(sqw, measured) for sqw in (simulated, *(components or {}).values())]
    intensities = np.array([sqw.intensity for sqw in maps])
    mask = _wanted(measured, q, energy) & np.all([sqw.mask for sqw in maps], axis=0)
    _warn_of_few_counts(measured, mask)
    shapes = measured.energy_centres[:, None] ** np.arange(_COLUMNS[background])
    fit = _fit(intensities, measured, mask, shapes)
    last = len(maps)
    scales, errors = fit.coefficients[:last], np.sqrt(np.diag(fit.covariance))[:last]
    for name, factor in zip(("simulation", *names), scales.tolist(), strict=True):
        _warn_if_negative(name, factor)
    shares = scales[:, None, None] * intensities
    level = shapes @ fit.coefficients[last:]
    spread = np.sqrt(np.einsum("ei,ij,ej->e", shapes, fit.covariance[last:, last:], shapes))
    return SqwComparison(
        q=measured.q,
        energy_transfer=measured.energy_transfer,
        measured=measured.intensity,
        fitted=shares.sum(axis=0) + level,
        error=measured.error,
        mask=mask,
        background=level,
        background_error=spread,
        scale=float(scales[0]),
        scale_error=float(errors[0]),
        components=shares[1:] if names else None,
        component_scales=scales[1:] if names else None,
        component_errors=errors[1:] if names else None,
        component_names=names,
        chi2=fit.chi2 if measured.error is not None else float("nan"),
        degrees_of_freedom=int(mask.sum()) - len(fit.coefficients),
        temperature=measured.temperature,
        measured_scale=measured.scale,
        axis=measured.axis,
        units=measured.units,
        provenance={
            "measured": measured.provenance,
            "simulated": simulated.provenance,
            "background": background,
            "components": {name: sqw.provenance for name, sqw in (components or {}).items()},
            "ranges": {"q": q, "energy": energy},
        },
    )


def _wanted(measured: SqwMap, q: Range, energy: Range) -> np.ndarray:
    """Return the measured bins in the ranges; one without width would have infinite weight."""
    mask = np.array(measured.mask)
    if q is not None:
        mask &= ((measured.q_centres >= q[0]) & (measured.q_centres <= q[1]))[:, None]
    if energy is not None:
        mask &= (measured.energy_centres >= energy[0]) & (measured.energy_centres <= energy[1])
    return mask if measured.error is None else mask & (measured.error > 0)


def _warn_if_negative(name: str, scale: float) -> None:
    if scale <= 0:
        what = f"The {name} fits with a scale of {scale:.3g}"
        why = "where it is bright the measurement is dark"
        fix = "Check crystal and units, or leave out the elastic line: energy="
        warn(explain(what, why, fix), stacklevel=5)


def _warn_of_few_counts(measured: SqwMap, mask: np.ndarray) -> None:
    """Warn if many bins hold no count: errors that are roots of counts then weigh low ones more."""
    empty = float(np.mean(measured.intensity[mask] == 0)) if mask.any() else 0.0
    if measured.error is not None and empty > _EMPTY:
        what = f"{100 * empty:.0f} % of the measured bins hold no count"
        why = (
            "where few are counted, bins that happen to hold fewer weigh more: scales come out low"
        )
        fix = "Rebin: measured.rebinned(measured.q[::4], measured.energy_transfer[::4])"
        warn(explain(what, why, fix), AccuracyWarning, stacklevel=4)


def _on_bins_of(simulated: SqwMap, measured: SqwMap) -> SqwMap:
    """Return the simulation on the measured bins, per what and with k_f/k_i as measured."""
    if simulated.axis != measured.axis:
        what = (
            f"A map with axis {simulated.axis!r} cannot be compared with one of {measured.axis!r}"
        )
        raise InputError(explain(what, "they are functions of different Q", "Simulate the other"))
    if measured.scale not in ("arbitrary", simulated.scale):
        simulated = simulated.per(measured.scale)
    if measured.ki_over_kf is False and simulated.ki_over_kf:
        known = replace(simulated, kinematics=measured.kinematics or simulated.kinematics)
        simulated = known.with_ki_over_kf(applied=False)
    elif measured.ki_over_kf and simulated.ki_over_kf is False:
        simulated = simulated.with_ki_over_kf()
    for kind in ("energy", "wavevector"):
        simulated = simulated.to(measured.units[kind])
    return simulated.rebinned(measured.q, measured.energy_transfer)


def _fit(
    intensities: np.ndarray, measured: SqwMap, mask: np.ndarray, shapes: np.ndarray
) -> LinearFit:
    """Fit the bins of ``mask``; without errors these follow from the scatter of the data.

    Parameters
    ----------
    intensities
        Of the simulation and of components, shape (map, q, energy).
    measured
        The measurement.
    mask
        Bins to fit, shape (q, energy).
    shapes
        Of the background, shape (energy, shape).

    Raises
    ------
    InputError
        If too few bins are shared or the simulation is as flat as the background.
    """
    place = np.nonzero(mask)[1]
    columns = np.column_stack([*intensities[:, mask], shapes[place]])
    if len(columns) <= columns.shape[1]:
        what = f"Measurement and simulation share {len(columns)} bins"
        why = f"more than {columns.shape[1]} must be known in both to fit scale and background"
        fix = "Simulate the measured range of Q and E, with bins no wider, or widen the ranges"
        raise InputError(explain(what, why, fix))
    known = measured.error is not None
    sigma = measured.error[mask] if measured.error is not None else np.ones(len(columns))
    fit = fit_linear(columns, measured.intensity[mask], sigma)
    if fit is None:
        what = "Scale, components and background cannot be told apart"
        why = "one of them is zero, or a sum of the others, where it was measured"
        fix = "Fit a wider range, fewer components, or background='none'"
        raise InputError(explain(what, why, fix))
    spread = fit.chi2 / (len(columns) - columns.shape[1])
    return fit if known else fit._replace(covariance=fit.covariance * spread)
