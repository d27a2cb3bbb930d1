"""The data of a run are checked and split as a whole, validation files included."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from scatterml_ase.errors import AccuracyWarning, InputError
from scatterml_ase.training.prepare import build_model, load_dataset


def with_validation(config, path, **data):
    table = dataclasses.replace(config.data, validation=(str(path),), **data)
    return dataclasses.replace(config, data=table)


def test_validation_files_are_checked_as_strictly_as_those_to_train_on(config, copper, tmp_path):
    random = np.random.default_rng(5)
    atoms = copper[0]
    images = []
    for _ in range(8):
        copy = atoms.copy()
        step = random.normal(0, 1e-3, (4, 3))
        copy.positions += step
        energy = atoms.get_potential_energy() - (atoms.get_forces() * step).sum()
        forces = atoms.get_forces() / 51.42208  # Hartree/bohr
        copy.calc = SinglePointCalculator(copy, energy=energy, forces=forces)
        images.append(copy)
    write(tmp_path / "wrong.extxyz", images)
    with pytest.warns(AccuracyWarning, match=r"wrong\.extxyz.*forces in Hartree/bohr"):
        load_dataset(with_validation(config, tmp_path / "wrong.extxyz"))


def test_training_on_nothing_but_validation_structures_is_refused(config, copper_file):
    with (
        pytest.warns(AccuracyWarning, match="also validation structures"),
        pytest.raises(InputError, match=r"No structures are left for training.*validation files"),
    ):
        load_dataset(with_validation(config, copper_file))


def test_a_species_that_a_small_part_misses_is_blamed_on_the_fraction(config, copper, tmp_path):
    gold = copper[0].copy()
    gold.numbers[0] = 79
    gold.calc = copper[0].calc
    other = copper[1].copy()
    other.numbers[0] = 79
    other.calc = copper[1].calc
    write(tmp_path / "train.extxyz", [*copper[2:], gold])
    write(tmp_path / "validation.extxyz", [other])
    config = with_validation(
        config,
        tmp_path / "validation.extxyz",
        train=(str(tmp_path / "train.extxyz"),),
        fraction=0.1,
    )
    with (
        pytest.warns(AccuracyWarning),
        pytest.raises(InputError, match=r"The training part \(fraction 0\.1\) knows Cu only"),
    ):
        load_dataset(config)


def test_a_cutoff_below_every_distance_is_named(config):
    frames = load_dataset(config).train
    options = {**config.model.options, "cutoff": 1.0}
    model = dataclasses.replace(config.model, options=options)
    with pytest.raises(InputError, match=r"neighbour within the cutoff of 1 Å"):
        build_model(model, frames, seed=0, dtype=torch.float32)
