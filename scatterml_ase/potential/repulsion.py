"""Repulsion of nuclei at short distance, and the damping of everything else there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from ase.data import covalent_radii
from torch import Tensor

from scatterml_ase.nn.cutoff import segment_sum, smooth_step, switch_off
from scatterml_ase.nn.tables import TableModule
from scatterml_ase.units import COULOMB_EV_ANGSTROM

_COEFFICIENTS = (0.18175, 0.50986, 0.28022, 0.02817)
_EXPONENTS = (3.19980, 0.94229, 0.40290, 0.20162)
_SCREENING = 0.88534 * 0.529177210903  # Å


def contact_distances(species: Sequence[int], scales: Sequence[float] = ()) -> Tensor:
    """Return sums of covalent radii (species, species) in Å, Cordero et al., 10.1039/b801115j.

    Parameters
    ----------
    species
        Atomic numbers.
    scales
        Factors on the radii of the species; none: the radii as they are.
    """
    radii = torch.tensor([covalent_radii[number] for number in species], dtype=torch.float64)
    if scales:
        radii = radii * torch.tensor(list(scales), dtype=torch.float64)
    return radii[:, None] + radii[None, :]


class ZBLRepulsion(TableModule):
    """Screened Coulomb repulsion of Ziegler, Biersack and Littmark, switched off smoothly.

    V(r) = e²/(4πε₀) Z₁Z₂/r Σ c_k exp(−b_k r/a), a = 0.88534 a₀/(Z₁^0.23 + Z₂^0.23)
    (The Stopping and Range of Ions in Solids, Pergamon 1985, 10.1007/978-1-4615-8103-1_3), full
    below ``span[0]`` and zero beyond ``span[1]`` contact distances: inside a bond it is a wall, at
    and beyond bond lengths the network has the last word.

    Parameters
    ----------
    species
        Atomic numbers.
    span
        Start and end of the switch, in contact distances.
    cutoff
        Distance in Å which the end of the switch never exceeds: there are no edges beyond.
    scales
        Factors on the covalent radii, whose sums are the contact distances.
    """

    contact: Tensor
    charges: Tensor
    coefficients: Tensor
    exponents: Tensor

    def __init__(
        self,
        species: Sequence[int],
        span: tuple[float, float] = (0.7, 1.15),
        *,
        cutoff: float,
        scales: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.span, self.cutoff = span, float(cutoff)
        for name, value in {
            "contact": contact_distances(species, scales),
            "charges": torch.tensor(list(species), dtype=torch.float64),
            "coefficients": torch.tensor(_COEFFICIENTS, dtype=torch.float64),
            "exponents": torch.tensor(_EXPONENTS, dtype=torch.float64),
        }.items():
            self.register_table(name, value)

    def forward(
        self, distances: Tensor, edge_index: Tensor, species_index: Tensor, atoms: int
    ) -> Tensor:
        """Return the repulsion energy (atoms,) in eV, half of each pair for each of its atoms.

        Parameters
        ----------
        distances
            Edge lengths (edges,) in Å.
        edge_index
            (2, edges), centre first.
        species_index
            Index (atoms,) of each atom among the species.
        atoms
            Number of atoms.
        """
        first, second = species_index[edge_index[0]], species_index[edge_index[1]]
        outer = (self.contact[first, second] * self.span[1]).clamp(max=self.cutoff)
        near = torch.nonzero(distances.detach() < outer).squeeze(1)  # few edges are this short
        r, first, second, outer = distances[near], first[near], second[near], outer[near]
        inner = outer * (self.span[0] / self.span[1])
        energy = self.pair_energy(r, self.charges[first], self.charges[second])
        energy = 0.5 * energy * switch_off(r, inner, outer)
        return segment_sum(energy, edge_index[0, near], atoms)

    def pair_energy(self, distances: Tensor, charges_i: Tensor, charges_j: Tensor) -> Tensor:
        """Return the full ZBL energy (pairs,) in eV, without the switch."""
        x = (distances / self.screening_length(charges_i, charges_j)).unsqueeze(-1)
        screening = torch.exp(-x * self.exponents) @ self.coefficients
        return COULOMB_EV_ANGSTROM * charges_i * charges_j / distances * screening

    @staticmethod
    def screening_length(charges_i: Tensor, charges_j: Tensor) -> Tensor:
        """Return a in Å, the unit of length of the screening of a pair of nuclei."""
        return _SCREENING / (charges_i**0.23 + charges_j**0.23)


class CoreDamping(TableModule):
    """Factor that makes a network blind to a neighbour that is impossibly close.

    0 below ``span[0]``, 1 beyond ``span[1]`` contact distances, which are sums of covalent radii
    times ``scales``. Multiplied on the radial basis it leaves the repulsion alone at short
    distance: no training can dig a hole there.
    """

    contact: Tensor

    def __init__(
        self,
        species: Sequence[int],
        span: tuple[float, float] = (0.45, 0.8),
        scales: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.span = span
        self.register_table("contact", contact_distances(species, scales))

    def forward(self, distances: Tensor, edge_index: Tensor, species_index: Tensor) -> Tensor:
        """Return the factor (edges,) for ``distances`` (edges,) in Å."""
        first, second = species_index[edge_index[0]], species_index[edge_index[1]]
        contact = self.contact[first, second]
        start, end = self.span
        return smooth_step((distances / contact - start) / (end - start))
