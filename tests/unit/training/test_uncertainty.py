"""Fitting a committee: from the training data into the folder of the model."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import bulk, surface
from ase.io import write

from scatterml_ase import CommitteeCalculator, cli, load_model
from scatterml_ase.errors import AccuracyWarning, InputError
from scatterml_ase.graph import edge_vectors, graph_from_atoms
from scatterml_ase.potential.features import FeatureReader
from scatterml_ase.training import fit_committee, train
from scatterml_ase.training.config import TrainingConfig, from_table
from scatterml_ase.training.last_layer import Posterior, force_features, normal_matrix
from scatterml_ase.training.prepare import load_dataset
from scatterml_ase.training.uncertainty import dataset_of, judge

from .conftest import TINY_MODEL, rattled_copper

TOML = """
name = "toy"
[data]
train = "copper.extxyz"
[split]
fraction = 0.25
trajectory = ".+"
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Path, TrainingConfig]:
    """Train a small potential on copper once for all tests."""
    folder = tmp_path_factory.mktemp("run")
    write(folder / "copper.extxyz", rattled_copper(24))
    table = {
        "name": "toy",
        "data": {"train": str(folder / "copper.extxyz")},
        "split": {"fraction": 0.25, "trajectory": ".+"},
        "model": {"options": {**TINY_MODEL, "readout_hidden": [4]}},
        "optimizer": {"learning_rate": 0.03, "warmup_steps": 3, "ema_decay": 0.5},
        "run": {"epochs": 8, "batch_structures": 4, "threads": 1},
    }
    config = from_table(TrainingConfig, table, where="test")
    model = train(config, output=folder / "run", progress=False)
    (model / "training.toml").write_text(TOML, encoding="utf-8")
    return model, config


@pytest.fixture(scope="module")
def fitted(run, tmp_path_factory):
    """Return the folder of a model with a fitted committee, its data and the judgement."""
    model, config = run
    folder = Path(shutil.copytree(model, tmp_path_factory.mktemp("fitted") / "toy"))
    dataset = load_dataset(config)
    return folder, dataset, fit_committee(folder, dataset)


def test_force_features_times_weights_are_the_forces_of_the_network(random_potential):
    """Through both layers and the images of a small cell."""
    reader = FeatureReader(random_potential)
    atoms = bulk("SiC", "zincblende", a=4.36) * (2, 1, 1)
    atoms.rattle(0.1, seed=0)
    graph = graph_from_atoms(atoms, random_potential.config.cutoff)
    components = np.array([0, 4, 11])
    found = force_features(reader, graph, components) @ reader.weights.detach()
    vectors = edge_vectors(graph).requires_grad_()
    network = reader(vectors, graph.edge_index, graph.numbers).network.sum()
    (slope,) = torch.autograd.grad(network, vectors)
    forces = torch.zeros(len(graph.numbers), 3, dtype=torch.float64)
    forces.index_add_(0, graph.edge_index[0], slope).index_add_(0, graph.edge_index[1], -slope)
    expected = forces.flatten()[components].detach()
    assert torch.allclose(found, expected, atol=2e-5 * float(expected.abs().max()))


def test_a_sample_of_the_force_components_gives_the_same_matrix_on_average(run):
    reader = FeatureReader(load_model(run[0], "float64"))
    frames = load_dataset(run[1]).train[:2]
    noise = {"energy_noise": [1.0] * 2, "force_noise": [0.1] * 2}
    whole = normal_matrix(reader, frames, components=99, seed=0, **noise)
    parts = [normal_matrix(reader, frames, components=4, seed=k, **noise) for k in range(12)]
    trace = float(torch.stack(parts).mean(0).trace())
    assert trace == pytest.approx(float(whole.trace()), rel=0.25)
    assert float((parts[0] - parts[1]).norm()) > 0


def test_members_are_drawn_with_the_covariance_of_the_posterior():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(9, 3, dtype=torch.float64, generator=generator)
    normal = rows.T @ rows
    noise = torch.randn(40_000, 3, dtype=torch.float64, generator=generator)
    drawn = Posterior.of(normal).draw(noise, 0.1)
    prior = 0.1 * normal.trace() / 3 * torch.eye(3, dtype=torch.float64)
    assert torch.allclose(drawn.T @ drawn / len(drawn), torch.linalg.inv(normal + prior), rtol=0.05,
                          atol=1e-3)  # fmt: skip


def test_the_fit_is_calibrated_on_the_held_out_structures(fitted):
    judged = fitted[2]
    all_of_it = judged.rows()["all"]
    assert 0.5 < all_of_it["forces"].z < 2
    assert 0.5 < all_of_it["energy"].z < 2
    assert all_of_it["outside"] <= 0.05
    assert set(judged.groups) == {"cold", "hot"}


def test_the_card_tells_the_facts(fitted):
    folder, dataset, judged = fitted
    content = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    entry = content["companions"]["committee"]
    assert entry["members"] == 8
    assert entry["data_sha256"] == dataset.hash == content["training"]["data_sha256"]
    assert entry["validation"] == judged.to_dict()


def test_the_stored_committee_says_what_the_fit_said(fitted):
    folder, dataset, judged = fitted
    again = judge(CommitteeCalculator(folder), dataset.validation)
    assert np.allclose(again.energy_spreads, judged.energy_spreads)
    assert np.allclose(np.concatenate(again.grades), np.concatenate(judged.grades))


def test_what_was_never_shown_is_flagged_and_uncertain(fitted):
    folder, dataset, _ = fitted
    calculator = CommitteeCalculator(folder)
    known = dataset.validation[0].atoms
    slab = surface(bulk("Cu", cubic=True), (1, 0, 0), 3, vacuum=6.0)
    squeezed = bulk("Cu", a=3.1)
    grades = np.sort(calculator.get_extrapolation(slab))  # four atoms at the surfaces
    assert grades[-4:].min() > 3 * grades[:4].max()
    assert calculator.get_extrapolation(squeezed).max() > 1.5
    per_atom = [calculator.get_energy_spread(a) / len(a) for a in (known, squeezed)]
    assert per_atom[1] > 3 * per_atom[0]


def test_the_same_seed_gives_the_same_committee(fitted, run, tmp_path):
    folder, dataset, _ = fitted
    again = Path(shutil.copytree(run[0], tmp_path / "toy"))
    fit_committee(again, dataset)
    name = "committee.safetensors"
    assert (again / name).read_bytes() == (folder / name).read_bytes()
    first = CommitteeCalculator(again).get_force_spread(dataset.validation[0].atoms)
    fit_committee(again, dataset, seed=1)  # takes the place of the one before
    other = CommitteeCalculator(again).get_force_spread(dataset.validation[0].atoms)
    assert not np.allclose(first, other)
    assert np.allclose(first, other, rtol=1.0)


def test_independent_models_are_judged_by_their_spread_alone(fitted):
    folder, dataset, _ = fitted
    judged = judge(CommitteeCalculator([folder, folder]), dataset.validation[:2])
    assert np.isnan(judged.outside)
    assert judged.energy_spreads == pytest.approx([0, 0], abs=1e-12)


def test_other_data_than_those_of_the_training_are_noticed(run, tmp_path):
    folder = Path(shutil.copytree(run[0], tmp_path / "toy"))
    dataset = dataclasses.replace(load_dataset(run[1]), hash="0" * 64)
    with pytest.warns(AccuracyWarning, match="are not those that model 'toy'"):
        fit_committee(folder, dataset, members=2)


def test_one_member_is_refused(run):
    with pytest.raises(InputError, match="members = 1"):
        fit_committee(run[0], load_dataset(run[1]), members=1)


def test_a_model_without_a_training_file_is_explained(run, tmp_path):
    folder = Path(shutil.copytree(run[0], tmp_path / "toy"))
    (folder / "training.toml").unlink()
    with pytest.raises(InputError, match=r"no training file .*training\.toml"):
        dataset_of(folder)
    with pytest.raises(InputError, match=r"nowhere' cannot be loaded"):
        dataset_of(tmp_path / "nowhere")


def test_a_part_chosen_on_the_command_line_is_known_from_the_card(run, tmp_path):
    folder = Path(shutil.copytree(run[0], tmp_path / "toy"))
    data = run[1].data.train
    whole = dataset_of(folder, data)
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["training"]["fraction"] = 0.5
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    part = dataset_of(folder, data)
    assert len(part.train) == len(whole.train) // 2
    assert len(part.validation) == len(whole.validation)


def test_a_folder_with_the_name_of_a_shipped_model_is_the_folder(run, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(run[0], tmp_path / "cu"))
    monkeypatch.chdir(tmp_path)
    weights = load_model(folder).card.sha256
    fit_committee("cu", load_dataset(run[1]), members=2)
    assert load_model(folder).card.sha256 == weights
    assert CommitteeCalculator(folder).parameters["committee"] == 2


def test_data_of_other_species_are_refused(run, tmp_path):
    dataset = load_dataset(run[1])
    frame = dataset.validation[0]
    gold = frame.atoms.copy()
    gold.numbers[0] = 79
    dataset = dataclasses.replace(dataset, validation=[dataclasses.replace(frame, atoms=gold)])
    with pytest.raises(InputError, match=r"contains Au: The model knows Cu only"):
        fit_committee(run[0], dataset)


@pytest.mark.parametrize("name", ["x.nonsense", "no/x.png"])
def test_a_picture_that_cannot_be_drawn_is_refused_before_the_work(run, tmp_path, name, capsys):
    before = (run[0] / "card.json").read_text(encoding="utf-8")
    arguments = ["uncertainty", str(run[0]), "--data", str(run[1].data.train[0])]
    assert cli.main([*arguments, "--picture", str(tmp_path / name)]) == 2
    assert "Cannot" in capsys.readouterr().err
    assert (run[0] / "card.json").read_text(encoding="utf-8") == before


def test_the_command_fits_shows_and_draws(run, tmp_path, capsys):
    folder = Path(shutil.copytree(run[0], tmp_path / "toy"))
    data = Path(run[1].data.train[0])
    picture = tmp_path / "reliability.png"
    arguments = ["uncertainty", str(folder), "--data", str(data), "--members", "3"]
    assert cli.main([*arguments, "--picture", str(picture)]) == 0
    assert "force component" in capsys.readouterr().out
    assert picture.exists()
    assert CommitteeCalculator(folder).parameters["committee"] == 3
