"""The card of a model: what it is, readable before it is loaded."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from ase.data import chemical_symbols

from scatterml_ase.errors import ModelError, explain, name_species

CARD = "card.json"
FORMAT = 1

# Entries of card.json and the kind of value each holds.
_REQUIRED: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "task": str,
    "architecture": str,
    "config": dict,
    "sha256": str,
    "species": list,
    "cutoff": (int, float),
    "dtype": str,
    "parameters": int,
    "format": int,
}
_OPTIONAL: dict[str, type | tuple[type, ...]] = {
    "units": dict,
    "training": dict,
    "metrics": dict,
    "limitations": str,
    "version": str,
    "companions": dict,
}


@dataclass(frozen=True)
class Card:
    """What a model is, readable before it is loaded.

    ``species`` are sorted atomic numbers, ``cutoff`` is in Å, ``sha256`` belongs to the weights
    file. ``training`` names data, level of theory, licence, split, seed, hardware and hours;
    ``limitations`` says what the model was never shown. ``companions`` are files that belong to
    these weights, each with its hash and facts, see :mod:`scatterml_ase.companions`.
    """

    name: str
    task: str
    architecture: str
    config: dict[str, Any]
    sha256: str
    species: tuple[int, ...]
    cutoff: float
    dtype: str
    parameters: int
    units: dict[str, str] = field(default_factory=lambda: {"energy": "eV", "length": "angstrom"})
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    limitations: str = ""
    version: str = ""
    companions: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT
    directory: Path | None = field(default=None, compare=False)

    def to_json(self) -> str:
        """Return the text of ``card.json``."""
        content = {key: value for key, value in asdict(self).items() if key != "directory"}
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    def __repr__(self) -> str:
        return (
            f"Card({self.name}: {self.task} for {name_species(self.species)}, "
            f"cutoff={self.cutoff} Å, {count(self.parameters)} parameters)"
        )


def read_card(directory: str | Path) -> Card:
    """Read ``card.json`` of a model folder without loading the model.

    Raises
    ------
    ModelError
        If it is missing, not JSON, incomplete, or of a newer format.
    """
    directory = Path(directory)
    try:
        content = json.loads((directory / CARD).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise damaged(directory, f"{CARD} is missing") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise damaged(directory, f"{CARD} is not readable JSON ({error})") from error
    if not isinstance(content, dict):
        raise damaged(directory, f"{CARD} is not a JSON object")
    if isinstance(content.get("format"), int) and content["format"] > FORMAT:
        raise ModelError(
            explain(
                f"Model {str(directory)!r} has format {content['format']}",
                f"this version of scatterml_ase reads formats up to {FORMAT}",
                f"Run: pip install -U scatterml-ase (the model was saved by "
                f"{content.get('version', 'a newer version')})",
            )
        )
    if problem := _problem(content):
        raise damaged(directory, f"{CARD} {problem}")
    return Card(
        **{**content, "species": tuple(content["species"]), "directory": directory.resolve()}
    )


def _problem(content: dict[str, Any]) -> str | None:
    """Say what is wrong with the entries of a card, or None."""
    if missing := sorted(set(_REQUIRED) - set(content)):
        return f"lacks {missing}"
    if unknown := sorted(set(content) - set(_REQUIRED) - set(_OPTIONAL)):
        return f"has the unknown entries {unknown}"
    for name, kind in {**_REQUIRED, **_OPTIONAL}.items():
        if name in content and not isinstance(content[name], kind):
            return f"holds {content[name]!r} as {name!r}"
    known = range(1, len(chemical_symbols))
    if not all(isinstance(number, int) and number in known for number in content["species"]):
        return f"holds {content['species']!r} as 'species', not atomic numbers"
    return None


def as_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """Return the torch dtype of a name: ``"float32"`` or ``"float64"``."""
    table = {"float32": torch.float32, "float64": torch.float64}
    name = str(dtype).removeprefix("torch.")
    if name not in table:
        raise ModelError(
            explain(f"dtype {dtype!r} is not supported", "models run in float32 or float64",
                    "Pass dtype='float64' (phonons) or 'float32' (fast MD)")
        )  # fmt: skip
    return table[name]


def count(number: int) -> str:
    """Write a count in a repr: 950, 74k, 2.1M."""
    if number < 1000:
        return str(number)
    return f"{number / 1e3:.0f}k" if number < 999_500 else f"{number / 1e6:.1f}M"


def damaged(directory: Path, reason: str) -> ModelError:
    """Return the error for a model folder that cannot be used."""
    return ModelError(
        explain(
            f"Model {str(directory)!r} cannot be loaded",
            reason,
            "Copy or train it again; list_models() shows the shipped models",
        )
    )
