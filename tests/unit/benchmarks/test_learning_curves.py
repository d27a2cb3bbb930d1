"""Learning curves train each missing point once and take the full one from the card."""

import shutil

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from scatterml_ase.training import train

TRAINING = """
name = "toy"
[data]
train = "${MLEARN}/copper.extxyz"
[split]
fraction = 0.25
[model.options]
cutoff = 4.0
channels = 4
l_max = 1
correlation = 2
n_basis = 4
readout_hidden = []
[optimizer]
warmup_steps = 2
[run]
epochs = 2
batch_structures = 4
threads = 1
"""


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """Return a folder with data, and in it a folder ``models`` with one tiny model."""
    folder = tmp_path_factory.mktemp("shipped")
    random = np.random.default_rng(0)
    frames = []
    for _ in range(24):
        atoms = bulk("Cu", cubic=True)
        atoms.positions += random.normal(0, 0.08, (4, 3))
        atoms.calc = EMT()
        labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    write(folder / "copper.extxyz", frames)
    file = folder / "models" / "toy" / "training.toml"
    file.parent.mkdir(parents=True)
    file.write_text(TRAINING)
    data = folder / "copper.extxyz"
    model = train(file, output=folder / "full", data=data, progress=False)
    shutil.copytree(model, file.parent, dirs_exist_ok=True)
    return folder


@pytest.fixture
def curves(benchmark, monkeypatch, shipped, tmp_path):
    """Return the program with one tiny "shipped" model of its own."""
    monkeypatch.setenv("MLEARN", str(shipped))
    shutil.copytree(shipped / "models", tmp_path / "models")
    module = benchmark("learning_curves")
    monkeypatch.setattr(module, "MODELS", tmp_path / "models")
    return module


@pytest.fixture
def program(curves, monkeypatch, tmp_path):
    """Run the program with arguments."""

    def run(*words):
        monkeypatch.setattr("sys.argv", ["curves", "--output", str(tmp_path / "out"), *words])
        curves.main()

    return run


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_points_are_trained_once_and_shown_beside_the_shipped_model(
    curves, program, monkeypatch, tmp_path, capsys
):
    program("toy")
    monkeypatch.setattr(curves, "train", None)  # nothing is left to train
    program("toy")
    capsys.readouterr()
    program("--figure", str(tmp_path / "images" / "curves.png"))
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if "| toy" in line]
    assert [row[1] for row in rows] == ["10 %", "30 %", "100 %"]
    assert [int(row[2]) for row in rows] == [2, 5, 18]
    card = curves.read_card(curves.MODELS / "toy")
    assert rows[-1][3] == f"{card.metrics['validation']['all']['energy_mae']:.2f}"
    assert (tmp_path / "images" / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_another_training_file_makes_other_points(curves, program, tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "FRACTIONS", {0.1: 1.0})
    program("toy")
    file = curves.MODELS / "toy" / "training.toml"
    file.write_text(TRAINING.replace("epochs = 2", "epochs = 3"))
    with pytest.raises(SystemExit, match="No curves in"):
        program()

    def stopped(*_, resume, **__):
        assert not resume
        raise KeyboardInterrupt

    monkeypatch.setattr(curves, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        program("toy")
    folder = curves.place(tmp_path / "out", "toy", 0.1)
    assert not curves.is_done(folder, "toy", 0.1)  # the old model is no new point
