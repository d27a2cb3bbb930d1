"""How much of a pool of structures is covered by what is known, and what each would add."""

from __future__ import annotations

from itertools import pairwise

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
    """log det of the information matrix of the known atoms, and what each structure adds.

    The matrix has a block for each species of the pool, and so has what a structure adds.
    """

    def __init__(self, pool: Surroundings, known: Surroundings) -> None:
        species = np.unique(pool.numbers)
        self.scatter = _scatter(pool, species)  # [structure, species, p, p]
        self.information = _sum(known, species, slice(None))  # [species, p, p]
        square = float((pool.points**2).sum()) + len(pool.points)
        size = self.information.shape[0] * self.information.shape[1]
        prior = _PRIOR * square / (len(pool.points) * size)
        self.information += prior * np.eye(self.information.shape[1])

    def gains(self) -> np.ndarray:
        """Return the rise of the log determinant by each structure (structures,)."""
        before = np.linalg.slogdet(self.information)[1].sum()
        after = [np.linalg.slogdet(self.information + s)[1].sum() for s in self.scatter]
        return np.array(after) - before

    def add(self, structure: int) -> None:
        """Count a structure of the pool among the known."""
        self.information = self.information + self.scatter[structure]


def _scatter(found: Surroundings, species: np.ndarray) -> np.ndarray:
    """Return Σ x xᵀ of each structure (structures, species, p, p)."""
    size = found.points.shape[1] + 1
    scatter = np.zeros((found.structures, len(species), size, size))
    ends = np.searchsorted(found.owner, np.arange(found.structures + 1))  # owner is sorted
    for structure, (start, stop) in enumerate(pairwise(ends)):
        scatter[structure] = _sum(found, species, slice(start, stop))
    return scatter


def _sum(found: Surroundings, species: np.ndarray, atoms: slice) -> np.ndarray:
    """Return Σ x xᵀ (species, p, p) of some atoms, x with a one at its end."""
    x = np.column_stack([found.points[atoms], np.ones(len(found.points[atoms]))])
    parts = [x[found.numbers[atoms] == number] for number in species]
    return np.stack([part.T @ part for part in parts])
