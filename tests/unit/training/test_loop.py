"""A run learns, can be killed at any moment, and leaves a model that loads."""

from __future__ import annotations

import csv
import dataclasses
import json
import signal

import numpy as np
import pytest
import torch
from ase.io import write
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from scatterml_ase.card import read_card
from scatterml_ase.errors import InputError
from scatterml_ase.graph import graph_from_atoms
from scatterml_ase.nn.derivatives import energies_forces_stress
from scatterml_ase.store import load_model
from scatterml_ase.training import evaluate_dataset, train
from scatterml_ase.training.machine import deferred_signals, threads
from scatterml_ase.training.run import Run


def replaced(config, **tables):
    """Return the configuration with some keys of some tables changed."""
    changed = {
        name: dataclasses.replace(getattr(config, name), **keys) for name, keys in tables.items()
    }
    return dataclasses.replace(config, **changed)


def rows(folder) -> list[dict[str, str]]:
    """Return the log without the column that depends on the machine."""
    with (folder / "log.csv").open(encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def run(config, folder, **options):
    return train(config, output=folder, progress=False, **options)


def test_training_learns_and_leaves_all_it_promises(config, copper, tmp_path):
    config = replaced(
        config,
        run={"epochs": 40},
        loss={"forces": 10.0},
        optimizer={"ema_decay": 0.9},
        model={"options": {**config.model.options, "channels": 8, "l_max": 2, "correlation": 3}},
    )
    model = load_model(run(config, tmp_path / "run"))
    log = rows(tmp_path / "run")
    assert len(log) == 40
    assert float(log[-1]["loss"]) < 0.2 * float(log[0]["loss"])
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {
        "checkpoint.safetensors",
        "log.csv",
        "training.log",
        "learning_curves.png",
        "parity.png",
        "model",
    }
    card = json.loads((tmp_path / "run" / "model" / "card.json").read_text(encoding="utf-8"))
    assert card["name"] == "toy"
    assert card["species"] == [29]
    assert card["training"]["structures"] == {"train": 8, "validation": 4, "unused": 0}
    assert card["metrics"]["validation"]["all"]["structures"] == 4
    metrics = evaluate_dataset(model, copper)
    spread = 1e3 * np.std([atoms.get_forces() for atoms in copper])
    assert metrics.overall.force_rmse < 0.5 * spread
    assert model.config.binding_energies[0] == pytest.approx(0.0, abs=0.5)  # EMT: about zero


class Killed(BaseException):
    """What a signal does to a run."""


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_a_run_killed_in_mid_epoch_ends_bit_by_bit_where_it_would_have_ended(
    config, tmp_path, monkeypatch, kind
):
    config = replaced(
        config, run={"checkpoint_minutes": 0.0}, optimizer={"kind": kind, "weight_decay": 1e-3}
    )
    run(config, tmp_path / "whole")
    step, count = Run._step, 0

    def killing_step(self, members, progress):
        nonlocal count
        count += 1
        if count == 15:  # 4 batches per epoch: the third of the fourth epoch
            raise Killed
        step(self, members, progress)

    monkeypatch.setattr(Run, "_step", killing_step)
    with pytest.raises(Killed):
        run(config, tmp_path / "killed")
    assert len(rows(tmp_path / "killed")) == 3
    monkeypatch.undo()
    torch.manual_seed(12345)  # what else happened must not matter
    run(config, tmp_path / "killed")
    whole, resumed = (
        load_file(tmp_path / name / "model" / "weights.safetensors") for name in ("whole", "killed")
    )
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    a, b = (load_file(tmp_path / n / "checkpoint.safetensors") for n in ("whole", "killed"))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert rows(tmp_path / "whole") == rows(tmp_path / "killed")


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_of_the_last_step(config, tmp_path, monkeypatch, kind):
    """Ctrl-C loses nothing, however long the checkpoints are apart."""
    config = replaced(config, run={"checkpoint_minutes": 60.0})
    run(config, tmp_path / "whole")
    step, before = Run._step, signal.getsignal(kind)

    def signalling_step(self, members, progress):
        step(self, members, progress)
        if self.moving.state.steps == 3:
            signal.raise_signal(kind)

    monkeypatch.setattr(Run, "_step", signalling_step)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "stopped")
    assert signal.getsignal(kind) is before
    monkeypatch.setattr(Run, "_step", step)
    run(config, tmp_path / "stopped")
    one, two = (
        load_file(tmp_path / name / "model/weights.safetensors") for name in ("whole", "stopped")
    )
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_three_epochs_and_three_more_are_six(config, tmp_path):
    """Where loss and rate do not know the length of the run, a longer run goes on exactly."""
    config = replaced(config, optimizer={"schedule": "constant"}, loss={"energy_late": None})
    run(config, tmp_path / "six")
    run(replaced(config, run={"epochs": 3}), tmp_path / "three")
    run(config, tmp_path / "three")
    assert rows(tmp_path / "six") == rows(tmp_path / "three")


def test_a_fresh_run_forgets_the_checkpoint_and_the_seed_decides(config, tmp_path):
    config = replaced(config, run={"epochs": 2})
    run(config, tmp_path / "run")
    first = rows(tmp_path / "run")
    run(config, tmp_path / "run", resume=False)
    assert rows(tmp_path / "run") == first
    run(replaced(config, run={"seed": 1}), tmp_path / "run", resume=False)
    assert rows(tmp_path / "run") != first


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_refused(config, tmp_path):
    config = replaced(config, run={"epochs": 1})
    run(config, tmp_path / "run")
    with pytest.raises(InputError, match=r"config\.loss\.energy"):
        run(replaced(config, loss={"energy": 7.0}), tmp_path / "run")
    with pytest.raises(InputError, match=r"different: .*data"):
        run(replaced(config, split={"gap": 1}), tmp_path / "run")
    path = tmp_path / "run" / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"cannot be read.*--fresh"):
        run(config, tmp_path / "run")


def test_a_checkpoint_from_before_an_option_existed_is_one_with_its_default(config, tmp_path):
    config = replaced(config, run={"epochs": 1})
    run(config, tmp_path / "run")
    path = tmp_path / "run" / "checkpoint.safetensors"
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["run"])
    del header["identity"]["config"]["data"]["fraction"]
    del header["identity"]["config"]["split"]["rules"]
    save_file(load_file(path), path, metadata={"run": json.dumps(header)})
    before = rows(tmp_path / "run")
    run(config, tmp_path / "run")
    assert rows(tmp_path / "run") == before
    with pytest.raises(InputError, match=r"config\.data\.fraction"):
        run(replaced(config, data={"fraction": 0.9}), tmp_path / "run")


def test_a_part_of_the_training_structures_keeps_the_validation(config, tmp_path):
    config = replaced(config, run={"epochs": 1})
    folder = run(config, tmp_path / "run", fraction=0.5)
    training = read_card(folder).training
    assert training["structures"] == {"train": 4, "validation": 4, "unused": 0}
    assert training["fraction"] == 0.5
    with pytest.raises(InputError, match=r"data\.fraction = 1\.5"):
        run(config, tmp_path / "other", fraction=1.5)


def test_only_the_first_signals_are_held_back():
    """Torchrun sends the signal it got to processes that already have it."""
    inherited = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored in the background
    try:
        _interrupt_three_times()
    finally:
        signal.signal(signal.SIGINT, inherited)


def _interrupt_three_times():
    with pytest.raises(KeyboardInterrupt), deferred_signals(held=2) as stopped:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
            assert stopped()
        signal.raise_signal(signal.SIGINT)


def test_early_stopping_waits_as_long_as_it_was_told(config, tmp_path):
    config = replaced(config, run={"patience": 2, "epochs": 50}, optimizer={"learning_rate": 1e-30})
    run(config, tmp_path / "run")
    assert len(rows(tmp_path / "run")) == 3  # the first is best, then two in vain


def test_a_time_limit_ends_the_run(config, tmp_path):
    config = replaced(config, run={"minutes": 1e-6, "epochs": 10_000})
    run(config, tmp_path / "run")
    assert len(rows(tmp_path / "run")) == 1


def test_a_training_that_diverges_says_so(config, tmp_path):
    config = replaced(config, optimizer={"learning_rate": 1e30, "clip_gradient": None})
    with pytest.raises(InputError, match=r"diverged.*learning_rate"):
        run(config, tmp_path / "run")


def test_the_number_of_threads_is_as_before():
    before = torch.get_num_threads()
    with pytest.raises(Killed), threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise Killed
    assert torch.get_num_threads() == before


def test_unknown_model_options_and_architectures_are_named(config, tmp_path):
    with pytest.raises(InputError, match=r"\[model.options\].*'cutof'.*'cutoff'"):
        run(replaced(config, model={"options": {"cutof": 4.0}}), tmp_path / "run")
    with pytest.raises(InputError, match="E3NNPotential"):
        run(replaced(config, model={"architecture": "Perceptron"}), tmp_path / "run")


def test_metrics_equal_errors_counted_by_hand(config, copper, tmp_path):
    model = load_model(run(replaced(config, run={"epochs": 1}), tmp_path / "run"))
    energy, force, stress = [], [], []
    for atoms in copper:
        output = energies_forces_stress(model, graph_from_atoms(atoms, 4.0))
        energy.append((output.energy.item() - atoms.get_potential_energy()) / 4)
        force.append(output.forces.numpy() - atoms.get_forces())
        stress.append(output.stress[0].numpy() - atoms.get_stress(voigt=False))
    metrics = evaluate_dataset(model, copper)
    overall = metrics.overall
    assert overall.energy_mae == pytest.approx(1e3 * np.abs(energy).mean(), rel=1e-4)
    assert overall.force_rmse == pytest.approx(1e3 * np.sqrt(np.mean(np.square(force))), rel=1e-4)
    assert overall.stress_mae == pytest.approx(1e3 * np.abs(stress).mean(), rel=1e-4)
    assert set(metrics.groups) == {"hot", "cold"}
    half = np.abs(force[0::2]).mean() * 1e3
    assert metrics.groups["hot"].force_mae == pytest.approx(half, rel=1e-4)
    assert "hot" in str(metrics)


def weights(folder, name="model/weights.safetensors"):
    return load_file(folder / name)


@pytest.mark.parametrize("keys", [{"epochs": 2}, {"minutes": 1e-6}])
def test_a_run_too_short_for_a_validation_does_not_ship_the_untrained_model(config, tmp_path, keys):
    """The last epoch is validated, whatever ``validate_every`` says."""
    config = replaced(config, run={"validate_every": 5, **keys})
    run(config, tmp_path / "run")
    assert rows(tmp_path / "run")[-1]["valid_energy_mae"] != "nan"
    saved = weights(tmp_path / "run", "checkpoint.safetensors")
    shipped = weights(tmp_path / "run")
    assert all(torch.equal(shipped[k], saved[f"mean/{k}"]) for k in shipped if f"mean/{k}" in saved)
    assert read_card(tmp_path / "run" / "model").training["best_epoch"] >= 0


def test_a_time_limit_does_not_wait_for_the_end_of_a_long_epoch(config, tmp_path):
    config = replaced(config, run={"minutes": 1e-6})
    folder = run(config, tmp_path / "run")
    assert read_card(folder).training["steps"] == 1  # of four in an epoch


def test_validation_errors_that_are_not_finite_are_never_the_best(config, tmp_path, monkeypatch):
    validate, count = Run._validate, 0

    def failing_at_first(self):
        nonlocal count
        count += 1
        metrics = validate(self)
        worst = dataclasses.replace(metrics.overall, force_mae=float("nan"))
        return dataclasses.replace(metrics, overall=worst) if count == 1 else metrics

    config = replaced(config, run={"epochs": 3})
    monkeypatch.setattr(Run, "_validate", failing_at_first)
    assert read_card(run(config, tmp_path / "run")).training["best_epoch"] > 0
    monkeypatch.setattr(Run, "_validate", lambda self: failing_always(validate(self)))
    with pytest.raises(InputError, match="No validation error was finite"):
        run(config, tmp_path / "never")
    assert not (tmp_path / "never" / "model").exists()


def failing_always(metrics):
    worst = dataclasses.replace(metrics.overall, energy_mae=float("nan"))
    return dataclasses.replace(metrics, overall=worst)


def test_the_diary_of_a_resumed_run_has_every_epoch_once(config, tmp_path, monkeypatch):
    """A run killed long after its last checkpoint repeats epochs, but does not tell them twice."""
    config = replaced(config, run={"epochs": 4, "checkpoint_minutes": 60.0})
    run(config, tmp_path / "whole")
    end = Run._end_epoch

    def killing(self, clock):
        end(self, clock)
        if self.moving.state.epoch == 3:
            raise Killed

    monkeypatch.setattr(Run, "_end_epoch", killing)
    with pytest.raises(Killed):
        run(config, tmp_path / "killed")
    monkeypatch.undo()
    run(config, tmp_path / "killed")
    epochs = [
        [line.split()[1] for line in (tmp_path / name / "training.log").read_text().splitlines()]
        for name in ("whole", "killed")
    ]
    assert epochs == [["0", "1", "2", "3"]] * 2


def test_the_same_structures_divided_otherwise_are_another_run(config, copper, tmp_path):
    """The hash of the data is one of all of them; who learns from which must be the same too."""
    parts = (copper[:6], copper[6:9], copper[9:])
    for name, part in zip("abc", parts, strict=True):
        write(tmp_path / f"{name}.extxyz", part)
    files = {name: str(tmp_path / f"{name}.extxyz") for name in "abc"}
    one = replaced(
        config,
        data={"train": (files["a"], files["b"]), "validation": (files["c"],)},
        run={"epochs": 1},
    )
    run(one, tmp_path / "run")
    other = replaced(one, data={"train": (files["a"],), "validation": (files["b"], files["c"])})
    with pytest.raises(InputError, match=r"structures\.train, structures\.validation"):
        run(other, tmp_path / "run")


def test_a_checkpoint_of_a_model_with_other_options_is_refused(config, tmp_path):
    """Options that the data decide may come out differently in another version."""
    config = replaced(config, run={"epochs": 1})
    run(config, tmp_path / "run")
    path = tmp_path / "run" / "checkpoint.safetensors"
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["run"])
    tensors = load_file(path)
    header["identity"]["model"]["core_span"][0] += 0.01
    save_file(tensors, path, metadata={"run": json.dumps(header)})
    with pytest.raises(InputError, match=r"different: model\.core_span"):
        run(config, tmp_path / "run")
    del header["identity"]["model"], header["identity"]["structures"]  # as older versions wrote it
    save_file(tensors, path, metadata={"run": json.dumps(header)})
    run(config, tmp_path / "run")
