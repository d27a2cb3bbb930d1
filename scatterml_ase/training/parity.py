"""Parity plot: what the model says against what it was to learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scatterml_ase.atomic_write import atomic_write
from scatterml_ase.training.data import Frame
from scatterml_ase.training.metrics import Prediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#9aa5b1", "#d1495b")
Pairs = Sequence[tuple[Frame, Prediction]]


def plot_parity(parts: Mapping[str, Pairs], path: Path, *, title: str) -> None:
    """Write a picture with energies per atom and force components, predicted against given.

    Parameters
    ----------
    parts
        Labelled structures and predictions by name ("training", "validation").
    path
        The picture; its suffix decides the format.
    title
        Heading, usually the model's name.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 4.8))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.08, right=0.99, bottom=0.11, top=0.92, wspace=0.2)
    energy_axes, force_axes = figure.subplots(1, 2)
    quantities: list[tuple[Any, Any, str, str]] = [
        (energy_axes, _energies, "Energy (eV/atom)", "meV/atom"),
        (force_axes, _forces, "Force component (eV/Å)", "meV/Å"),
    ]
    for axes, values, label, unit in quantities:
        _draw(axes, {name: values(pairs) for name, pairs in parts.items()}, label, unit)
    figure.suptitle(f"{title}: predicted against reference", fontsize=12)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=180)


def _draw(
    axes: Axes, parts: Mapping[str, tuple[np.ndarray, np.ndarray]], label: str, unit: str
) -> None:
    """Draw one quantity of all parts with its errors and a histogram of the residuals."""
    everything = np.concatenate([np.concatenate(pair) for pair in parts.values()])
    low, high = float(everything.min()), float(everything.max())
    margin = 0.05 * (high - low) or 0.1
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color="0.25", lw=0.8, zorder=0)
    for (name, (given, predicted)), colour in zip(parts.items(), _COLOURS, strict=False):
        error = 1e3 * (predicted - given)
        mae, rmse = np.abs(error).mean(), np.sqrt((error**2).mean())
        size = 14 if len(given) < 2000 else 3
        text = f"{name}: MAE {mae:.1f}, RMSE {rmse:.1f} {unit}"
        axes.scatter(
            given, predicted, s=size, color=colour, alpha=0.7, lw=0, label=text, rasterized=True
        )
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.set_xlabel(f"{label}, reference")
    axes.set_ylabel(f"{label}, predicted")
    axes.legend(frameon=False, fontsize=8, loc="upper left", handletextpad=0.2, markerscale=1.5)
    _residuals(axes.inset_axes((0.62, 0.12, 0.34, 0.26)), parts, unit)


def _residuals(axes: Axes, parts: Mapping[str, tuple[np.ndarray, np.ndarray]], unit: str) -> None:
    """Draw the distribution of the errors, cut where 99 % of them are."""
    errors = {name: 1e3 * (predicted - given) for name, (given, predicted) in parts.items()}
    widest = max(float(np.percentile(np.abs(e), 99)) for e in errors.values()) or 1.0
    bins = np.linspace(-widest, widest, 41)
    for error, colour in zip(errors.values(), _COLOURS, strict=False):
        axes.hist(error, bins=list(bins), density=True, histtype="step", color=colour, lw=1.2)
    axes.set_yticks([])
    axes.tick_params(labelsize=7)
    axes.set_xlabel(f"error ({unit})", fontsize=7)
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.patch.set_alpha(0.0)


def _energies(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    given = [frame.energy / len(frame.atoms) for frame, _ in pairs]
    predicted = [prediction.energy / len(frame.atoms) for frame, prediction in pairs]
    return np.array(given), np.array(predicted)


def _forces(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    given = np.concatenate([frame.forces.ravel() for frame, _ in pairs])
    return given, np.concatenate([prediction.forces.ravel() for _, prediction in pairs])
