"""Every shipped model says what it is, loads, and describes its own structures."""

import numpy as np
import pytest
from ase.data import chemical_symbols

from scatterml_ase.potential.calculator import PotentialCalculator
from scatterml_ase.store import list_models, load_model, models_directory
from scatterml_ase.testing import structure_kinds

CARDS = list_models()
for_every_model = pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)


def test_every_folder_of_models_holds_a_model():
    folders = sorted(path.name for path in models_directory().iterdir() if path.is_dir())
    assert [card.name for card in CARDS] == folders
    assert "si" in folders


@for_every_model
def test_the_card_says_where_the_model_comes_from(card):
    needed = {"data", "level_of_theory", "licence", "split", "seed", "hardware", "hours"}
    assert needed <= set(card.training)
    assert card.metrics and card.limitations and card.version
    assert card.units == {"energy": "eV", "length": "angstrom"}


@for_every_model
def test_the_model_loads_strictly_and_agrees_with_its_card(card):
    model = load_model(card.name)
    assert sum(p.numel() for p in model.parameters()) == card.parameters
    assert model.config.species == card.species and model.config.cutoff == card.cutoff


@for_every_model
def test_a_model_is_small_enough_for_a_wheel(card):
    assert sum(path.stat().st_size for path in card.directory.iterdir()) < 20e6


@pytest.mark.parametrize(
    "card", [card for card in CARDS if card.task == "potential"], ids=lambda card: card.name
)
def test_a_potential_binds_its_crystal_and_repels_close_atoms(card):
    symbol = chemical_symbols[card.species[0]]
    crystal = structure_kinds(symbol)["cell smaller than the cutoff"]
    calculator = PotentialCalculator(card.name)
    scales = (0.3, 0.5, 0.7, 1.0, 3.0)
    images = []
    for scale in scales:
        images.append(crystal.copy())
        images[-1].set_cell(crystal.cell * scale, scale_atoms=True)
    energies = np.array([result["energy"] for result in calculator.evaluate(images)]) / 2
    squeezed, crystal_energy, torn = energies[:3], energies[3], energies[4]
    assert crystal_energy < torn - 0.5, "the crystal is bound"
    assert np.all(np.diff(squeezed) < 0) and squeezed[0] > torn, "no hole at short distance"
