"""How slices of constant energy are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scatterml_ase.results.plotting import UNMEASURED, intensity_label, new_axes, unit_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scatterml_ase.results.sqw_plane import SqwPlane

_ROBUST = 99.0
"""Percentile of the known bins at the top of the colour scale: Bragg peaks overflow."""


def draw_plane(
    plane: SqwPlane, ax: Axes | None, *, maximum: float | None, log: bool, colormap: str
) -> Axes:
    """Draw a plane of one slice; see :meth:`SqwPlane.plot`.

    Axes that are not perpendicular are drawn as they are: the horizontal axis is the component
    along u.
    """
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm, Normalize

    ax = new_axes(ax)
    values, known = plane.intensity[0], plane.mask[0]
    positive = values[known & (values > 0)]
    robust = float(np.percentile(positive, _ROBUST)) if len(positive) else 1.0
    top = robust if maximum is None else maximum
    shown = np.ma.masked_where(~known, values)
    if log:
        shown = np.ma.maximum(shown, top * 1e-3)
    u, v = plane.directions
    slant = float(u @ v / (u @ u))
    height = float(np.linalg.norm(v - slant * u) / np.linalg.norm(u))
    x, y = np.meshgrid(plane.x, plane.y, indexing="ij")
    mesh = ax.pcolormesh(
        x + slant * y,
        y,
        shown,
        cmap=colormaps[colormap].with_extremes(bad=UNMEASURED),
        norm=LogNorm(top * 1e-3, top, clip=True) if log else Normalize(0.0, top),
        rasterized=True,
    )
    ax.set_aspect(height)
    ax.set_xlabel(f"{direction_name(plane.u, 0)} (r.l.u.)")
    ax.set_ylabel(f"{direction_name(plane.v, 1)} (r.l.u.)")
    ax.set_title(_title(plane), fontsize="medium")
    if (figure := ax.get_figure()) is not None:
        beside = ax.inset_axes((1.03, 0.0, 0.045, 1.0))  # as high as the plane
        bar = figure.colorbar(mesh, cax=beside, extend="max")
        bar.set_label(intensity_label("plane", plane.units["energy"], plane.scale))
    return ax


def direction_name(direction: np.ndarray, index: int) -> str:
    """Write a direction as papers do: (1, 1, 0) as "[H, H, 0]", (0, 0, 1) as "[0, 0, L]".

    ``index`` tells which axis it is, for its letter.
    """
    nonzero = np.flatnonzero(direction)
    alone = len(nonzero) == 1
    letter = "HKL"[int(nonzero[0]) if alone else index]
    return "[" + ", ".join(_term(float(c), letter) for c in direction) + "]"


def _term(coefficient: float, letter: str) -> str:
    if coefficient == 0:
        return "0"
    size = f"{abs(coefficient):.3g}"
    return ("−" if coefficient < 0 else "") + ("" if size == "1" else size) + letter


def _title(plane: SqwPlane) -> str:
    low, high = plane.energy_transfer
    text = f"{low:.4g} … {high:.4g} {unit_label(plane.units['energy'])}".replace("-", "−")
    if plane.origin.any():
        text += f", from ({', '.join(f'{c:.3g}' for c in plane.origin)})".replace("-", "−")
    return text
