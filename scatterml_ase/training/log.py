"""The log of a run: sums over the steps of an epoch, one row per epoch, as CSV and as text."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from scatterml_ase.atomic_write import atomic_write

if TYPE_CHECKING:
    from scatterml_ase.training.losses import Errors
    from scatterml_ase.training.metrics import DatasetMetrics

SUMS = ("energy", "energy_count", "force", "force_count", "loss")
"""What is summed up over the steps of an epoch: absolute errors, how many, and the loss."""


def step_sums(errors: Errors | None, loss: Tensor | None) -> Tensor:
    """Return the sums of one step, in the order of ``SUMS``; zeros without errors."""
    if errors is None or loss is None:
        return torch.zeros(len(SUMS), dtype=torch.float64)
    energy, forces = errors.energy.detach(), errors.forces.detach()
    values = [
        float(energy.abs().sum()),
        energy.numel(),
        float(forces.abs().sum()),
        forces.numel(),
        float(loss.detach()),
    ]
    return torch.tensor(values, dtype=torch.float64)


def add_step(sums: dict[str, float], step: Tensor, *, learning_rate: float) -> None:
    """Add the sums of a step to those of the epoch."""
    for name, value in zip(SUMS, step.tolist(), strict=True):
        sums[name] = sums.get(name, 0.0) + value
    sums["batches"] = sums.get("batches", 0.0) + 1
    sums["learning_rate"] = learning_rate


def training_row(epoch: int, steps: int, sums: dict[str, float]) -> dict[str, float]:
    """Return the row of an epoch, with what is known before validation."""
    return {
        "epoch": epoch,
        "steps": steps,
        "learning_rate": sums["learning_rate"],
        "loss": sums["loss"] / sums["batches"],
        "train_energy_mae": 1e3 * sums["energy"] / sums["energy_count"],
        "train_force_mae": 1e3 * sums["force"] / sums["force_count"],
        "valid_energy_mae": float("nan"),
        "valid_force_mae": float("nan"),
        "valid_stress_mae": float("nan"),
        "seconds": 0.0,
    }


def validation_entries(metrics: DatasetMetrics) -> dict[str, float]:
    """Return what validation adds to a row."""
    return {
        "valid_energy_mae": metrics.overall.energy_mae,
        "valid_force_mae": metrics.overall.force_mae,
        "valid_stress_mae": metrics.overall.stress_mae,
    }


def write_rows(path: Path, rows: Sequence[dict[str, float]]) -> None:
    """Write the log as CSV, one row per epoch; energies in meV/atom, forces in meV/Å."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def keep_lines(path: Path, count: int) -> None:
    """Cut a log back to its first ``count`` lines, what a killed run wrote after its checkpoint."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if len(lines) > count:
        with atomic_write(path) as temporary:
            temporary.write_text("".join(lines[:count]), encoding="utf-8")


def epoch_line(row: dict[str, float], *, best: bool) -> str:
    """Return one line for the log."""
    return (
        f"epoch {row['epoch']:4.0f}  {row['seconds']:7.0f} s  rate {row['learning_rate']:.1e}  "
        f"loss {row['loss']:9.4f}  train E {row['train_energy_mae']:7.2f} F "
        f"{row['train_force_mae']:6.1f}" + _validation_text(row) + (" *" if best else "")
    )


def _validation_text(row: dict[str, float]) -> str:
    """Return what the line of an epoch says about validation: nothing if there was none."""
    if math.isnan(row["valid_energy_mae"]):
        return ""
    stress = row["valid_stress_mae"]
    return (
        f"  valid E {row['valid_energy_mae']:7.2f} meV/atom F {row['valid_force_mae']:6.1f} meV/Å"
        + ("" if math.isnan(stress) else f" S {stress:5.2f} meV/Å³")
    )


def short_line(rows: Sequence[dict[str, float]]) -> str:
    """Return what stands beside the progress bar: the last validation, if there was one."""
    row = next((row for row in reversed(rows) if not math.isnan(row["valid_energy_mae"])), None)
    if row is None:
        return ""
    return f"E {row['valid_energy_mae']:.1f} meV/atom, F {row['valid_force_mae']:.0f} meV/Å"
