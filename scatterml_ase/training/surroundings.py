"""The surroundings of atoms as points of a space in which distance means difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from torch import nn

from scatterml_ase.errors import InputError, explain, name_species
from scatterml_ase.graph import batch_graphs, edge_vectors, graph_from_atoms
from scatterml_ase.potential.features import FeatureReader
from scatterml_ase.potential.model import E3NNPotential
from scatterml_ase.store import load_model

_BATCH_ATOMS = 512
_KEPT = 0.999  # share of the variance that the components keep
_LINEAR = 3.0  # asinh(3 x / rms): products of the density to any order become comparable


@dataclass(frozen=True)
class Surroundings:
    """Points of all atoms of some structures.

    Attributes
    ----------
    points
        (atoms, components), one standard deviation of an invariant over all atoms is 1/√f long,
        with f invariants: typical distances are of the order of 1.
    numbers
        (atoms,) atomic numbers.
    owner
        (atoms,) index of the structure an atom belongs to.
    structures
        How many structures.
    """

    points: np.ndarray
    numbers: np.ndarray
    owner: np.ndarray
    structures: int


def surroundings(
    model: nn.Module | str | Path | None, *sets: Sequence[Atoms], components: int = 32
) -> list[Surroundings]:
    """Place the atoms of several sets of structures in one space.

    The coordinates are the principal components of the invariants that the model's readout sees.

    Parameters
    ----------
    model
        A potential, or its name or folder. None takes an untrained network, whose invariants
        describe structures too, though not by what matters for the energy.
    sets
        Structures; empty sets are allowed.
    components
        Largest number of coordinates.

    Raises
    ------
    InputError
        If the model does not know a species or has no invariants.
    """
    everything = [atoms for members in sets for atoms in members]
    species = sorted({int(z) for atoms in everything for z in atoms.numbers})
    reader = _reader(model, species)
    values = np.concatenate(list(_invariants(reader, everything)))  # [atom, f]
    scale = np.maximum(np.sqrt((values**2).mean(axis=0)), 1e-12)
    values = np.arcsinh(_LINEAR * values / scale)
    values = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-6)
    points = _principal(values / np.sqrt(values.shape[1]), components)
    result, start = [], 0
    for members in sets:
        sizes = [len(atoms) for atoms in members]
        stop = start + sum(sizes)
        numbers = [atoms.numbers for atoms in members]
        result.append(
            Surroundings(
                points[start:stop],
                np.concatenate(numbers) if numbers else np.zeros(0, dtype=int),
                np.repeat(np.arange(len(members)), sizes),
                len(members),
            )
        )
        start = stop
    return result


def _reader(model: nn.Module | str | Path | None, species: Sequence[int]) -> FeatureReader:
    if model is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = E3NNPotential(E3NNPotential.Config(species=tuple(species), channels=16))
    elif not isinstance(model, nn.Module):
        model = load_model(model, "float32")
    config: Any = model.config
    unknown = set(species) - set(config.species)
    if unknown:
        raise InputError(
            explain(
                f"The model does not know {name_species(unknown)}",
                f"it knows {name_species(config.species)}",
                "Select with another model, or with none: an untrained network describes any",
            )
        )
    reader = FeatureReader(model).eval()
    if not reader.readouts:
        raise InputError(
            explain(
                f"{type(model).__name__} has no invariants to select by",
                "none of its modules is a Readout",
                "Select with an E3NNPotential, or without a model",
            )
        )
    return reader


def _invariants(reader: FeatureReader, structures: Sequence[Atoms]) -> Iterator[np.ndarray]:
    """Yield invariants (atoms, f), float64, of batches of structures in order."""
    config: Any = reader.potential.config
    dtype = next(reader.potential.parameters()).dtype
    graphs, atoms = [], 0
    for number, structure in enumerate(structures):
        graphs.append(graph_from_atoms(structure, float(config.cutoff)))
        atoms += len(structure)
        if atoms < _BATCH_ATOMS and number + 1 < len(structures):
            continue
        batch = batch_graphs(graphs)
        with torch.no_grad():
            vectors = edge_vectors(batch).to(dtype)
            features = reader(vectors, batch.edge_index, batch.numbers)
        yield features.invariants.double().numpy()
        graphs, atoms = [], 0


def _principal(values: np.ndarray, most: int) -> np.ndarray:
    """Return the leading principal components (atoms, k), signs fixed."""
    variances, axes = np.linalg.eigh(values.T @ values / len(values))
    variances, axes = variances[::-1], axes[:, ::-1]
    share = np.cumsum(variances) / max(variances.sum(), np.finfo(float).tiny)  # 0: all are alike
    count = min(most, int(np.searchsorted(share, _KEPT)) + 1, len(variances))
    axes = axes[:, :count] * np.sign(axes[np.abs(axes).argmax(axis=0), range(len(axes))][:count])
    points: np.ndarray = values @ axes
    return points
