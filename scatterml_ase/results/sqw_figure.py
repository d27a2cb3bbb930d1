"""How S(Q, E) is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scatterml_ase.physics.kinematics import border
from scatterml_ase.results.plotting import (
    INK,
    UNMEASURED,
    intensity_label,
    new_axes,
    path_ticks,
    unit_label,
)
from scatterml_ase.units import conversion_factor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

    from scatterml_ase.results.sqw import SqwMap

_ROBUST = {"powder": 99.0, "path": 60.0}
"""Percentile at the top of the colour scale: of all bins of a powder, where Bragg peaks overflow,
and of the highest bins at each point of a path, where acoustic modes near Γ do."""


def draw_map(
    sqw: SqwMap, ax: Axes | None, *, maximum: float | None, log: bool, colormap: str
) -> Axes:
    """Draw ``sqw`` as colours over Q and E; see :meth:`SqwMap.plot`."""
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm, Normalize

    ax = new_axes(ax)
    top = maximum if maximum is not None else robust_maximum(sqw)
    norm = LogNorm(top * 1e-3, top, clip=True) if log else Normalize(0.0, top)
    colors = colormaps[colormap].with_extremes(bad=UNMEASURED)
    values = np.ma.masked_where(~sqw.mask, sqw.intensity)
    if log:
        values = np.ma.maximum(values, top * 1e-3)
    mesh = ax.pcolormesh(
        sqw.q, sqw.energy_transfer, values.T, cmap=colors, norm=norm, rasterized=True
    )
    _label_axes(sqw, ax)
    _draw_borders(sqw, ax)
    _draw_colour_bar(sqw, ax, mesh)
    return ax


def robust_maximum(sqw: SqwMap) -> float:
    """Return an intensity above nearly all measured bins (1 for an empty map)."""
    values = np.where(sqw.mask, sqw.intensity, 0.0)
    values = values.max(axis=1) if sqw.axis == "path" else values[sqw.mask]
    values = values[values > 0]
    return float(np.percentile(values, _ROBUST[sqw.axis])) if len(values) else 1.0


def _label_axes(sqw: SqwMap, ax: Axes) -> None:
    ax.set_xlim(sqw.q[0], sqw.q[-1])
    ax.set_ylim(sqw.energy_transfer[0], sqw.energy_transfer[-1])
    ax.set_ylabel(f"Energy transfer ({unit_label(sqw.units['energy'])})")
    if sqw.axis == "powder" or sqw.distance is None:
        ax.set_xlabel(f"|Q| ({unit_label(sqw.units['wavevector'])})")
        return
    places, names = path_ticks(sqw.distance, sqw.labels)
    for place in places[1:-1]:
        ax.axvline(place, color="white", linewidth=0.6, alpha=0.6)
    ax.set_xticks(places, names)
    ax.tick_params(axis="x", length=0)
    if not places:
        ax.set_xlabel(f"Wavevector ({unit_label(sqw.units['wavevector'])})")


def _draw_borders(sqw: SqwMap, ax: Axes) -> None:
    """Draw where the outermost scattering angles are; in indirect geometry those of each bank."""
    if sqw.kinematics is None or sqw.axis != "powder" or not sqw.kinematics.get("two_theta"):
        return
    energy = conversion_factor("meV", sqw.units["energy"])
    wavevector = conversion_factor("angstrom^-1", sqw.units["wavevector"])
    transfers = np.linspace(sqw.energy_transfer[0], sqw.energy_transfer[-1], 600) / energy
    angles = [angle for pair in sqw.kinematics["two_theta"] for angle in pair]
    geometry = sqw.kinematics.get("geometry", "direct")
    outermost = (min(angles), max(angles))
    for angle in outermost if geometry == "direct" else sorted(set(angles)):
        q = border(transfers, sqw.kinematics["fixed_energy"], angle, geometry)
        ax.plot(q * wavevector, transfers * energy, color=INK, linewidth=0.9, scalex=False)


def _draw_colour_bar(sqw: SqwMap, ax: Axes, mesh: QuadMesh) -> None:
    figure = ax.get_figure()
    if figure is None:
        return
    bar = figure.colorbar(mesh, ax=ax, extend="max", pad=0.02)
    bar.set_label(
        intensity_label(sqw.axis, sqw.units["energy"], sqw.scale, ki_over_kf=sqw.ki_over_kf)
    )
