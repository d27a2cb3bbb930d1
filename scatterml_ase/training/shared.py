"""Evaluate a model with all processes of a run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch_geometric.data import Data

from scatterml_ase.training.metrics import Prediction, predict
from scatterml_ase.training.team import Team


def predict_together(team: Team, model: nn.Module, graphs: Sequence[Data]) -> list[Prediction]:
    """Return the predictions for all graphs in every process, each of which computes a share."""
    if team.size == 1:
        return predict(model, graphs)
    mine = team.share(range(len(graphs)), [int(graph.num_edges) for graph in graphs])
    widths = [10 + 3 * int(graph.num_nodes) for graph in graphs]  # energy, stress, forces
    parts = list(torch.zeros(sum(widths), dtype=torch.float64).split(widths))
    for index, prediction in zip(mine, predict(model, [graphs[i] for i in mine]), strict=True):
        parts[index][0] = prediction.energy
        parts[index][1:10] = torch.from_numpy(prediction.stress).flatten()
        parts[index][10:] = torch.from_numpy(prediction.forces).flatten()
    everything = team.total(torch.cat(parts)).split(widths)  # zeros from all but one
    return [
        Prediction(
            energy=float(part[0]),
            forces=part[10:].reshape(-1, 3).numpy(),
            stress=part[1:10].reshape(3, 3).numpy(),
        )
        for part in everything
    ]
