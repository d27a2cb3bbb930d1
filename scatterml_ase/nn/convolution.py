"""The equivariant convolution of the field, on any e3nn irreps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from e3nn import o3
from torch import Tensor, nn

from scatterml_ase.errors import InputError, explain
from scatterml_ase.nn.angular import clebsch_gordan
from scatterml_ase.nn.cutoff import segment_sum
from scatterml_ase.nn.radial import RadialNetwork
from scatterml_ase.nn.tables import TableModule


class Convolution(nn.Module):
    """f'_a = 1/√z̄ Σ_b f_b ⊗ R(|r_ab|) Y(r̂_ab), then a linear map of equal irreps.

    The weights R are a network of the radial basis, one per path and channel of the sender;
    mixing of channels follows after the sum over neighbours, where it costs atoms and not
    edges (Thomas et al., arXiv:1802.08219; the factorised product of Batzner et al.,
    10.1038/s41467-022-29939-5). Each coupling is a matrix product of the harmonics with dense
    Clebsch–Gordan coefficients and one batched matrix product with the senders.

    Parameters
    ----------
    irreps_in, irreps_out
        Features of a sender and of the result, e.g. ``"16x0e + 8x1o"``.
    l_max
        Largest degree of the harmonics.
    n_basis
        Size of the radial basis.
    hidden
        Widths of the radial network.
    average_neighbours
        z̄, mean number of neighbours in the training set.
    """

    def __init__(
        self,
        irreps_in: o3.Irreps | str,
        irreps_out: o3.Irreps | str,
        *,
        l_max: int,
        n_basis: int,
        hidden: Sequence[int] = (32,),
        average_neighbours: float,
    ) -> None:
        super().__init__()
        self.irreps_in, self.irreps_out = o3.Irreps(irreps_in), o3.Irreps(irreps_out)
        self.scale = float(average_neighbours) ** -0.5
        wanted = {ir for _, ir in self.irreps_out}
        blocks = [
            _Block(mul, ir, part, wanted=wanted, l_max=l_max)
            for (mul, ir), part in zip(self.irreps_in, self.irreps_in.slices(), strict=True)
            if _outputs(ir, wanted, l_max)
        ]
        between = o3.Irreps([pair for block in blocks for pair in block.irreps_out])
        missing = wanted - {ir for _, ir in between}
        if missing:
            raise InputError(
                explain(
                    f"{', '.join(map(str, sorted(missing)))} of irreps_out cannot be reached",
                    f"no coupling of {self.irreps_in} with harmonics to l = {l_max} gives it",
                    "Raise l_max or leave it out",
                )
            )
        self.blocks = nn.ModuleList(blocks)
        self.weights = nn.ModuleList(
            RadialNetwork(n_basis, hidden, block.mul * block.n_paths) for block in blocks
        )
        self.linear = o3.Linear(between, self.irreps_out)

    def forward(
        self,
        senders: Tensor,
        edge_index: Tensor,
        harmonics: Tensor,
        radial: Tensor,
        envelope: Tensor,
    ) -> Tensor:
        """Return f' (atoms, irreps_out.dim).

        Parameters
        ----------
        senders
            f (atoms, irreps_in.dim).
        edge_index
            (2, edges), centre first.
        harmonics
            Y (edges, (l_max + 1)²) of the edge directions.
        radial
            Radial basis (edges, n_basis).
        envelope
            Factor (edges,) that ends the weights smoothly at the cutoff.
        """
        centre, neighbour = edge_index
        envelope = envelope.unsqueeze(1) * self.scale
        messages = [
            block(senders[neighbour], harmonics, weights(radial) * envelope)
            for block, weights in zip(self.blocks, self.weights, strict=True)
        ]
        summed = segment_sum(torch.cat(messages, dim=1), centre, len(senders))
        return self.linear(summed)


def _outputs(ir: o3.Irrep, wanted: set[o3.Irrep], l_max: int) -> list[tuple[int, o3.Irrep]]:
    """List (degree of the harmonic, result) of every wanted coupling of ``ir``."""
    return [
        (degree, out)
        for degree in range(l_max + 1)
        for out in ir * o3.Irrep(degree, (-1) ** degree)
        if out in wanted
    ]


class _Block(TableModule):
    """All couplings of one irrep of the senders with the harmonics, channel by channel."""

    coupling: Tensor
    path_of: Tensor

    def __init__(
        self, mul: int, ir: o3.Irrep, part: slice, *, wanted: set[o3.Irrep], l_max: int
    ) -> None:
        super().__init__()
        paths = _outputs(ir, wanted, l_max)
        self.mul, self.dim, self.part, self.n_paths = mul, ir.dim, part, len(paths)
        self.irreps_out = o3.Irreps([(mul, out) for _, out in paths])
        self.dims = [out.dim for _, out in paths]
        coupling = torch.zeros((l_max + 1) ** 2, ir.dim, sum(self.dims), dtype=torch.float64)
        column = 0
        for degree, out in paths:
            rows = slice(degree**2, (degree + 1) ** 2)
            coefficients = clebsch_gordan(ir.l, degree, out.l).transpose(0, 1)
            coupling[rows, :, column : column + out.dim] = coefficients
            column += out.dim
        path_of = torch.repeat_interleave(torch.arange(len(paths)), torch.tensor(self.dims))
        self.register_table("coupling", coupling.flatten(1))
        self.register_buffer("path_of", path_of, persistent=False)

    def forward(self, senders: Tensor, harmonics: Tensor, weights: Tensor) -> Tensor:
        """Return messages (edges, irreps_out.dim) of ``senders`` (edges, irreps_in.dim)."""
        edges = len(senders)
        f = senders[:, self.part].reshape(edges, self.mul, self.dim)
        Y = (harmonics @ self.coupling).view(edges, self.dim, -1)  # [edge, m in, path and m]
        R = weights.view(edges, self.mul, self.n_paths).index_select(2, self.path_of)
        message = torch.bmm(f, Y) * R  # [edge, channel, path and m]
        return torch.cat([x.flatten(1) for x in message.split(self.dims, dim=2)], dim=1)
