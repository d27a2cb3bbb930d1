r"""Learning curves of the shipped potentials: 10, 30 and 100 % of the training structures.

    MLEARN=FOLDER python benchmarks/learning_curves.py si ge   # trains what is missing
    python benchmarks/learning_curves.py --figure docs/images/learning_curves.png \
        > docs/learning_curves.md                              # the page and its picture

Each point trains with the model's own ``training.toml`` on a random part of its training
structures (smaller parts are subsets of larger ones, groups in proportion) and is judged on the
same validation structures. Smaller parts see as many epochs more as keeps the number of steps
within a factor of about three. The full point is the shipped model, as its card states it. A run
that was stopped goes on, and one that is done is left out unless the training file has changed.
"""

import argparse
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from scatterml_ase.atomic_write import atomic_write
from scatterml_ase.card import read_card
from scatterml_ase.training import train
from scatterml_ase.training.config import TrainingConfig, read_config

MODELS = Path(__file__).parents[1] / "models"
FRACTIONS = {0.1: 3.0, 0.3: 1.5}  # and how many times as many epochs
SETTINGS = "settings.json"  # in the folder of a run: what it was asked to do
COLUMNS = {
    "energy_mae": "energy MAE (meV/atom)",
    "energy_rmse": "energy RMSE (meV/atom)",
    "force_mae": "force MAE (meV/Å)",
    "force_rmse": "force RMSE (meV/Å)",
}
HEAD = """# Learning curves, measured

`python benchmarks/learning_curves.py MODEL …`: the model's own training file on a random tenth and
three tenths of its training structures, with 3 and 1.5 times as many epochs; errors on the same
validation structures, which also chose the epoch. The full point is the shipped model."""


@dataclass(frozen=True)
class Point:
    """A model trained on a part of the structures: how many, and its validation metrics."""

    fraction: float
    structures: int
    metrics: dict[str, float]

    @classmethod
    def of(cls, folder: Path, fraction: float) -> "Point":
        """Read the card of a model."""
        card = read_card(folder)
        structures = card.training["structures"]["train"]
        return cls(fraction, structures, card.metrics["validation"]["all"])


def main() -> None:
    """Train what is missing, or show what there is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help="train these; without any, print the page")
    parser.add_argument("--output", type=Path, default=Path("runs/curves"))
    parser.add_argument("--figure", type=Path, help="draw into this file")
    options = parser.parse_args()
    for name in options.models:
        for fraction in FRACTIONS:
            point = trained(name, fraction, options.output)
            print(name, point, flush=True)
    curves = all_curves(options.output) if options.figure or not options.models else {}
    if options.figure:
        draw(curves, options.figure)
    if not options.models:
        print(page(curves, options.figure))


def trained(name: str, fraction: float, output: Path) -> Point:
    """Train on a part, unless that is done already."""
    folder = place(output, name, fraction)
    if not is_done(folder, name, fraction):
        wanted = settings(name, fraction)
        same = read_settings(folder) == wanted
        if not same:
            (folder / "model" / "card.json").unlink(missing_ok=True)
            folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(folder / SETTINGS) as path:
                path.write_text(json.dumps(wanted, indent=1) + "\n")
        config = configuration(name, fraction, read_config(MODELS / name / "training.toml"))
        train(config, output=folder, resume=same, progress=False)
    return Point.of(folder / "model", fraction)


def place(output: Path, name: str, fraction: float) -> Path:
    """Return the folder of a run."""
    return output / f"{name}_{100 * fraction:g}"


def configuration(name: str, fraction: float, config: TrainingConfig) -> TrainingConfig:
    """Return the configuration of a part."""
    return dataclasses.replace(
        config,
        name=f"{name}-{100 * fraction:g}-percent",
        data=dataclasses.replace(config.data, fraction=fraction),
        run=dataclasses.replace(config.run, epochs=round(config.run.epochs * FRACTIONS[fraction])),
    )


def settings(name: str, fraction: float) -> dict:
    """Return what a run is asked to do, wherever the data lie."""
    config = read_config(MODELS / name / "training.toml", data=["data"])
    wanted = configuration(name, fraction, config).to_dict()
    del wanted["card"]
    return json.loads(json.dumps(wanted))


def read_settings(folder: Path) -> dict | None:
    """Return what an earlier run was asked to do, if there was one."""
    file = folder / SETTINGS
    return json.loads(file.read_text()) if file.is_file() else None


def is_done(folder: Path, name: str, fraction: float) -> bool:
    """Tell whether a run is finished, and with the training file of today."""
    finished = (folder / "model" / "card.json").is_file()
    return finished and read_settings(folder) == settings(name, fraction)


def all_curves(output: Path) -> dict[str, list[Point]]:
    """Return the points of every shipped model that has one beside the full one."""
    curves = {}
    for name in sorted(path.parent.name for path in MODELS.glob("*/training.toml")):
        points = [
            Point.of(folder / "model", fraction)
            for fraction in FRACTIONS
            if is_done(folder := place(output, name, fraction), name, fraction)
        ]
        if points:
            curves[name] = [*points, Point.of(MODELS / name, 1.0)]
    if not curves:
        raise SystemExit(f"No curves in {str(output)!r}: name models to train, or give --output")
    return curves


def page(curves: dict[str, list[Point]], figure: Path | None) -> str:
    """Return the page: one line per point."""
    lines = [HEAD, ""]
    if figure:
        lines += [f"![Errors against the number of training structures](images/{figure.name})", ""]
    lines += [
        f"| model | part | structures | {' | '.join(COLUMNS.values())} |",
        "|---" * (3 + len(COLUMNS)) + "|",
    ]
    for name, points in curves.items():
        for point in points:
            errors = " | ".join(f"{point.metrics[key]:.2f}" for key in COLUMNS)
            lines.append(f"| {name} | {100 * point.fraction:g} % | {point.structures} | {errors} |")
    return "\n".join(lines)


def draw(curves: dict[str, list[Point]], path: Path) -> None:
    """Draw energy and force errors against the number of training structures."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, ScalarFormatter

    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axes = figure.subplots(1, 2)
    for ax, key in zip(axes, ("energy_mae", "force_mae"), strict=True):
        for name, points in curves.items():
            x, y = zip(*((p.structures, p.metrics[key]) for p in points), strict=True)
            ax.plot(x, y, "o-", label=name)
        ax.set(xscale="log", yscale="log", xlabel="training structures", ylabel=COLUMNS[key])
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(ScalarFormatter())
        ax.minorticks_off()
    axes[1].legend(frameon=False, ncols=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160)


if __name__ == "__main__":
    main()
