"""How good a potential is on labelled structures: MAE and RMSE, overall and per group."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from torch import nn
from torch_geometric.data import Data
from tqdm import tqdm

from scatterml_ase.errors import InputError, explain
from scatterml_ase.graph import batch_graphs
from scatterml_ase.nn.derivatives import energies_forces_stress
from scatterml_ase.training.batches import labelled_graph
from scatterml_ase.training.config import DataConfig
from scatterml_ase.training.data import Frame, label_frame, require_species

_MOST_ROWS = 40  # of a table that is still read
_HEAD = f"{'group':<16}{'structures':>11}{'E MAE':>9}{'RMSE':>9}{'F MAE':>9}{'RMSE':>9}{'S MAE':>9}"


@dataclass(frozen=True)
class Accuracy:
    """Errors over one set of structures; NaN where nothing is labelled.

    Attributes
    ----------
    structures
        How many structures.
    energy_mae, energy_rmse
        Error of the energy per atom, meV/atom; every structure counts once.
    force_mae, force_rmse
        Error of the force components, meV/Å; every component counts once.
    stress_mae, stress_rmse
        Error of the known stress components, meV/Å³ (1 meV/Å³ is 0.16 GPa).
    """

    structures: int
    energy_mae: float
    energy_rmse: float
    force_mae: float
    force_rmse: float
    stress_mae: float
    stress_rmse: float


@dataclass(frozen=True)
class DatasetMetrics:
    """Accuracy overall and per group; ``print(metrics)`` shows a table."""

    overall: Accuracy
    groups: dict[str, Accuracy]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a card: numbers rounded, NaN as None, units in the key."""
        rows = {"all": self.overall, **self.groups}
        return {
            "units": "energy meV/atom, force meV/Å, stress meV/Å³",
            **{name: _plain(row) for name, row in rows.items()},
        }

    def __str__(self) -> str:
        rows = {**self.groups, "all": self.overall}
        lines = [
            f"{name or '-':<16}{row.structures:>11}{row.energy_mae:>9.2f}{row.energy_rmse:>9.2f}"
            f"{row.force_mae:>9.1f}{row.force_rmse:>9.1f}{row.stress_mae:>9.2f}"
            for name, row in rows.items()
        ]
        return "\n".join([_HEAD, *lines])


@dataclass(frozen=True)
class Prediction:
    """What a model says about one structure.

    Attributes
    ----------
    energy
        eV.
    forces
        (atoms, 3), eV/Å.
    stress
        (3, 3), eV/Å³.
    """

    energy: float
    forces: np.ndarray
    stress: np.ndarray


def evaluate_dataset(
    model: nn.Module,
    frames: Sequence[Atoms | Frame],
    *,
    keys: DataConfig | None = None,
    progress: bool = False,
) -> DatasetMetrics:
    """Compare a potential with labelled structures.

    Parameters
    ----------
    model
        A potential, as :func:`scatterml_ase.load_model` returns it.
    frames
        Structures with energy, forces and, where known, stress.
    keys
        Names of the labels and of the group; ASE's own by default.
    progress
        Show a progress bar.

    Raises
    ------
    InputError
        If there is no structure, or one has a species that the model does not know, lacks a label
        or has one that is not finite.
    """
    if len(frames) == 0:
        raise InputError(
            explain("There are no structures", "an error over none is no number", "Pass some")
        )
    keys = keys or DataConfig(train=())
    labelled: list[Frame] = []
    for number, frame in enumerate(frames):
        if isinstance(frame, Atoms):
            frame = label_frame(frame, keys, origin=f"structure {number}")
        labelled.append(frame)
    require_species(labelled, model_species(model), who="The model")
    graphs = [labelled_graph(frame, model_cutoff(model)) for frame in labelled]
    predictions = predict(model, graphs, progress=progress)
    return summarize(labelled, predictions)


def predict(
    model: nn.Module, graphs: Sequence[Data], *, batch_atoms: int = 512, progress: bool = False
) -> list[Prediction]:
    """Return the model's energy, forces and stress of every graph."""
    predictions: list[Prediction] = []
    device = next(model.parameters()).device
    with tqdm(total=len(graphs), desc="evaluating", unit="structure", disable=not progress) as bar:
        for chunk in _chunks(graphs, batch_atoms):
            batch = batch_graphs(chunk).to(device)
            output = energies_forces_stress(model, batch)
            forces = output.forces.detach().cpu().split([int(graph.num_nodes) for graph in chunk])
            predictions += [
                Prediction(energy, force.double().numpy(), stress.double().numpy())
                for energy, force, stress in zip(
                    output.energy.tolist(), forces, output.stress.detach().cpu(), strict=True
                )
            ]
            bar.update(len(chunk))
    return predictions


def summarize(frames: Sequence[Frame], predictions: Sequence[Prediction]) -> DatasetMetrics:
    """Compute the accuracy of predictions: overall, per group, and per set of species."""
    pairs = list(zip(frames, predictions, strict=True))
    groups: dict[str, Accuracy] = {}
    for label in (_group_label, _species_label):
        members: dict[str, list[tuple[Frame, Prediction]]] = {}
        for pair in pairs:
            members.setdefault(label(pair[0]), []).append(pair)
        if 1 < len(members) <= _MOST_ROWS:
            groups |= {name: _accuracy(members[name]) for name in sorted(members)}
    return DatasetMetrics(_accuracy(pairs), groups)


def _group_label(frame: Frame) -> str:
    """Return the name of a group's row, never that of a row which means something else."""
    return f"group {frame.group}" if frame.group in ("all", "units") else frame.group


def _species_label(frame: Frame) -> str:
    symbols = sorted(chemical_symbols[z] for z in np.unique(frame.atoms.numbers))
    return "species " + "-".join(symbols)


def _accuracy(pairs: Sequence[tuple[Frame, Prediction]]) -> Accuracy:
    energy = np.array([(p.energy - f.energy) / len(f.atoms) for f, p in pairs])
    forces = np.concatenate([(p.forces - f.forces).ravel() for f, p in pairs])
    stress = np.concatenate([(p.stress - f.stress)[f.stress_mask] for f, p in pairs])
    return Accuracy(len(pairs), *_mae_rmse(energy), *_mae_rmse(forces), *_mae_rmse(stress))


def _mae_rmse(errors: np.ndarray) -> tuple[float, float]:
    """Return both in thousandths of the unit of the errors."""
    if errors.size == 0:
        return float("nan"), float("nan")
    return 1e3 * float(np.abs(errors).mean()), 1e3 * float(np.sqrt((errors**2).mean()))


def _chunks(graphs: Sequence[Data], batch_atoms: int) -> Iterable[list[Data]]:
    chunk: list[Data] = []
    atoms = 0
    for graph in graphs:
        if chunk and atoms + graph.num_nodes > batch_atoms:
            yield chunk
            chunk, atoms = [], 0
        chunk.append(graph)
        atoms += graph.num_nodes
    if chunk:
        yield chunk


def _plain(row: Accuracy) -> dict[str, Any]:
    values = dataclasses.asdict(row)
    return {
        key: None if isinstance(value, float) and np.isnan(value) else round(value, 3)
        for key, value in values.items()
    }


def model_species(model: nn.Module) -> tuple[int, ...]:
    """Return the atomic numbers a model knows."""
    config: Any = model.config
    return tuple(config.species)


def model_cutoff(model: nn.Module) -> float:
    """Return the distance in Å beyond which atoms are no neighbours for a model."""
    config: Any = model.config
    return float(config.cutoff)
