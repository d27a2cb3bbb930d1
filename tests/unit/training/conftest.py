"""A small crystal with labels from ASE's effective-medium theory, as files and as structures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from scatterml_ase.training.config import TrainingConfig, from_table

TINY_MODEL = {
    "cutoff": 4.0,
    "channels": 4,
    "l_max": 1,
    "correlation": 2,
    "n_basis": 4,
    "readout_hidden": [],
}


def labelled(atoms: Atoms, **info: str) -> Atoms:
    """Return a copy with energy, forces and stress of effective-medium theory."""
    atoms.calc = EMT()
    results = {
        "energy": atoms.get_potential_energy(),
        "forces": atoms.get_forces(),
        "stress": atoms.get_stress(),
    }
    copy = atoms.copy()
    copy.info = dict(info)
    copy.calc = SinglePointCalculator(copy, **results)
    return copy


def rattled_copper(count: int, *, seed: int = 0) -> list[Atoms]:
    """Return four-atom copper cells, strained and rattled, from two 'trajectories'."""
    random = np.random.default_rng(seed)
    images = []
    for number in range(count):
        atoms = bulk("Cu", cubic=True)
        strain = np.eye(3) + random.normal(0, 0.02, (3, 3))
        atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        atoms.positions += random.normal(0, 0.08, (4, 3))
        images.append(labelled(atoms, group="cold" if number % 2 else "hot"))
    return images


@pytest.fixture(scope="session")
def copper() -> list[Atoms]:
    return rattled_copper(12)


@pytest.fixture
def copper_file(copper, tmp_path) -> Path:
    write(tmp_path / "copper.extxyz", copper)
    return tmp_path / "copper.extxyz"


@pytest.fixture
def config(copper_file) -> TrainingConfig:
    return from_table(
        TrainingConfig,
        {
            "name": "toy",
            "data": {"train": str(copper_file)},
            "split": {"fraction": 0.25, "trajectory": ".+"},
            "model": {"options": TINY_MODEL},
            "optimizer": {"learning_rate": 0.02, "warmup_steps": 3},
            "run": {"epochs": 6, "batch_structures": 2, "threads": 1},
        },
        where="test",
    )
