"""Phonon frequencies of silicon at the level of theory of the training data, for comparison.

Fits harmonic force constants to the DFT-PBE forces of the 300 K molecular-dynamics snapshots of
the silicon training set (symmetry leaves few parameters, so 18 snapshots
are plenty). What comes out are effective frequencies at 300 K; the optical ones lie slightly below
the harmonic frequencies at 0 K.

    python benchmarks/silicon_reference.py path/to/Si_train.extxyz
"""

import sys

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

POINTS = {"Γ": (0, 0, 0), "X": (0.5, 0.5, 0), "L": (0.5, 0.5, 0.5)}


def displacements(frame: Atoms, ideal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Assign the atoms of a snapshot to lattice sites; displacements and forces in their order."""
    best = None
    for shift in frame.positions - ideal[0]:
        scaled = (frame.positions[None] - ideal[:, None] - shift) @ np.linalg.inv(frame.cell.array)
        vectors = (scaled - np.round(scaled)) @ frame.cell.array
        distances = np.linalg.norm(vectors, axis=2)
        sites = distances.argmin(axis=1)
        if len(set(sites)) == len(ideal):
            worst = distances.min(axis=1).max()
            if best is None or worst < best[0]:
                best = worst, vectors[np.arange(len(ideal)), sites], frame.get_forces()[sites]
    if best is None:
        raise SystemExit("A snapshot does not match the diamond lattice; is it silicon at 300 K?")
    _, vectors, forces = best
    return vectors - vectors.mean(axis=0), forces


def main(path: str) -> None:
    """Print the effective frequencies of all snapshots and of two halves."""
    wanted = "AIMD NVT simulation for normal structure at 300 K"
    frames = [frame for frame in read(path, ":") if wanted in frame.info["description"]]
    a = (frames[0].cell.volume / len(frames[0]) * 8) ** (1 / 3)
    unit = bulk("Si", "diamond", a=a, cubic=True)
    cell = PhonopyAtoms(
        numbers=unit.numbers, cell=unit.cell.array, scaled_positions=unit.get_scaled_positions()
    )
    phonon = Phonopy(cell, supercell_matrix=2 * np.eye(3), primitive_matrix="auto")
    pairs = [displacements(frame, phonon.supercell.positions) for frame in frames]
    moved, forces = (np.array(part) for part in zip(*pairs, strict=True))
    half = len(frames) // 2
    print(f"a = {a:.4f} Å, {len(frames)} snapshots; THz")
    for name, chosen in {"all": slice(None), "first half": slice(half), "second half": slice(half, None)}.items():  # fmt: skip  # noqa: E501
        phonon.dataset = {"displacements": moved[chosen], "forces": forces[chosen]}
        phonon.produce_force_constants(fc_calculator="symfc")
        phonon.run_qpoints(list(POINTS.values()))
        rows = zip(POINTS, phonon.qpoints.frequencies, strict=True)
        print(name, {label: np.round(row, 2).tolist() for label, row in rows})


if __name__ == "__main__":
    main(sys.argv[1])
