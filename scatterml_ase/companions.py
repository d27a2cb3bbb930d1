"""Files that belong to a model beside its weights: ``models/<name>/<companion>.safetensors``.

A companion names the weights it was made for, and the card carries the companion's hash and its
facts, so that none of the three can change without the others. A model without it still loads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from scatterml_ase.atomic_write import atomic_write, writable_folder
from scatterml_ase.card import CARD, Card, damaged, read_card
from scatterml_ase.errors import ModelError, explain
from scatterml_ase.store import file_sha256


def save_companion(
    directory: str | Path, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> Card:
    """Write a companion of the model in a folder, and its facts into the model's card.

    Parameters
    ----------
    directory
        The folder of the model.
    name
        Of the companion: the file is ``<name>.safetensors``.
    tensors
        What it holds.
    facts
        Plain values for readers of the card.

    Returns
    -------
    Card
        The card as written.
    """
    directory = writable_folder(Path(directory).resolve(), create=False)
    card = read_card(directory)
    path = directory / f"{name}.safetensors"
    # The file is renamed before the card: a run killed in between leaves a hash that differs.
    with atomic_write(directory / CARD) as new_card, atomic_write(path) as new_file:
        plain = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
        save_file(plain, new_file, {"weights": card.sha256})
        entry = {"sha256": file_sha256(new_file), **facts}
        card = dataclasses.replace(card, companions={**card.companions, name: entry})
        new_card.write_text(card.to_json(), encoding="utf-8")
    return card


def load_companion(card: Card, name: str, *, remedy: str) -> dict[str, Tensor]:
    """Load a companion of a model.

    Parameters
    ----------
    card
        Of the loaded model; its ``companions[name]`` holds the facts.
    name
        Of the companion.
    remedy
        What a user can do if the model has none, as a complete instruction.

    Raises
    ------
    ModelError
        If the model has none, or it is damaged, edited, or belongs to other weights.
    """
    if name not in card.companions or card.directory is None:
        raise ModelError(
            explain(
                f"Model {card.name!r} has no {name}", f"its {CARD} lists no such companion", remedy
            )
        )
    path, entry = card.directory / f"{name}.safetensors", card.companions[name]
    if not isinstance(entry, dict):
        raise damaged(card.directory, f"{CARD} holds {entry!r} as companion {name!r}")
    if not path.is_file():
        raise damaged(card.directory, f"{path.name} is missing, though {CARD} lists it")
    said, found = str(entry.get("sha256")), file_sha256(path)
    if found != said:
        raise damaged(
            card.directory,
            f"{path.name} is truncated or edited: its sha256 is {found[:12]}…, "
            f"the card says {said[:12]}…",
        )
    try:
        with safe_open(path, framework="pt") as file:
            weights = (file.metadata() or {}).get("weights", "")
        tensors = load_file(path)
    except SafetensorError as error:
        raise damaged(card.directory, f"{path.name} is no safetensors file ({error})") from error
    if weights != card.sha256:
        raise ModelError(
            explain(
                f"The {name} of model {card.name!r} belongs to other weights",
                f"it was made for sha256 {weights[:12]}…, the model has {card.sha256[:12]}…",
                remedy,
            )
        )
    return tensors
