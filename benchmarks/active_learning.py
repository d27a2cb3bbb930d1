"""Does choosing structures beat drawing lots? Small silicon models on chosen and random structures.

    python benchmarks/active_learning.py Si_train.extxyz [structures] [epochs]

A first model learns from a few random structures. With its invariants more are chosen from the
pool, or drawn at random with three seeds; on each set a model of the same size is trained for the
same number of epochs with the same seed. All are judged on the same validation structures, those
of models/si/training.toml, which are not in the pool.
"""

import dataclasses
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from scatterml_ase import load_model
from scatterml_ase.training import read_config, train
from scatterml_ase.training.files import read_files
from scatterml_ase.training.selection import select_structures
from scatterml_ase.training.split import split_frames

SHIPPED = Path(__file__).parents[1] / "models" / "si" / "training.toml"
SMALL = {"cutoff": 5.0, "channels": 12, "n_basis": 8, "energy_scale": 0.3}
FIRST = 8
warnings.simplefilter("ignore", UserWarning)


def with_labels(frame):
    """Return the structure of a frame with its labels attached, to be written."""
    atoms = frame.atoms.copy()
    atoms.calc = SinglePointCalculator(atoms, energy=frame.energy, forces=frame.forces)
    return atoms


def trained(name, frames, validation, config, folder):
    """Train on frames, return the model and its errors on the validation structures."""
    for part, members in (("train", frames), ("validation", validation)):
        write(folder / f"{name}_{part}.extxyz", [with_labels(frame) for frame in members])
    data = dataclasses.replace(
        config.data,
        train=(str(folder / f"{name}_train.extxyz"),),
        validation=(str(folder / f"{name}_validation.extxyz"),),
        stress="",
        ignore_stress={},
    )
    model = load_model(
        train(
            dataclasses.replace(config, name=name, data=data), output=folder / name, progress=False
        )
    )
    errors = model.card.metrics["validation"]
    row = (errors["all"]["force_mae"], errors["all"]["force_rmse"], errors["all"]["energy_mae"])
    atoms = sum(len(frame.atoms) for frame in frames)
    print(
        f"{name:<12}{len(frames):>12}{atoms:>8}{row[0]:>10.1f}{row[1]:>10.1f}{row[2]:>10.2f}",
        flush=True,
    )
    return model, row


def main(file, count=16, epochs=40):
    """Print a table of errors, one row for each set of structures."""
    shipped = read_config(SHIPPED, data=[file])
    config = dataclasses.replace(
        shipped,
        model=dataclasses.replace(shipped.model, options=SMALL),
        run=dataclasses.replace(shipped.run, epochs=epochs, validate_every=10),
    )
    pool, validation, _ = split_frames(read_files(shipped.data.train, shipped.data), shipped.split)
    draw = np.random.default_rng(0).permutation(len(pool))
    first, rest = [pool[k] for k in draw[:FIRST]], [pool[k] for k in sorted(draw[FIRST:])]
    print(f"{len(pool)} structures in the pool, {len(validation)} for validation, {epochs} epochs")
    print(f"{'':<12}{'structures':>12}{'atoms':>8}{'F MAE':>10}{'F RMSE':>10}{'E MAE':>10}")
    folder = Path(tempfile.mkdtemp(prefix="active-"))
    model, _ = trained("first", first, validation, config, folder)
    known, structures = [frame.atoms for frame in first], [frame.atoms for frame in rest]
    for method in ("farthest", "leverage"):
        chosen = select_structures(structures, count, model=model, known=known, method=method)
        trained(method, [*first, *(rest[k] for k in chosen.indices)], validation, config, folder)
    rows = []
    for seed in (1, 2, 3):
        lots = np.random.default_rng(seed).permutation(len(rest))[:count]
        name = f"random-{seed}"
        rows.append(
            trained(name, [*first, *(rest[k] for k in lots)], validation, config, folder)[1]
        )
    mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1)
    for name, value, deviation in zip(("F MAE", "F RMSE", "E MAE"), mean, spread, strict=True):
        print(f"random: {name} {value:.2f} ± {deviation:.2f} (deviation of three draws)")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
