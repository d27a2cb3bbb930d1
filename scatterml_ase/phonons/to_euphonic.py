"""A bridge to Euphonic, for those who have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics import supercell
from scatterml_ase.results.phonopy_border import supercell_matrix

if TYPE_CHECKING:
    from scatterml_ase.results.force_constants import ForceConstants


def to_euphonic(force_constants: ForceConstants) -> Any:
    """Return ``euphonic.ForceConstants`` with the same crystal, force constants and Born charges.

    Euphonic is licensed under the GPL and not needed by this package: it is imported here only.

    Raises
    ------
    InputError
        If Euphonic is not installed.
    """
    try:
        import euphonic
    except ImportError as error:
        what, why = "Euphonic is not installed", "to_euphonic() makes one of its objects"
        raise InputError(explain(what, why, "Run: pip install euphonic")) from error
    unit, matrix = euphonic.ureg, supercell_matrix(force_constants)
    crystal = force_constants.crystal.to("angstrom")
    cells, blocks = _by_cell(force_constants, matrix)
    theirs = euphonic.Crystal(
        np.array(crystal.cell) * unit("angstrom"),
        np.array(crystal.scaled_positions),
        np.array(crystal.symbols),
        np.array(crystal.masses) * unit("amu"),
    )
    given = (theirs, blocks * unit("eV / angstrom**2"), np.array(matrix), cells)
    if force_constants.born_charges is None or force_constants.dielectric is None:
        return euphonic.ForceConstants(*given)
    return euphonic.ForceConstants.from_total_fc_with_dipole(
        *given,
        born=np.array(force_constants.born_charges) * unit("e"),
        dielectric=np.array(force_constants.dielectric) * unit("e**2 / (bohr * hartree)"),
    )


def _by_cell(force_constants: ForceConstants, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells of the supercell, (n, 3), and the blocks into each, (n, 3 atoms, 3 atoms).

    Blocks to images of one atom, which are parts of one force constant, add up.
    """
    cells = supercell.cells_of(matrix)
    # Euphonic takes the first cell for the one that all distances are measured from.
    cells = cells[np.argsort(cells.any(axis=1), kind="stable")]
    _, label = supercell.unique_rows(
        np.concatenate([cells, supercell.wrap(force_constants.cell_shifts, matrix)])
    )
    place = np.empty(len(cells), dtype=int)
    place[label[: len(cells)]] = np.arange(len(cells))
    count = len(force_constants.crystal)
    blocks = np.zeros((len(cells), count, count, 3, 3))
    i, j = force_constants.pairs.T
    np.add.at(blocks, (place[label[len(cells) :]], i, j), force_constants.blocks)
    return cells, blocks.swapaxes(2, 3).reshape(len(cells), 3 * count, 3 * count)
