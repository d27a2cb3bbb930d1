"""Phonons from a potential's exact second derivatives against full meshes of DFT frequencies.

Run: ``python benchmarks/phonon_routes.py MODEL FOLDER``, with a model's name or folder and the
folder of ``reference.json.gz`` and ``structures.extxyz`` that ``direct_phonons.py phonondb`` reads.
Structures are taken as given, not relaxed: forces on their atoms are allowed, and printed.
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
from ase.io import read
from scipy.stats import wasserstein_distance

from scatterml_ase import HessianPhonons, PotentialCalculator
from scatterml_ase.units import THZ_TO_MEV


def main() -> None:
    """Print a line for each crystal, smallest first, and the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--structures", type=int, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of stress, and of crystals unlike those trained on
    with gzip.open(options.folder / "reference.json.gz", "rt") as file:
        references = json.load(file)
    calculator = PotentialCalculator(options.model)
    crystals = sorted(read(options.folder / "structures.extxyz", ":"), key=len)
    rows, start = [], time.process_time()
    for atoms in crystals[: options.structures]:
        reference = references[atoms.info["mp_id"]]
        atoms.info, atoms.calc = {}, calculator
        rows.append(compare(atoms, reference))
        print(f"  {reference['name']:6s} W1 {rows[-1][0]:6.3f} THz, mean frequency "
              f"{rows[-1][1]:+6.1%}, imaginary {rows[-1][2]:6.2%}, force {rows[-1][3]:.3f} eV/Å",
              flush=True)  # fmt: skip
    distances, shifts, imaginary, _ = np.array(rows).T
    print(f"{len(rows)} crystals, {time.process_time() - start:.0f} CPU s: W1 mean "
          f"{distances.mean():.3f}, median {np.median(distances):.3f} THz; mean frequency off by "
          f"{np.abs(shifts).mean():.1%}; unstable {int((imaginary > 0.005).sum())}")  # fmt: skip


def compare(atoms: Atoms, reference: dict) -> tuple[float, float, float, float]:
    """Return W1 (THz), relative error of the mean, imaginary weight and largest force (eV/Å)."""
    constants = HessianPhonons(force_tolerance=np.inf)(atoms)
    modes = constants.mesh_modes(reference["q_mesh"], eigenvectors=False)
    found = modes.frequencies / THZ_TO_MEV
    true = np.array(reference["frequencies_THz"])
    weights = np.repeat(modes.weights, found.shape[1])
    true_weights = np.repeat(np.array(reference["weights"], dtype=float), true.shape[1])
    found, true = found.ravel(), true.ravel()
    mean, true_mean = np.average(found, weights=weights), np.average(true, weights=true_weights)
    return (
        wasserstein_distance(found, true, weights, true_weights),
        mean / true_mean - 1,
        float(weights[found < -0.15].sum() / weights.sum()),  # −5 cm⁻¹
        float(np.linalg.norm(atoms.get_forces(), axis=1).max()),
    )


if __name__ == "__main__":
    main()
