"""Labelled graphs, made once, and the batches of an epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from scatterml_ase.graph import graph_from_atoms
from scatterml_ase.nn.derivatives import energies_forces_stress
from scatterml_ase.training.config import RunConfig
from scatterml_ase.training.data import Frame
from scatterml_ase.training.losses import Errors, Shares


def labelled_graph(frame: Frame, cutoff: float) -> Data:
    """Make the graph of a structure and hang its labels on it, all float64.

    ``energy`` (1,) eV, ``forces`` (n, 3) eV/Å, ``stress`` (1, 3, 3) eV/Å³, ``stress_mask``
    (1, 3, 3) bool.
    """
    graph = graph_from_atoms(frame.atoms, cutoff)
    graph.energy = torch.tensor([frame.energy], dtype=torch.float64)
    graph.forces = torch.tensor(frame.forces, dtype=torch.float64)
    graph.stress = torch.tensor(frame.stress, dtype=torch.float64).reshape(1, 3, 3)
    graph.stress_mask = torch.tensor(frame.stress_mask).reshape(1, 3, 3)
    return graph


def batch_errors(model: nn.Module, batch: Batch, *, create_graph: bool) -> Errors:
    """Return prediction minus label for every known label of a batch, float64.

    ``create_graph`` keeps what is needed to differentiate them by the weights.
    """
    output = energies_forces_stress(model, batch, create_graph=create_graph)
    sizes = torch.bincount(batch.batch, minlength=batch.num_graphs)
    return Errors(
        energy=(output.energy.double() - batch.energy) / sizes,
        forces=output.forces.double() - batch.forces,
        stress=(output.stress.double() - batch.stress)[batch.stress_mask],
    )


def shares(graphs: Sequence[Data], own: Sequence[int], members: Sequence[int]) -> Shares:
    """Return which share of the labels of a batch ``members`` belongs to its part ``own``."""

    def share(count: Callable[[Data], int]) -> float:
        mine, all_ = (sum(count(graphs[i]) for i in part) for part in (own, members))
        return mine / all_ if all_ else 0.0

    return Shares(
        energy=share(lambda graph: 1),
        forces=share(lambda graph: int(graph.num_nodes)),
        stress=share(lambda graph: int(graph.stress_mask.sum())),
    )


def plan_batches(graphs: Sequence[Data], order: Sequence[int], run: RunConfig) -> list[list[int]]:
    """Cut an order of structures into batches, closing one when it is full.

    A structure that is larger than a whole batch makes a batch of its own.
    """
    sizes = [(int(graph.num_nodes), int(graph.num_edges)) for graph in graphs]
    by_size = "auto" in (run.batch_atoms, run.batch_edges)
    most_structures = math.inf if by_size else run.batch_structures
    most_atoms = _limit(run.batch_atoms, [n for n, _ in sizes], run.batch_structures)
    most_edges = _limit(run.batch_edges, [e for _, e in sizes], run.batch_structures)
    batches: list[list[int]] = []
    atoms = edges = 0
    for index in order:
        n, e = sizes[index]
        full = (
            not batches
            or len(batches[-1]) >= most_structures
            or atoms + n > most_atoms
            or edges + e > most_edges
        )
        if full:
            batches.append([])
            atoms = edges = 0
        batches[-1].append(index)
        atoms, edges = atoms + n, edges + e
    return batches


def _limit(value: int | str | None, sizes: Sequence[int], structures: int) -> float:
    if value is None:
        return math.inf
    return structures * sum(sizes) / len(sizes) if value == "auto" else float(value)


def epoch_order(count: int, *, seed: int, epoch: int) -> list[int]:
    """Return the shuffled order of an epoch; it depends on the seed and the epoch alone."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    shuffled: Tensor = torch.randperm(count, generator=generator)
    return [int(index) for index in shuffled]
