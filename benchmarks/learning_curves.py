"""Learning curves of the shipped potentials: 10, 30 and 100 % of the training structures.

    MLEARN=FOLDER python benchmarks/learning_curves.py si ge --output runs/curves
    python benchmarks/learning_curves.py --figure docs/images/learning_curves.png

Each point trains with the model's own ``training.toml`` on a random part of its training
structures (smaller parts are subsets of larger ones, groups in proportion) and is judged on the
same validation structures. Smaller parts see as many epochs more as keeps the number of steps
within a factor of three. The full point is the shipped model. A run that was stopped goes on;
results are kept in ``learning_curves.json`` beside this file.
"""

import argparse
import dataclasses
import json
from pathlib import Path

from scatterml_ase import load_model
from scatterml_ase.atomic_write import atomic_write
from scatterml_ase.training import train
from scatterml_ase.training.config import read_config

HERE = Path(__file__).parent
RESULTS = HERE / "learning_curves.json"
MODELS = HERE.parent / "models"
FRACTIONS = {0.1: 3.0, 0.3: 1.5}  # and how many times as many epochs


def main() -> None:
    """Train what is missing, then draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*")
    parser.add_argument("--output", type=Path, default=Path("runs/curves"))
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    for name in options.models:
        for fraction, longer in FRACTIONS.items():
            keep(name, fraction, trained(name, fraction, longer, options.output))
        keep(name, 1.0, load_model(name).card.metrics["validation"]["all"])
    if options.figure:
        draw(options.figure)


def trained(name: str, fraction: float, longer: float, output: Path) -> dict[str, float]:
    """Train on a part and return the validation metrics."""
    config = read_config(MODELS / name / "training.toml")
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, fraction=fraction),
        run=dataclasses.replace(config.run, epochs=round(config.run.epochs * longer)),
    )
    folder = train(config, output=output / f"{name}_{fraction}", progress=False)
    return load_model(folder).card.metrics["validation"]["all"]


def keep(name: str, fraction: float, metrics: dict[str, float]) -> None:
    """Add a point to the file of results."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results.setdefault(name, {})[str(fraction)] = metrics
    with atomic_write(RESULTS) as path:
        path.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    print(name, fraction, metrics, flush=True)


def draw(path: Path) -> None:
    """Draw energy and force errors against the number of training structures."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "scatterml_ase"
    results = json.loads(RESULTS.read_text())
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    axes = figure.subplots(1, 2)
    columns = (("energy_mae", "energy MAE (meV/atom)"), ("force_mae", "force MAE (meV/Å)"))
    for ax, (key, label) in zip(axes, columns, strict=True):
        for name, points in results.items():
            fractions = sorted(points, key=float)
            x = [100 * float(f) for f in fractions]
            ax.plot(x, [points[f][key] for f in fractions], "o-", label=name.capitalize())
        ax.set(xscale="log", yscale="log", xlabel="training structures used (%)", ylabel=label)
        ax.set_xticks([10, 30, 100], ["10", "30", "100"])
        ax.minorticks_off()
    axes[1].legend(frameon=False, ncols=2)
    figure.savefig(path, dpi=160)


if __name__ == "__main__":
    main()
