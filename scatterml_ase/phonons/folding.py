"""Force constants of the infinite crystal, as a supercell shows them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from scatterml_ase.physics import supercell
from scatterml_ase.physics.sum_rules import merge_pairs

if TYPE_CHECKING:
    from scatterml_ase.results.force_constants import ForceConstants


def fold(force_constants: ForceConstants, matrix: np.ndarray) -> ForceConstants:
    """Sum force constants over the lattice of a supercell, as displacements in it would find them.

    Atoms j that differ by a supercell vector move together, so their blocks add up. The sum goes
    to the nearest of these images, in equal parts where several are equally near, as in phonopy:
    waves that fit the supercell are exact, those between are interpolated.

    Parameters
    ----------
    force_constants
        With pairs at any distance.
    matrix
        Integer rows: supercell vectors = matrix @ cell, shape (3, 3).
    """
    crystal = force_constants.crystal.to("angstrom")
    pairs, shifts, blocks = merge_pairs(
        force_constants.pairs,
        supercell.wrap(force_constants.cell_shifts, matrix),
        force_constants.blocks,
    )
    i, j = pairs.T
    x = crystal.scaled_positions
    vectors = (shifts + x[j] - x[i]) @ crystal.cell
    index, translations = supercell.shortest_images(vectors, matrix @ crystal.cell)
    share = np.bincount(index)[index]
    return replace(
        force_constants,
        pairs=pairs[index],
        cell_shifts=shifts[index] + translations @ matrix,
        blocks=blocks[index] / share[:, None, None],
        supercell_matrix=matrix,
    )
