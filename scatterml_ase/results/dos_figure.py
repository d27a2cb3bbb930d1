"""The picture of a density of states, upright or beside a dispersion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scatterml_ase.results.plotting import (
    INK,
    PALETTE,
    energy_label,
    new_axes,
    species_colors,
    unit_label,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scatterml_ase.results.dos import PhononDOS

_STEPS_BELOW = 100
"""A histogram of fewer bins is drawn as steps."""


def draw_dos(dos: PhononDOS, ax: Axes | None, *, vertical: bool, species: bool) -> Axes:
    """Draw the total and, where there are several species, each of them filled."""
    ax = new_axes(ax)
    curves = dos.by_species() if species and dos.partial is not None else {}
    if len(curves) > 1:
        colors = species_colors(dos.crystal.symbols)
        for symbol, curve in curves.items():
            _fill(ax, dos, curve, vertical=vertical, color=colors[symbol], alpha=0.35)
            line = {"color": colors[symbol], "lw": 1.1, "label": symbol}
            _line(ax, dos, curve, vertical=vertical, **line)
    else:
        _fill(ax, dos, dos.total, vertical=vertical, color=PALETTE[0], alpha=0.25)
    _line(ax, dos, dos.total, vertical=vertical, color=INK, lw=1.3, label="total")
    if dos.error is not None:
        _band(ax, dos, vertical=vertical)
    if len(curves) > 1:
        ax.legend(frameon=False, fontsize="small", handlelength=1.2)
    _label_axes(ax, dos, vertical=vertical)
    return ax


def _fill(ax: Axes, dos: PhononDOS, values: np.ndarray, *, vertical: bool, **style: Any) -> None:
    fill = ax.fill_betweenx if vertical else ax.fill_between
    energies, outline = _outline(dos, values)
    fill(energies, 0, outline, linewidth=0, **style)


def _band(ax: Axes, dos: PhononDOS, *, vertical: bool) -> None:
    fill = ax.fill_betweenx if vertical else ax.fill_between
    energies, low = _outline(dos, dos.total - dos.error)
    fill(energies, low, _outline(dos, dos.total + dos.error)[1], color=INK, alpha=0.2, linewidth=0)


def _line(ax: Axes, dos: PhononDOS, values: np.ndarray, *, vertical: bool, **style: Any) -> None:
    energies, outline = _outline(dos, values)
    ax.plot(*((outline, energies) if vertical else (energies, outline)), **style)


def _outline(dos: PhononDOS, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the curve through the centres of the bins, or its steps where they are few."""
    if len(values) >= _STEPS_BELOW:
        return dos.energies, values
    return np.repeat(dos.energy_edges, 2)[1:-1], np.repeat(values, 2)


def _label_axes(ax: Axes, dos: PhononDOS, *, vertical: bool) -> None:
    unit = dos.units["energy"]
    energy, density = energy_label(unit), f"DOS (states/{unit_label(unit)})"
    occupied = np.flatnonzero(dos.total > 1e-6 * dos.total.max())
    first, last = (occupied[0], occupied[-1]) if len(occupied) else (0, -2)
    low, high = dos.energy_edges[first], dos.energy_edges[last + 1]
    limits = (min(0.0, 1.05 * low), 1.04 * high)
    highest = dos.total if dos.error is None else dos.total + dos.error
    top = 1.06 * highest.max() or None
    if vertical:
        ax.set(xlabel=density, ylabel=energy, ylim=limits, xlim=(0, top))
    else:
        ax.set(xlabel=energy, ylabel=density, xlim=limits, ylim=(0, top))
    if low < 0:
        (ax.axhline if vertical else ax.axvline)(0, color=INK, lw=0.6, ls=":")
