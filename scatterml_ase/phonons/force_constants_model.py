"""Harmonic energy of a crystal from its structure: every sum rule by construction.

The model predicts the quadratic energy

    E = ½ Σ_edges (u_j − u_i)·K_ij·(u_j − u_i) + ½ Σ_i Σ_n s_in |y_in|²,
    y_in = Σ_j W_ijn (u_j − u_i),

from symmetric matrices K of pairs (parts 0e and 2e) and local responses y: scalars, vectors and
tensors that atom i's surroundings feel when its neighbours move, which couple these neighbours with
each other, antisymmetric parts (1e) included. Φ = ∂²E/∂u∂u then is real and symmetric, rigid
shifts cost nothing, and both hold exactly for any weights; forces between Born charges in polar
crystals, which reach further than any cutoff, are added as the dipole sum of predicted charges.
Equivariance makes Φ invariant under the space group.

Compare the virtual nodes of Okabe et al., doi:10.1038/s43588-024-00661-0, whose matrices of pairs
obey no sum rule; and the ladder of shell and bond-charge models, of which y is the general form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from scatterml_ase.nn.angular import clebsch_gordan
from scatterml_ase.nn.crystal_encoder import (
    CrystalEncoder,
    EncoderOptions,
    NodeFeatures,
    mlp,
)
from scatterml_ase.nn.cutoff import PolynomialCutoff, segment_sum
from scatterml_ase.nn.elements import radii
from scatterml_ase.nn.radial import BesselBasis
from scatterml_ase.nn.tables import TableModule
from scatterml_ase.phonons.harmonic_graph import HarmonicGraph

_DECAY = 1.8  # Å⁻¹: springs weaken so with the distance of their atoms
_STRENGTH = 5.0  # eV/Å² at the sum of covalent radii


@dataclass(frozen=True)
class ForceConstantsConfig:
    """What rebuilds a :class:`ForceConstantsModel`: plain values only."""

    species: tuple[int, ...]
    """Atomic numbers the model knows, rising."""
    cutoff: float = 6.5
    """Atoms closer than this have a spring between them, in Å."""
    encoder_cutoff: float = 5.5
    """Atoms closer than this are seen by an atom, in Å."""
    response_cutoff: float = 5.0
    """Atoms closer than this make an atom respond when they move, in Å."""
    channels: int = 24
    l_max: int = 3
    layers: int = 2
    senders: int = 16
    width: int = 96
    equivariants: int = 6
    n_basis: int = 8
    hidden: int = 96
    """Width of the networks of pairs."""
    responses: tuple[int, int, int] = (6, 3, 1)
    """How many scalars, vectors and tensors respond at each atom."""
    charge_channels: int = 12
    """Channels of the part that predicts Born charges."""
    average_neighbours: float = 40.0


@dataclass(frozen=True)
class HarmonicTerms:
    """The energy of a batch of crystals as quadratic forms; eV, Å."""

    springs: Tensor
    """K (pairs, 3, 3), symmetric, for the pairs given to the model."""
    responses: Tensor
    """W (edges, rows, 3) for the edges given to the model."""
    stiffness: Tensor
    """s (atoms, rows), of any sign."""


@dataclass(frozen=True)
class Polarity:
    """What a crystal answers to electric fields."""

    born_charges: Tensor
    """Z* in e (atoms, 3, 3), their sum zero in each crystal."""
    dielectric: Tensor
    """ε∞ (graphs, 3, 3)."""


class ForceConstantsModel(nn.Module):
    """Springs, responses and Born charges of crystals."""

    Config = ForceConstantsConfig

    def __init__(self, config: ForceConstantsConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = CrystalEncoder(config.species, _encoder_options(config, config.channels))
        self.polar_mark = nn.Parameter(0.1 * torch.randn(config.width))
        self.springs = Springs(config)
        self.responses = Responses(config)
        self.polarity = PolarityModel(config)

    @property
    def species(self) -> tuple[int, ...]:
        """Atomic numbers the model knows."""
        return self.config.species

    @property
    def cutoff(self) -> float:
        """Distance in Å beyond which atoms have no spring between them."""
        return self.config.cutoff

    def encode(self, graph: HarmonicGraph, polar: Tensor) -> NodeFeatures:
        """Return the features of atoms; ``polar`` (graphs,) tells 0 or 1 of each crystal."""
        _, index, vectors = graph.within(self.config.encoder_cutoff)
        mark = polar.to(self.polar_mark)[graph.batch].unsqueeze(1) * self.polar_mark
        return self.encoder(vectors, index, graph.numbers, mark)

    def forward(self, graph: HarmonicGraph, polar: Tensor) -> HarmonicTerms:
        """Return the energy but for the dipole sum, which crystals marked ``polar`` have besides.

        Parameters
        ----------
        graph
            The crystals.
        polar
            Which of them have Born charges, (graphs,).
        """
        return self.terms(graph, self.encode(graph, polar))

    def terms(self, graph: HarmonicGraph, nodes: NodeFeatures) -> HarmonicTerms:
        """Return the energy for features of atoms that are known."""
        springs = self.springs(graph, nodes)
        responses, stiffness = self.responses(graph, nodes)
        return HarmonicTerms(springs, responses, stiffness)


def _encoder_options(config: ForceConstantsConfig, channels: int) -> EncoderOptions:
    return EncoderOptions(
        cutoff=config.encoder_cutoff,
        channels=channels,
        l_max=config.l_max,
        layers=config.layers,
        senders=config.senders,
        width=config.width,
        equivariants=config.equivariants,
        n_basis=config.n_basis,
        average_neighbours=config.average_neighbours,
    )


class _Pairwise(TableModule):
    """What springs and responses share: a network of the distance and of both ends."""

    radii: Tensor

    def __init__(self, config: ForceConstantsConfig, cutoff: float, outputs: int) -> None:
        super().__init__()
        self.radial = BesselBasis(cutoff, config.n_basis)
        self.envelope = PolynomialCutoff(cutoff)
        self.of_distance = nn.Linear(config.n_basis, config.hidden)
        last = nn.Linear(config.hidden, outputs)
        nn.init.uniform_(last.weight, -(spread := 0.3 * config.hidden**-0.5), spread)
        self.network = nn.Sequential(
            nn.SiLU(), nn.Linear(config.hidden, config.hidden), nn.SiLU(), last
        )
        self.register_table("radii", radii())

    def decay(self, distances: Tensor, first: Tensor, second: Tensor, rate: float) -> Tensor:
        """Return exp(−rate·(r − sum of radii)) for two atomic numbers, zero at the cutoff."""
        contact = self.radii[first] + self.radii[second]
        return torch.exp(-rate * (distances - contact)) * self.envelope(distances)


class Springs(_Pairwise):
    """K_ij from the distance, from both ends' scalars, and from their vectors and tensors."""

    def __init__(self, config: ForceConstantsConfig) -> None:
        e = config.equivariants
        super().__init__(config, config.cutoff, 3 + 3 * e)
        self.of_ends = nn.Linear(config.width, config.hidden, bias=False)

    def forward(self, graph: HarmonicGraph, nodes: NodeFeatures) -> Tensor:
        """Return K (pairs, 3, 3), the same from both ends."""
        i, j = graph.edge_index[:, graph.pairs]
        vectors = graph.vectors[graph.pairs]
        r = torch.linalg.vector_norm(vectors, dim=1)
        n = vectors / r.unsqueeze(1)
        ends = self.of_ends(nodes.scalars)
        out = self.network(self.of_distance(self.radial(r)) + ends[i] + ends[j])
        scale, isotropic, along = out[:, :3].unbind(1)
        of_tensors, of_bent, of_vectors = out[:, 3:].view(len(r), 3, -1).unbind(1)
        tensors = nodes.tensors[i] + nodes.tensors[j]  # [pair, 3, 3, e]
        odd = nodes.vectors[j] - nodes.vectors[i]  # turns its sign with the pair, as n does
        bent = torch.einsum("pabe,pb,pe->pa", tensors, n, of_bent)
        sideways = bent + torch.einsum("pae,pe->pa", odd, of_vectors)
        matrix = torch.einsum("pabe,pe->pab", tensors, of_tensors)
        matrix = matrix + (1 + along)[:, None, None] * (n[:, :, None] * n[:, None, :])
        matrix = (
            matrix + sideways[:, :, None] * n[:, None, :] + n[:, :, None] * sideways[:, None, :]
        )
        diagonal = torch.eye(3, dtype=r.dtype, device=r.device)
        matrix = matrix + isotropic[:, None, None] * diagonal
        strength = self.decay(r, graph.numbers[i], graph.numbers[j], _DECAY)
        strength = strength * torch.exp(4 * torch.tanh(scale / 4))
        return _STRENGTH * strength[:, None, None] * matrix


class Responses(_Pairwise):
    """W_ij and s_i: how an atom's surroundings answer to displacements of its neighbours."""

    to_tensor: Tensor
    response_of: Tensor

    def __init__(self, config: ForceConstantsConfig) -> None:
        scalars, vectors, tensors = self.counts = config.responses
        e = config.equivariants
        self.outputs = (scalars * (1 + 2 * e), vectors * (2 + e), tensors)
        super().__init__(config, config.response_cutoff, sum(self.outputs))
        self.of_centre = nn.Linear(config.width, config.hidden, bias=False)
        self.of_neighbour = nn.Linear(config.width, config.hidden, bias=False)
        self.stiffness = mlp(config.width, config.hidden, sum(self.counts))
        self.register_table("to_tensor", clebsch_gordan(1, 1, 2))
        sizes = torch.tensor((1, 3, 5)).repeat_interleave(torch.tensor(self.counts))
        response_of = torch.arange(len(sizes)).repeat_interleave(sizes)
        self.register_buffer("response_of", response_of, persistent=False)

    def forward(self, graph: HarmonicGraph, nodes: NodeFeatures) -> tuple[Tensor, Tensor]:
        """Return W (edges within the response cutoff, rows, 3) and s (atoms, rows)."""
        _, (i, j), vectors = graph.within(self.radial.cutoff)
        r = torch.linalg.vector_norm(vectors, dim=1)
        n = vectors / r.unsqueeze(1)
        hidden = self.of_distance(self.radial(r))
        hidden = hidden + self.of_centre(nodes.scalars)[i] + self.of_neighbour(nodes.scalars)[j]
        out = self.network(hidden).split(self.outputs, dim=1)
        tensors = nodes.tensors[i]  # [edge, 3, 3, e]
        parts = [
            self._scalars(out[0], n, nodes.vectors[i], tensors),
            self._vectors(out[1], n, tensors),
            self._tensors(out[2], n),
        ]
        rows = torch.cat(parts, dim=1)
        strength = self.decay(r, graph.numbers[i], graph.numbers[j], _DECAY / 2)
        stiffness = _STRENGTH * self.stiffness(nodes.scalars)
        return rows * strength[:, None, None], stiffness.index_select(1, self.response_of)

    def _scalars(self, out: Tensor, n: Tensor, vectors: Tensor, tensors: Tensor) -> Tensor:
        """Scalars feel displacements along vectors: r̂, the centre's vectors, its tensors · r̂."""
        bent = (tensors * n[:, None, :, None]).sum(2)  # [edge, 3, e]
        along = torch.cat([n.unsqueeze(2), vectors, bent], dim=2)
        return out.view(len(n), self.counts[0], -1) @ along.mT

    def _vectors(self, out: Tensor, n: Tensor, tensors: Tensor) -> Tensor:
        """Vectors feel them through matrices: 1, r̂r̂ and the centre's tensors."""
        diagonal = torch.eye(3, dtype=n.dtype, device=n.device).flatten().expand(len(n), -1)
        outer = (n[:, :, None] * n[:, None, :]).flatten(1)
        basis = torch.cat([torch.stack([diagonal, outer], 1), tensors.flatten(1, 2).mT], dim=1)
        return (out.view(len(n), self.counts[1], -1) @ basis).view(len(n), -1, 3)

    def _tensors(self, out: Tensor, n: Tensor) -> Tensor:
        """Tensors feel them as r̂ ⊗ u, symmetric and traceless: the strain."""
        matrix = torch.einsum("abm,pa->pmb", self.to_tensor, n)  # [edge, 5, 3]
        return (out[:, :, None, None] * matrix.unsqueeze(1)).flatten(1, 2)


class PolarityModel(nn.Module):
    """Born charges and ε∞, from a small encoder of its own."""

    def __init__(self, config: ForceConstantsConfig) -> None:
        super().__init__()
        options = _encoder_options(config, config.charge_channels)
        self.encoder = CrystalEncoder(config.species, options)
        self.cutoff, e = config.encoder_cutoff, config.equivariants
        self.of_atoms = mlp(config.width, config.width, 2 + 2 * e)

    def forward(self, graph: HarmonicGraph) -> Polarity:
        """Return Born charges and ε∞, as if the crystal were an insulator."""
        _, index, vectors = graph.within(self.cutoff)
        nodes = self.encoder(vectors, index, graph.numbers)
        out = self.of_atoms(nodes.scalars)
        charge, screening = out[:, :2].unbind(1)
        of_charge, of_screening = out[:, 2:].view(len(out), 2, -1).unbind(1)
        diagonal = torch.eye(3, dtype=out.dtype, device=out.device)
        matrices = torch.stack([of_charge, of_screening], dim=1)  # [atom, 2, e]
        matrices = torch.einsum("nabe,nke->nkab", nodes.tensors, matrices)
        isotropic = torch.stack([2 * charge, screening + 1.5], dim=1)
        matrices = matrices + isotropic[:, :, None, None] * diagonal
        counts = torch.bincount(graph.batch, minlength=graph.graphs)
        means = segment_sum(matrices, graph.batch, graph.graphs) / counts[:, None, None, None]
        return Polarity(
            born_charges=matrices[:, 0] - means[graph.batch, 0],
            dielectric=torch.linalg.matrix_exp(means[:, 1]),
        )


def count_rows(config: Any) -> int:
    """Return how many rows W has: components of all responses."""
    scalars, vectors, tensors = config.responses
    return scalars + 3 * vectors + 5 * tensors
