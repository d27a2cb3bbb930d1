"""Everything that is done once before the first step: data, split, model and graphs."""

from __future__ import annotations

import dataclasses
import importlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch_geometric.data import Data
from tqdm import tqdm

from scatterml_ase.errors import InputError, explain, name_species
from scatterml_ase.graph import batch_graphs, graph_from_atoms, neighbours
from scatterml_ase.nn.derivatives import energies_forces_stress
from scatterml_ase.store import ARCHITECTURES
from scatterml_ase.training.batches import labelled_graph
from scatterml_ase.training.checks import check_frames
from scatterml_ase.training.config import ModelConfig, TrainingConfig
from scatterml_ase.training.copies import drop_duplicates, drop_leaks
from scatterml_ase.training.cores import bond_options, core_options
from scatterml_ase.training.data import Frame, data_hash, require_species, species_of
from scatterml_ase.training.energies import (
    SpeciesEnergies,
    fit_energies,
    free_atoms,
    is_free_atom,
    shift_energies,
)
from scatterml_ase.training.files import read_parts
from scatterml_ase.training.split import split_frames, subset
from scatterml_ase.training.start import freeze, load_start, rebuilt, warn_of_cores, with_species
from scatterml_ase.training.tables import from_table

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """The labelled structures of a run.

    Attributes
    ----------
    train, validation
        What is learned from, and what decides which epoch was best.
    unused
        Structures in the gaps between the two.
    hash
        sha256 of structures and labels of both parts.
    """

    train: list[Frame]
    validation: list[Frame]
    unused: list[Frame]
    hash: str


def load_dataset(config: TrainingConfig) -> Dataset:
    """Read, check and split the data of a run.

    Raises
    ------
    InputError
        If anything about the data would make the training meaningless.
    """
    train, validation = map(drop_duplicates, read_parts(config.data))
    train = drop_leaks(train, validation)
    check_frames([*train, *validation]).warn()
    unused: list[Frame] = []
    if not config.data.validation:
        train, validation, unused = split_frames(train, config.split)
    if not train:
        raise InputError(
            explain(
                "No structures are left for training",
                "all of them are in the validation files too",
                "Name other files in data.train",
            )
        )
    fraction = config.data.fraction
    train = subset(train, fraction, seed=config.data.fraction_seed)
    who = "The training part" if fraction == 1 else f"The training part (fraction {fraction:g})"
    require_species(validation, species_of(train), who=who)
    _log.info(
        "%d structures (%d atoms) of %s to train on, %d to validate, %d unused",
        len(train),
        sum(len(frame.atoms) for frame in train),
        name_species(species_of(train)),
        len(validation),
        len(unused),
    )
    return Dataset(train, validation, unused, data_hash([*train, *validation]))


def build_model(
    config: ModelConfig, frames: Sequence[Frame], *, seed: int, dtype: torch.dtype
) -> nn.Module:
    """Make the model, taking from the data what its options leave open.

    The data give ``species``, ``binding_energies`` (least squares, relative to the free atoms),
    ``average_neighbours`` within the cutoff, ``contact_scales``, ``core_span`` and
    ``repulsion_span`` (which end where the data begin), ``rest_densities`` and ``binding_span``
    (which end at the loneliest atom) and ``energy_scale`` (such that the untrained network's forces
    are as large as those of the data), as far as the architecture's ``Config`` has such fields. The
    weights depend on ``seed`` alone.
    A model to start from brings all of this with it; species are added to it, and its energies are
    shifted to the level of the data.
    """
    if config.start:
        model = _started_model(config, frames, seed, dtype)
    else:
        model = _new_model(config, frames, seed).to(dtype)
    if config.freeze:
        _log.info("frozen: %s", ", ".join(freeze(model, config.freeze)))
    return model


def _new_model(config: ModelConfig, frames: Sequence[Frame], seed: int) -> nn.Module:
    cls = _architecture(config.architecture)
    options = dict(config.options)
    fields = {field.name for field in dataclasses.fields(cls.Config)}
    options.setdefault("species", list(species_of(frames)))
    species = tuple(options["species"])
    require_species(frames, species, who="model.options.species")
    cutoff = from_table(cls.Config, options, where="[model.options]").cutoff
    if "binding_energies" in fields:
        free = _free_atoms(config, frames, species, cutoff)
        energies = fit_energies(_bound(frames, cutoff), species, free)
        options.setdefault("reference_energies", energies.reference)
        options.setdefault("binding_energies", energies.binding)
    if "core_span" in fields and not {"core_span", "repulsion_span"} <= options.keys():
        options = core_options(frames, species) | options
    if "binding_span" in fields and not {"binding_span", "rest_densities"} <= options.keys():
        power = from_table(cls.Config, options, where="[model.options]").envelope_power
        bonds = bond_options(frames, species, cutoff=cutoff, envelope_power=power)
        options = bonds | options
    if "average_neighbours" in fields:
        options.setdefault("average_neighbours", _mean_neighbours(frames, cutoff))
    if "energy_scale" in fields and "energy_scale" not in options:
        model = _seeded(cls, options | {"energy_scale": 1.0}, seed)
        options["energy_scale"] = _energy_scale(model, frames, cutoff)
    return _seeded(cls, options, seed)


def _started_model(
    config: ModelConfig, frames: Sequence[Frame], seed: int, dtype: torch.dtype
) -> nn.Module:
    """Return the model to start from, with the species and the energies of the data."""
    start: Any = load_start(config, dtype)

    def make(changed: Any) -> nn.Module:
        return _seeded(type(start), changed, seed).to(dtype)

    known = start.config.species
    wanted = config.options.get("species", ())
    species = tuple(sorted({*known, *map(int, wanted), *species_of(frames)}))
    model: Any = with_species(start, species, make=make)
    warn_of_cores(model, frames)
    cutoff = model.config.cutoff
    bound = _bound(frames, cutoff)
    energies = shift_energies(
        bound,
        [_total_energy(model, frame, cutoff) for frame in bound],
        SpeciesEnergies(model.config.reference_energies, model.config.binding_energies),
        species=species,
        known=known,
        free=_free_atoms(config, frames, species, cutoff),
    )
    fitted = {"reference_energies": energies.reference, "binding_energies": energies.binding}
    given = {name: tuple(config.options.get(name, value)) for name, value in fitted.items()}
    return rebuilt(model, make, **given)


def _bound(frames: Sequence[Frame], cutoff: float) -> list[Frame]:
    return [frame for frame in frames if not is_free_atom(frame, cutoff)]


def _free_atoms(
    config: ModelConfig, frames: Sequence[Frame], species: Sequence[int], cutoff: float
) -> dict[int, float]:
    """Return the energies of free atoms (eV) by atomic number, as far as they are known."""
    listed = config.options.get("reference_energies")
    if listed and config.reference_energies:
        raise InputError(
            explain(
                "reference_energies are given twice",
                "once by symbol in [model] and once as a list in [model.options]",
                "Remove the list",
            )
        )
    if listed:
        return dict(zip(species, listed, strict=False))
    return free_atoms(frames, config.reference_energies, species=species, cutoff=cutoff)


def build_graphs(frames: Sequence[Frame], cutoff: float, *, progress: bool = False) -> list[Data]:
    """Make the labelled graphs of all frames, once for the whole run."""
    bar = tqdm(frames, desc="neighbours", unit="structure", disable=not progress, leave=False)
    return [labelled_graph(frame, cutoff) for frame in bar]


def _architecture(name: str) -> Any:
    """Return the model class of an architecture in the store's closed table."""
    if name not in ARCHITECTURES:
        raise InputError(
            explain(
                f"model.architecture = {name!r}",
                "no such architecture is known",
                f"Use one of {', '.join(ARCHITECTURES)}",
            )
        )
    module, _, attribute = ARCHITECTURES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def _mean_neighbours(frames: Sequence[Frame], cutoff: float) -> float:
    edges = sum(len(neighbours(frame.atoms, cutoff)[0]) for frame in frames)
    if edges == 0:
        raise InputError(
            explain(
                f"No atom of the training part has a neighbour within the cutoff of {cutoff:g} Å",
                "there is no interaction to learn",
                "Give a larger model.options.cutoff, or add structures other than free atoms",
            )
        )
    return edges / sum(len(frame.atoms) for frame in frames)


def _seeded(cls: Any, options: Any, seed: int) -> nn.Module:
    """Make a model whose weights depend on the seed alone, leaving torch's generator as it was.

    ``options`` are a ``Config`` or a table of its fields.
    """
    if isinstance(options, Mapping):
        options = from_table(cls.Config, options, where="[model.options]")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: nn.Module = cls(options)
    return model


@torch.no_grad()
def _total_energy(model: nn.Module, frame: Frame, cutoff: float) -> float:
    graph = graph_from_atoms(frame.atoms, cutoff)
    return energies_forces_stress(model, graph, derivatives=False).energy.item()


def _energy_scale(model: nn.Module, frames: Sequence[Frame], cutoff: float) -> float:
    """Return the ratio of the data's forces to an untrained model's, root mean squares.

    A few structures decide. Too large a scale would start the training far outside of the range
    of energies that models allow.
    """
    few = frames[:: max(len(frames) // 8, 1)]
    batch = batch_graphs(build_graphs(few, cutoff))
    untrained = energies_forces_stress(model, batch).forces
    ratio = float((batch.forces.square().mean() / untrained.square().mean()).sqrt())
    return ratio if 0 < ratio < float("inf") else 1.0
