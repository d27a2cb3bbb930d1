"""The picture of force constants: how they decay with the distance of atoms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scatterml_ase.results.plotting import PALETTE, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scatterml_ase.results.force_constants import ForceConstants

_SMALLEST = 1e-7  # of the largest: what lies below is rounding


def draw_decay(constants: ForceConstants, ax: Axes | None = None) -> Axes:
    """Draw the norm of each block over the distance of its atoms, one colour per kind of pair."""
    ax = new_axes(ax)
    crystal = constants.crystal.to("angstrom")
    i, j = constants.pairs.T
    x = crystal.scaled_positions
    distance = np.linalg.norm((constants.cell_shifts + x[j] - x[i]) @ crystal.cell, axis=1)
    size = np.linalg.norm(constants.blocks, axis=(1, 2))
    shown = (distance > 1e-6) & (size > _SMALLEST * size.max(initial=0.0))
    kinds = np.array(
        ["–".join(sorted((crystal.symbols[a], crystal.symbols[b]))) for a, b in constants.pairs]
    )
    for k, kind in enumerate(dict.fromkeys(kinds[shown])):
        pick = shown & (kinds == kind)
        color = PALETTE[k % len(PALETTE)]
        ax.plot(distance[pick], size[pick], "o", color=color, markersize=4, alpha=0.7, label=kind)
    if shown.any():
        ax.set_yscale("log")
        ax.legend(frameon=False)
    ax.set_xlabel("Distance (Å)")
    ax.set_ylabel("|Φ| (eV/Å$^2$)")
    return ax
