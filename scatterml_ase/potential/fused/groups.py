"""Edges in groups of centres whose work fits into a processor's cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from scatterml_ase.nn.neighbourhood import require_sorted

# Places per group: what a group touches then stays in a core's cache; a GPU wants large groups.
_PLACES = {"cpu": 3072, "cuda": 1 << 20}


@dataclass(frozen=True)
class EdgeGroup:
    """Centres ``first`` to ``last`` (exclusive) with their edges in rows of one width."""

    first: int
    last: int
    edges: slice
    width: int
    source: Tensor
    """Edge (centres × width,) of each place; one past the last edge where there is none."""
    used: Tensor
    """Places (edges,) that hold an edge, in the order of the edges."""


def edge_groups(centres: Tensor, atoms: int) -> Iterator[EdgeGroup]:
    """Cut edges (sorted by their ``centres``) into groups of bounded numbers of padded places."""
    require_sorted(centres)
    counts = torch.bincount(centres, minlength=atoms)
    start = counts.cumsum(0) - counts
    edges, first = len(centres), 0
    most = _PLACES.get(centres.device.type, _PLACES["cuda"])
    for last, width, begin, end in _cuts(counts.tolist(), most):
        own = counts[first:last].unsqueeze(1)
        place = torch.arange(width, device=centres.device)
        filled = place < own
        source = torch.where(filled, start[first:last].unsqueeze(1) + place, edges)
        used = torch.nonzero(filled.flatten()).squeeze(1)
        yield EdgeGroup(first, last, slice(begin, end), width, source.flatten(), used)
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
