"""The parts an intensity is the sum of, such as scattering by one phonon, by two, by more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.plotting import INK, PALETTE, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scatterml_ase.results.cut import SqwCut

_TOLERANCE = 1e-6
"""Largest difference of an intensity and its parts, over the largest intensity."""
_FIX = "Make it with IncoherentScattering, or with PowderScattering and order or incoherent"


def known_parts(parts: Any, names: tuple[str, ...], intensity: np.ndarray) -> np.ndarray | None:
    """Return parts with NaN where the intensity has it.

    Parameters
    ----------
    parts
        Shape (part, *shape of the intensity); None if the intensity was not taken apart.
    names
        Of the parts.
    intensity
        NaN where nothing is known.

    Raises
    ------
    InputError
        If names and parts do not fit, or the parts do not add up to the intensity.
    """
    values = None if parts is None else np.array(parts, dtype=float)
    if (0 if values is None else len(values)) != len(names) or len(set(names)) != len(names):
        raise InputError(
            explain(
                f"part_names={tuple(names)} do not name the parts",
                f"there are {0 if values is None else len(values)}",
                "Give each part a name of its own",
            )
        )
    if values is None or values.shape[1:] != intensity.shape:
        return values  # the base class explains
    values[:, ~np.isfinite(intensity)] = np.nan
    difference = np.abs(values.sum(axis=0) - intensity)
    largest = np.nanmax(np.abs(intensity), initial=0.0)
    if np.nanmax(difference, initial=0.0) > _TOLERANCE * largest:
        raise InputError(
            explain(
                f"The parts {', '.join(names)} do not add up to the intensity",
                f"they are off by up to {np.nanmax(difference):.3g} of {largest:.3g}",
                "Give all of them, or none",
            )
        )
    return values


def part_index(names: tuple[str, ...], name: str) -> int:
    """Return where the part of that name is.

    Raises
    ------
    InputError
        If there is none.
    """
    if name in names:
        return names.index(name)
    raise InputError(
        explain(
            f"There is no part {name!r}",
            f"the parts are {', '.join(map(repr, names))}"
            if names
            else "this intensity was not taken apart",
            "Use one of these" if names else _FIX,
        )
    )


def draw_parts(cut: SqwCut, ax: Axes | None) -> Axes:
    """Draw the parts of a cut on top of each other, the sum as a line; return the axes."""
    ax = new_axes(ax)
    if cut.parts is None:
        raise InputError(explain("This cut has no parts", "its map was not taken apart", _FIX))
    steps = len(cut.intensity) == 1  # an area needs two points
    places = cut.edges if steps else cut.centres
    below = np.zeros(len(places))
    for index, (name, values) in enumerate(zip(cut.part_names, cut.parts, strict=True)):
        top = below + (np.repeat(values, 2) if steps else values)
        color = PALETTE[index % len(PALETTE)]
        ax.fill_between(places, below, top, color=color, alpha=0.75, linewidth=0, label=name)
        below = top
    cut.plot(ax, color=INK, label="total")
    ax.legend(frameon=False, fontsize="small", reverse=True)
    return ax
