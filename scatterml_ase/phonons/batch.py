"""Many crystals in batches: what predictors share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
from ase import Atoms
from tqdm import tqdm

from scatterml_ase.errors import InputError, explain
from scatterml_ase.phonons.coverage import Coverage
from scatterml_ase.phonons.harmonic_graph import (
    CrystalEdges,
    HarmonicGraph,
    crystal_edges,
    join_crystals,
)
from scatterml_ase.phonons.structure_checks import check_predictable

if TYPE_CHECKING:
    from scatterml_ase.card import Card

_ATOMS = 500
_ResultT = TypeVar("_ResultT")


def in_batches(
    atoms: Sequence[Atoms],
    predict: Callable[[list[Atoms]], list[_ResultT]],
    card: Card,
    *,
    name: str,
    progress: bool,
) -> list[_ResultT]:
    """Predict for all crystals, some hundred atoms at a time, after all have been checked.

    Parameters
    ----------
    atoms
        The crystals.
    predict
        From some of them to their results.
    card
        Of the model.
    name
        What is predicted, for the progress bar.
    progress
        Whether there is one.

    Raises
    ------
    InputError
        If the model cannot be asked for one of them.
    """
    for one in atoms:
        check_predictable(one, card)
    found: list[_ResultT] = []
    with tqdm(total=len(atoms), desc=name, unit=" crystals", disable=not progress) as bar:
        for batch in _cut(atoms):
            found += predict(batch)
            bar.update(len(batch))
    return found


def _cut(atoms: Sequence[Atoms]) -> Iterator[list[Atoms]]:
    batch: list[Atoms] = []
    for one in atoms:
        if batch and sum(map(len, batch)) + len(one) > _ATOMS:
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


@dataclass(frozen=True)
class CrystalBatch:
    """Primitive cells with their neighbours, joined for a model."""

    cells: list[Atoms]
    edges: list[CrystalEdges]
    graph: HarmonicGraph

    @classmethod
    def of(cls, cells: list[Atoms], network: Any, coverage: Coverage | None) -> Self:
        """Find neighbours for a model, and warn of crystals unlike those it was shown."""
        edges = [crystal_edges(cell, network.cutoff) for cell in cells]
        for cell, own in zip(cells, edges, strict=True):
            _refuse_lonely(cell, own, network.cutoff)
        if coverage is not None:
            for cell, own in zip(cells, edges, strict=True):
                coverage.check(cell, own, network.card.name)
        graph = join_crystals(
            [cell.numbers for cell in cells],
            [(one.index, one.vectors, one.pairs) for one in edges],
            next(network.parameters()).dtype,
        )
        return cls(cells, edges, graph)

    @property
    def atoms(self) -> list[slice]:
        """Where the atoms of each crystal are."""
        return _slices([len(cell) for cell in self.cells])

    @property
    def pairs(self) -> list[slice]:
        """Where the pairs of each crystal are."""
        return _slices([len(one.pairs) for one in self.edges])

    def near(self, cutoff: float) -> tuple[list[slice], list[np.ndarray]]:
        """Return where each crystal's edges are among those shorter than ``cutoff``.

        And the numbers of these among its own edges.
        """
        kept = self.graph.within(cutoff)[0].numpy()
        ends = np.cumsum([len(one.vectors) for one in self.edges])
        starts = ends - [len(one.vectors) for one in self.edges]
        bounds = np.searchsorted(kept, np.append(starts, ends[-1:]))
        where = [slice(a, b) for a, b in pairwise(bounds)]
        return where, [kept[part] - start for part, start in zip(where, starts, strict=True)]


def _refuse_lonely(cell: Atoms, edges: CrystalEdges, cutoff: float) -> None:
    """Refuse an atom without neighbours: nothing holds it, and networks have nothing to read."""
    lonely = np.flatnonzero(np.bincount(edges.index[0], minlength=len(cell)) == 0)
    if lonely.size:
        raise InputError(
            explain(
                f"Atom {lonely[0]} ({cell.symbols[int(lonely[0])]}) of {cell.symbols} has no "
                f"neighbour within {cutoff:g} Å",
                "an atom that nothing holds has no phonons",
                "Check cell and units; for atoms and molecules use ase.vibrations",
            )
        )


def _slices(lengths: list[int]) -> list[slice]:
    ends = np.cumsum(lengths).tolist()
    return [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]
