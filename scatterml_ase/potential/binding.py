"""How much an atom belongs to matter: 0 when free, 1 as in the training set."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from scatterml_ase.nn.cutoff import segment_sum, smooth_step
from scatterml_ase.nn.tables import TableModule
from scatterml_ase.potential.repulsion import contact_distances

# Bonds weaken by e per fifth of their contact distance, the usual range of metals and
# semiconductors (the universal binding curve, Rose et al. 1984, 10.1103/PhysRevB.29.2963).
BOND_DECAY = 5.0


class BondGate(TableModule):
    """Gate g(x) that wakes an atom's energy as neighbours come near.

    x_i = Σ_j exp(−β (r_ij / c_ij − 1)) u(r_ij) / ρ(z_i) with contact distances c (sums of covalent
    radii) and the sum ρ(z) of an atom at rest. g rises from 0 to 1 between ``span[0]`` and
    ``span[1]`` with three continuous derivatives. Beyond the loneliest atom of the training set
    energies then fall off as matter comes apart, whatever the network would guess there.

    Parameters
    ----------
    species
        Atomic numbers.
    rest_densities
        ρ of each species.
    span
        Where the gate begins to open and where it is open, in x.
    """

    contact: Tensor
    rest: Tensor

    def __init__(
        self, species: Sequence[int], rest_densities: Sequence[float], span: tuple[float, float]
    ) -> None:
        super().__init__()
        self.span = span
        self.register_table("contact", contact_distances(species))
        self.register_table("rest", torch.tensor(list(rest_densities), dtype=torch.float64))

    def density(
        self,
        distances: Tensor,
        envelope: Tensor,
        edge_index: Tensor,
        species_index: Tensor,
    ) -> Tensor:
        """Return x (atoms,), float64.

        Parameters
        ----------
        distances
            Edge lengths (edges,) in Å.
        envelope
            u (edges,), zero at the cutoff.
        edge_index
            (2, edges), centre first.
        species_index
            Index (atoms,) of each atom among the species.
        """
        first, second = species_index[edge_index[0]], species_index[edge_index[1]]
        bonds = torch.exp(BOND_DECAY * (1.0 - distances / self.contact[first, second])) * envelope
        total = segment_sum(bonds.to(torch.float64), edge_index[0], len(species_index))
        return total / self.rest[species_index].to(torch.float64)

    def forward(
        self,
        distances: Tensor,
        envelope: Tensor,
        edge_index: Tensor,
        species_index: Tensor,
    ) -> Tensor:
        """Return g (atoms,), float64; arguments as of :meth:`density`."""
        start, end = self.span
        x = self.density(distances, envelope, edge_index, species_index)
        return smooth_step((x - start) / (end - start))
