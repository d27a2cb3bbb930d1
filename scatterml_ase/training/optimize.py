"""Optimiser, learning-rate schedule and the running mean of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from scatterml_ase.training.config import OptimizerConfig


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Make the optimiser of a model's trainable weights."""
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return kinds[config.kind](
        [p for p in model.parameters() if p.requires_grad],
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        amsgrad=config.amsgrad,
    )


def learning_rate(
    config: OptimizerConfig, *, step: int, progress: float, plateau_factor: float
) -> float:
    """Return the learning rate of a step.

    Parameters
    ----------
    config
        Base rate and schedule.
    step
        Steps done so far; the rate rises linearly over the first ``warmup_steps``.
    progress
        Fraction of the run that is done, 0 to 1, for the cosine.
    plateau_factor
        What the plateau schedule has brought the rate down to.
    """
    rate = config.learning_rate * min(1.0, (step + 1) / max(config.warmup_steps, 1))
    if config.schedule == "cosine":
        fall = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        return rate * (config.final_fraction + (1 - config.final_fraction) * fall)
    if config.schedule == "plateau":
        return rate * max(plateau_factor, config.final_fraction)
    return rate


class RunningMean:
    """Exponential running mean of a model's weights, which is what is evaluated and shipped.

    The decay starts low, so that the random first weights are soon forgotten.

    Parameters
    ----------
    model
        The model whose trainable weights are followed.
    decay
        Share of the old mean that survives a step, 0 to 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = copy_weights(model)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take the weights after ``step`` steps into the mean."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, parameter in _trainable(model):
            self.weights[name].lerp_(parameter.detach(), 1 - decay)

    @contextmanager
    def applied_to(self, model: nn.Module) -> Iterator[None]:
        """Lend the mean to the model for the length of a block."""
        own = copy_weights(model)
        put_weights(model, self.weights)
        try:
            yield
        finally:
            put_weights(model, own)


def copy_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of the trainable weights by name."""
    return {name: parameter.detach().clone() for name, parameter in _trainable(model)}


@torch.no_grad()
def put_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Write weights by name into the model."""
    for name, parameter in _trainable(model):
        parameter.copy_(weights[name])


def _trainable(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]
