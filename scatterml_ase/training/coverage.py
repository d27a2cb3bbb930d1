"""How much of a pool of structures is covered by what is known, and what each would add."""

from __future__ import annotations

import numpy as np
import torch

from scatterml_ase.training.surroundings import Surroundings

_PRIOR = 1e-3  # of the pool's variance: what is assumed to be known of every direction
_CHUNK = 4_000_000  # distances at a time


class Nearest:
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


class Leverage:
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
