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


def loss_value(errors: Errors, config: LossConfig, *, energy_weight: float) -> Tensor:
    """Return the weighted sum of the mean penalties, without unit, shape ()."""
    total = energy_weight * penalty(errors.energy / config.energy_unit, config.kind)
    total = total + config.forces * penalty(errors.forces / config.force_unit, config.kind)
    if config.stress and errors.stress.numel():
        total = total + config.stress * penalty(errors.stress / config.stress_unit, config.kind)
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
