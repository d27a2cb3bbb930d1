"""Surroundings of centres, and which of them are there more than once.

The energy of a centre in a model of one layer depends on nothing but its own edges. In a batch of
structures that differ little, say displacements of one atom each in a supercell, most centres have
the very edges, to the last bit, of a centre seen before: they need not be computed again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Odd numbers without pattern: what a hash multiplies with.
_AXES = (0x1F3D5B79A2C4E68B, 0x2545F4914F6CDD1D, 0x369DEA0F31A53F85)
_RANK, _SPECIES, _MIX = 0x5851F42D4C957F2D, 0x14057B7EF767814F, 0x2127599BF4325C37


@dataclass(frozen=True)
class Environments:
    """Edges in rising order of their centres."""

    vectors: Tensor
    """From centre to neighbour, (edges, 3) Å."""
    centres: Tensor
    """(edges,)."""
    species: Tensor
    """Index of each centre, (centres,)."""
    others: Tensor
    """Species index of the neighbour of each edge, (edges,)."""

    def distinct(self) -> Repeats | None:
        """Return what is there at least once, or None if nothing is there twice.

        Candidates share a hash of all their edges and then are compared bit by bit.
        """
        atoms = torch.arange(len(self.species), device=self.centres.device)
        counts = torch.bincount(self.centres, minlength=len(atoms))
        start = counts.cumsum(0) - counts
        edges = torch.arange(len(self.centres), device=self.centres.device)
        first = _first_alike(self._keys(edges - start[self.centres]))
        alike = (counts == counts[first]) & (self.species == self.species[first])
        first = torch.where(alike, first, atoms)
        twin = edges + (start[first] - start)[self.centres]
        same = self.vectors == self.vectors.index_select(0, twin)
        unlike = ~(same.all(1) & (self.others == self.others[twin]))
        first = first.index_copy(0, self.centres[unlike], self.centres[unlike])
        own = first == atoms
        if bool(own.all()):
            return None
        twin = edges + (start[first] - start)[self.centres]
        place, kept = own.cumsum(0) - 1, own[self.centres]
        once = Environments(
            self.vectors[kept], place[self.centres[kept]], self.species[own], self.others[kept]
        )
        return Repeats(once, place[first], (kept.cumsum(0) - 1)[twin])

    def _keys(self, rank: Tensor) -> Tensor:
        """Hash the edges of each centre; ``rank`` is the place of an edge among them."""
        whole = torch.int64 if self.vectors.dtype == torch.float64 else torch.int32
        bits = self.vectors.contiguous().view(whole).to(torch.int64)
        hashes = rank * _RANK + self.others * _SPECIES
        for axis, factor in enumerate(_AXES):
            hashes = (hashes ^ (hashes >> 29)) * _MIX + bits[:, axis] * factor
        hashes = (hashes ^ (hashes >> 32)) * _MIX
        return (self.species * _SPECIES).index_add(0, self.centres, hashes ^ (hashes >> 29))


@dataclass(frozen=True)
class Repeats:
    """Environments without repetition, and where each centre and edge of all finds itself there."""

    once: Environments
    centre: Tensor
    """(all centres,)."""
    edge: Tensor
    """(all edges,)."""


def _first_alike(keys: Tensor) -> Tensor:
    """Return for each key (n,) the index of the first one like it."""
    ordered, order = torch.sort(keys, stable=True)
    new = torch.ones_like(keys, dtype=torch.bool)
    torch.ne(ordered[1:], ordered[:-1], out=new[1:])
    return torch.empty_like(order).index_copy_(0, order, order[new][new.cumsum(0) - 1])
