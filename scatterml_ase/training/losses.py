"""The loss: errors in energy per atom, forces and stress, each in its own unit, then weighted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from scatterml_ase.training.config import LossConfig


@dataclass(frozen=True)
class Errors:
    """Errors of one batch: prediction minus label, only where labels are known.

    Attributes
    ----------
    energy
        (structures,), eV per atom.
    forces
        (atoms, 3), eV/Å.
    stress
        (known components,), eV/Å³.
    """

    energy: Tensor
    forces: Tensor
    stress: Tensor


@dataclass(frozen=True)
class Shares:
    """How much of the labels of a batch this process has, 0 to 1; losses of shares add up."""

    energy: float = 1.0
    forces: float = 1.0
    stress: float = 1.0


def loss_value(
    errors: Errors, config: LossConfig, *, energy_weight: float, shares: Shares = Shares()
) -> Tensor:
    """Return the weighted sum of the mean penalties, without unit, shape ()."""
    weight = energy_weight * shares.energy
    total = weight * penalty(errors.energy / config.energy_unit, config.kind)
    weight = config.forces * shares.forces
    total = total + weight * penalty(errors.forces / config.force_unit, config.kind)
    weight = config.stress * shares.stress
    if weight and errors.stress.numel():
        total = total + weight * penalty(errors.stress / config.stress_unit, config.kind)
    return total


def penalty(error: Tensor, kind: str) -> Tensor:
    """Return the mean penalty of errors that are measured in their unit, shape ()."""
    zero = torch.zeros_like(error)
    if kind == "huber":
        return torch.nn.functional.huber_loss(error, zero)
    if kind == "l1":
        return torch.nn.functional.l1_loss(error, zero)
    return torch.nn.functional.mse_loss(error, zero)


def energy_weight(config: LossConfig, progress: float) -> float:
    """Return the weight of the energy at ``progress`` (0 to 1) of the run."""
    if config.energy_late is not None and progress >= config.late_from:
        return config.energy_late
    return config.energy
