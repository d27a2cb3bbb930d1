"""Energies, forces and stress from one gradient with respect to the edge vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from scatterml_ase.graph import edge_vectors
from scatterml_ase.nn.cutoff import segment_sum

if TYPE_CHECKING:
    from torch_geometric.data import Data


@dataclass(frozen=True)
class PotentialOutput:
    """What a potential says about a batch of graphs, in float64."""

    energy: Tensor
    """Energy of each graph in eV, shape (graphs,)."""
    energies: Tensor
    """Energy of each atom in eV, shape (atoms,)."""
    forces: Tensor
    """Forces in eV/Å, shape (atoms, 3)."""
    stress: Tensor
    """Stress in eV/Å³, tension positive, (graphs, 3, 3); zero where the cell has no volume."""


def energies_forces_stress(
    model: nn.Module, graph: Data, *, create_graph: bool = False, derivatives: bool = True
) -> PotentialOutput:
    """Evaluate a model of energies per atom and derive forces and stress at once.

    All energy depends on positions r and strain ε through the edge vectors d alone. With
    g = ∂E/∂d the force is F_i = Σ_{edges from i} g − Σ_{edges to i} g, and because a
    homogeneous strain turns each d into (1 + ε) d, the virial ∂E/∂ε is Σ g ⊗ d: the strain trick
    without straining anything (Knuth et al. 2015, 10.1016/j.cpc.2015.01.003;
    Thompson et al. 2009, 10.1063/1.3245303). It is symmetric for an invariant energy;
    rounding is symmetrised away.

    Parameters
    ----------
    model
        Maps (edge_vectors (edges, 3) Å, edge_index (2, edges), numbers (atoms,)) to energies
        (atoms,) in eV. If its ``fused`` is not None, that is called instead where nothing needs to
        be differentiated further, and returns (energies, ∂E/∂vectors); in a batch it is asked to
        look for ``repeats``.
    graph
        One graph or a batch, its edges sorted by centre and so by graph.
    create_graph
        Keep the graph of the gradient, so that a loss on forces and stress can be differentiated.
    derivatives
        Without, forces and stress are NaN: energies alone cost a third.

    Returns
    -------
    PotentialOutput
        Detached unless ``create_graph``.
    """
    vectors = edge_vectors(graph).detach().requires_grad_(derivatives)  # [edge, 3] float64
    dtype = next(model.parameters()).dtype
    fused = None if create_graph else getattr(model, "fused", None)
    with torch.set_grad_enabled(derivatives and fused is None):
        edges = (vectors.to(dtype), graph.edge_index, graph.numbers)
        if fused is not None:
            several = graph.cell.numel() > 9
            energies, gradient = fused(*edges, gradient=derivatives, repeats=several)
        else:
            energies = model(*edges).to(torch.float64)
            if derivatives:
                gradient = _gradient(energies, vectors, create_graph=create_graph)  # [edge, 3]
    if not derivatives:
        gradient = torch.full_like(vectors, torch.nan)
    atoms, index = len(graph.numbers), graph.edge_index
    forces = segment_sum(gradient, index[0], atoms) - segment_sum(gradient, index[1], atoms)
    batch = getattr(graph, "batch", None)
    if batch is None:
        batch = torch.zeros(atoms, dtype=torch.long, device=index.device)
    cells = graph.cell.view(-1, 3, 3).to(torch.float64)
    if len(cells) == 1:
        virial = (gradient.T @ vectors.detach()).unsqueeze(0)
    else:
        sizes = torch.bincount(batch[index[0]], minlength=len(cells)).tolist()  # edges of each
        each = zip(gradient.split(sizes), vectors.detach().split(sizes), strict=True)
        virial = torch.stack([own.T @ d for own, d in each])
    stress = _per_volume((virial + virial.mT) / 2, cells)
    energy = segment_sum(energies, batch, len(cells))
    output = (energy, energies, forces, stress)
    return PotentialOutput(*(output if create_graph else (x.detach() for x in output)))


def _gradient(energies: Tensor, vectors: Tensor, *, create_graph: bool) -> Tensor:
    """∂(Σ energies)/∂vectors, zero where nothing depends on them (no edges)."""
    if not energies.requires_grad:
        return torch.zeros_like(vectors)
    (gradient,) = torch.autograd.grad(
        energies.sum(), vectors, create_graph=create_graph, materialize_grads=True
    )
    return gradient


def _per_volume(virial: Tensor, cells: Tensor) -> Tensor:
    """Divide by |det cell|, giving zero and never NaN where there is no volume."""
    volumes = torch.linalg.det(cells).abs().view(-1, 1, 1)
    empty = volumes < 1e-12
    return torch.where(empty, 0.0, virial / torch.where(empty, 1.0, volumes))
