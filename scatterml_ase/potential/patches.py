"""The surroundings of an atom, unfolded: all that the derivatives of its force depend on.

In a crystal an atom j is there once for each lattice vector S. In a patch each is a node of its own
(row, j, S), so force constants Φ_ij(S) come out image by image, however small the cell is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from scatterml_ase.physics.supercell import unique_rows

if TYPE_CHECKING:
    from torch_geometric.data import Data

    from scatterml_ase.graph import Graph


@dataclass(frozen=True)
class Adjacency:
    """The edges of a structure: those of centre i are number ``first[i]`` and on, ``count[i]``."""

    numbers: np.ndarray  # (atoms,)
    first: np.ndarray  # (atoms,)
    count: np.ndarray  # (atoms,)
    neighbour: np.ndarray  # (edges,)
    shift: np.ndarray  # (edges, 3) lattice vector of the neighbour

    @classmethod
    def from_graph(cls, graph: Data | Graph) -> Self:
        """Take the edges of a graph of one structure, sorted by centre."""
        centre, neighbour = graph.edge_index.numpy(force=True)
        numbers = graph.numbers.numpy(force=True)
        count = np.bincount(centre, minlength=len(numbers))
        shift = np.rint(graph.cell_shifts.numpy(force=True)).astype(int)
        return cls(numbers, np.cumsum(count) - count, count, neighbour, shift)

    def steps(self, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Walk along all edges of nodes (m, 5): row, atom, S.

        Returns
        -------
        tuple of arrays
            Per step the node it starts from (s,), the edge (s,), and the node it ends at (s, 5).
        """
        count = self.count[nodes[:, 1]]
        start = np.repeat(np.arange(len(nodes)), count)
        skipped = np.cumsum(count) - count
        edge = np.arange(count.sum()) + np.repeat(self.first[nodes[:, 1]] - skipped, count)
        cell = nodes[start, 2:] + self.shift[edge]
        return start, edge, np.column_stack([nodes[start, 0], self.neighbour[edge], cell])


@dataclass(frozen=True)
class Patch:
    """Edges whose energies hold every second derivative ∂²E/∂r_i∂r_j of some atoms i, the rows."""

    nodes: np.ndarray  # (nodes, 5) row, atom j, S
    homes: np.ndarray  # (rows,) node of the atom of each row
    edges: np.ndarray  # (steps,) edge of the structure's graph
    ends: np.ndarray  # (2, steps) node of the centre and of the neighbour
    index: np.ndarray  # (2, steps) the same for the model, where nodes without edges are merged
    numbers: np.ndarray  # (model nodes,)
    counted: np.ndarray  # (c,) model nodes whose energy depends on the atom of their row
    counted_atoms: np.ndarray  # (c,) the atoms they are

    @classmethod
    def unfolded(cls, adjacency: Adjacency, rows: np.ndarray, layers: int) -> Self:
        """Follow edges into the infinite crystal, for a model of so many layers of messages.

        An energy depends on atoms up to ``layers`` steps away, so those of the first ``layers``
        shells around i count. To compute them, centres up to ``2 layers − 1`` steps away need
        their edges; of the outermost atoms only the species is seen.
        """
        homes = np.column_stack([np.arange(len(rows)), rows, np.zeros((len(rows), 3), dtype=int)])
        inner = _ball(adjacency, homes, layers)
        centres = _ball(adjacency, inner, layers - 1)
        start, edges, targets = adjacency.steps(centres)
        nodes, label = unique_rows(np.concatenate([centres, targets, inner, homes]))
        limits = np.cumsum([len(centres), len(targets), len(inner)])
        centre, target, inside, home = np.split(label, limits)
        species, kind = np.unique(adjacency.numbers, return_inverse=True)
        of_node = len(centres) + kind[nodes[:, 1]]  # one node per species stands for all outermost
        of_node[centre] = np.arange(len(centres))
        return cls(
            nodes=nodes,
            homes=home,
            edges=edges,
            ends=np.stack([centre[start], target]),
            index=np.stack([start, of_node[target]]),
            numbers=np.concatenate([adjacency.numbers[centres[:, 1]], species]),
            counted=of_node[inside],
            counted_atoms=inner[:, 1],
        )

    @classmethod
    def folded(cls, adjacency: Adjacency, rows: np.ndarray) -> Self:
        """Repeat the whole structure for each row, periodic images being one atom.

        It serves any model, and is cheaper where the structure is smaller than a patch.
        """
        atoms = np.arange(len(adjacency.numbers))
        row, atom = np.repeat(np.arange(len(rows)), len(atoms)), np.tile(atoms, len(rows))
        nodes = np.column_stack([row, atom, np.zeros((len(row), 3), dtype=int)])
        start, edges, targets = adjacency.steps(nodes)
        ends = np.stack([start, targets[:, 0] * len(atoms) + targets[:, 1]])
        everyone = np.arange(len(nodes))
        homes = np.arange(len(rows)) * len(atoms) + rows
        return cls(
            nodes, homes, edges, ends, ends, adjacency.numbers[nodes[:, 1]], everyone, nodes[:, 1]
        )


def _ball(adjacency: Adjacency, nodes: np.ndarray, steps: int) -> np.ndarray:
    """Return the nodes that are within so many steps of the given ones, sorted."""
    ball, _ = unique_rows(nodes)
    for _ in range(steps):
        ball, _ = unique_rows(np.concatenate([ball, adjacency.steps(ball)[2]]))
    return ball
