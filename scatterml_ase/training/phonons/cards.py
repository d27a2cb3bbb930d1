"""Trained phonon models on disk, with cards that say what they are and how good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from scatterml_ase.card import read_card
from scatterml_ase.companions import save_companion
from scatterml_ase.phonons.coverage import COMPANION, Coverage
from scatterml_ase.phonons.dos_predictor import PhononDOSPredictor
from scatterml_ase.phonons.force_constants_predictor import ForceConstantsPredictor
from scatterml_ase.store import save_model
from scatterml_ase.training.phonons.config import PhononTrainingConfig
from scatterml_ase.training.phonons.metrics import SpectrumErrors, mean_errors
from scatterml_ase.training.phonons.reference import ReferencePhonons, reserved_formulas
from scatterml_ase.training.phonons.validation import (
    Counts,
    from_densities,
    from_force_constants,
    label_edges,
    reserved_crystals,
    validate,
)

FORCE_CONSTANTS, DENSITIES = "force-constants", "phonon-dos"


def save_with_card(
    model: nn.Module,
    folder: Path,
    config: PhononTrainingConfig,
    facts: Mapping[str, Any],
    metrics: Mapping[str, Any] | None = None,
    *,
    coverage: Coverage,
) -> Path:
    """Write a model to ``folder``, named as it; ``facts`` of its training, say hours."""
    card = config.card
    training = {
        "description": card.description,
        "data": card.data,
        "level_of_theory": card.level_of_theory,
        "licence": card.licence,
        "citation": card.citation,
        "split": card.split,
        "seed": config.run.seed,
        "hardware": card.hardware,
        "date": datetime.now(UTC).date().isoformat(),
        "notes": list(card.notes),
        **facts,
    }
    save_model(
        model,
        folder,
        {
            "task": folder.name,
            "training": training,
            "metrics": dict(metrics or {}),
            "limitations": " ".join(card.never_shown),
        },
    )
    low, high = (round(float(x), 3) for x in coverage.packing)
    save_companion(folder, COMPANION, coverage.tensors(), {"packing": [low, high]})
    return folder


def judged(
    config: PhononTrainingConfig, folders: Mapping[str, Path], *, progress: bool
) -> dict[str, dict[str, Any]]:
    """Return the metrics of saved models on the reserved crystals, by name of the model."""
    data = ReferencePhonons(config.data.forces)
    species = read_card(next(iter(folders.values()))).species
    crystals = reserved_crystals(data, reserved_formulas(config.data.reserved), species)
    ways: dict[str, Counts] = {}
    if FORCE_CONSTANTS in folders:
        direct = ForceConstantsPredictor(model=folders[FORCE_CONSTANTS])
        ways[FORCE_CONSTANTS] = from_force_constants(direct)
    if DENSITIES in folders:
        fast = PhononDOSPredictor(model=folders[DENSITIES], energy_edges=label_edges())
        ways[DENSITIES] = from_densities(fast)
    errors = validate(list(ways.values()), data, crystals, progress=progress)
    return {name: summary(rows) for name, rows in zip(ways, errors, strict=True)}


def summary(errors: list[SpectrumErrors]) -> dict[str, Any]:
    """Return what a card says of errors on reserved crystals."""
    wasserstein = [asdict(one)["wasserstein"] for one in errors]
    return {
        "validation": {
            "crystals": len(errors),
            **{name: round(value, 5) for name, value in mean_errors(errors).items()},
            "wasserstein_median": round(float(np.median(wasserstein)), 5),
        }
    }
