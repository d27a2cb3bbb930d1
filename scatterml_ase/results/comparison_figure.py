"""How a simulation is drawn beside a measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scatterml_ase.results.plotting import INK, PALETTE, UNMEASURED, new_axes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from scatterml_ase.results.cut import SqwCut
    from scatterml_ase.results.sqw import SqwMap
    from scatterml_ase.results.sqw_comparison import SqwComparison

_ROW = 0.075
"""Height of a line of the legend, over that of the axes."""
_LIMIT = 5.0
"""Standard deviations at the ends of the colours of a difference."""


def draw_spectra(
    comparison: SqwComparison,
    measured: SqwCut,
    fitted: SqwCut,
    ax: Axes | None,
    *,
    components: Mapping[str, SqwCut],
) -> Axes:
    """Draw points with error bars, the fit, and its background; see :meth:`SqwComparison.plot`."""
    ax = new_axes(ax)
    ax.errorbar(
        measured.centres,
        measured.intensity,
        yerr=measured.error,
        fmt="o",
        markersize=3,
        linewidth=0.8,
        color=INK,
        label="measured",
    )
    terms = [f"{comparison.scale:.3g} × simulated", *components, "background"]
    fitted.plot(ax, color=PALETTE[1], label=" + ".join(terms))
    for index, (name, cut) in enumerate(components.items(), start=2):
        color = PALETTE[index % len(PALETTE)]
        ax.plot(cut.centres, cut.intensity, color=color, linestyle=":", label=name)
    ax.plot(
        fitted.centres,
        comparison.background,
        color=PALETTE[0],
        linewidth=1.0,
        linestyle="--",
        label="background",
    )
    known = np.isfinite(measured.intensity)
    curves = [measured.intensity, fitted.intensity, comparison.background]
    values = [curve[known] for curve in (*curves, *(cut.intensity for cut in components.values()))]
    low, high = min(0.0, np.nanmin(values)), np.nanmax(values)
    room = 0.05 + _ROW * (len(components) + 3)  # for the legend, above all that is drawn
    ax.set_ylim(low - 0.02 * (high - low), high + room * (high - low))
    ax.set_xlim(_span(comparison.energy_transfer, comparison.mask, 1))
    ax.legend(frameon=False, fontsize="small", loc="upper right")
    ax.set_title(_agreement(comparison), fontsize="medium")
    return ax


def draw_maps(comparison: SqwComparison, measured: SqwMap, fitted: SqwMap) -> Figure:
    """Draw both maps with one scale of colours, and what is left; see ``plot_maps``."""
    import matplotlib.pyplot as plt
    from matplotlib import colormaps

    figure, axes = plt.subplots(1, 3, figsize=(14, 3.8), layout="constrained", sharey=True)
    figure.set_layout_engine("constrained", w_pad=0.12)
    known = measured.intensity[measured.mask]
    top = max(float(np.percentile(known, 99)), np.finfo(float).tiny)
    for ax, sqw, title in zip(axes, (measured, fitted), ("Measured", "Fitted"), strict=False):
        sqw.plot(ax, maximum=top)
        ax.set_title(title)
    rest, label = comparison.residual.intensity, "Measured − fitted"
    limit = float(np.nanpercentile(np.abs(rest), 99))
    if comparison.error is not None:
        rest, label, limit = rest / comparison.error, "(Measured − fitted) / error", _LIMIT
    mesh = axes[2].pcolormesh(
        comparison.q,
        comparison.energy_transfer,
        np.ma.masked_invalid(rest).T,
        cmap=colormaps["RdBu_r"].with_extremes(bad=UNMEASURED),
        vmin=-limit,
        vmax=limit,
        rasterized=True,
    )
    figure.colorbar(mesh, ax=axes[2], extend="both", pad=0.02).set_label(label)
    axes[2].set_xlabel(axes[0].get_xlabel())
    axes[2].set_title(_agreement(comparison), fontsize="medium")
    for ax in axes:
        ax.set_xlim(_span(comparison.q, comparison.mask, 0))
        ax.set_ylim(_span(comparison.energy_transfer, comparison.mask, 1))
    for ax in axes[1:]:
        ax.set_ylabel("")
    return figure


def _span(edges: np.ndarray, mask: np.ndarray, axis: int) -> tuple[float, float]:
    """Return from where to where along an axis bins took part in the fit."""
    places = np.nonzero(mask)[axis]
    return float(edges[places.min()]), float(edges[places.max() + 1])


def _agreement(comparison: SqwComparison) -> str:
    text = f"mean difference {100 * comparison.relative_difference:.0f} %"
    if np.isfinite(comparison.chi2):
        return f"χ²/degree of freedom {comparison.chi2_per_degree:.3g}, {text}"
    return text
