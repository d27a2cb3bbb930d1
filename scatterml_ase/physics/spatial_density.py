"""Fourier components of the density of atoms, at wavevectors that fit a periodic cell."""

from __future__ import annotations

import numpy as np

_CHUNK = 60_000
"""How many phases are worked on at once: they stay in the cache."""


class DensityWaves:
    """Sums Σ_j exp(iQ·r_j) over the atoms of each kind, for Q = h·(reciprocal cell).

    exp(iQ·r) is a product of powers of three phases per atom: no exponential per atom and Q.

    Parameters
    ----------
    indices
        h in units of the reciprocal cell, integers, shape (q, 3).
    kinds
        Kind of every atom, 0 … kinds − 1, shape (atoms,).
    """

    def __init__(self, indices: np.ndarray, kinds: np.ndarray) -> None:
        self.indices = np.asarray(indices)
        self._order = np.argsort(kinds, kind="stable")
        counts = np.bincount(kinds)
        self._stops = np.cumsum(counts)
        self._highest = np.abs(self.indices).max(axis=0, initial=0)
        self._places = (self.indices + self._highest).T
        self._step = max(1, _CHUNK // len(kinds))

    def sums(self, scaled_positions: np.ndarray) -> np.ndarray:
        """Return the density waves of one configuration, complex, shape (q, kinds).

        Parameters
        ----------
        scaled_positions
            In units of the cell, shape (atoms, 3).
        """
        tables = self._tables(scaled_positions[self._order])
        result = np.empty((len(self.indices), len(self._stops)), dtype=complex)
        for start in range(0, len(self.indices), self._step):
            part = slice(start, start + self._step)
            phases = tables[0][self._places[0][part]]
            phases *= tables[1][self._places[1][part]]
            begin = 0
            for kind, stop in enumerate(self._stops):
                last = tables[2][self._places[2][part], begin:stop]
                result[part, kind] = np.einsum("qa,qa->q", phases[:, begin:stop], last)
                begin = stop
        return result

    def _tables(self, scaled_positions: np.ndarray) -> list[np.ndarray]:
        """Return powers −H … H of the phase of each atom along each axis, (2H + 1, atoms)."""
        tables = []
        for axis, highest in enumerate(self._highest):
            phase = np.exp(2j * np.pi * scaled_positions[:, axis])
            table = np.empty((2 * highest + 1, len(phase)), dtype=complex)
            table[highest] = 1.0
            for power in range(1, highest + 1):
                np.multiply(table[highest + power - 1], phase, out=table[highest + power])
            np.conj(table[highest + 1 :], out=table[:highest][::-1])
            tables.append(table)
        return tables


def atomic_phases(scaled_positions: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return exp(iQ·r) of every atom, shape (q, atoms, frames).

    Parameters
    ----------
    scaled_positions
        In units of the cell, shape (3, atoms, frames).
    indices
        Of Q in units of the reciprocal cell, shape (q, 3).
    """
    angles = np.tensordot(indices, scaled_positions, axes=1)
    return np.exp(2j * np.pi * angles)
