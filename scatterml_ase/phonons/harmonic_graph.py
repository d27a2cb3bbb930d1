"""Crystals as models of force constants take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from scatterml_ase.neighbours import neighbours


@dataclass(frozen=True)
class CrystalEdges:
    """Neighbours of one crystal, in both directions, sorted by centre."""

    index: np.ndarray
    """Centres and neighbours (2, e)."""
    shifts: np.ndarray
    """Lattice vectors S of the cell the neighbour is in, (e, 3), integers."""
    vectors: np.ndarray
    """From centre to neighbour, (e, 3) Å."""
    pairs: np.ndarray
    """Numbers (p,) of edges, one of the two directions of each pair."""


def crystal_edges(atoms: Atoms, cutoff: float) -> CrystalEdges:
    """Find the neighbours of a crystal; shifts refer to its positions as they are."""
    i, j, shifts = neighbours(atoms, cutoff)
    positions = atoms.positions
    vectors = positions[j] - positions[i] + shifts @ atoms.cell.array
    # Of two directions the one with the smaller centre; among an atom's own images, that whose
    # first component of S that is not zero is positive.
    nonzero = np.argmax(shifts != 0, axis=1)
    leading = np.take_along_axis(shifts, nonzero[:, None], axis=1)[:, 0]
    pairs = np.flatnonzero((i < j) | ((i == j) & (leading > 0)))
    return CrystalEdges(np.stack([i, j]), shifts, vectors, pairs)


@dataclass(frozen=True)
class HarmonicGraph:
    """A batch of crystals."""

    numbers: Tensor
    """Atomic numbers (n,)."""
    batch: Tensor
    """Crystal of each atom (n,)."""
    graphs: int
    """How many crystals there are."""
    edge_index: Tensor
    """Centres and neighbours (2, e), all within the model's cutoff, sorted by centre."""
    vectors: Tensor
    """From centre to neighbour (e, 3) Å, in the dtype of the model."""
    pairs: Tensor
    """Numbers (p,) of edges, one of the two directions of each pair."""

    def within(self, cutoff: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return numbers (k,) of the edges shorter than ``cutoff``, their index and vectors."""
        kept = torch.nonzero(torch.linalg.vector_norm(self.vectors, dim=1) < cutoff).squeeze(1)
        return kept, self.edge_index[:, kept], self.vectors[kept]


def join_crystals(
    numbers: Sequence[np.ndarray],
    edges: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    dtype: torch.dtype = torch.float32,
) -> HarmonicGraph:
    """Join crystals into a batch.

    Parameters
    ----------
    numbers
        Atomic numbers (n,) of each.
    edges
        ``index``, ``vectors`` and ``pairs`` of :class:`CrystalEdges` of each.
    dtype
        Of the model.
    """
    sizes = np.array([len(z) for z in numbers])
    lengths = np.array([len(vectors) for _, vectors, _ in edges])
    first = np.cumsum(sizes) - sizes
    first_edge = np.cumsum(lengths) - lengths
    whole = np.int64
    index = [e[0].astype(whole) + start for e, start in zip(edges, first, strict=True)]
    pairs = [e[2].astype(whole) + start for e, start in zip(edges, first_edge, strict=True)]
    return HarmonicGraph(
        numbers=torch.from_numpy(np.concatenate(numbers).astype(whole)),
        batch=torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes)),
        graphs=len(sizes),
        edge_index=torch.from_numpy(np.concatenate(index, axis=1)),
        vectors=torch.from_numpy(np.concatenate([e[1] for e in edges])).to(dtype),
        pairs=torch.from_numpy(np.concatenate(pairs)),
    )
