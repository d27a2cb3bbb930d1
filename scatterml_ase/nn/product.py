"""Many-body products of the atomic basis with itself, as dense contractions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scatterml_ase.nn.angular import clebsch_gordan, degree_slices, mirror_parities
from scatterml_ase.nn.coupling import Quadratic, Square
from scatterml_ase.nn.tables import TableModule


def symmetric_paths(l_max: int) -> list[tuple[int, int, int]]:
    """List the couplings (l1 ≤ l2 → l3) of one field with itself that keep natural parity.

    Sorted by l3. Only l1 + l2 + l3 even: the result then has parity (−1)^l3 like the harmonics.
    """
    degrees = range(l_max + 1)
    return [
        (l1, l2, l3)
        for l3 in degrees
        for l1 in degrees
        for l2 in range(l1, l_max + 1)
        if abs(l1 - l2) <= l3 <= l1 + l2 and (l1 + l2 + l3) % 2 == 0
    ]


class SymmetricSquare(TableModule):
    """(A ⊗ A) coupled to degrees l ≤ l_max, channel by channel.

    Products of the distinct pairs of components are formed once and multiplied with dense
    Clebsch–Gordan matrices. Each real harmonic is even or odd under each of the mirrors
    x, y, z → −x, −y, −z, and a coupling conserves these three parities, so the matrix falls into
    eight small ones: one of the even class and seven of nearly equal size, which go as a batch.
    """

    pairs: Tensor
    square_of: Tensor
    even: Tensor
    even_slope: Tensor
    odd: Tensor
    rows: Tensor
    places: Tensor

    def __init__(self, l_max: int) -> None:
        super().__init__()
        self.l_max = l_max
        self.paths = symmetric_paths(l_max)
        self.paths_per_degree = [
            sum(l3 == degree for *_, l3 in self.paths) for degree in range(l_max + 1)
        ]
        size = (l_max + 1) ** 2
        first, second = torch.triu_indices(size, size)
        full = torch.cat([_path_matrix(l_max, path) for path in self.paths])
        both = full[:, first, second] + full[:, second, first]
        coupling = torch.where(first == second, both / 2, both)  # [path and m, pair]
        parity = mirror_parities(l_max)  # [component]
        of_row = torch.cat([parity[degree_slices(l_max)[l3]] for *_, l3 in self.paths])
        of_pair = torch.bitwise_xor(parity[first], parity[second])
        pairs = [torch.nonzero(of_pair == kind).squeeze(1) for kind in range(8)]
        sizes = [len(pair) for pair in pairs]  # before they are filled up
        rows = [torch.nonzero(of_row == kind).squeeze(1) for kind in range(8)]
        even = coupling[rows[0]][:, pairs[0]]
        odd = torch.zeros(7, max(map(len, rows[1:])), max(map(len, pairs[1:]))).to(coupling)
        place = torch.empty(len(coupling), dtype=torch.long)
        place[rows[0]] = torch.arange(len(rows[0]))
        for k, (row, pair) in enumerate(zip(rows[1:], pairs[1:], strict=True)):
            odd[k, : len(row), : len(pair)] = coupling[row][:, pair]
            place[row] = len(rows[0]) + k * odd.shape[1] + torch.arange(len(row))
            pairs[k + 1] = nn.functional.pad(pair, (0, odd.shape[2] - len(pair)))
        order = torch.cat(pairs)
        square_of = torch.empty(size, size, dtype=torch.long)
        own = torch.cat([torch.arange(len(pair)) < n for pair, n in zip(pairs, sizes, strict=True)])
        i, j, where = first[order][own], second[order][own], torch.nonzero(own).squeeze(1)
        square_of[i, j] = square_of[j, i] = where
        places = torch.full((even.shape[0] + odd.shape[0] * odd.shape[1],), len(coupling))
        places[place] = torch.arange(len(coupling))
        indices = {
            "pairs": torch.cat([first[order], second[order]]),
            "square_of": square_of.flatten(),
            "rows": place,
            "places": places,
        }
        for name, index in indices.items():
            self.register_buffer(name, index, persistent=False)
        doubled = 1.0 + (first == second)[pairs[0]].to(torch.float64)
        self.register_table("even", even)
        self.register_table("even_slope", even * doubled)
        self.register_table("odd", odd)

    @property
    def form(self) -> Quadratic:
        """The tables as one quadratic form."""
        return Quadratic(
            pairs=self.pairs,
            square_of=self.square_of,
            even=self.even,
            even_slope=self.even_slope,
            odd=self.odd,
            rows=self.rows,
            places=self.places,
        )

    def forward(self, basis: Tensor) -> list[Tensor]:
        """Couple ``basis`` (components, atoms, channels) with itself.

        Returns
        -------
        list of Tensor
            For each degree l: (paths_per_degree[l], 2l + 1, atoms, channels).
        """
        _, atoms, channels = basis.shape
        coupled = Square.apply(basis.flatten(1), self.form)  # [path and m, atom c]
        sizes = [n * (2 * degree + 1) for degree, n in enumerate(self.paths_per_degree)]
        return [
            part.view(n, 2 * degree + 1, atoms, channels)
            for degree, (n, part) in enumerate(
                zip(self.paths_per_degree, coupled.split(sizes), strict=True)
            )
        ]


def _path_matrix(l_max: int, path: tuple[int, int, int]) -> Tensor:
    """Return the coefficients of one path on all pairs, (2l3 + 1, size, size)."""
    l1, l2, l3 = path
    size, slices = (l_max + 1) ** 2, degree_slices(l_max)
    matrix = torch.zeros(2 * l3 + 1, size, size, dtype=torch.float64)
    matrix[:, slices[l1], slices[l2]] = clebsch_gordan(l1, l2, l3).permute(2, 0, 1)
    return matrix


class ManyBodyProduct(nn.Module):
    """Invariants of the atomic basis to correlation order ν ≤ 4 (five-body).

    With P = (A ⊗ A) of all paths and Q_l = mix(P_l), linear over channels and paths, the
    invariants are A_0 (ν = 1), P_0 (ν = 2), Q_l·A_l (ν = 3) and Q_l·Q'_l (ν = 4): one
    Clebsch–Gordan product reaches fourth order. Compare the atomic cluster expansion,
    Drautz, 10.1103/PhysRevB.99.014104, and Kovács et al., 10.1021/acs.jctc.1c00647.

    Parameters
    ----------
    channels
        Channels of the atomic basis.
    l_max
        Largest degree of the atomic basis and of Q.
    correlation
        ν, 1 to 4.
    """

    def __init__(self, channels: int, l_max: int, correlation: int) -> None:
        super().__init__()
        self.channels, self.l_max, self.correlation = channels, l_max, correlation
        size = channels
        if correlation >= 2:
            self.square = SymmetricSquare(l_max)
            size += self.square.paths_per_degree[0] * channels
        if correlation >= 3:
            size += (l_max + 1) * channels * (correlation - 2)
            mixed = channels * (correlation - 2)
            self.mix = nn.ParameterList(
                nn.Parameter(torch.randn(n * channels, mixed) * (n * channels) ** -0.5)
                for n in self.square.paths_per_degree
            )
        self.size = size

    def forward(self, basis: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Multiply ``basis`` (components, atoms, channels) with itself.

        Returns
        -------
        tuple
            Invariants (atoms, size), and the Q_l (2l + 1, atoms, channels) of each degree, an
            empty list below third order.
        """
        invariants = [basis[0]]
        if self.correlation >= 2:
            square = self.square(basis)
            invariants += list(square[0][:, 0])
        mixed = []
        if self.correlation >= 3:
            for degree, part in enumerate(degree_slices(self.l_max)):
                rows = square[degree].permute(1, 2, 0, 3).flatten(2)  # [m, atom, path c]
                Q = (rows @ self.mix[degree]).split(self.channels, dim=2)  # [m, atom, c] each
                scale = (2 * degree + 1) ** -0.5
                invariants += [(Q[0] * other).sum(0) * scale for other in (basis[part], *Q[1:])]
                mixed.append(Q[0])
        return torch.cat(invariants, dim=1), mixed
