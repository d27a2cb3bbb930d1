"""What the pictures of all results share: axes, labels of units, one colour per species."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, which colour-blind readers can tell apart.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B", "#7F7F7F")
INK = "#1A1A1A"
"""The colour of totals and of lines that stand for the whole crystal."""

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


def energy_label(unit: str) -> str:
    """Name an energy axis as its unit is used: ``"Frequency (THz)"``, ``"Energy (meV)"``."""
    names = {"THz": "Frequency", "cm^-1": "Wavenumber", "K": "Temperature"}
    return f"{names.get(unit, 'Energy')} ({unit_label(unit)})"


def species_colors(symbols: Sequence[str]) -> dict[str, str]:
    """Return one colour per species, the same for the same crystal in every picture."""
    kinds = list(dict.fromkeys(symbols))
    return {kind: PALETTE[k % len(PALETTE)] for k, kind in enumerate(kinds)}
