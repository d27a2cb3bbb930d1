"""Neighbour search in every kind of structure, and what makes a structure unusable for it."""

from __future__ import annotations

import math

import numpy as np
from ase import Atoms
from matscipy.neighbours import neighbour_list

from scatterml_ase.errors import InputError, explain
from scatterml_ase.image_search import Edges, ImageSearch

# A periodic cell thinner than this (Å) is a mistake: no two lattice planes of matter are closer.
_THINNEST_CELL = 0.05
# matscipy sorts atoms into bins as wide as the cutoff. Beyond so many bins, and so many per atom,
# nearly all are empty: visiting them takes seconds to minutes, a tree milliseconds.
_MOST_BINS, _MOST_BINS_PER_ATOM = 2e6, 50
# Up to so many pairs of an atom and an image, comparing them all is faster than sorting into bins.
_MOST_PAIRS = 2e6


def neighbours(atoms: Atoms, cutoff: float) -> Edges:
    """Find all pairs closer than the cutoff, each in both directions.

    Parameters
    ----------
    atoms
        Any structure; atoms may lie outside of the cell. Periodic axes need a cell vector, the
        vectors of the other axes are not used.
    cutoff
        Largest distance, in Å. It may exceed the cell: an atom then has its own images as
        neighbours.

    Returns
    -------
    tuple of arrays
        Centres (e,), neighbours (e,) and cell shifts (e, 3), all int64, in rising order of centre,
        neighbour and shift; shifts refer to ``atoms.positions`` as they are.
    """
    check_structure(atoms)
    if not (np.isfinite(cutoff) and cutoff > 0):
        raise InputError(
            explain(
                f"The cutoff is {cutoff} Å",
                "neighbours are the atoms closer than it",
                "Pass a positive number in Å",
            )
        )
    positions, cell, origin = atoms.positions, atoms.cell.array, np.zeros(3)
    if not atoms.pbc.all():
        positions, cell, origin = _box(positions, cell, atoms.pbc, cutoff)
    images = ImageSearch(positions, cell, np.array(atoms.pbc), float(cutoff))
    if images.pairs_to_compare() <= _MOST_PAIRS:
        return images.all_pairs()
    bins = abs(np.linalg.det(cell / float(cutoff)))
    if bins > max(_MOST_BINS, _MOST_BINS_PER_ATOM * len(atoms)):
        return in_order(*images.tree())
    centres, others, shifts = neighbour_list(
        "ijS",
        positions=positions,
        cell=cell,
        pbc=images.pbc,
        cutoff=float(cutoff),
        cell_origin=origin,
    )
    whole = np.int64
    return in_order(
        centres.astype(whole), others.astype(whole), shifts.astype(whole).reshape(-1, 3)
    )


def _box(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give the non-periodic axes a tight box with room for the cutoff.

    matscipy needs three independent vectors and a grid of cells over the box, so the box is
    spanned orthogonally to the periodic axes, and empty stretches along it are shortened to
    twice the cutoff: that changes no neighbour, and two molecules a metre apart cost nothing.
    """
    free = np.linalg.svd(cell[pbc].reshape(-1, 3))[2][int(pbc.sum()) :]  # [free axis, 3]
    along = positions @ free.T  # [atom, free axis]
    closed = np.stack([_close_gaps(x, 2 * cutoff) for x in along.T], axis=1)
    lowest = closed.min(axis=0) - cutoff
    box = cell.copy()
    box[~pbc] = (closed.max(axis=0) + cutoff - lowest)[:, None] * free
    return positions + (closed - along) @ free, box, lowest @ free


def _close_gaps(coordinates: np.ndarray, widest: float) -> np.ndarray:
    """Move points together along a line until no gap is wider than allowed."""
    order = np.argsort(coordinates, kind="stable")
    excess = np.maximum(np.diff(coordinates[order]) - widest, 0.0)
    closed = coordinates.copy()
    closed[order[1:]] -= np.cumsum(excess)
    return closed


def in_order(centres: np.ndarray, others: np.ndarray, shifts: np.ndarray) -> Edges:
    """Sort edges by centre, neighbour and shift."""
    order = np.argsort(rank(centres, others, *shifts.T))
    return centres[order], others[order], shifts[order]


def rank(*columns: np.ndarray) -> np.ndarray:
    """Return one integer per row of columns of whole numbers (n,), in the order of the rows."""
    if len(columns[0]) == 0:
        return np.empty(0, dtype=np.int64)
    lows = [int(column.min()) for column in columns]
    sizes = [int(column.max()) - low + 1 for low, column in zip(lows, columns, strict=True)]
    if math.prod(sizes) > 2**62:  # too many to count them through
        rows = np.column_stack(columns)
        return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
    ranks = columns[0] - lows[0]
    for column, low, size in zip(columns[1:], lows[1:], sizes[1:], strict=True):
        ranks *= size
        ranks += column
        ranks -= low
    return ranks


def check_structure(atoms: Atoms) -> None:
    """Refuse a structure nothing can be computed for.

    Raises
    ------
    InputError
        If there are no atoms, a position or cell vector is not finite, or an axis is periodic
        without a cell vector of its own.
    """
    if not isinstance(atoms, Atoms):
        raise InputError(
            explain(
                f"Expected ase.Atoms, got {type(atoms).__name__}",
                "structures are described by ASE Atoms",
                "Read a file with ase.io.read(...) or build one with ase.build.bulk(...)",
            )
        )
    if len(atoms) == 0:
        raise InputError(
            explain("The structure has no atoms", "there is nothing to compute", "Add atoms to it")
        )
    if not np.isfinite(atoms.positions).all():
        unfit = np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))
        raise InputError(
            explain(
                f"{unfit.size} of {len(atoms)} positions are NaN or infinite, "
                f"first atom {unfit[0]} ({atoms.symbols[int(unfit[0])]})",
                "no distance to them exists",
                "Check the file or the step that made them (an exploded MD run?)",
            )
        )
    _check_cell(atoms)


def _check_cell(atoms: Atoms) -> None:
    cell = atoms.cell.array
    if not np.isfinite(cell).all():
        raise InputError(
            explain(
                f"The cell holds NaN or infinity: {cell.tolist()}",
                "no periodic images exist",
                "Set atoms.cell",
            )
        )
    periodic = cell[atoms.pbc]
    if _thickness(periodic) >= _THINNEST_CELL:
        return
    if not periodic.any():
        what = "PBC is on, but the cell is all zeros"
    elif not periodic.any(axis=1).all():
        what = f"PBC is {atoms.pbc.tolist()}, but a periodic axis has a zero cell vector"
    else:
        what = f"PBC is on, but the periodic cell vectors {periodic.tolist()} Å enclose no volume"
    raise InputError(
        explain(what, "no neighbour list can be built", "Set atoms.cell or switch pbc off")
    )


def _thickness(vectors: np.ndarray) -> float:
    """Return the smallest height of the cell of k vectors (k, 3) in Å, or a lower bound of it."""
    if len(vectors) == 0:
        return np.inf
    smallest = np.linalg.svd(vectors, compute_uv=False)[-1]
    if smallest <= 1e-12 * np.abs(vectors).max():
        return 0.0
    if smallest >= _THINNEST_CELL:  # a lower bound of the height, and mostly enough
        return float(smallest)
    return float(1 / np.linalg.norm(np.linalg.pinv(vectors), axis=0).max())
