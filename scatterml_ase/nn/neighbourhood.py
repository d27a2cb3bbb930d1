"""Edges of a batch laid out as one dense block per centre, so that sums become matrix products."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from scatterml_ase.errors import InputError, explain


@dataclass(frozen=True)
class Neighbourhood:
    """Where each edge goes in blocks of (centres, places): row ``place`` of a flat table.

    ``Σ_j a_ij b_ij`` over the neighbours of every centre then is one batched matrix product
    without a temporary of edges × (size of a) × (size of b).
    """

    neighbours: Tensor  # (edges,) index of the sender
    place: Tensor  # (edges,) row in the flat table of atoms * width rows
    atoms: int
    width: int  # largest number of neighbours

    @classmethod
    def from_edges(cls, edge_index: Tensor, atoms: int) -> Neighbourhood:
        """Lay out ``edge_index`` (2, edges), sorted by its first row, the centres."""
        centres, neighbours = edge_index[0], edge_index[1]
        if centres.numel() == 0:
            return cls(neighbours, centres, atoms, 0)
        require_sorted(centres)
        counts = torch.bincount(centres, minlength=atoms)
        width = int(counts.max())
        first = counts.cumsum(0) - counts
        edges = torch.arange(len(centres), device=centres.device)
        return cls(neighbours, edges + (centres * width - first[centres]), atoms, width)

    def blocks(self, values: Tensor) -> Tensor:
        """Spread ``values`` (edges, k) to (atoms, width, k), zero where there is no neighbour."""
        table = values.new_zeros((self.atoms * self.width, values.shape[1]))
        return table.index_copy(0, self.place, values).view(self.atoms, self.width, -1)


def require_sorted(centres: Tensor) -> None:
    """Refuse edges whose ``centres`` (edges,) do not rise.

    Raises
    ------
    InputError
        If they do not.
    """
    if bool((centres[1:] < centres[:-1]).any()):
        raise InputError(
            explain(
                "edge_index is not sorted by centre",
                "edges of one atom must be neighbours in memory",
                "Build graphs with scatterml_ase.graph.graph_from_atoms",
            )
        )
