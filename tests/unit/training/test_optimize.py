"""Loss, schedule and running mean against what can be written down."""

from __future__ import annotations

import pytest
import torch

from scatterml_ase.training.config import LossConfig, OptimizerConfig
from scatterml_ase.training.losses import Errors, energy_weight, loss_value, penalty
from scatterml_ase.training.optimize import RunningMean, copy_weights, learning_rate


def test_huber_is_a_parabola_that_goes_on_as_its_tangent():
    assert penalty(torch.tensor([0.5]), "huber") == pytest.approx(0.125)
    assert penalty(torch.tensor([3.0]), "huber") == pytest.approx(2.5)
    assert penalty(torch.tensor([3.0]), "l1") == pytest.approx(3.0)
    assert penalty(torch.tensor([3.0]), "l2") == pytest.approx(9.0)


def test_the_loss_adds_its_terms_each_in_its_unit():
    errors = Errors(torch.tensor([0.02]), torch.tensor([[0.1, 0.1, 0.1]]), torch.tensor([0.004]))
    config = LossConfig(
        "l1", energy=2, forces=3, stress=5, energy_unit=0.01, force_unit=0.1, stress_unit=0.002
    )
    assert loss_value(errors, config, energy_weight=2.0).item() == pytest.approx(4 + 3 + 10)


def test_a_batch_without_stress_is_learned_from_all_the_same():
    errors = Errors(torch.tensor([0.0]), torch.zeros(1, 3), torch.zeros(0))
    assert loss_value(errors, LossConfig(), energy_weight=1.0).item() == 0.0


def test_the_energy_weight_rises_late():
    config = LossConfig(energy=1.0, energy_late=10.0, late_from=0.7)
    assert [energy_weight(config, p) for p in (0.0, 0.69, 0.7, 1.0)] == [1.0, 1.0, 10.0, 10.0]


def rate(config: OptimizerConfig, step: int, progress: float, plateau_factor: float = 1.0):
    return learning_rate(config, step=step, progress=progress, plateau_factor=plateau_factor)


def test_the_rate_warms_up_then_falls_as_a_cosine():
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=10, final_fraction=0.1)
    assert rate(config, 0, 0.0) == pytest.approx(0.1)
    assert rate(config, 9, 0.0) == pytest.approx(1.0)
    assert rate(config, 500, 0.5) == pytest.approx(0.55)
    assert rate(config, 1000, 1.0) == pytest.approx(0.1)


def test_the_plateau_schedule_follows_its_factor():
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=1, schedule="plateau")
    assert rate(config, 5, 0.9, plateau_factor=0.25) == 0.25
    assert rate(config, 5, 0.9, plateau_factor=1e-9) == config.final_fraction


def test_the_running_mean_forgets_geometrically():
    model = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
    mean = RunningMean(model, 0.5)
    with torch.no_grad():
        model.weight.fill_(1.0)
    for step in range(100, 103):  # far from the start, so that the decay is 0.5
        mean.update(model, step)
    assert mean.weights["weight"].item() == pytest.approx(1 - 0.5**3)


def test_the_running_mean_is_only_lent_to_the_model():
    model = torch.nn.Linear(2, 1)
    mean, own = RunningMean(model, 0.9), copy_weights(model)
    mean.weights = {name: torch.zeros_like(value) for name, value in own.items()}
    with pytest.raises(RuntimeError, match="stop"), mean.applied_to(model):
        assert not model.weight.any()
        raise RuntimeError("stop")
    assert torch.equal(model.weight, own["weight"])
