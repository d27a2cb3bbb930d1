"""Models on disk: one folder each, ``card.json`` says what it is, ``weights.safetensors`` holds it.

Nothing is ever unpickled. The card carries the hash of the weights, and the weights carry the
architecture and the configuration, so that neither can change without the other.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

import scatterml_ase
from scatterml_ase.atomic_write import atomic_write, writable_folder
from scatterml_ase.card import CARD, Card, as_dtype, damaged, read_card
from scatterml_ase.errors import ModelError, explain, warn

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

logger = logging.getLogger(__name__)

ARCHITECTURES: dict[str, str] = {
    "E3NNPotential": "scatterml_ase.potential.model:E3NNPotential",
    "ForceConstantsModel": "scatterml_ase.phonons.force_constants_model:ForceConstantsModel",
    "PhononDOSModel": "scatterml_ase.phonons.dos_model:PhononDOSModel",
}
"""The closed table of model classes, imported on demand: no other class is ever loaded."""

WEIGHTS = "weights.safetensors"


def save_model(model: torch.nn.Module, directory: str | Path, card: Mapping[str, Any]) -> Card:
    """Write a model and its card to a folder; other files there stay as they are.

    Parameters
    ----------
    model
        An instance of a class in ``ARCHITECTURES`` with a ``config`` dataclass that has
        ``species`` and ``cutoff``.
    directory
        The folder of the model. Made if missing; a model already there is replaced.
    card
        What only the author knows: ``task``, ``training``, ``metrics``, ``limitations``, and
        ``name`` and ``units`` if they differ from the folder's name and eV, Å.

    Returns
    -------
    Card
        The complete card as written.
    """
    _refuse_unknown_entries(card)
    directory = writable_folder(Path(directory).resolve(), create=True)
    card_path, weights_path = directory / CARD, directory / WEIGHTS
    # The weights are renamed before the card: a run killed in between leaves a hash that differs.
    with atomic_write(card_path) as new_card, atomic_write(weights_path) as new_weights:
        _write_weights(model, new_weights)
        complete = _complete_card(model, new_weights, {"name": directory.name, **card})
        new_card.write_text(complete.to_json(), encoding="utf-8")
    logger.info("saved %r to %s", complete, directory)
    return complete


def load_model(
    name_or_path: str | Path,
    dtype: str | torch.dtype | None = None,
    *,
    trainable: bool = False,
) -> torch.nn.Module:
    """Load a shipped model by name, or any model by the path of its folder.

    Parameters
    ----------
    name_or_path
        A name from :func:`list_models`, or a folder written by :func:`save_model`.
    dtype
        ``"float32"`` or ``"float64"``; as stored if None.
    trainable
        Whether the parameters require gradients; calculators need none.

    Returns
    -------
    torch.nn.Module
        In evaluation mode on the CPU, with its :class:`Card` as attribute ``card``.

    Raises
    ------
    ModelError
        If the folder is missing, damaged, edited, or of a foreign or newer kind.
    """
    directory = _find(name_or_path)
    card = read_card(directory)
    weights = _read_weights(directory, card)
    with torch.inference_mode(mode=False):  # tensors born in inference mode have no gradients
        model = _build(card)
        model.to(dtype=as_dtype(dtype or card.dtype))
        try:
            model.load_state_dict(weights, strict=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise damaged(
                directory, f"the weights do not fit the architecture: {reason}"
            ) from error
    model.card = card
    return model.eval().requires_grad_(trainable)


def list_models() -> list[Card]:
    """Return the cards of all shipped models, sorted by name; damaged ones warn."""
    cards = []
    for path in sorted(models_directory().glob(f"*/{CARD}")):
        try:
            cards.append(read_card(path.parent))
        except ModelError as error:
            warn(str(error))
    return cards


def covering_models(numbers: Iterable[int], task: str = "potential") -> list[Card]:
    """Return the cards of models that know all these atomic numbers, fewest species first."""
    needed = {int(z) for z in numbers}
    cards = [card for card in list_models() if card.task == task and needed <= set(card.species)]
    return sorted(cards, key=lambda card: (len(card.species), card.name))


def models_directory() -> Path:
    """Return the folder of the shipped models: in the package (wheel) or beside it (checkout)."""
    package = Path(scatterml_ase.__file__).parent
    inside = package / "models"
    return inside if inside.is_dir() else package.parent / "models"


# -- writing ------------------------------------------------------------------------------------


def _refuse_unknown_entries(card: Mapping[str, Any]) -> None:
    given = {"name", "task", "units", "training", "metrics", "limitations"}
    if set(card) - given or "task" not in card:
        raise ModelError(
            explain(
                f"The card has the entries {sorted(card)}",
                "'task' is needed and the model itself says everything else",
                f"Give only {', '.join(sorted(given))}",
            )
        )


def _write_weights(model: torch.nn.Module, path: Path) -> None:
    """Write the weights with the architecture and config they belong to as metadata."""
    architecture = type(model).__name__
    if architecture not in ARCHITECTURES:
        raise ModelError(
            explain(
                f"{architecture} cannot be saved as a model",
                f"only {', '.join(ARCHITECTURES)} are in the table of architectures",
                "Add the class to scatterml_ase.store.ARCHITECTURES (docs/adding_a_model.md)",
            )
        )
    state = {  # safetensors takes neither views nor shared memory
        key: value.detach().cpu().contiguous().clone() for key, value in model.state_dict().items()
    }
    save_file(state, path, _identity(architecture, _config(model)))


def _complete_card(model: torch.nn.Module, weights: Path, card: Mapping[str, Any]) -> Card:
    config = _config(model)
    return Card(
        architecture=type(model).__name__,
        config=config,
        sha256=file_sha256(weights),
        species=tuple(sorted(int(z) for z in config["species"])),
        cutoff=float(config["cutoff"]),
        dtype=str(next(model.parameters()).dtype).removeprefix("torch."),
        parameters=sum(p.numel() for p in model.parameters()),
        version=f"scatterml_ase {scatterml_ase.__version__}",
        **card,
    )


def _config(model: torch.nn.Module) -> dict[str, Any]:
    return asdict(cast("DataclassInstance", model.config))


def _identity(architecture: str, config: Mapping[str, Any]) -> dict[str, str]:
    """Return what ties weights to their architecture and config, the same before and after JSON."""
    # One entry: safetensors writes several in an order that changes from run to run.
    return {"model": json.dumps({"architecture": architecture, "config": config}, sort_keys=True)}


# -- reading ------------------------------------------------------------------------------------


def _find(name_or_path: str | Path) -> Path:
    name = str(name_or_path)
    plain = Path(name).name == name  # only words are names; "." and "../si" are paths
    with suppress(OSError):  # a name too long for any file
        for directory in (models_directory() / name if plain else Path(name), Path(name)):
            if name and directory.is_dir():
                return directory
    names = ", ".join(card.name for card in list_models()) or "none"
    raise ModelError(
        explain(
            f"No model {name!r}",
            "it is neither the name of a shipped model nor an existing folder",
            f"Use one of the shipped models ({names}) or the path of a model folder",
        )
    )


def _read_weights(directory: Path, card: Card) -> dict[str, torch.Tensor]:
    path = directory / WEIGHTS
    if not path.is_file():
        raise damaged(directory, f"{WEIGHTS} is missing")
    if (found := file_sha256(path)) != card.sha256:
        raise damaged(
            directory,
            f"{WEIGHTS} is truncated or edited: its sha256 is {found[:12]}…, "
            f"the card says {card.sha256[:12]}…",
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        weights = load_file(path)
    except SafetensorError as error:
        raise damaged(directory, f"{WEIGHTS} is no safetensors file ({error})") from error
    if metadata != _identity(card.architecture, card.config):
        raise damaged(directory, f"architecture or config in {CARD} are not those of the weights")
    config = {"species": list(card.species), "cutoff": card.cutoff}
    for entry, value in config.items():
        if card.config.get(entry, value) != value:
            raise damaged(directory, f"{entry} in {CARD} is {value}, but its config says otherwise")
    return weights


def _build(card: Card) -> Any:
    if card.architecture not in ARCHITECTURES:
        raise ModelError(
            explain(
                f"Model {card.name!r} has the architecture {card.architecture!r}",
                f"this version knows {', '.join(ARCHITECTURES)} only",
                "Check where the folder comes from, or update: pip install -U scatterml-ase",
            )
        )
    module, _, name = ARCHITECTURES[card.architecture].partition(":")
    architecture = getattr(importlib.import_module(module), name)
    known = {item.name for item in fields(architecture.Config)}
    if unknown := set(card.config) - known:
        raise ModelError(
            explain(
                f"The config of model {card.name!r} has unknown fields {sorted(unknown)}",
                f"{card.architecture} knows {', '.join(sorted(known))}",
                "Update: pip install -U scatterml-ase, or load the original folder",
            )
        )
    return architecture(architecture.Config(**{k: _frozen(v) for k, v in card.config.items()}))


def _frozen(value: Any) -> Any:
    """Turn the lists of JSON into the tuples that a frozen config holds."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
