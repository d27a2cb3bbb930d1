"""Fine-tuning: a finished model as the start of a training, with more species if need be."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from scatterml_ase.card import Card
from scatterml_ase.errors import AccuracyWarning, InputError, explain, warn
from scatterml_ase.store import load_model
from scatterml_ase.training.config import ModelConfig
from scatterml_ase.training.cores import closest_contact
from scatterml_ase.training.data import Frame
from scatterml_ase.training.tables import compiled

# Per species in the configuration, and what a new species starts with; None: the known ones' mean.
_PER_SPECIES = {
    "reference_energies": 0.0,
    "binding_energies": 0.0,
    "rest_densities": None,
    "contact_scales": None,
}


def load_start(config: ModelConfig, dtype: torch.dtype) -> nn.Module:
    """Load the model that a training goes on from.

    Raises
    ------
    ModelError
        If there is none, or it is damaged.
    InputError
        If the training file asks for another architecture.
    """
    model = load_model(config.start, dtype, trainable=True).train()
    own = dataclasses.asdict(model.config)  # type: ignore[call-overload]
    for name, value in config.options.items():
        if name in ("species", *_PER_SPECIES):
            continue
        if name not in own or _plain(own[name]) != _plain(value):
            has = f"has {name} = {own[name]!r}" if name in own else "has no such option"
            raise InputError(
                explain(
                    f"model.options: {name} = {value!r}",
                    f"the model to start from ({config.start!r}) {has}, and training cannot "
                    "change it",
                    "Remove the option, or train from scratch without model.start",
                )
            )
    return model


def start_card(config: ModelConfig) -> Card | None:
    """Return the card of the model that a training goes on from, if there is one."""
    return load_model(config.start).card if config.start else None  # type: ignore[return-value]


def warn_of_cores(model: Any, frames: Sequence[Frame]) -> None:
    """Warn if atoms of the data are closer than the model can see."""
    scales = dict(zip(model.config.species, model.config.contact_scales, strict=True))
    contact, blind = closest_contact(frames, scales), model.config.core_span[1]
    if model.config.repulsion and contact < blind:
        warn(
            explain(
                f"Atoms of the data come as close as {contact:.2f} contact distances",
                f"the model to start from was made for contacts beyond {blind:.2f}: inside, the "
                "network fades and a fixed repulsion takes over",
                "Remove such structures, or train from scratch, where the data decide",
            ),
            AccuracyWarning,
        )


def with_species(model: Any, species: Sequence[int], *, make: Callable[[Any], Any]) -> Any:
    """Return the model with more species, unchanged for those it knows.

    A new species begins as the mean of the known ones, with features of its own in the embedding
    where there is room, and with zero as energy.

    Parameters
    ----------
    model
        A potential with a table of species.
    species
        Sorted atomic numbers, those of the model among them.
    make
        Makes a fresh model of a configuration.

    Raises
    ------
    InputError
        If the architecture has weights that are not known to depend on the species.
    """
    config, old_species = model.config, model.config.species
    if tuple(species) == old_species:
        return model
    tables: dict[str, tuple[float, ...]] = {}
    for name, default in _PER_SPECIES.items():
        known_values = dict(zip(old_species, getattr(config, name), strict=True))
        mean = sum(known_values.values()) / len(known_values)
        missing = mean if default is None else default
        tables[name] = tuple(known_values.get(z, missing) for z in species)
    larger = make(dataclasses.replace(config, species=tuple(species), **tables))
    rows = [list(species).index(z) for z in old_species]
    new = [row for row in range(len(species)) if row not in rows]
    old_weights, weights = model.state_dict(), larger.state_dict()
    known, room = (table["embedding.weight"].shape[1] for table in (old_weights, weights))
    for name, old in old_weights.items():
        target, last = weights[name], name.rpartition(".")[2]
        if name == "embedding.weight":
            target.zero_()
            target[rows, :known] = old
            target[new, :known] = old.mean(dim=0)
            for column, row in zip(range(known, room), new, strict=False):
                target[row, column] = 1.0
        elif last == "centre":
            target[rows] = old
            target[new] = old.mean(dim=0)
        elif name.endswith("basis.weight"):
            _widen(target, old, known=known, room=room, n_basis=larger.config.n_basis)
        elif target.shape == old.shape:
            target.copy_(old)
        else:
            raise InputError(
                explain(
                    f"The model to start from does not know all species of the data, and its "
                    f"weight {name!r} cannot be extended",
                    "it depends on the species in a way this version does not know",
                    "Remove the structures with other species, or train from scratch",
                )
            )
    larger.load_state_dict(weights)
    return larger


def rebuilt(model: Any, make: Callable[[Any], Any], **options: Any) -> Any:
    """Return a copy of a model with some options of its configuration changed."""
    copy = make(dataclasses.replace(model.config, **options))
    copy.load_state_dict(model.state_dict())
    return copy


def freeze(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Exclude weights from training; return their names.

    Raises
    ------
    InputError
        If an expression matches no weight, or all weights would be frozen.
    """
    names = [name for name, _ in model.named_parameters()]
    frozen: set[str] = set()
    for text in patterns:
        pattern = compiled(text, where="model.freeze")
        found = {name for name in names if pattern.search(name)}
        if not found:
            raise InputError(
                explain(
                    f"model.freeze: {text!r} matches no weights",
                    f"the weights of this model are {', '.join(names)}",
                    "Name a part of one of these",
                )
            )
        frozen |= found
    if len(frozen) == len(names):
        raise InputError(
            explain(
                f"model.freeze = {list(patterns)} freezes all weights",
                "nothing would be left to train",
                "Leave out at least one part",
            )
        )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in frozen)
    return sorted(frozen)


def _widen(target: Tensor, old: Tensor, *, known: int, room: int, n_basis: int) -> None:
    """Put the weights of an atomic basis into one with more features of the species.

    Both are (l, senders · n_basis, channels), and the features of the species are the first
    senders. The new ones have no effect at first, but they learn.
    """
    shape = (target.shape[0], -1, n_basis, target.shape[2])
    target.zero_()
    new, before = target.view(shape), old.view(shape)
    new[:, :known] = before[:, :known]
    new[:, room:] = before[:, known:]


def _plain(value: Any) -> Any:
    """Return lists for tuples and floats for integers, so that TOML and JSON compare."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return float(value) if type(value) is int else value
