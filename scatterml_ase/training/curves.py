"""The course of a run: loss and errors over the epochs, drawn anew while it goes on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scatterml_ase.atomic_write import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TRAIN, _VALIDATION = "#9aa5b1", "#d1495b"
_SECONDS, _SHARE = 10.0, 0.01  # least time between two pictures; largest share of the run's time


class LiveCurves:
    """A picture of the log that is drawn anew as the run goes on, at a small share of its time.

    Parameters
    ----------
    path
        The picture.
    title
        Heading, usually the model's name.
    """

    def __init__(self, path: Path, *, title: str) -> None:
        self._path, self._title = path, title
        self._next = time.monotonic() + _SECONDS

    def update(self, rows: Sequence[dict[str, float]], *, best: int) -> None:
        """Draw the rows if it is time to; ``best`` is the best epoch so far."""
        start = time.monotonic()
        if start < self._next:
            return
        plot_learning_curves(rows, self._path, title=self._title, best=best)
        end = time.monotonic()
        self._next = end + max(_SECONDS, (end - start) / _SHARE)


def plot_learning_curves(
    rows: Sequence[dict[str, float]], path: Path, *, title: str, best: int
) -> None:
    """Write a picture of loss, energy error and force error against epochs and time.

    Parameters
    ----------
    rows
        The log, one row per epoch.
    path
        The picture; its suffix decides the format.
    title
        Heading.
    best
        The epoch to mark.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = {name: np.array([row[name] for row in rows], dtype=float) for name in rows[0]}
    figure = Figure(figsize=(11.0, 3.9))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.06, right=0.985, bottom=0.13, top=0.8, wspace=0.27)
    loss, energy, force = figure.subplots(1, 3)
    panels: list[tuple[Axes, str, dict[str, str]]] = [
        (loss, "loss", {"training": "loss"}),
        (
            energy,
            "energy MAE (meV/atom)",
            {"training": "train_energy_mae", "validation": "valid_energy_mae"},
        ),
        (
            force,
            "force MAE (meV/Å)",
            {"training": "train_force_mae", "validation": "valid_force_mae"},
        ),
    ]
    for axes, label, names in panels:
        _draw(axes, columns["epoch"] + 1, {key: columns[name] for key, name in names.items()}, best)
        axes.set_xlabel("epochs")
        axes.set_ylabel(label)
        _time_axis(axes, columns["epoch"] + 1, columns["seconds"] / 60)
    energy.legend(frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=12)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=130)


def _draw(axes: Axes, epochs: np.ndarray, curves: dict[str, np.ndarray], best: int) -> None:
    """Draw one quantity; the validation's best epoch carries its value."""
    from matplotlib.ticker import MaxNLocator

    colours = {"training": _TRAIN, "validation": _VALIDATION}
    for name, values in curves.items():
        known = np.isfinite(values)  # not every epoch is validated
        mark = "." if known.sum() < 40 else ""
        axes.plot(
            epochs[known], values[known], mark + "-", color=colours[name], lw=1.3, ms=4, label=name
        )
        here = np.flatnonzero(known & (epochs == best + 1))
        if name == "validation" and here.size:
            value = float(values[here[0]])
            axes.plot(best + 1, value, "o", color=_VALIDATION, ms=6)
            axes.annotate(
                f"{value:.3g}",
                (best + 1, value),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=_VALIDATION,
            )
    known = np.concatenate([values[np.isfinite(values)] for values in curves.values()])
    if known.min() > 0 and known.max() > 4 * known.min():
        _log_axis(axes)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(color="0.92", lw=0.6)
    axes.set_axisbelow(True)


def _log_axis(axes: Axes) -> None:
    """Make the ordinate logarithmic, with plain numbers at 1, 2 and 5 of each decade."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def _time_axis(axes: Axes, epochs: np.ndarray, minutes: np.ndarray) -> None:
    """Show the wall-clock time at the upper edge, at a few epochs."""
    upper = axes.twiny()
    upper.set_xlim(axes.get_xlim())
    few = np.unique(np.linspace(0, len(epochs) - 1, 4).round().astype(int))
    unit, factor = ("min", 1.0) if minutes[-1] >= 2 else ("s", 60.0)
    upper.set_xticks(epochs[few], [f"{factor * minutes[i]:.3g}" for i in few])
    upper.tick_params(labelsize=8, colors="0.4")
    upper.set_xlabel(f"wall clock ({unit})", fontsize=8, color="0.4")
