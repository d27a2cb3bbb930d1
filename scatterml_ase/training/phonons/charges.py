"""The dipole–dipole part of crystals whose Born charges the source does not know.

Nearly all reference crystals insulate, but only some come with Born charges. A model that has
learned charges from these predicts those of the others; what their dipoles contribute is then taken
off all targets alike, so that no model has to learn forces beyond its cutoff.
"""

from __future__ import annotations

import numpy as np
import torch
from ase import Atoms

from scatterml_ase.phonons.force_constants_model import ForceConstantsModel
from scatterml_ase.phonons.harmonic_graph import crystal_edges, join_crystals
from scatterml_ase.physics import brillouin, dipole
from scatterml_ase.physics.debye_waller import symmetrize_tensors
from scatterml_ase.training.phonons.targets import HarmonicTarget, position_phases


def predicted_dipoles(model: ForceConstantsModel, target: HarmonicTarget) -> np.ndarray:
    """Return the dipole–dipole part of Φ(q) from predicted charges, as ``target.dipoles``.

    Parameters
    ----------
    model
        In float64.
    target
        A crystal of species the model knows.
    """
    atoms = target.atoms
    return dipoles_at(model, atoms, target.q @ atoms.cell.array.T / (2 * np.pi))


def dipoles_at(model: ForceConstantsModel, atoms: Atoms, q_reduced: np.ndarray) -> np.ndarray:
    """Return the dipole–dipole part of Φ(q) (q, 3n, 3n) complex64 from predicted charges."""
    edges = crystal_edges(atoms, model.cutoff)
    graph = join_crystals(
        [atoms.numbers], [(edges.index, edges.vectors, edges.pairs)], torch.float64
    )
    with torch.inference_mode():
        found = model.polarity(graph)
    ones = np.ones(len(atoms))
    cell, x = atoms.cell.array, atoms.get_scaled_positions(wrap=False)
    operations = brillouin.symmetry_operations(cell, x, atoms.numbers, ones)
    born = symmetrize_tensors(found.born_charges.numpy(), cell, operations)
    rotations = operations.cartesian(cell)
    dielectric = found.dielectric[0].numpy()
    dielectric = (rotations @ dielectric @ rotations.swapaxes(1, 2)).mean(axis=0)
    sums = dipole.dipole_sum(cell, x, ones, born - born.mean(axis=0), dielectric)
    matrices = dipole.dipole_matrices(sums, q_reduced)
    return position_phases(matrices, q_reduced, x).astype(np.complex64)
