"""The members of a committee, and what their disagreement is."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from scatterml_ase.errors import InputError, explain
from scatterml_ase.graph import edge_vectors
from scatterml_ase.nn.cutoff import segment_sum
from scatterml_ase.nn.readout import bounded_below
from scatterml_ase.potential.extrapolation import ExtrapolationMeasure
from scatterml_ase.potential.features import FeatureReader, last_linear

if TYPE_CHECKING:
    from torch_geometric.data import Data


@dataclass(frozen=True)
class MemberEnergies:
    """What the members say about a batch beyond what they agree on."""

    deviations: Tensor
    """Energy of each atom minus the committee's, (members, atoms) eV, float64."""
    grades: Tensor | None
    """Extrapolation grade (atoms,); None where nothing is known about the training set."""


class LastLayerCommittee(nn.Module):
    """Members that share everything with a potential but the weights of its last layer.

    E_i^k = … + g_i B(scale · (w + δ_k)·φ_i), with the last-layer features φ and the potential's own
    gate g and bend B: each member is a potential, not a linearisation of one. One forward pass
    serves all (shallow ensembles, Kellner and Ceriotti 2024, 10.1088/2632-2153/ad594a).

    Parameters
    ----------
    potential
        The model the members belong to; its ``config`` has ``energy_scale``, ``energy_floor``.
    members
        δ (members, p) in the order of :attr:`FeatureReader.weights`.
    measure
        Tells the extrapolation grade.
    """

    members: Tensor

    def __init__(
        self,
        potential: nn.Module,
        members: Tensor,
        measure: ExtrapolationMeasure | None = None,
    ) -> None:
        super().__init__()
        self.reader = FeatureReader(potential)
        weights = self.reader.weights
        if members.ndim != 2 or members.shape[1] != len(weights):
            raise ValueError(
                f"the members have shape {tuple(members.shape)}, the last layer {len(weights)} "
                "weights"
            )
        self.register_buffer("members", members.to(weights), persistent=False)
        self.measure = None if measure is None else measure.to(weights.device)
        config: Any = potential.config
        self.scale, self.floor = float(config.energy_scale), float(config.energy_floor)

    @property
    def degrees_of_freedom(self) -> int:
        """Of a variance over the members: their mean is known to be the potential."""
        return len(self.members)

    def forward(self, vectors: Tensor, edge_index: Tensor, numbers: Tensor) -> MemberEnergies:
        """Return how the members deviate; arguments as of the potential."""
        features = self.reader(vectors, edge_index, numbers)
        grades = None
        if self.measure is not None:
            grades = self.measure.grades(features.invariants.detach(), numbers)
        network = self.scale * features.network.to(torch.float64)  # [atom]
        moved = self.scale * (self.members @ features.last_layer.T).to(torch.float64)  # [k, atom]
        bent = bounded_below(network + moved, self.floor) - bounded_below(network, self.floor)
        return MemberEnergies(features.gate * bent, grades)

    def potentials(self) -> list[nn.Module]:
        """Return each member as a potential of its own."""
        return [self._with(deviation) for deviation in self.members]

    def _with(self, deviation: Tensor) -> nn.Module:
        """Return the potential with the last layer moved by ``deviation`` (p,)."""
        own = FeatureReader(copy.deepcopy(self.reader.potential))
        potential = own.potential
        if hasattr(potential, "card"):
            del potential.card  # it says whose weights these are, and they are no longer those
        start = 0
        with torch.no_grad():
            for readout in own.readouts:
                layers = [readout.linear]
                layers += [] if readout.network is None else [last_linear(readout)]
                for layer in layers:
                    stop = start + layer.in_features
                    layer.weight.copy_(layer.weight + deviation[start:stop])
                    start = stop
        return potential


@dataclass(frozen=True)
class MeanConfig:
    """What a calculator asks of the mean of several potentials."""

    cutoff: float
    """The largest of the members, in Å."""
    species: tuple[int, ...]
    """Atomic numbers that all members know."""
    layers: int | None
    """The most layers of a member; None if one does not tell."""


class MeanPotential(nn.Module):
    """The mean of independent potentials on one neighbour list, that of the largest cutoff."""

    def __init__(self, potentials: Sequence[nn.Module]) -> None:
        super().__init__()
        if len(potentials) < 2:
            raise InputError(
                explain(
                    f"A committee of {len(potentials)} potentials was asked for",
                    "their disagreement is the uncertainty, and one cannot disagree",
                    "Pass two or more, or the name of one shipped model",
                )
            )
        configs: list[Any] = [potential.config for potential in potentials]
        species = set.intersection(*(set(config.species) for config in configs))
        if not species:
            raise InputError(
                explain(
                    "The potentials of the committee have no species in common",
                    "each member must know every atom",
                    "Pass models that were trained on the same species",
                )
            )
        cutoff = max(float(config.cutoff) for config in configs)
        layers: list[Any] = [getattr(config, "layers", None) for config in configs]
        most = None if None in layers else max(layers)
        self.config = MeanConfig(cutoff, tuple(sorted(species)), most)
        self.potentials = nn.ModuleList(potentials)

    def forward(self, vectors: Tensor, edge_index: Tensor, numbers: Tensor) -> Tensor:
        """Return the mean energy of each atom in eV (atoms,), float64."""
        return self.each(vectors, edge_index, numbers).mean(0)

    def each(self, vectors: Tensor, edge_index: Tensor, numbers: Tensor) -> Tensor:
        """Return the energies by all members (members, atoms) in eV, float64."""
        lengths = torch.linalg.vector_norm(vectors.detach(), dim=1)
        energies = []
        for potential in self.potentials:
            config: Any = potential.config
            near: Any = slice(None)
            if config.cutoff < self.config.cutoff:
                near = lengths < config.cutoff
            energies.append(potential(vectors[near], edge_index[:, near], numbers))
        return torch.stack(energies).to(torch.float64)


class IndependentCommittee(nn.Module):
    """Potentials trained apart, as a committee."""

    def __init__(self, mean: MeanPotential) -> None:
        super().__init__()
        self.mean = mean

    @property
    def degrees_of_freedom(self) -> int:
        """Of a variance over the members: their mean is taken from themselves."""
        return len(self.mean.potentials) - 1

    def forward(self, vectors: Tensor, edge_index: Tensor, numbers: Tensor) -> MemberEnergies:
        """Return how the members deviate from their mean."""
        energies = self.mean.each(vectors, edge_index, numbers)
        return MemberEnergies(energies - energies.mean(0), None)

    def potentials(self) -> list[nn.Module]:
        """Return the members."""
        return list(self.mean.potentials)


Committee = LastLayerCommittee | IndependentCommittee


@dataclass(frozen=True)
class Disagreement:
    """How far the members of a committee are apart on a batch, float64."""

    energy: Tensor
    """Standard deviation of the energy of each graph in eV, (graphs,)."""
    forces: Tensor
    """Standard deviation of a force component of each atom in eV/Å, (atoms,): the root mean
    square over x, y, z."""
    grades: Tensor | None
    """Extrapolation grade (atoms,)."""


def disagreement(committee: Committee, graph: Data) -> Disagreement:
    """Compare the members on a batch of graphs: one forward pass, a backward pass for each."""
    energies, forces, grades = deviations(committee, graph)
    freedom = committee.degrees_of_freedom
    energy = (energies.square().sum(0) / freedom).sqrt()
    return Disagreement(energy, (forces.square().mean(2).sum(0) / freedom).sqrt(), grades)


def deviations(committee: Committee, graph: Data) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return what each member says minus what the committee says.

    Returns
    -------
    tuple
        Energies (members, graphs) eV, forces (members, atoms, 3) eV/Å, and grades (atoms,).
    """
    vectors = edge_vectors(graph).detach().requires_grad_()
    dtype, index, atoms = _dtype(committee), graph.edge_index, len(graph.numbers)
    with torch.enable_grad():
        said = committee(vectors.to(dtype), index, graph.numbers)
        members = said.deviations  # [k, atom]
        gradients = [_gradient(member, vectors) for member in members]
    forces = torch.stack(
        [segment_sum(g, index[0], atoms) - segment_sum(g, index[1], atoms) for g in gradients]
    )
    batch = getattr(graph, "batch", None)
    if batch is None:
        batch = torch.zeros(atoms, dtype=torch.long, device=index.device)
    energies = segment_sum(members.detach().T, batch, graph.cell.view(-1, 3, 3).shape[0]).T
    return energies, forces, said.grades


def grades(committee: Committee, graph: Data) -> Tensor | None:
    """Return the extrapolation grades (atoms,) alone: one forward pass."""
    with torch.no_grad():
        vectors = edge_vectors(graph).to(_dtype(committee))
        return committee(vectors, graph.edge_index, graph.numbers).grades


def _gradient(energies: Tensor, vectors: Tensor) -> Tensor:
    if not energies.requires_grad:  # no edges
        return torch.zeros_like(vectors)
    (gradient,) = torch.autograd.grad(
        energies.sum(), vectors, retain_graph=True, materialize_grads=True
    )
    return gradient


def _dtype(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype
