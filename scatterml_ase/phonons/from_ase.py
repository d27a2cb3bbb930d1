"""Force constants that ASE holds: its finite displacements and its vibrations."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from scatterml_ase.errors import InputError, explain
from scatterml_ase.phonons.folding import fold
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.force_constants import ForceConstants

if TYPE_CHECKING:
    from ase.phonons import Phonons
    from ase.vibrations.data import VibrationsData


def from_phonons(phonons: Phonons) -> ForceConstants:
    """Take the force constants of ``ase.phonons.Phonons`` after its ``run()``.

    Its cache is read, if that was not done, with its own defaults; the object is not changed.
    ASE knows which cell of the supercell a neighbour is in, not which of its images is nearest:
    here force constants go to the nearest, in equal parts where several are equally near. So waves
    that fit the supercell are ASE's, and those between are interpolated as phonopy does.

    Raises
    ------
    InputError
        If displacements are missing, or not all atoms were displaced.
    """
    own = copy.copy(phonons)
    _need_all(len(own.indices), own.atoms)
    _need_crystal(own.atoms)
    if getattr(own, "C_N", None) is None:
        try:
            own.read()
        except (KeyError, FileNotFoundError) as error:
            what = f"The cache {str(own.name)!r} of ASE's Phonons lacks the displacement {error}"
            raise InputError(explain(what, "forces are read from it", "Call run() first")) from None
    count, cells = len(own.atoms), np.asarray(own.compute_lattice_vectors()).T
    blocks = np.asarray(own.C_N).reshape(-1, count, 3, count, 3).swapaxes(2, 3)
    charges: dict[str, Any] = {}
    if getattr(own, "Z_avv", None) is not None:
        charges = {"born_charges": own.Z_avv, "dielectric": own.eps_vv}
    source = {"source": "ase.phonons.Phonons", "supercell": tuple(map(int, own.supercell))}
    return _folded(own.atoms, cells, blocks, np.diag(own.supercell), source, charges)


def from_vibrations(vibrations: VibrationsData) -> ForceConstants:
    """Take the Hessian of ``ase.vibrations.VibrationsData`` of a crystal as its force constants.

    The cell of its atoms is the primitive cell and the supercell at once: only waves that fit it
    are exact, so it should be a large one.

    Raises
    ------
    InputError
        If the atoms are no crystal, or some of them were kept fixed.
    """
    atoms = vibrations.get_atoms()
    _need_all(len(vibrations.get_indices()), atoms)
    _need_crystal(atoms)
    hessian = np.asarray(vibrations.get_hessian()).swapaxes(1, 2)
    origin, source = np.zeros((1, 3), dtype=int), {"source": "ase.vibrations.VibrationsData"}
    return _folded(atoms, origin, hessian[None], np.eye(3, dtype=int), source, {})


def _folded(
    atoms: Atoms,
    cells: np.ndarray,
    blocks: np.ndarray,
    matrix: np.ndarray,
    source: dict[str, Any],
    charges: dict[str, Any],
) -> ForceConstants:
    """Return force constants to the nearest images from blocks of shape (cell, i, j, 3, 3)."""
    cell, i, j = np.indices(blocks.shape[:3]).reshape(3, -1)
    given = ForceConstants(
        crystal=Crystal.from_atoms(atoms),
        pairs=np.column_stack([i, j]),
        cell_shifts=cells[cell],
        blocks=blocks.reshape(-1, 3, 3),
        provenance=source,
        **charges,
    )
    return fold(given, matrix)


def _need_all(moved: int, atoms: Atoms) -> None:
    if moved != len(atoms):
        what = f"Only {moved} of {len(atoms)} atoms were displaced"
        fix = "Displace all of them: leave indices out, and remove constraints"
        raise InputError(explain(what, "phonons need the force constants of all", fix))


def _need_crystal(atoms: Atoms) -> None:
    if not atoms.pbc.all() or not abs(np.linalg.det(atoms.cell.array)) > 0:
        what = f"{atoms.symbols} is no crystal (pbc={atoms.pbc.tolist()})"
        fix = "Put a molecule into a cell: atoms.center(vacuum=8); atoms.pbc = True"
        raise InputError(explain(what, "force constants belong to a periodic cell", fix))
