"""What the pictures of all results share: axes, labels of units, one colour per species."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, which colour-blind readers can tell apart.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B", "#7F7F7F")
INK = "#1A1A1A"
"""The colour of totals and of lines that stand for the whole crystal."""

UNMEASURED = "0.86"
"""The grey of bins that are not measured."""

_SCALES = {"atom": "atom", "formula_unit": "f.u.", "cell": "cell"}
_SPELLING = {
    "angstrom": "Å",
    "angstrom^-1": "Å$^{-1}$",
    "nm^-1": "nm$^{-1}$",
    "bohr^-1": "bohr$^{-1}$",
    "cm^-1": "cm$^{-1}$",
}


def new_axes(ax: Axes | None) -> Axes:
    """Return ``ax``, or the axes of a new figure."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]


def unit_label(unit: str) -> str:
    """Spell a unit for an axis: ``"1/cm^-1"`` gives ``"1/cm$^{-1}$"``."""
    if unit in _SPELLING:
        return _SPELLING[unit]
    return "/".join(_SPELLING.get(part, part) for part in unit.split("/"))


def subscripts(formula: str) -> str:
    """Write ``Al2O3`` with subscripts."""
    text = "".join(f"$_{{{c}}}$" if c.isdigit() else c for c in formula)
    return text.replace("}$$_{", "")


def energy_label(unit: str) -> str:
    """Name an energy axis as its unit is used: ``"Frequency (THz)"``, ``"Energy (meV)"``."""
    names = {"THz": "Frequency", "cm^-1": "Wavenumber", "K": "Temperature"}
    return f"{names.get(unit, 'Energy')} ({unit_label(unit)})"


def intensity_label(
    axis: str, energy_unit: str, scale: str, *, ki_over_kf: bool | None = True
) -> str:
    """Name S(Q, E) with its unit, and what it is per; say so if k_f/k_i is still in it."""
    symbol = "S(|Q|, E)" if axis == "powder" else "S(Q, E)"
    symbol = symbol if ki_over_kf is not False else f"$k_f/k_i$ {symbol}"
    unit = unit_label(energy_unit)
    if scale == "arbitrary":
        return f"{symbol} (arb. units)"
    return f"{symbol} (mbarn sr$^{{-1}}$ {unit}$^{{-1}}$ / {_SCALES[scale]})"


def path_ticks(
    distance: np.ndarray, labels: Iterable[tuple[int, str]]
) -> tuple[list[float], list[str]]:
    """Return where special points of a path are and their names; a break is named ``"U|K"``.

    Parameters
    ----------
    distance
        Along the path, shape (q,).
    labels
        (index into q, name), in order.
    """
    places: list[float] = []
    names: list[str] = []
    for index, name in labels:
        place = float(distance[index])
        if places and abs(place - places[-1]) < 1e-9:
            if name != names[-1]:
                names[-1] = f"{names[-1]}|{name}"
        else:
            places.append(place)
            names.append(name)
    return places, names


def species_colors(symbols: Sequence[str]) -> dict[str, str]:
    """Return one colour per species, the same for the same crystal in every picture."""
    kinds = list(dict.fromkeys(symbols))
    return {kind: PALETTE[k % len(PALETTE)] for k, kind in enumerate(kinds)}
