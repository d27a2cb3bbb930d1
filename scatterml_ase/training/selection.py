"""Which structures to label next: those that differ most from what is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.io import write
from ase.io.formats import UnknownFileTypeError, filetype, get_ioformat
from torch import nn

from scatterml_ase.atomic_write import atomic_write
from scatterml_ase.errors import AccuracyWarning, InputError, explain, warn
from scatterml_ase.training.coverage import Leverage, Nearest
from scatterml_ase.training.surroundings import surroundings

Method = Literal["farthest", "leverage"]

_FORMATS = "Use a name in .extxyz or .traj"


@dataclass(frozen=True)
class Selection:
    """Structures chosen from a pool, the most wanted first; ``print(selection)`` shows why.

    Attributes
    ----------
    indices
        Positions in the pool.
    scores
        (structures,) what decided when each was chosen: its distance ("farthest") or its gain in
        information, in nats ("leverage"), times its uncertainty if there is one.
    distances
        (structures,) the largest distance of one of its atoms from the nearest known surrounding,
        when it was chosen; infinite where nothing was known.
    atoms
        The atom at that distance.
    method
        How they were chosen.
    left
        The largest such distance in what remains of the pool: how well the pool is covered now.
    reasons
        For people.
    """

    indices: tuple[int, ...]
    scores: np.ndarray
    distances: np.ndarray
    atoms: tuple[int, ...]
    method: Method
    left: float
    reasons: tuple[str, ...]

    def pick(self, pool: Sequence[Atoms]) -> list[Atoms]:
        """Return the chosen structures of the pool."""
        return [pool[index] for index in self.indices]

    def __str__(self) -> str:
        lines = [f"{'structure':>9}{'score':>10}{'distance':>10}  why"]
        rows = zip(self.indices, self.scores, self.distances, self.reasons, strict=True)
        lines += [f"{i:>9}{score:>10.3g}{d:>10.3g}  {why}" for i, score, d, why in rows]
        return "\n".join([*lines, f"farthest that is left: {self.left:.3g}"])


def select_structures(
    pool: Sequence[Atoms],
    count: int,
    *,
    model: nn.Module | str | Path | None = None,
    known: Sequence[Atoms] = (),
    method: Method = "farthest",
    min_distance: float = 0.02,
    uncertainty: Callable[[Atoms], float] | None = None,
) -> Selection:
    """Choose structures to label, one after the other, each given those before.

    Atoms are compared by the invariants that the model's readout sees, species by species.

    - "farthest": the structure with the atom farthest from all known surroundings (greedy
      k-centre, Gonzalez 1985, 10.1016/0304-3975(85)90224-5). Finds what is new.
    - "leverage": the structure that raises log det Σ x xᵀ of the surroundings most (greedy
      D-optimal design). Balances what is new against what is frequent; larger structures
      have more to give.

    Parameters
    ----------
    pool
        Structures without labels, e.g. of a molecular dynamics run.
    count
        How many to choose; fewer if the rest are near copies, with a warning.
    model
        A potential, or its name or folder; None for an untrained network.
    known
        Structures that are labelled already.
    method
        See above.
    min_distance
        Structures all of whose atoms are nearer than this to known surroundings are near copies.
        Typical distances are of the order of 1.
    uncertainty
        A positive number for a structure (e.g. the largest force spread of a committee) by which
        its score is multiplied.

    Raises
    ------
    InputError
        If the pool is empty, or a structure or an option cannot be used.
    """
    _require(pool, count, method)
    in_pool, in_known = surroundings(model, pool, known)
    weights = _weights(pool, uncertainty)
    nearest = Nearest(in_pool, in_known)
    leverage = Leverage(in_pool, in_known) if method == "leverage" else None
    chosen: list[tuple[int, float, float, int]] = []
    free = np.ones(len(pool), dtype=bool)
    while len(chosen) < count and free.any():
        distances = nearest.of_structures()
        free &= distances >= min_distance
        if not free.any():
            break
        if leverage is not None:
            scores = leverage.gains() * weights
        elif np.isinf(distances).any():  # of a species never seen: begin with the typical one
            scores = np.where(np.isinf(distances), weights / (1 + nearest.from_middle()), -1.0)
        else:
            scores = distances * weights
        best = int(np.argmax(np.where(free, scores, -np.inf)))
        atom = nearest.farthest_atom(best)
        chosen.append((best, float(scores[best]), float(distances[best]), atom))
        free[best] = False
        nearest.add(best)
        if leverage is not None:
            leverage.add(best)
    left = nearest.of_structures()
    if len(chosen) < count:
        others = len(pool) - len(chosen)
        why = f"all atoms of the other {others} are within {min_distance} of known surroundings"
        fix = "Make the pool richer (hotter, longer, strained), or lower min_distance"
        if not others:
            why, fix = f"the pool has no more than {len(pool)}", "Make the pool larger"
        what = f"Only {len(chosen)} of the {count} structures asked for were chosen"
        warn(explain(what, why, fix), AccuracyWarning)
    reasons = tuple(_reason(pool[index], atom, distance) for index, _, distance, atom in chosen)
    rest = np.delete(left, [index for index, *_ in chosen])
    return Selection(
        tuple(index for index, *_ in chosen),
        np.array([score for _, score, _, _ in chosen]),
        np.array([distance for _, _, distance, _ in chosen]),
        tuple(atom for *_, atom in chosen),
        method,
        float(rest.max(initial=0.0)),
        reasons,
    )


def require_format(path: str | Path) -> None:
    """Refuse a file name whose format cannot hold several structures, before the work.

    Raises
    ------
    InputError
        If ASE knows no such format or cannot write it.
    """
    try:
        found = get_ioformat(filetype(str(path), read=False))
        why = "" if found.can_write and not found.single else f"{found.name} is no format for this"
    except UnknownFileTypeError as error:
        why = f"ASE knows no such format ({error})"
    if why:
        raise InputError(explain(f"Cannot write {str(path)!r}", why, _FORMATS))


def write_selection(selection: Selection, pool: Sequence[Atoms], path: str | Path) -> None:
    """Write the chosen structures, the most wanted first, in the format of the file's name.

    ``info`` of each receives ``pool_index`` and ``reason``; labels are not written.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    require_format(path)
    images = []
    for index, why in zip(selection.indices, selection.reasons, strict=True):
        atoms = pool[index].copy()
        atoms.info = {**atoms.info, "pool_index": index, "reason": why}
        images.append(atoms)
    with atomic_write(path) as temporary:
        try:
            write(temporary, images)
        except (ValueError, OSError, UnknownFileTypeError) as error:
            raise InputError(
                explain(f"Cannot write {str(path)!r}", str(error), _FORMATS)
            ) from error


def _weights(pool: Sequence[Atoms], uncertainty: Callable[[Atoms], float] | None) -> np.ndarray:
    if uncertainty is None:
        return np.ones(len(pool))
    weights = np.array([float(uncertainty(atoms)) for atoms in pool])
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if bad.size:
        raise InputError(
            explain(
                f"The uncertainty of structure {bad[0]} is {weights[bad[0]]}",
                "scores are multiplied with it",
                "Return a finite number that is not negative",
            )
        )
    return weights


def _require(pool: Sequence[Atoms], count: int, method: str) -> None:
    if len(pool) == 0:
        raise InputError(
            explain("The pool is empty", "there is nothing to choose from", "Pass structures")
        )
    empty = [number for number, atoms in enumerate(pool) if len(atoms) == 0]
    if empty:
        raise InputError(
            explain(f"Structure {empty[0]} of the pool has no atoms", "nothing to tell", "Drop it")
        )
    if count < 1:
        raise InputError(
            explain(f"{count} structures were asked for", "that is none", "Ask for 1 or more")
        )
    if method not in ("farthest", "leverage"):
        raise InputError(
            explain(f"There is no method {method!r}", "a typo?", "Use 'farthest' or 'leverage'")
        )


def _reason(atoms: Atoms, atom: int, distance: float) -> str:
    symbol = chemical_symbols[atoms.numbers[atom]]
    if np.isinf(distance):
        return f"nothing like atom {atom} ({symbol}) was known"
    return f"atom {atom} ({symbol}) is {distance:.3g} away from all that is known"
