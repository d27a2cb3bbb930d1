"""The layers of the E3NN potential: convolution, many-body product, energies and messages."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from e3nn import o3
from torch import Tensor, nn

from scatterml_ase.nn.angular import degree_of_component, degree_slices
from scatterml_ase.nn.convolution import Convolution
from scatterml_ase.nn.density import AtomicBasis
from scatterml_ase.nn.neighbourhood import Neighbourhood
from scatterml_ase.nn.product import ManyBodyProduct
from scatterml_ase.nn.readout import Readout
from scatterml_ase.potential.config import PotentialConfig


@dataclass(frozen=True)
class Edges:
    """What all layers share about the edges of a batch."""

    index: Tensor  # (2, edges) centre, neighbour
    layout: Neighbourhood
    radial: Tensor  # (edges, n) radial basis
    envelope: Tensor  # (edges,) 1 at short, 0 at the cutoff
    harmonics: Tensor  # (edges, lm)
    blocks: Tensor  # (atoms, place, lm) the harmonics by centre


@dataclass(frozen=True)
class Messages:
    """What an atom sends to its neighbours in the next layer."""

    scalars: Tensor  # (atoms, k)
    vectors: list[Tensor]  # for l = 1, 2, …: (2l + 1, atoms, k)


class Layer(nn.Module):
    """One atomic basis, its products, and its share of the energy."""

    def __init__(self, config: PotentialConfig, *, embedding: int, first: bool) -> None:
        super().__init__()
        channels, l_max = config.channels, config.l_max
        senders = embedding + (0 if first else config.message_channels)
        neighbours = config.average_neighbours
        self.basis = AtomicBasis(
            senders, config.n_basis, channels, l_max, average_neighbours=neighbours
        )
        self.centre = nn.Parameter(torch.ones(len(config.species), l_max + 1, channels))
        vectors = config.message_l_max > 0 and not first
        self.vectors = VectorMessages(config) if vectors else None
        self.product = ManyBodyProduct(channels, l_max, config.correlation)
        self.readout = Readout(self.product.size, config.readout_hidden)

    def forward(
        self, edges: Edges, embedding: Tensor, species: Tensor, messages: Messages | None
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return energies (atoms,), invariants (atoms, f) and the mixed products of each degree.

        Parameters
        ----------
        edges
            The edges, for all layers alike.
        embedding
            Features (atoms, k) of the species of the senders.
        species
            Index (atoms,) of the species, which weighs the basis at the centre.
        messages
            From the layer before.
        """
        senders = embedding if messages is None else torch.cat([embedding, messages.scalars], 1)
        basis = self.basis(edges.layout, edges.radial, edges.blocks, senders)  # [lm, atom, c]
        if self.vectors is not None and messages is not None:
            basis = basis + self.vectors(edges, messages.vectors)
        centre = self.centre[species].index_select(1, self.basis.degrees)  # [atom, lm, c]
        basis = basis * centre.transpose(0, 1)
        invariants, mixed = self.product(basis)
        return self.readout(invariants).squeeze(1), invariants, [basis, *mixed]


class Sender(nn.Module):
    """Messages from what a layer knows: scalars of its invariants, vectors of its products."""

    def __init__(self, config: PotentialConfig, size: int) -> None:
        super().__init__()
        k, degrees = config.message_channels, config.message_l_max
        self.scalars = nn.Linear(size, k, bias=False)
        sources = 2 * config.channels
        self.vectors = nn.ParameterList(
            nn.Parameter(torch.randn(sources, k) * sources**-0.5) for _ in range(degrees)
        )

    def forward(self, invariants: Tensor, products: list[Tensor]) -> Messages:
        """Return the messages; ``products`` is the basis, then its mixed square by degree."""
        basis, *mixed = products
        slices = degree_slices(len(self.vectors))
        vectors = [
            torch.cat([basis[slices[degree]], mixed[degree]], dim=2) @ weight
            for degree, weight in enumerate(self.vectors, start=1)
        ]
        return Messages(self.scalars(invariants), vectors)


class VectorMessages(nn.Module):
    """The convolution of senders of degree l ≥ 1, added to the atomic basis."""

    degrees: Tensor

    def __init__(self, config: PotentialConfig) -> None:
        super().__init__()
        k, l_max = config.message_channels, config.l_max
        natural = [(k, (degree, (-1) ** degree)) for degree in range(l_max + 1)]
        self.convolution = Convolution(
            o3.Irreps(natural[1 : config.message_l_max + 1]),
            o3.Irreps(natural),
            l_max=l_max,
            n_basis=config.n_basis,
            hidden=config.radial_hidden,
            average_neighbours=config.average_neighbours,
        )
        self.weight = nn.Parameter(torch.randn(l_max + 1, k, config.channels) * k**-0.5)
        self.register_buffer("degrees", degree_of_component(l_max), persistent=False)

    def forward(self, edges: Edges, vectors: list[Tensor]) -> Tensor:
        """Return what the messages add to the basis, (components, atoms, channels)."""
        senders = torch.cat([x.permute(1, 2, 0).flatten(1) for x in vectors], dim=1)
        summed = self.convolution(
            senders, edges.index, edges.harmonics, edges.radial, edges.envelope
        )
        k = self.weight.shape[1]
        parts = [
            summed[:, k * s.start : k * s.stop].view(len(summed), k, -1).permute(2, 0, 1)
            for s in degree_slices(len(self.weight) - 1)
        ]
        return torch.bmm(torch.cat(parts), self.weight.index_select(0, self.degrees))
