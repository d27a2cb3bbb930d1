"""Edges in groups of centres whose work fits into a processor's cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

# Places per group: what a group touches then stays in a core's cache; a GPU wants large groups.
_PLACES = {"cpu": 3072, "cuda": 1 << 20}


@dataclass(frozen=True)
class EdgeGroup:
    """Centres ``first`` to ``last`` (exclusive) with their edges in rows of one width."""

    first: int
    last: int
    edges: slice
    width: int
    place: Tensor
    """Where each edge is among the centres × width places."""


def edge_groups(centres: Tensor, atoms: int) -> Iterator[EdgeGroup]:
    """Cut edges, sorted by their ``centres``, into groups of bounded numbers of padded places."""
    counts = torch.bincount(centres, minlength=atoms)
    start = counts.cumsum(0) - counts
    atom = torch.arange(atoms, device=centres.device)
    edge = torch.arange(len(centres), device=centres.device)
    first = 0
    most = _PLACES.get(centres.device.type, _PLACES["cuda"])
    for last, width, begin, end in _cuts(counts.tolist(), most):
        edges = slice(begin, end)
        row = (atom[first:last] - first) * width - start[first:last]
        place = edge[edges] + row[centres[edges] - first]
        yield EdgeGroup(first, last, edges, width, place)
        first = last


def _cuts(counts: list[int], most: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (last centre, places per centre, first edge, last edge) of each group."""
    first = width = begin = end = 0
    for atom, count in enumerate(counts):
        wider = max(width, count)
        if atom > first and wider * (atom - first + 1) > most:
            yield atom, width, begin, end
            first, wider, begin = atom, count, end
        width, end = wider, end + count
    yield len(counts), width, begin, end
