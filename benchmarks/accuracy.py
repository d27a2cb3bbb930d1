"""Accuracy of the shipped potentials on held-out structures, beside the published table.

    python benchmarks/accuracy.py                # from the cards: the table of docs/potentials.md
    python benchmarks/accuracy.py --data FOLDER  # computed again from <Element>_train.extxyz

The published errors (mean absolute, on the published test structures) are those of Chen and Ong
2022, 10.1038/s43588-022-00349-3, for the data of Zuo et al. 2020, 10.1021/acs.jpca.9b08723. Ours
are on validation structures that were set apart from the published *training* part by trajectory,
strain and surface, and that also chose the epoch; the published test structures were not used.
"""

import argparse
from pathlib import Path

from scatterml_ase import load_model
from scatterml_ase.training.config import read_config
from scatterml_ase.training.metrics import evaluate_dataset
from scatterml_ase.training.prepare import load_dataset

MODELS = Path(__file__).parents[1] / "models"
ELEMENTS = ("Ni", "Cu", "Li", "Mo", "Si", "Ge")
# Energy (meV/atom) and force (meV/Å): M3GNet, M3GNet-all, EAM, MEAM, NNP, MTP; None: not given.
PUBLISHED = {
    "Ni": ((0.9, 1.9, 8.5, 23.0, 2.3, 0.8), (37.4, 37.0, 110, 330, 67.3, 26.9)),
    "Cu": ((1.8, 2.3, 7.5, 10.5, 1.7, 0.5), (17.0, 16.9, 120, 240, 63.0, 13.5)),
    "Li": ((2.5, 4.7, 368.6, None, 1.0, 0.7), (22.1, 24.5, 140, None, 63.4, 13.2)),
    "Mo": ((6.3, 6.8, 68.0, 36.4, 5.7, 3.9), (193.7, 271.4, 520, 220, 198.7, 148.1)),
    "Si": ((9.6, 6.8, None, 111.7, 9.9, 3.0), (102.8, 126.2, None, 400, 174.2, 88.1)),
    "Ge": ((9.4, 5.9, None, None, 11.0, 3.7), (76.4, 78.4, None, None, 124.3, 70.3)),
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the extxyz files")
    folder = parser.parse_args().data
    titles = (
        "",
        "structures",
        "E MAE",
        "RMSE",
        "best published",
        "F MAE",
        "RMSE",
        "best published",
    )
    print("| " + " | ".join(titles) + " |")
    print("|---" * len(titles) + "|")
    for element in ELEMENTS:
        for name in (element.lower(), "elements-6"):
            if not (MODELS / name).is_dir():
                continue
            metrics = of_card(name, element) if folder is None else computed(name, element, folder)
            energy, force = (min(x for x in row if x is not None) for row in PUBLISHED[element])
            print(
                f"| {element} ({name}) | {metrics['structures']} "
                f"| {bold(metrics['energy_mae'], energy, '.2f')} | {metrics['energy_rmse']:.2f} "
                f"| {energy} | {bold(metrics['force_mae'], force, '.1f')} "
                f"| {metrics['force_rmse']:.1f} | {force} |"
            )


def bold(value: float, best: float, form: str) -> str:
    """Write a number, in bold if it is below the best published one."""
    text = format(value, form)
    return f"**{text}**" if value < best else text


def of_card(name: str, element: str) -> dict[str, float]:
    """Return the validation metrics the card states for an element."""
    validation = load_model(name).card.metrics["validation"]
    return validation["all"] if name != "elements-6" else validation[f"species {element}"]


def computed(name: str, element: str, folder: Path) -> dict[str, float]:
    """Compute them again: the split of the element's own model, the weights of ``name``."""
    file = MODELS / element.lower() / "training.toml"
    config = read_config(file, data=[folder / f"{element}_train.extxyz"])
    metrics = evaluate_dataset(load_model(name), load_dataset(config).validation).overall
    return {
        key: getattr(metrics, key)
        for key in ("structures", "energy_mae", "energy_rmse", "force_mae", "force_rmse")
    }


if __name__ == "__main__":
    main()
