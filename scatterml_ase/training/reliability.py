"""Reliability plot: what spreads promised against what errors turned out to be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scatterml_ase.atomic_write import atomic_write, writable_folder
from scatterml_ase.errors import InputError, explain
from scatterml_ase.training.calibration import Judged, coverage, spread_quality

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ENERGY, _FORCE = "#2e6f95", "#d1495b"
_BINS = 12


def require_picture(path: Path) -> None:
    """Refuse the name of a picture that cannot be written, before the work.

    Raises
    ------
    InputError
        If its folder cannot be written into, or matplotlib does not know its suffix.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    writable_folder(path.parent, create=False)
    known = sorted(FigureCanvasBase.get_supported_filetypes())
    if path.suffix.removeprefix(".").lower() not in known:
        fix = f"Use one of {', '.join(known)} as suffix"
        raise InputError(explain(f"Cannot draw {str(path)!r}", "no such format is known", fix))


def plot_reliability(judged: Judged, path: str | Path, *, title: str) -> None:
    """Write a picture: coverage against probability, and error against spread.

    Parameters
    ----------
    judged
        What a committee said about labelled structures.
    path
        The picture; its suffix decides the format.
    title
        Heading, usually the model's name.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _draw_coverage(left, judged)
    _draw_errors(right, judged)
    figure.suptitle(f"{title}: is the uncertainty what it says?", fontsize=12)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=180)


def _draw_coverage(axes: Axes, judged: Judged) -> None:
    """Draw the share of errors within the central interval of each probability."""
    probabilities = np.linspace(0, 1, 201)
    axes.plot([0, 1], [0, 1], color="0.25", lw=0.8, zorder=0)
    for (errors, spreads), colour, name in (
        (judged.energies, _ENERGY, "energies"),
        (judged.forces, _FORCE, "force components"),
    ):
        quality = spread_quality(errors, spreads)
        text = f"{name} ({quality.count}): z {quality.z:.2f}, area {quality.area:.3f}"
        observed = coverage(errors / spreads, probabilities)
        axes.plot(probabilities, observed, color=colour, lw=1.8, label=text)
    axes.text(0.28, 0.9, "too cautious", fontsize=8, color="0.45", ha="center")
    axes.text(0.72, 0.2, "too sure", fontsize=8, color="0.45", ha="center")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("probability of the interval foretold")
    axes.set_ylabel("share of errors within it")
    axes.legend(frameon=False, fontsize=8, loc="lower right")


def _draw_errors(axes: Axes, judged: Judged) -> None:
    """Draw the error of force components against their spread, and its mean square in bins."""
    errors, spreads = judged.forces
    errors, spreads = 1e3 * np.abs(errors), 1e3 * spreads
    axes.scatter(spreads, np.maximum(errors, 1e-3), s=3, color="#9aa5b1", alpha=0.5, lw=0,
                 rasterized=True)  # fmt: skip
    order = np.argsort(spreads, kind="stable")
    parts = [part for part in np.array_split(order, _BINS) if len(part) > 1]
    promised = [np.sqrt(np.mean(spreads[part] ** 2)) for part in parts]
    found = [np.sqrt(np.mean(errors[part] ** 2)) for part in parts]
    axes.plot(promised, found, "o-", color=_FORCE, lw=1.2, ms=5, label="root mean square")
    limits = (0.5 * float(spreads.min()), 2 * float(spreads.max()))
    axes.plot(limits, limits, color="0.25", lw=0.8, zorder=0, label="equal")
    lowest = max(0.05 * float(spreads.min()), 1e-2)
    axes.set(xscale="log", yscale="log", xlim=limits, ylim=(lowest, max(limits[1], errors.max())))
    axes.set_xlabel("spread of a force component (meV/Å)")
    axes.set_ylabel("its error (meV/Å)")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
