"""E3NNPotential: energies of atoms from many-body products of an equivariant atomic basis."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scatterml_ase.errors import name_species
from scatterml_ase.nn.angular import SphericalHarmonics
from scatterml_ase.nn.cutoff import PolynomialCutoff
from scatterml_ase.nn.encoder import SpeciesEmbedding, SpeciesIndex
from scatterml_ase.nn.neighbourhood import Neighbourhood
from scatterml_ase.nn.radial import BesselBasis
from scatterml_ase.nn.readout import bounded_below
from scatterml_ase.potential.binding import BondGate
from scatterml_ase.potential.config import PotentialConfig, checked
from scatterml_ase.potential.fused.evaluate import FusedPass
from scatterml_ase.potential.layers import Edges, Layer, Sender
from scatterml_ase.potential.repulsion import CoreDamping, ZBLRepulsion


class E3NNPotential(nn.Module):
    """An equivariant network of few layers and high body order, made for a CPU.

    Each layer sums its neighbours into an atomic basis A (a convolution), multiplies A
    with itself to order ν and reads invariants off. Further layers do the same with the
    invariants of the neighbours as senders. Energies of atoms are

    E_i = E_ref(z_i) + g_i (E_bind(z_i) + scale · network_i) + ½ Σ_j V_ZBL(r_ij)

    with a gate g_i that is 1 in matter and 0 for a free atom, which therefore has exactly its
    reference energy (:class:`~scatterml_ase.potential.binding.BondGate`).

    Examples
    --------
    >>> model = E3NNPotential(E3NNPotential.Config(species=(14,)))
    >>> energies = model(vectors, edge_index, numbers)                   # doctest: +SKIP
    """

    Config = PotentialConfig

    def __init__(self, config: PotentialConfig) -> None:
        super().__init__()
        self.config = config = checked(config)
        species = config.species
        self.species_index = SpeciesIndex(species)
        self.radial = BesselBasis(config.cutoff, config.n_basis, config.envelope_power)
        self.harmonics = SphericalHarmonics(config.l_max)
        self.density = PolynomialCutoff(config.cutoff, config.envelope_power)
        self.gate = BondGate(species, config.rest_densities, config.binding_span)
        if config.repulsion:
            scales = config.contact_scales
            self.repulsion = ZBLRepulsion(
                species, config.repulsion_span, cutoff=config.cutoff, scales=scales
            )
            self.damping = CoreDamping(species, config.core_span, scales)
        embedding = min(len(species), 16)
        self.embedding = SpeciesEmbedding(len(species), embedding)
        layers = [Layer(config, embedding=embedding, first=t == 0) for t in range(config.layers)]
        self.layers = nn.ModuleList(layers)
        self.senders = nn.ModuleList(Sender(config, layer.product.size) for layer in layers[:-1])
        self.fused = FusedPass(self) if FusedPass.fits(config) else None
        """The pass that gives energies and their gradient without autograd, if there is one."""

    @property
    def species(self) -> tuple[int, ...]:
        """Atomic numbers the model knows."""
        return self.config.species

    @property
    def cutoff(self) -> float:
        """Distance in Å beyond which atoms are no neighbours."""
        return self.config.cutoff

    def forward(self, edge_vectors: Tensor, edge_index: Tensor, numbers: Tensor) -> Tensor:
        """Return the energy of each atom in eV, float64, shape (atoms,).

        Parameters
        ----------
        edge_vectors
            From centre to neighbour, (edges, 3) Å, in the dtype of the model.
        edge_index
            (2, edges) centre and neighbour, sorted by centre.
        numbers
            Atomic numbers (atoms,).
        """
        species = self.species_index(numbers)
        energies = self.constant("reference_energies", numbers)[species]
        if edge_index.shape[1] == 0:
            return energies
        distances = torch.linalg.vector_norm(edge_vectors, dim=1)  # [edge]
        radial, density = self.radial(distances), self.density(distances)
        if self.config.repulsion:
            damping = self.damping(distances, edge_index, species)
            radial, density = radial * damping.unsqueeze(1), density * damping
            zbl = self.repulsion(distances, edge_index, species, len(numbers))
            energies = energies + zbl.to(torch.float64)
        gate = self.gate(distances, density, edge_index, species)
        binding = self.constant("binding_energies", numbers)[species]

        layout = Neighbourhood.from_edges(edge_index, len(numbers))
        harmonics = self.harmonics(edge_vectors)  # [edge, lm]
        blocks = layout.blocks(harmonics)
        edges = Edges(edge_index, layout, radial, density, harmonics, blocks)
        return energies + gate * (binding + self._network(edges, species))

    def _network(self, edges: Edges, species: Tensor) -> Tensor:
        """Return what the layers add to the energy (atoms,) in eV, float64."""
        embedding = self.embedding(species)
        total, invariants, products = self.layers[0](edges, embedding, species, None)
        for sender, layer in zip(self.senders, self.layers[1:], strict=True):
            messages = sender(invariants, products)
            energies, invariants, products = layer(edges, embedding, species, messages)
            total = total + energies
        scale, floor = self.config.energy_scale, self.config.energy_floor
        return bounded_below(scale * total.to(torch.float64), floor)

    def constant(self, name: str, like: Tensor) -> Tensor:
        """Return a tuple of the config as a float64 tensor, whatever the model's dtype."""
        return torch.tensor(getattr(self.config, name), dtype=torch.float64, device=like.device)

    def __repr__(self) -> str:
        c, n = self.config, sum(p.numel() for p in self.parameters())
        return (
            f"E3NNPotential({name_species(c.species)}, cutoff={c.cutoff} Å, layers={c.layers}, "
            f"channels={c.channels}, l_max={c.l_max}, correlation={c.correlation}, "
            f"{n} parameters)"
        )
