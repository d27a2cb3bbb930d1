"""What surrounds each atom of a crystal: equivariant features of many species."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scatterml_ase.nn.angular import SphericalHarmonics, clebsch_gordan, degree_slices
from scatterml_ase.nn.density import AtomicBasis
from scatterml_ase.nn.elements import element_properties
from scatterml_ase.nn.encoder import SpeciesIndex
from scatterml_ase.nn.neighbourhood import Neighbourhood
from scatterml_ase.nn.product import ManyBodyProduct
from scatterml_ase.nn.radial import BesselBasis
from scatterml_ase.nn.tables import TableModule


@dataclass(frozen=True)
class EncoderOptions:
    """The size of a :class:`CrystalEncoder`."""

    cutoff: float
    """Atoms closer than this are neighbours, in Å."""
    channels: int
    """Channels of the atomic basis."""
    l_max: int
    """Largest degree of the harmonics, 2 or more."""
    layers: int
    """Layers; each lets atoms see one cutoff further."""
    senders: int
    """Features an atom shows to its neighbours."""
    width: int
    """Scalar features of an atom."""
    equivariants: int
    """Vectors, and tensors, of an atom."""
    n_basis: int
    """Radial functions."""
    average_neighbours: float
    """Mean number of neighbours."""


@dataclass(frozen=True)
class NodeFeatures:
    """Features of atoms: invariant, and turning with the crystal."""

    scalars: Tensor
    """(atoms, width)."""
    vectors: Tensor
    """(atoms, 3, equivariants), odd under inversion."""
    tensors: Tensor
    """Symmetric and traceless (atoms, 3, 3, equivariants)."""


class ElementEmbedding(TableModule):
    """Features of an element from its chemical properties and from what is learned of it."""

    properties: Tensor

    def __init__(self, species: Sequence[int], width: int) -> None:
        super().__init__()
        self.register_table("properties", element_properties()[list(species)])
        self.network = mlp(self.properties.shape[1], width, width)
        self.own = nn.Parameter(0.3 * torch.randn(len(species), width))

    def forward(self, species_index: Tensor) -> Tensor:
        """Return the features (atoms, width) of ``species_index`` (atoms,)."""
        return (self.network(self.properties) + self.own)[species_index]


class CrystalEncoder(nn.Module):
    """Scalars, vectors and tensors of each atom from many-body products over some layers.

    A layer is the convolution f'_i = 1/√z̄ Σ_j h_j ⊗ R(|r_ij|) Y(r̂_ij) of what neighbours show,
    weighed by the centre's own features, and its products with itself to third order; the
    invariants among these update the scalars.

    Parameters
    ----------
    species
        Atomic numbers, rising.
    options
        Sizes.
    """

    def __init__(self, species: Sequence[int], options: EncoderOptions) -> None:
        super().__init__()
        self.options = options
        self.species_index = SpeciesIndex(species)
        self.embedding = ElementEmbedding(species, options.width)
        self.radial = BesselBasis(options.cutoff, options.n_basis)
        self.harmonics = SphericalHarmonics(options.l_max)
        self.layers = nn.ModuleList(_EncoderLayer(options) for _ in range(options.layers))

    def forward(
        self, vectors: Tensor, edge_index: Tensor, numbers: Tensor, extra: Tensor | None = None
    ) -> NodeFeatures:
        """Return the features of all atoms.

        Parameters
        ----------
        vectors
            From centre to neighbour, (edges, 3) Å, all shorter than the cutoff.
        edge_index
            (2, edges) centre and neighbour, sorted by centre.
        numbers
            Atomic numbers (atoms,).
        extra
            Something else known of the atoms, added to their first features (atoms, width).
        """
        scalars = self.embedding(self.species_index(numbers))
        if extra is not None:
            scalars = scalars + extra
        layout = Neighbourhood.from_edges(edge_index, len(numbers))
        radial = self.radial(torch.linalg.vector_norm(vectors, dim=1))  # [edge, n]
        blocks = layout.blocks(self.harmonics(vectors))  # [atom, place, lm]
        equivariants: list[Tensor] = []
        for layer in self.layers:
            scalars, equivariants = layer(layout, radial, blocks, scalars, equivariants)
        return NodeFeatures(scalars, *equivariants)


class _EncoderLayer(TableModule):
    to_matrix: Tensor

    def __init__(self, options: EncoderOptions) -> None:
        super().__init__()
        c, l_max = options.channels, options.l_max
        self.l_max = l_max
        self.show = nn.Linear(options.width, options.senders)
        self.basis = AtomicBasis(
            options.senders,
            options.n_basis,
            c,
            l_max,
            average_neighbours=options.average_neighbours,
        )
        self.centre = nn.Linear(options.width, (l_max + 1) * c)
        nn.init.ones_(self.centre.bias)
        self.product = ManyBodyProduct(c, l_max, 3)
        self.update = mlp(self.product.size + options.width, 2 * options.width, options.width)
        sources = 2 * c
        self.mix = nn.ParameterList(
            nn.Parameter(torch.randn(sources, options.equivariants) * sources**-0.5) for _ in (1, 2)
        )
        self.register_table("to_matrix", clebsch_gordan(1, 1, 2))

    def forward(
        self,
        layout: Neighbourhood,
        radial: Tensor,
        blocks: Tensor,
        scalars: Tensor,
        equivariants: list[Tensor],
    ) -> tuple[Tensor, list[Tensor]]:
        basis = self.basis(layout, radial, blocks, self.show(scalars))  # [lm, atom, c]
        degrees = self.basis.degrees
        centre = self.centre(scalars).view(len(scalars), -1, basis.shape[2])  # [atom, l, c]
        basis = basis * centre.index_select(1, degrees).transpose(0, 1)
        invariants, mixed = self.product(basis)
        inputs = torch.cat([soft_normalized(invariants), scalars], dim=1)
        scalars = scalars + self.update(inputs)
        slices = degree_slices(self.l_max)
        found = []
        for degree, weight in zip((1, 2), self.mix, strict=True):
            sources = torch.cat([basis[slices[degree]], mixed[degree]], dim=2)
            found.append((sources @ weight).transpose(0, 1))  # [atom, m, e]
        vectors = bounded(found[0])
        tensors = torch.einsum("abm,nme->nabe", self.to_matrix, bounded(found[1]))
        if equivariants:
            vectors, tensors = vectors + equivariants[0], tensors + equivariants[1]
        return scalars, [vectors, tensors]


def mlp(size_in: int, hidden: int, size_out: int) -> nn.Sequential:
    """Return a network with one hidden layer."""
    return nn.Sequential(nn.Linear(size_in, hidden), nn.SiLU(), nn.Linear(hidden, size_out))


def soft_normalized(features: Tensor) -> Tensor:
    """Return rows of root mean square below one; small rows stay as they are."""
    return features * (1 + features.square().mean(dim=-1, keepdim=True)).rsqrt()


def bounded(features: Tensor) -> Tensor:
    """Return equivariant features (atoms, m, channels) of norm below one per channel."""
    return features * (1 + features.square().sum(dim=1, keepdim=True)).rsqrt()
