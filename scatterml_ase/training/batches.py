"""Labelled graphs, made once, and the batches of an epoch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from scatterml_ase.graph import graph_from_atoms
from scatterml_ase.nn.derivatives import energies_forces_stress
from scatterml_ase.training.config import RunConfig
from scatterml_ase.training.data import Frame
from scatterml_ase.training.losses import Errors


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


def plan_batches(graphs: Sequence[Data], order: Sequence[int], run: RunConfig) -> list[list[int]]:
    """Cut an order of structures into batches, closing one when it is full.

    A structure that is larger than a whole batch makes a batch of its own.
    """
    batches: list[list[int]] = []
    atoms = edges = 0
    for index in order:
        n, e = graphs[index].num_nodes, graphs[index].num_edges
        full = (
            not batches
            or len(batches[-1]) >= run.batch_structures
            or (run.batch_atoms is not None and atoms + n > run.batch_atoms)
            or (run.batch_edges is not None and edges + e > run.batch_edges)
        )
        if full:
            batches.append([])
            atoms = edges = 0
        batches[-1].append(index)
        atoms, edges = atoms + n, edges + e
    return batches


def epoch_order(count: int, *, seed: int, epoch: int) -> list[int]:
    """Return the shuffled order of an epoch; it depends on the seed and the epoch alone."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    shuffled: Tensor = torch.randperm(count, generator=generator)
    return [int(index) for index in shuffled]
