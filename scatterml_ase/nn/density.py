"""The atomic basis: the equivariant convolution of scalar senders, as two dense products."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scatterml_ase.nn.angular import degree_of_component
from scatterml_ase.nn.neighbourhood import Neighbourhood


class AtomicBasis(nn.Module):
    """Density of neighbours around each atom, seen through scalar features of the senders.

    A_{i,c,lm} = 1/√z̄ Σ_j Σ_{k,n} W_{l,kn,c} h_{j,k} B_n(r_ij) Y_lm(r̂_ij)

    This is f'_i = 1/√z̄ Σ_j h_j ⊗ R(|r_ij|) Y(r̂_ij) for senders of degree 0. Because they are
    scalars no Clebsch–Gordan product is needed, and because R is linear in the basis the
    sum over neighbours comes first: no weights per edge are ever formed.
    Components come first in the output, (components, atoms, channels), so that every
    later coupling is a matrix product from the left.

    Parameters
    ----------
    senders
        Number k of scalar features of a sender.
    n_basis
        Number n of radial functions.
    channels
        Number c of channels of the result.
    l_max
        Largest degree.
    average_neighbours
        z̄, mean number of neighbours in the training set.
    """

    degrees: Tensor

    def __init__(
        self,
        senders: int,
        n_basis: int,
        channels: int,
        l_max: int,
        *,
        average_neighbours: float,
    ) -> None:
        super().__init__()
        self.scale = float(average_neighbours) ** -0.5
        self.register_buffer("degrees", degree_of_component(l_max), persistent=False)
        weight = torch.randn(l_max + 1, senders * n_basis, channels)
        self.weight = nn.Parameter(weight * n_basis**-0.5)

    def forward(
        self, neighbourhood: Neighbourhood, radial: Tensor, harmonics: Tensor, senders: Tensor
    ) -> Tensor:
        """Return A, shape (components, atoms, channels).

        Parameters
        ----------
        neighbourhood
            Layout of the edges.
        radial
            B_n(r), shape (edges, n_basis), zero at the cutoff.
        harmonics
            Y in blocks, shape (atoms, width, components).
        senders
            h, shape (atoms, senders).
        """
        h = senders[neighbourhood.neighbours]  # [edge, k]
        hB = (h.unsqueeze(2) * radial.unsqueeze(1)).flatten(1)  # [edge, k n]
        blocks = neighbourhood.blocks(hB * self.scale)  # [atom, width, k n]
        density = torch.bmm(harmonics.transpose(1, 2), blocks)  # [atom, lm, k n]
        weight = self.weight.index_select(0, self.degrees)  # [lm, k n, c]
        return torch.bmm(density.transpose(0, 1), weight)  # [lm, atom, c]
