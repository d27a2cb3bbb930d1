"""The unit cell of which a simulated cell is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from ase import Atoms

from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.crystal import Crystal

UnitCell = Atoms | Crystal | int | Sequence[int] | Sequence[Sequence[int]] | np.ndarray
_MISFIT = 0.15
"""How far the simulated cell may be from whole unit cells: heat and another model strain it."""
_NEAR_SITE = 1.2
"""An atom is at a site if it is nearer than this, in Å."""


@dataclass(frozen=True, eq=False)
class SimulatedCrystal:
    """A simulated cell as repeats of a unit cell.

    Parameters
    ----------
    crystal
        The unit cell, strained to fit.
    matrix
        Integer rows: simulated cell = matrix @ unit cell.
    sites
        Atom of the unit cell that each simulated atom is a copy of, shape (atoms,).
    """

    crystal: Crystal
    matrix: np.ndarray
    sites: np.ndarray

    @classmethod
    def of(cls, atoms: Atoms, unit_cell: UnitCell | None) -> Self:
        """Find how the first frame is made of unit cells.

        Parameters
        ----------
        atoms
            The first frame.
        unit_cell
            The unit cell itself; or how often it is repeated: three numbers, or a supercell
            matrix of rows; None or 1 for the simulated cell as a whole.

        Raises
        ------
        InputError
            If whole unit cells do not fill the simulated cell, or atoms are not at its sites.
        """
        if unit_cell is None:
            return cls(Crystal.from_atoms(atoms), np.eye(3, dtype=int), np.arange(len(atoms)))
        if isinstance(unit_cell, Atoms | Crystal):
            unit = unit_cell.to_atoms() if isinstance(unit_cell, Crystal) else unit_cell
            matrix = _repeats(atoms, unit)
            cell = np.linalg.solve(matrix, atoms.cell.array)
            given = unit.copy()
            given.set_cell(cell, scale_atoms=True)
            return cls(Crystal.from_atoms(given), matrix, _assign(atoms, given, matrix))
        matrix = _supercell_matrix(unit_cell)
        cell = np.linalg.solve(matrix, atoms.cell.array)
        folded = _fold(atoms, cell, matrix)
        return cls(Crystal.from_atoms(folded), matrix, _assign(atoms, folded, matrix))


def _supercell_matrix(unit_cell: Any) -> np.ndarray:
    """Return integer rows from one number, three, or a matrix."""
    try:
        values = np.asarray(unit_cell, dtype=float)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape in ((), (3,)):
        values = np.diag(np.broadcast_to(values, 3))
    good = values.shape == (3, 3) and bool(np.all(values == np.rint(values)))
    if not good or abs(np.linalg.det(values)) < 0.5:
        raise InputError(
            explain(
                f"unit_cell={unit_cell!r} does not say how unit cells fill the simulated cell",
                "it is the unit cell as Atoms, three whole numbers, or a 3×3 matrix of them",
                "Give e.g. unit_cell=bulk('Cu') or unit_cell=(4, 4, 4)",
            )
        )
    return np.rint(values).astype(int)


def _repeats(atoms: Atoms, unit: Atoms) -> np.ndarray:
    """Return the supercell matrix of the simulated cell in units of ``unit``."""
    if unit.cell.rank < 3:
        what = "unit_cell has no three cell vectors"
        raise InputError(explain(what, "it must fill space", "Give a periodic crystal"))
    exact = atoms.cell.array @ np.linalg.inv(unit.cell.array)
    matrix = np.rint(exact).astype(int)
    misfit = float(np.abs(exact - matrix).max())
    count = round(abs(np.linalg.det(matrix)))
    if misfit > _MISFIT * max(1.0, np.abs(exact).max() / 4) or count * len(unit) != len(atoms):
        raise InputError(
            explain(
                f"{len(atoms)} atoms in the simulated cell are not made of unit_cell "
                f"({unit.get_chemical_formula()})",
                f"along its vectors it measures {np.round(exact, 2).tolist()}",
                "Give the cell that was repeated, turned the same way, or the repeats "
                "themselves, e.g. unit_cell=(4, 4, 4)",
            )
        )
    return matrix


def _fold(atoms: Atoms, cell: np.ndarray, matrix: np.ndarray) -> Atoms:
    """Return the unit cell whose sites are the mean of the atoms folded onto each other."""
    copies = round(abs(np.linalg.det(matrix)))
    scaled = atoms.positions @ np.linalg.inv(cell)
    founders: list[int] = []  # the first atom at each site
    offsets: list[list[np.ndarray]] = []
    for atom, place in enumerate(scaled):
        same = [
            k for k, first in enumerate(founders) if atoms.numbers[first] == atoms.numbers[atom]
        ]
        shifts = np.array([place - scaled[founders[k]] for k in same]).reshape(-1, 3)
        shifts -= np.rint(shifts)
        far = np.linalg.norm(shifts @ cell, axis=1)
        if len(far) and far.min() < _NEAR_SITE:
            offsets[same[int(far.argmin())]].append(shifts[far.argmin()])
        else:
            founders.append(atom)
            offsets.append([np.zeros(3)])
    if len(founders) * copies != len(atoms) or any(len(found) != copies for found in offsets):
        raise InputError(
            explain(
                f"{len(atoms)} atoms do not fold onto a unit cell that is repeated {copies} times",
                f"{len(founders)} sites were found within {_NEAR_SITE} Å, not all with {copies} "
                "atoms: the crystal is too hot, has defects, or is repeated otherwise",
                "Give the unit cell as Atoms, or leave unit_cell out for a liquid",
            )
        )
    folded = atoms[founders]
    folded.set_cell(cell)
    folded.set_scaled_positions(scaled[founders] + [np.mean(found, axis=0) for found in offsets])
    return folded


def _assign(atoms: Atoms, unit: Atoms, matrix: np.ndarray) -> np.ndarray:
    """Return the site of each atom; the crystal may be shifted as a whole against the unit cell."""
    inverse = np.linalg.inv(unit.cell.array)
    scaled = atoms.positions @ inverse
    places = unit.get_scaled_positions(wrap=False)
    candidates = np.flatnonzero(unit.numbers == atoms.numbers[0])
    copies = round(abs(np.linalg.det(matrix)))
    best: tuple[float, np.ndarray] | None = None
    for origin in candidates:  # any atom of the species may be the first one's site
        shift = scaled[0] - places[origin]
        distance = _distances(scaled - shift, atoms.numbers, places, unit)
        sites = distance.argmin(axis=1)
        spread = float(np.mean(distance.min(axis=1) ** 2))
        even = (np.bincount(sites, minlength=len(unit)) == copies).all()
        if even and np.isfinite(spread) and (best is None or spread < best[0]):
            best = spread, sites
    if best is None:
        raise InputError(
            explain(
                "The atoms of the first frame are not at the sites of unit_cell",
                f"each site should have {copies} of them near it",
                "Check the unit cell; leave unit_cell out for a liquid",
            )
        )
    return best[1]


def _distances(
    scaled: np.ndarray, numbers: np.ndarray, places: np.ndarray, unit: Atoms
) -> np.ndarray:
    """Return distances in Å of atoms to sites, infinite between species, shape (atoms, sites)."""
    apart = scaled[:, None] - places[None]
    apart -= np.rint(apart)
    distance = np.linalg.norm(apart @ unit.cell.array, axis=2)
    return np.where(numbers[:, None] == unit.numbers[None], distance, np.inf)
