"""How the counts of detectors are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scatterml_ase.results.plotting import UNMEASURED, intensity_label, new_axes, unit_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scatterml_ase.results.detector_map import DetectorMap


def draw_detectors(detectors: DetectorMap, ax: Axes | None, maximum: float | None) -> Axes:
    """Draw intensity over 2θ and E; see :meth:`DetectorMap.plot`."""
    from matplotlib import colormaps

    ax = new_axes(ax)
    order = np.argsort(detectors.polar, kind="stable")
    values = np.ma.masked_invalid(detectors.intensity[order])
    if maximum is None:
        positive = values.compressed()[values.compressed() > 0]
        maximum = float(np.percentile(positive, 99)) if len(positive) else 1.0
    mesh = ax.pcolormesh(
        _edges(detectors.polar[order], detectors.borders()),
        detectors.energy_transfer,
        values.T,
        cmap=colormaps["viridis"].with_extremes(bad=UNMEASURED),
        vmin=0.0,
        vmax=maximum,
        rasterized=True,
    )
    unit, flag = detectors.units["energy"], detectors.ki_over_kf
    ax.set_xlabel("Scattering angle 2θ (degree)")
    ax.set_ylabel(f"Energy transfer ({unit_label(unit)})")
    if (figure := ax.get_figure()) is not None:
        bar = figure.colorbar(mesh, ax=ax, extend="max", pad=0.02)
        label = intensity_label("powder", unit, detectors.scale, ki_over_kf=flag)
        bar.set_label(label.replace("|Q|", "2θ"))
    return ax


def _edges(centres: np.ndarray, borders: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return edges halfway between neighbouring detectors."""
    low, high = min(borders[0].min(), centres[0]), max(borders[1].max(), centres[-1])
    return np.concatenate([[low], (centres[1:] + centres[:-1]) / 2, [high]])
