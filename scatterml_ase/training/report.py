"""What a run leaves behind: its log, the parity plot, the card and the model."""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Data

from scatterml_ase.atomic_write import atomic_write
from scatterml_ase.store import save_model
from scatterml_ase.training.checkpoint import Moving
from scatterml_ase.training.config import TrainingConfig
from scatterml_ase.training.metrics import DatasetMetrics, predict, summarize
from scatterml_ase.training.optimize import put_weights
from scatterml_ase.training.parity import plot_parity
from scatterml_ase.training.prepare import Dataset

_log = logging.getLogger(__name__)


def write_rows(path: Path, rows: Sequence[dict[str, float]]) -> None:
    """Write the log as CSV, one row per epoch; energies in meV/atom, forces in meV/Å."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def epoch_line(row: dict[str, float], *, best: bool) -> str:
    """Return one line for the log."""
    return (
        f"epoch {row['epoch']:4.0f}  {row['seconds']:7.0f} s  rate {row['learning_rate']:.1e}  "
        f"loss {row['loss']:9.4f}  train E {row['train_energy_mae']:7.2f} F "
        f"{row['train_force_mae']:6.1f}  valid E {row['valid_energy_mae']:7.2f} meV/atom F "
        f"{row['valid_force_mae']:6.1f} meV/Å S {row['valid_stress_mae']:5.2f} meV/Å³"
        + (" *" if best else "")
    )


def finish_run(
    config: TrainingConfig,
    dataset: Dataset,
    moving: Moving,
    graphs: tuple[Sequence[Data], Sequence[Data]],
    folder: Path,
) -> Path:
    """Evaluate the best weights and write the model with its card, and the parity plot.

    Parameters
    ----------
    config, dataset
        Of the run.
    moving
        Its last state; the model receives the best weights.
    graphs
        Training and validation graphs.
    folder
        Of the run.

    Returns
    -------
    Path
        The folder of the model.
    """
    put_weights(moving.model, moving.best)
    train, validation = (predict(moving.model, part) for part in graphs)
    metrics = {
        "train": summarize(dataset.train, train),
        "validation": summarize(dataset.validation, validation),
    }
    for name, values in metrics.items():
        _log.info("%s\n%s", name, values)
    pairs = {
        "training": list(zip(dataset.train, train, strict=True)),
        "validation": list(zip(dataset.validation, validation, strict=True)),
    }
    plot_parity(pairs, folder / "parity.png", title=config.name)
    model = folder / "model"
    save_model(moving.model, model, make_card(config, dataset, moving, metrics))
    return model


def make_card(
    config: TrainingConfig,
    dataset: Dataset,
    moving: Moving,
    metrics: dict[str, DatasetMetrics],
) -> dict[str, Any]:
    """Return what the store's card takes: training, metrics and limitations."""
    card, state = config.card, moving.state
    training = {
        "description": card.description,
        "data": card.data,
        "data_sha256": dataset.hash,
        "level_of_theory": card.level_of_theory,
        "licence": card.licence,
        "citation": card.citation,
        "split": card.split,
        "structures": {
            "train": len(dataset.train),
            "validation": len(dataset.validation),
            "unused": len(dataset.unused),
        },
        "seed": config.run.seed,
        "hardware": card.hardware,
        "threads": torch.get_num_threads(),
        "hours": round(state.seconds / 3600, 3),
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "steps": state.steps,
        "date": datetime.now(UTC).date().isoformat(),
        "notes": list(card.notes),
    }
    return {
        "name": config.name,
        "task": "potential",
        "training": training,
        "metrics": {name: values.to_dict() for name, values in metrics.items()},
        "limitations": " ".join(card.never_shown),
    }
