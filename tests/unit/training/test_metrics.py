"""Errors of a potential on labelled structures: every row of the table is what its name says."""

from __future__ import annotations

import numpy as np
import pytest

from scatterml_ase.errors import InputError
from scatterml_ase.potential.model import E3NNPotential
from scatterml_ase.training import evaluate_dataset
from scatterml_ase.training.config import DataConfig
from scatterml_ase.training.data import label_frame
from scatterml_ase.training.metrics import Prediction, summarize

from .conftest import TINY_MODEL


def test_a_group_called_all_does_not_take_the_place_of_all(copper):
    frames = []
    for number, atoms in enumerate(copper[:4]):
        atoms = atoms.copy()
        atoms.calc = copper[number].calc
        atoms.info["group"] = "all" if number else "units"
        frames.append(label_frame(atoms, DataConfig(train=())))
    predictions = [
        Prediction(f.energy + 4e-3 * number, f.forces, f.stress) for number, f in enumerate(frames)
    ]
    metrics = summarize(frames, predictions)
    table = metrics.to_dict()
    assert table["all"]["structures"] == 4
    assert table["all"]["energy_mae"] == pytest.approx(1.5)
    assert table["group all"]["energy_mae"] == pytest.approx(2.0)
    assert table["units"].startswith("energy meV/atom")


def test_sets_of_species_have_their_own_rows(copper):
    frames = [label_frame(atoms, DataConfig(train=(), group="none")) for atoms in copper[:2]]
    alloy = copper[2].copy()
    alloy.numbers[0] = 13
    alloy.calc = copper[2].calc
    frames.append(label_frame(alloy, DataConfig(train=(), group="none")))
    said = [Prediction(f.energy, f.forces + 1e-3, f.stress) for f in frames]
    groups = summarize(frames, said).groups
    assert {name: row.structures for name, row in groups.items()} == {
        "species Cu": 2,
        "species Al-Cu": 1,
    }
    assert np.allclose([row.force_mae for row in groups.values()], 1.0)


def test_nothing_and_unknown_species_are_refused(copper):
    model = E3NNPotential(E3NNPotential.Config(species=(13,), **TINY_MODEL))
    with pytest.raises(InputError, match="There are no structures"):
        evaluate_dataset(model, [])
    with pytest.raises(InputError, match=r"structure 0 contains Cu: The model knows Al only"):
        evaluate_dataset(model, copper[:1])
