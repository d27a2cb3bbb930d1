"""What a result remembers of how it was made."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from ase import Atoms

import scatterml_ase


def describe(analyzer: Any, atoms: Atoms) -> dict[str, Any]:
    """Name version, crystal, calculator and, under the analyzer's name, its options."""
    options = {
        item.name: value.tolist() if isinstance(value, np.ndarray) else value
        for item in fields(analyzer)
        if (value := getattr(analyzer, item.name)) is not None and item.name != "progress"
    }
    return {
        "version": f"scatterml_ase {scatterml_ase.__version__}",
        "formula": atoms.get_chemical_formula(),
        "calculator": describe_calculator(atoms.calc),
        type(analyzer).__name__: options,
    }


def describe_calculator(calculator: Any) -> dict[str, str]:
    """Name a calculator by class and module, and its model by name and sha256 if it has a card.

    A member of a committee has no card of its own: its ``parameters`` tell whose it is.
    """
    kind = type(calculator)
    description = {"class": kind.__name__, "module": kind.__module__}
    card = getattr(calculator, "card", None) or getattr(
        getattr(calculator, "model", None), "card", None
    )
    for key in ("name", "sha256", "version"):
        if isinstance(value := getattr(card, key, None), str):
            description["model" if key == "name" else key] = value
    parameters = getattr(calculator, "parameters", None) or {}
    for key in ("model", "sha256", "member"):
        if isinstance(value := parameters.get(key), str | int):
            description.setdefault(key, str(value))
    return description


def describe_prediction(predictor: Any, card: Any, atoms: Atoms) -> dict[str, Any]:
    """Name version, crystal, model and, under the predictor's name, its options."""
    described = describe(predictor, atoms)
    del described["calculator"]
    options = described[type(predictor).__name__]
    options["model"] = str(options["model"])
    return {**described, "model": card.name, "sha256": card.sha256}
