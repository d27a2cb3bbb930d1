"""Which structures to label next: those that differ most from what is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from torch import nn

from scatterml_ase.errors import AccuracyWarning, InputError, explain, warn
from scatterml_ase.training.surroundings import Surroundings, surroundings

Method = Literal["farthest", "leverage"]

_PRIOR = 1e-3  # of the pool's variance: what is assumed to be known of every direction
_CHUNK = 4_000_000  # distances at a time


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
    nearest = _Nearest(in_pool, in_known)
    leverage = _Leverage(in_pool, in_known) if method == "leverage" else None
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
        warn(
            explain(
                f"Only {len(chosen)} of the {count} structures asked for were chosen",
                f"all atoms of the other {len(pool) - len(chosen)} are within {min_distance} of "
                "known surroundings",
                "Make the pool richer (hotter, longer, strained), or lower min_distance",
            ),
            AccuracyWarning,
        )
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


class _Nearest:
    """Distances of the pool's atoms from the nearest known surrounding of their species."""

    def __init__(self, pool: Surroundings, known: Surroundings) -> None:
        self.pool = pool
        self.values = np.full(len(pool.points), np.inf)
        self._approach(known.points, known.numbers)

    def of_structures(self) -> np.ndarray:
        """Return the largest distance in each structure (structures,)."""
        largest = np.zeros(self.pool.structures)
        np.maximum.at(largest, self.pool.owner, self.values)
        return largest

    def farthest_atom(self, structure: int) -> int:
        """Return the index in its structure of the atom that is farthest."""
        return int(np.argmax(self.values[self.pool.owner == structure]))

    def from_middle(self) -> np.ndarray:
        """Return the largest distance of an atom from the middle of the pool (structures,)."""
        middle = self.pool.points.mean(axis=0)
        largest = np.zeros(self.pool.structures)
        distances = np.linalg.norm(self.pool.points - middle, axis=1)
        np.maximum.at(largest, self.pool.owner, distances)
        return largest

    def add(self, structure: int) -> None:
        """Count the atoms of a structure of the pool among the known."""
        own = self.pool.owner == structure
        self._approach(self.pool.points[own], self.pool.numbers[own])
        self.values[own] = 0.0

    def _approach(self, points: np.ndarray, numbers: np.ndarray) -> None:
        for number in np.unique(numbers):
            mine = np.flatnonzero(self.pool.numbers == number)
            if not mine.size:
                continue
            others = torch.from_numpy(points[numbers == number])
            size = max(_CHUNK // len(others), 1)
            for start in range(0, len(mine), size):
                part = mine[start : start + size]
                near = torch.cdist(torch.from_numpy(self.pool.points[part]), others).amin(1).numpy()
                self.values[part] = np.minimum(self.values[part], near)


class _Leverage:
    """log det of the information matrix of the known atoms, and what each structure adds."""

    def __init__(self, pool: Surroundings, known: Surroundings) -> None:
        self.scatter = _scatter(pool, pool.numbers)  # [structure, p, p]
        everything = _scatter(known, pool.numbers).sum(axis=0)
        mean = self.scatter.sum(axis=0) / len(pool.points)
        prior = _PRIOR * np.trace(mean) / len(mean)
        self.information = everything + prior * np.eye(len(mean))

    def gains(self) -> np.ndarray:
        """Return the rise of the log determinant by each structure (structures,)."""
        before = np.linalg.slogdet(self.information)[1]
        after = np.array([np.linalg.slogdet(self.information + s)[1] for s in self.scatter])
        return after - before

    def add(self, structure: int) -> None:
        """Count a structure of the pool among the known."""
        self.information = self.information + self.scatter[structure]


def _scatter(found: Surroundings, numbers: np.ndarray) -> np.ndarray:
    """Return Σ x xᵀ of each structure (structures, p, p), x with a block for each species."""
    species = np.unique(numbers)
    size = found.points.shape[1] + 1
    scatter = np.zeros((found.structures, size * len(species), size * len(species)))
    x = np.column_stack([found.points, np.ones(len(found.points))])
    for structure in range(found.structures):
        for place, number in enumerate(species):
            own = x[(found.owner == structure) & (found.numbers == number)]
            block = slice(size * place, size * (place + 1))
            scatter[structure, block, block] = own.T @ own
    return scatter


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
