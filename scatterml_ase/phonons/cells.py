"""Cells cross the border between ASE and phonopy here, and nowhere else in this room."""

from __future__ import annotations

import warnings

import numpy as np
from ase import Atoms
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms
from phonopy.structure.cells import guess_primitive_matrix


def new_phonopy(unit: Atoms, matrix: np.ndarray, precision: float) -> Phonopy:
    """Make a ``Phonopy`` object whose primitive cell is found by symmetry.

    Parameters
    ----------
    unit
        The cell that is repeated.
    matrix
        Supercell matrix, shape (3, 3), integers; rows make the supercell vectors.
    precision
        Tolerance in Å for finding the symmetry.
    """
    cell = to_phonopy(unit)
    primitive = guess_primitive_matrix(_isotopes_apart(cell), symprec=precision)
    with warnings.catch_warnings():  # the analyzer says the same, and what to do
        warnings.filterwarnings("ignore", message="Warning: Point group symmetries")
        # phonopy takes supercell vectors as columns, we as rows.
        return Phonopy(cell, matrix.T, primitive_matrix=primitive, symprec=precision)


def _isotopes_apart(cell: PhonopyAtoms) -> PhonopyAtoms:
    """Return the cell with a symbol of its own for each mass: phonopy looks at symbols alone."""
    kinds = np.unique(np.stack([cell.numbers, cell.masses]), axis=1, return_inverse=True)[1]
    return PhonopyAtoms(
        numbers=kinds.reshape(-1) + 1,
        cell=cell.cell,
        scaled_positions=cell.scaled_positions,
        magnetic_moments=cell.magnetic_moments,
    )


def primitive_cell(unit: Atoms, precision: float) -> Atoms:
    """Return the primitive cell as phonopy finds it; ``unit`` itself if it is primitive."""
    matrix = guess_primitive_matrix(_isotopes_apart(to_phonopy(unit)), symprec=precision)
    if abs(np.linalg.det(matrix) - 1) < 1e-6:
        return unit
    primitive = new_phonopy(unit, np.eye(3, dtype=int), precision).primitive
    result = unit[primitive.p2s_map.tolist()]
    result.set_cell(primitive.cell)
    return result


def to_phonopy(atoms: Atoms) -> PhonopyAtoms:
    """Turn ASE Atoms into phonopy's, with masses and magnetic moments."""
    magmoms = atoms.get_initial_magnetic_moments() if atoms.has("initial_magmoms") else None
    return PhonopyAtoms(
        symbols=atoms.get_chemical_symbols(),
        cell=atoms.cell.array,
        scaled_positions=atoms.get_scaled_positions(),
        masses=atoms.get_masses(),
        magnetic_moments=magmoms,
    )


def to_ase(cell: PhonopyAtoms) -> Atoms:
    """Turn phonopy's atoms into periodic ASE Atoms, with masses and magnetic moments."""
    return Atoms(
        symbols=cell.symbols,
        cell=cell.cell,
        scaled_positions=cell.scaled_positions,
        masses=cell.masses,
        magmoms=cell.magnetic_moments,
        pbc=True,
    )


def unit_indices(phonopy: Phonopy) -> np.ndarray:
    """Return for each supercell atom the index of its atom in the unit cell."""
    supercell = phonopy.supercell
    return np.array([supercell.u2u_map[s] for s in supercell.s2u_map])
