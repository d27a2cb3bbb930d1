"""What a run leaves behind: the parity plot, the card and the model."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from scatterml_ase.card import Card
from scatterml_ase.store import save_model
from scatterml_ase.training.checkpoint import Moving
from scatterml_ase.training.config import TrainingConfig
from scatterml_ase.training.metrics import DatasetMetrics, Prediction, summarize
from scatterml_ase.training.parity import plot_parity
from scatterml_ase.training.prepare import Dataset

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What the finished model says about the data, and where it came from.

    Attributes
    ----------
    train, validation
        Predictions for the structures of both parts.
    start
        Card of the model the training went on from, if any.
    start_metrics
        Its accuracy on the validation structures, energies shifted, before the first step.
    machine
        Where it was trained: device, and the number of processes if there were several.
    """

    train: list[Prediction]
    validation: list[Prediction]
    start: Card | None
    start_metrics: DatasetMetrics | None
    machine: dict[str, Any]


def finish_run(
    config: TrainingConfig, dataset: Dataset, moving: Moving, outcome: Outcome, folder: Path
) -> Path:
    """Write the model, which has the best weights, with its card, and the parity plot.

    Parameters
    ----------
    config, dataset
        Of the run.
    moving
        Its last state.
    outcome
        What the model says.
    folder
        Of the run.

    Returns
    -------
    Path
        The folder of the model.
    """
    metrics = {
        "train": summarize(dataset.train, outcome.train),
        "validation": summarize(dataset.validation, outcome.validation),
    }
    for name, values in metrics.items():
        _log.info("%s\n%s", name, values)
    if outcome.start_metrics is not None:
        metrics["validation before fine-tuning"] = outcome.start_metrics
    model = folder / "model"
    save_model(moving.model, model, make_card(config, dataset, moving, outcome, metrics))
    pairs = {
        "training": list(zip(dataset.train, outcome.train, strict=True)),
        "validation": list(zip(dataset.validation, outcome.validation, strict=True)),
    }
    plot_parity(pairs, folder / "parity.png", title=config.name)
    return model


def make_card(
    config: TrainingConfig,
    dataset: Dataset,
    moving: Moving,
    outcome: Outcome,
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
        **outcome.machine,
    }
    if config.data.fraction < 1:
        training["fraction"] = config.data.fraction
    if outcome.start is not None:
        training["fine_tuned_from"] = {
            "name": outcome.start.name,
            "sha256": outcome.start.sha256,
            "species": list(outcome.start.species),
            "frozen": [n for n, p in moving.model.named_parameters() if not p.requires_grad],
        }
    return {
        "name": config.name,
        "task": "potential",
        "training": training,
        "metrics": {name: values.to_dict() for name, values in metrics.items()},
        "limitations": " ".join(card.never_shown),
    }
