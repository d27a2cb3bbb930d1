"""A training from packed forces to two models, stopped and gone on with."""

import dataclasses

import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase import ForceConstantsPredictor, PhononDOSPredictor
from scatterml_ase.errors import InputError
from scatterml_ase.training.phonons.config import (
    DosRunConfig,
    HarmonicRunConfig,
    PhononDataConfig,
    PhononTrainingConfig,
    read_phonon_config,
)
from scatterml_ase.training.phonons.pipeline import PhononTraining, train_phonons

OPTIONS = {
    "channels": 4, "l_max": 2, "layers": 1, "senders": 4, "width": 16, "equivariants": 2,
    "hidden": 16, "responses": (2, 1, 1), "charge_channels": 4, "cutoff": 4.5,
    "encoder_cutoff": 4.0, "response_cutoff": 3.5,
}  # fmt: skip


@pytest.fixture(scope="module")
def config(reference):
    run = HarmonicRunConfig(epochs=30, development=0.3, batch_atoms=8)
    return PhononTrainingConfig(
        name="small",
        data=PhononDataConfig(str(reference / "phonons.h5"), str(reference / "splits.json")),
        options=OPTIONS,
        charges=dataclasses.replace(run, epochs=2),
        run=run,
        dos=DosRunConfig(epochs=3, members=2, label_modes=2000),
    )


@pytest.fixture(scope="module")
def models(config, tmp_path_factory):
    return train_phonons(config, tmp_path_factory.mktemp("run"), progress=False)


def test_what_is_trained_knows_the_crystals_it_was_shown(models):
    copper = bulk("Cu", a=3.59)
    constants = ForceConstantsPredictor(model=models[0])(copper)
    highest = constants.modes([[0.5, 0.5, 0.0]]).frequencies.max()
    assert highest == pytest.approx(29, rel=0.3), "EMT has 29 meV at X"


def test_reserved_crystals_are_never_trained_on(config, models):
    training = PhononTraining(config, models[0].parent, progress=False)
    assert {target.name for target in training.targets()} == {
        "mp-1", "mp-2", "mp-3", "mp-4", "mp-6", "mp-7"
    }  # fmt: skip


def test_cards_say_what_the_models_are_and_how_good(models):
    from scatterml_ase.card import read_card

    for folder, task in zip(models, ("force-constants", "phonon-dos"), strict=True):
        card = read_card(folder)
        assert card.task == task
        assert card.metrics["validation"]["crystals"] == 1, "silver is reserved"
        assert 0 < card.metrics["validation"]["wasserstein"] < 1


def test_densities_hold_three_modes_for_each_atom(models):
    dos = PhononDOSPredictor(model=models[1])(bulk("Al", a=4.0))
    np.testing.assert_allclose((dos.partial * dos.widths).sum(axis=1), 3, rtol=1e-6)
    assert dos.error is not None and dos.error.max() > 0


def test_a_finished_step_is_not_done_again(config, models, monkeypatch):
    """What is in the folder is taken up: nothing is computed from forces again."""
    training = PhononTraining(config, models[0].parent, progress=False)
    monkeypatch.setattr(
        "scatterml_ase.training.phonons.reference.ReferencePhonons.force_constants", None
    )
    again = training.force_constants()
    found = ForceConstantsPredictor(model=models[0]).network.state_dict()
    for name, value in again.state_dict().items():
        np.testing.assert_allclose(value.numpy(), found[name].float().numpy(), atol=1e-7)


def test_a_training_file_is_read_and_checked(tmp_path, monkeypatch):
    file = tmp_path / "training.toml"
    file.write_text(
        'name = "x"\n[data]\nforces = "${PHONONS}/a.h5"\nreserved = "b.json"\n[run]\nepochs = 3\n',
        encoding="utf-8",
    )
    with pytest.raises(InputError, match="environment variable that is not set"):
        read_phonon_config(file)
    monkeypatch.setenv("PHONONS", "/data")
    found = read_phonon_config(file)
    assert found.data.forces == "/data/a.h5"
    assert found.data.reserved == str(tmp_path / "b.json")
    assert found.run.epochs == 3
    file.write_text('name = "x"\nspeed = 3\n', encoding="utf-8")
    with pytest.raises(InputError, match="speed"):
        read_phonon_config(file)
