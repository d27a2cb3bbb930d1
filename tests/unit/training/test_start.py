"""A training may go on from a finished model: parts frozen, species added, energies refitted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from safetensors.torch import load_file

from scatterml_ase.card import read_card
from scatterml_ase.errors import AccuracyWarning, InputError, ModelError
from scatterml_ase.graph import graph_from_atoms
from scatterml_ase.nn.derivatives import energies_forces_stress
from scatterml_ase.potential.model import E3NNPotential
from scatterml_ase.store import load_model, save_model
from scatterml_ase.training import train
from scatterml_ase.training.config import ModelConfig
from scatterml_ase.training.data import Frame
from scatterml_ase.training.prepare import build_model
from scatterml_ase.training.start import freeze, with_species

CUTOFF = 4.0
TINY = {
    "cutoff": CUTOFF,
    "channels": 2,
    "l_max": 1,
    "correlation": 2,
    "n_basis": 4,
    "readout_hidden": (),
}


def potential(species=(29,), **options) -> E3NNPotential:
    torch.manual_seed(1)
    energies = tuple(-0.1 * z for z in species)
    config = {**TINY, "binding_energies": energies, **options}
    return E3NNPotential(E3NNPotential.Config(species=species, **config)).double()


def make(config: E3NNPotential.Config) -> E3NNPotential:
    return E3NNPotential(config).double()


def crystal(symbols: str, seed: int = 0) -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.symbols = symbols
    atoms.rattle(0.1, seed=seed)
    return atoms


def frame(atoms: Atoms, energy: float) -> Frame:
    none = np.zeros((3, 3), dtype=bool)
    zeros = np.zeros((len(atoms), 3))
    return Frame(atoms, energy, zeros, np.zeros((3, 3)), none, "", "structure")


def output(model, atoms: Atoms):
    return energies_forces_stress(model, graph_from_atoms(atoms, CUTOFF))


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> str:
    """Return the folder of a model of copper in float64."""
    folder = tmp_path_factory.mktemp("models") / "start"
    save_model(potential(), folder, {"task": "potential"})
    return str(folder)


@pytest.mark.parametrize("layers", [1, 2])
def test_more_species_change_nothing_for_those_a_model_knows(layers):
    small = potential((13, 29), layers=layers, message_channels=3)
    with torch.no_grad():
        small.embedding.weight.add_(0.1 * torch.randn(2, 2))  # as after a training
    large = with_species(small, (8, 13, 28, 29), make=make)
    for symbols in ("Cu4", "AlCu3"):
        one, other = (output(model, crystal(symbols)) for model in (small, large))
        torch.testing.assert_close(one.energies, other.energies, rtol=0, atol=1e-12)
        torch.testing.assert_close(one.forces, other.forces, rtol=0, atol=1e-12)


def test_a_new_species_begins_as_the_mean_of_the_known_and_learns_by_itself():
    large = with_species(potential((13, 29)), (13, 28, 29), make=make)
    energies = large(
        torch.tensor([[2.5, 0.0, 0.0], [-2.5, 0.0, 0.0]], dtype=torch.float64),
        torch.tensor([[0, 1], [1, 0]]),
        torch.tensor([29, 28]),
    )
    energies.sum().backward()
    embedding, basis = large.embedding.weight, large.layers[0].basis.weight
    torch.testing.assert_close(
        embedding.detach()[1],
        torch.tensor([0.5, 0.5, 1.0], dtype=torch.float64),  # one-hot known ones
    )
    own = basis.grad.view(2, 3, 4, 2)[:, 2]  # weights of the feature of nickel alone
    assert own.abs().max() > 1e-9
    assert basis.detach().view(2, 3, 4, 2)[:, 2].abs().max() == 0


def test_a_start_without_room_for_features_takes_species_nevertheless():
    """From sixteen species on their features are shared."""
    many = tuple(range(1, 18))
    large = with_species(potential(many), (*many, 29), make=make)
    assert large.embedding.weight.shape == (18, 16)
    np.testing.assert_allclose(
        output(potential(many), crystal("AlNeOSi")).forces,
        output(large, crystal("AlNeOSi")).forces,
        atol=1e-12,
    )


def test_energies_move_to_the_level_of_the_data_and_forces_stay(start):
    """Another level of theory gives every atom another energy, and that is all."""
    before = load_model(start)
    cells = [crystal("Cu4", seed) for seed in range(3)]
    frames = [frame(a, output(before, a).energy.item() + 7.5 * len(a)) for a in cells]
    model = build_model(ModelConfig(start=start), frames, seed=0, dtype=torch.float64)
    for one in frames:
        now = output(model, one.atoms)
        assert now.energy.item() == pytest.approx(one.energy, abs=1e-9)
        assert torch.equal(now.forces, output(before, one.atoms).forces)
    assert model.config.reference_energies[0] == pytest.approx(7.5)
    assert model.config.binding_energies == before.config.binding_energies


def test_a_given_energy_of_the_free_atom_is_kept_and_binding_moves(start):
    before = load_model(start)
    cells = [crystal("Cu4", seed) for seed in range(3)]
    frames = [frame(a, output(before, a).energy.item() + 7.5 * len(a)) for a in cells]
    config = ModelConfig(start=start, reference_energies={"Cu": 5.0})
    model = build_model(config, frames, seed=0, dtype=torch.float64)
    assert model.config.reference_energies == (5.0,)
    assert model.config.binding_energies[0] == pytest.approx(7.5 - 5.0 - 2.9)
    atom = Atoms("Cu")
    assert output(model, atom).energy.item() == 5.0


def test_species_of_the_data_are_added_with_their_energies(start):
    before = load_model(start)
    cells = [crystal("Cu4"), crystal("Cu3Ni", 1), crystal("Cu2Ni2", 2), crystal("CuNi3", 3)]
    frames = [frame(a, -3.0 * (a.numbers == 28).sum() + 1.0 * len(a)) for a in cells]
    free_atom = frame(Atoms("Ni"), -0.25)
    config = ModelConfig(start=start)
    model = build_model(config, [*frames, free_atom], seed=0, dtype=torch.float64)
    assert model.species == (28, 29)
    assert output(model, Atoms("Ni")).energy.item() == -0.25  # not taken for a crystal
    mean = np.mean([(output(model, f.atoms).energy.item() - f.energy) / 4 for f in frames])
    assert mean == pytest.approx(0.0, abs=0.02)
    torch.testing.assert_close(
        output(model, cells[0]).forces, output(before, cells[0]).forces, rtol=0, atol=1e-12
    )


def test_the_architecture_of_the_start_cannot_be_changed(start):
    for options, words in (({"channels": 64}, "has channels = 2"), ({"chanels": 2}, "no such")):
        with pytest.raises(InputError, match=words):
            build_model(ModelConfig(start=start, options=options), [], seed=0, dtype=torch.float64)
    same = ModelConfig(start=start, options={"channels": 2, "cutoff": 4})  # says the same
    frames = [frame(crystal("Cu4"), 0.0)]
    assert build_model(same, frames, seed=0, dtype=torch.float32).config.channels == 2


def test_data_inside_of_the_core_of_the_start_are_told(start):
    pressed = crystal("Cu4")
    pressed.set_cell(0.7 * pressed.cell.array, scale_atoms=True)
    with pytest.warns(AccuracyWarning, match=r"as close as 0\.\d+ contact.*beyond 0\.80"):
        build_model(ModelConfig(start=start), [frame(pressed, 0.0)], seed=0, dtype=torch.float64)


def test_a_start_that_is_not_there_is_named(config, tmp_path):
    with pytest.raises(ModelError, match="'granite'"):
        train(config, output=tmp_path / "run", start="granite", progress=False)


def test_frozen_weights_are_chosen_by_parts_of_their_names():
    model = potential()
    assert freeze(model, ["basis", "^embedding"]) == ["embedding.weight", "layers.0.basis.weight"]
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert "layers.0.centre" in trained
    assert not trained & {"embedding.weight", "layers.0.basis.weight"}
    with pytest.raises(InputError, match=r"'bases' matches no weights.*layers\.0\.basis\.weight"):
        freeze(model, ["basis", "bases"])
    with pytest.raises(InputError, match="nothing would be left"):
        freeze(model, ["."])


def test_fine_tuning_learns_what_is_free_and_says_where_it_came_from(config, start, tmp_path):
    config = dataclasses.replace(
        config,
        model=ModelConfig(freeze=("basis", "embedding")),
        run=dataclasses.replace(config.run, epochs=2, dtype="float64"),
    )
    folder = train(config, output=tmp_path / "run", start=start, progress=False)
    before = load_file(f"{start}/weights.safetensors")
    after = load_file(folder / "weights.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {n for n in before if "basis" in n or "embedding" in n} == before.keys() - changed
    card = read_card(folder)
    assert card.training["fine_tuned_from"] == {
        "name": "start",
        "sha256": read_card(start).sha256,
        "species": [29],
        "frozen": ["embedding.weight", "layers.0.basis.weight"],
    }
    assert set(card.metrics) == {"train", "validation", "validation before fine-tuning"}
    # The run knows its start again, and no other.
    log = (tmp_path / "run" / "log.csv").read_text(encoding="utf-8")
    train(config, output=tmp_path / "run", start=start, progress=False)
    assert (tmp_path / "run" / "log.csv").read_text(encoding="utf-8") == log
    with pytest.raises(InputError, match=r"another run: different: start"):
        train(config, output=tmp_path / "run", start=folder, progress=False)
