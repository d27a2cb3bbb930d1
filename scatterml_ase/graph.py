"""Atoms become graphs: neighbours, edge vectors and batches, for every kind of structure.

What an edge is, as code: for each edge ``e`` with centre ``i`` and neighbour ``j``

>>> i, j = graph.edge_index[:, e]                                        # doctest: +SKIP
>>> edge_vectors(graph)[e] == pos[j] - pos[i] + cell_shifts[e] @ cell    # doctest: +SKIP

and its length is below the cutoff. Messages are summed at the centre, ``edge_index[0]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch
from ase import Atoms

from scatterml_ase.errors import InputError, explain
from scatterml_ase.neighbours import check_structure, neighbours

if TYPE_CHECKING:  # takes a second to import, and a calculator needs none of it
    from torch_geometric.data import Batch, Data

__all__ = [
    "Graph",
    "batch_graphs",
    "check_structure",
    "edge_vectors",
    "graph_from_atoms",
    "join_graphs",
    "neighbours",
]


@dataclass(frozen=True)
class Graph:
    """One structure or several, ready for a model: what calculators use.

    It reads like the ``Data`` of :func:`graph_from_atoms`, costs nothing to make, and has its edge
    vectors computed; they are constants, not functions of ``pos`` and ``cell``.
    """

    pos: torch.Tensor
    """Positions (n, 3) Å, float64."""
    cell: torch.Tensor
    """Cell vectors as rows (graphs, 3, 3) Å, float64."""
    pbc: torch.Tensor
    """Periodic axes (graphs, 3)."""
    numbers: torch.Tensor
    """Atomic numbers (n,)."""
    edge_index: torch.Tensor
    """Centres and neighbours (2, e), sorted by centre."""
    cell_shifts: torch.Tensor
    """Whole numbers (e, 3), float64."""
    vectors: torch.Tensor
    """From centre to neighbour (e, 3) Å, float64."""
    batch: torch.Tensor
    """Which structure an atom belongs to (n,)."""

    @property
    def num_edges(self) -> int:
        """The number of edges e."""
        return self.edge_index.shape[1]

    @property
    def num_graphs(self) -> int:
        """The number of structures."""
        return self.cell.shape[0]

    def to(self, device: torch.device | str) -> Graph:
        """Return the graph on a device; itself if it is there."""
        if self.pos.device == torch.device(device):
            return self
        return Graph(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def graph_from_atoms(atoms: Atoms, cutoff: float) -> Data:
    """Make the graph of a structure.

    Parameters
    ----------
    atoms
        Any structure: crystal, slab, molecule, single atom; positions need not be wrapped.
    cutoff
        Atoms closer than this are neighbours, in Å.

    Returns
    -------
    Data
        ``pos`` (n, 3) Å and ``cell`` (1, 3, 3) Å, rows are vectors, both float64; ``numbers``
        (n,) int64; ``edge_index`` (2, e) int64, sorted by centre; ``cell_shifts`` (e, 3)
        float64 whole numbers; ``pbc`` (1, 3) bool.

    Raises
    ------
    InputError
        If the structure or the cutoff cannot be used; the message says why.
    """
    centres, others, shifts = neighbours(atoms, cutoff)
    arrays = {  # from_numpy does not look at torch's default dtype and device
        "pos": np.array(atoms.positions, dtype=np.float64),
        "cell": np.array(atoms.cell.array, dtype=np.float64).reshape(1, 3, 3),
        "numbers": np.array(atoms.numbers, dtype=np.int64),
        "edge_index": np.stack([centres, others]),
        "cell_shifts": shifts.astype(np.float64),
        "pbc": np.array(atoms.pbc, dtype=bool).reshape(1, 3),
    }
    tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    from torch_geometric.data import Data

    return Data(num_nodes=len(atoms), **tensors)


def batch_graphs(graphs: Sequence[Data]) -> Batch:
    """Join graphs into one; ``batch`` (n,) says to which structure an atom belongs."""
    if not graphs:
        raise InputError(
            explain(
                "The list of structures is empty",
                "there is nothing to compute",
                "Pass at least one",
            )
        )
    from torch_geometric.data import Batch

    return Batch.from_data_list(list(graphs))


def join_graphs(graphs: Sequence[Graph]) -> Graph:
    """Join graphs of one structure each into one; a single graph is returned as it is."""
    if len(graphs) == 1:
        return graphs[0]
    sizes = np.array([len(graph.pos) for graph in graphs])
    first = (np.cumsum(sizes) - sizes).tolist()
    index = [graph.edge_index + offset for graph, offset in zip(graphs, first, strict=True)]
    joined = {
        f.name: torch.cat([getattr(graph, f.name) for graph in graphs])
        for f in fields(Graph)
        if f.name not in ("edge_index", "batch")
    }
    batch = torch.from_numpy(np.repeat(np.arange(len(graphs)), sizes))
    return Graph(**joined, edge_index=torch.cat(index, dim=1), batch=batch)


def edge_vectors(graph: Data | Graph) -> torch.Tensor:
    """Return the vectors from centres to neighbours, (e, 3) Å float64.

    Those of a ``Data`` are differentiable in ``graph.pos`` and ``graph.cell``.
    """
    if isinstance(graph, Graph):
        return graph.vectors
    centre, other = graph.edge_index
    vectors = graph.pos[other] - graph.pos[centre]  # [edge, 3]
    if graph.cell.shape[0] == 1:
        return vectors + graph.cell_shifts @ graph.cell[0]
    cells = graph.cell[graph.batch[centre]]  # [edge, 3, 3]
    return vectors + torch.einsum("es,esx->ex", graph.cell_shifts, cells)
