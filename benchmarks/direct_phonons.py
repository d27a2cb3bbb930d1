"""Predicted phonons against references the models were never shown.

Run: ``python benchmarks/direct_phonons.py kyoto phonons.h5 splits.json`` (force constants of the
reserved formulas), ``... phonondb FOLDER`` (frequencies on full meshes), ``... labels FOLDER
[--structures N]`` (51-point densities of states, with the structure-blind floor beside them) or
``... speed``. Every part takes ``--method fast|force_constants``, where it makes a difference, and
``--model`` or ``--dos-model`` for a folder of your own.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.io import read
from scipy.stats import wasserstein_distance
from tqdm import tqdm

from scatterml_ase import (
    ForceConstants,
    ForceConstantsPredictor,
    PhononDOSPredictor,
    load_model,
)
from scatterml_ase.training.phonons.metrics import label_metrics, label_points, mean_errors
from scatterml_ase.training.phonons.reference import ReferencePhonons, reserved_formulas
from scatterml_ase.training.phonons.validation import (
    Counts,
    from_densities,
    from_force_constants,
    label_edges,
    reserved_crystals,
    validate,
)
from scatterml_ase.units import INVERSE_CM_TO_MEV, THZ_TO_MEV


def main() -> None:
    """Run the part that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["kyoto", "phonondb", "labels", "speed"])
    parser.add_argument("data", nargs="*", type=Path)
    parser.add_argument("--method", choices=["fast", "force_constants"], default="force_constants")
    parser.add_argument("--model", default="force-constants")
    parser.add_argument("--dos-model", default="phonon-dos")
    parser.add_argument("--structures", type=int, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    {"kyoto": kyoto, "phonondb": phonondb, "labels": labels, "speed": speed}[options.part](options)


def counts_of(options: argparse.Namespace) -> Counts:
    """Return the way of predicting that is asked for."""
    if options.method == "fast":
        predictor = PhononDOSPredictor(model=options.dos_model, energy_edges=label_edges())
        return from_densities(predictor)
    return from_force_constants(ForceConstantsPredictor(model=options.model))


def kyoto(options: argparse.Namespace) -> None:
    """Compare spectra of the reserved formulas with those of DFT force constants."""
    data = ReferencePhonons(options.data[0])
    species = load_model(options.model).species
    chosen = reserved_crystals(data, reserved_formulas(options.data[1]), species)
    if options.structures:
        chosen = np.random.default_rng(1).permutation(chosen)[: options.structures].tolist()
    (errors,) = validate([counts_of(options)], data, chosen, progress=True)
    print(f"{len(errors)} crystals, median W1/ω_max "
          f"{np.median([one.wasserstein for one in errors]):.4f}; means:")  # fmt: skip
    for name, value in mean_errors(errors).items():
        print(f"  {name:22s} {value:.4f}")
    direct = ForceConstantsPredictor(model=options.model)
    predicted = (direct(data.force_constants(k).crystal.to_atoms()) for k in chosen[:20])
    acoustic, hermitian = np.max([_exactness(one) for one in predicted], axis=0)
    print(f"  Γ acoustic at most {acoustic:.1e} cm⁻¹, ‖D − D†‖ at most {hermitian:.1e}")


def _exactness(constants: ForceConstants) -> tuple[float, float]:
    matrices = constants.dynamical_matrices([[0.1, 0.2, 0.3]])
    difference = np.abs(matrices - matrices.conj().swapaxes(1, 2)).max()
    return constants.acoustic_residual() / INVERSE_CM_TO_MEV, float(difference)


def phonondb(options: argparse.Namespace) -> None:
    """Compare frequencies with those of a full mesh, in THz."""
    folder = options.data[0]
    with gzip.open(folder / "reference.json.gz", "rt") as file:
        references = json.load(file)
    structures = {atoms.info["mp_id"]: atoms for atoms in read(folder / "structures.extxyz", ":")}
    predictor, distances = ForceConstantsPredictor(model=options.model), []
    for name, reference in references.items():
        atoms = structures[name]
        atoms.info = {}
        modes = predictor(atoms).mesh_modes(reference["q_mesh"], eigenvectors=False)
        found = modes.frequencies / THZ_TO_MEV
        true = np.array(reference["frequencies_THz"])
        weights = (
            np.repeat(modes.weights, found.shape[1]),
            np.repeat(np.array(reference["weights"], dtype=float), true.shape[1]),
        )
        distances.append(wasserstein_distance(found.ravel(), true.ravel(), *weights))
        print(f"  {reference['name']:6s} {distances[-1]:.3f} THz, highest {found.max():6.2f} "
              f"({true.max():.2f})")  # fmt: skip
    print(f"{len(distances)} crystals: W1 mean {np.mean(distances):.3f}, "
          f"median {np.median(distances):.3f} THz")  # fmt: skip


def labels(options: argparse.Namespace) -> None:
    """Compare with 51-point densities of states."""
    valid, train = (json.loads((options.data[0] / f"{x}.json").read_text()) for x in
                    ("valid", "train"))  # fmt: skip
    valid = valid[: options.structures]
    many = [
        Atoms(numbers=x["numbers"], positions=x["positions"], cell=x["cell"], pbc=True)
        for x in valid
    ]
    counts = counts_of(options)
    predicted = label_points(np.array([counts(atoms) for atoms in tqdm(many, desc="crystals")]))
    truth, atoms = np.array([x["dos"] for x in valid]), np.array([len(x) for x in many])
    floor = composition_kernel(train, valid)
    for name, values in ((options.method, predicted), ("structure-blind floor", floor)):
        print(name, {k: round(v, 4) for k, v in label_metrics(values, truth, atoms).items()})


def composition_kernel(train: list[dict], valid: list[dict], width: float = 0.1) -> np.ndarray:
    """Return means of the training labels, weighed by likeness of the composition."""

    def shares(entries: list[dict]) -> np.ndarray:
        table = np.array([np.bincount(x["numbers"], minlength=119) for x in entries], dtype=float)
        return table / table.sum(axis=1, keepdims=True)

    apart = np.abs(shares(valid)[:, None] - shares(train)[None]).sum(axis=-1)
    weights = np.exp(-apart / width)
    return weights / weights.sum(axis=1, keepdims=True) @ np.array([x["dos"] for x in train])


def speed(options: argparse.Namespace) -> None:
    """Time a crystal of ten atoms, and many in one call; loading is not counted."""
    quartz_like = bulk("NaCl", "rocksalt", a=5.6, orthorhombic=True).repeat((5, 1, 1))[:20]
    atoms = quartz_like[:10]
    atoms.set_cell(quartz_like.cell.array * [[0.5], [1], [1]])
    atoms.rattle(0.05, seed=0)  # no symmetry: every wavevector counts
    fast = PhononDOSPredictor(model=options.dos_model)
    direct = ForceConstantsPredictor(model=options.model)
    constants = direct(atoms)
    jobs = {
        "densities of states, fast": lambda: fast(atoms),
        "force constants": lambda: direct(atoms),
        "their density of states, 20³ mesh": lambda: constants.dos((20, 20, 20), partial=False),
    }
    for name, job in jobs.items():
        times = []
        for _ in range(11):
            start = time.perf_counter()
            job()
            times.append(time.perf_counter() - start)
        print(f"{name}, {len(atoms)} atoms: median {1e3 * np.median(times):.1f} ms")
    many = [atoms.copy() for _ in range(1000)]
    start = time.perf_counter()
    fast(many)
    print(f"1000 crystals of {len(atoms)} atoms in one call: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
