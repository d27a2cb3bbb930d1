"""Elastic constants from stresses of strained cells, with any ASE calculator."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.spacegroup.symmetrize import check_symmetry
from tqdm import tqdm

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.elasticity import VOIGT, strain_matrix, symmetrized
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.elastic import ElasticConstants
from scatterml_ase.units import EV_PER_ANGSTROM3_TO_GPA
from scatterml_ase.workflows.properties.provenance import provenance
from scatterml_ase.workflows.relax import relax


def elastic_constants(
    atoms: Atoms,
    *,
    strain: float = 0.005,
    relax_ions: bool = True,
    force_tolerance: float = 1e-4,
    symmetry_precision: float = 1e-4,
    progress: bool = False,
) -> ElasticConstants:
    """Return the 6×6 stiffness of a relaxed crystal by central differences of the stress.

    Parameters
    ----------
    atoms
        A crystal at its minimum with a calculator that has a stress.
    strain
        Size of each of the six Voigt strains, applied with both signs.
    relax_ions
        Whether atoms follow the strain to their new sites (they do in diamond under shear);
        otherwise the constants are those of clamped ions.
    force_tolerance
        For relaxing the ions, in eV/Å.
    symmetry_precision
        Tolerance in Å for finding the rotations the stiffness is averaged over.
    progress
        Whether a bar is shown.

    Raises
    ------
    InputError
        If ``strain`` is not a small positive number, or the atoms cannot be computed.
    """
    if not 0 < strain < 0.1:
        raise InputError(
            explain(f"strain={strain} cannot be used", "it is a small change of shape",
                    "Give a number such as 0.005")
        )  # fmt: skip
    stiffness = np.zeros((6, 6))
    with tqdm(desc="elastic constants", total=12, unit=" strains", disable=not progress) as bar:
        for component in range(len(VOIGT)):
            stresses = []
            for sign in (1, -1):
                strained = _strained(atoms, strain_matrix(component, sign * strain))
                if relax_ions and len(atoms) > 1:
                    strained = relax(
                        strained,
                        cell=False,
                        force_tolerance=force_tolerance,
                        symmetry_precision=None,
                    )
                stresses.append(strained.get_stress(voigt=True))
                bar.update()
            stiffness[:, component] = (stresses[0] - stresses[1]) / (2 * strain)
    rotations = _cartesian_rotations(atoms, symmetry_precision)
    return ElasticConstants(
        crystal=Crystal.from_atoms(atoms),
        stiffness=symmetrized(stiffness * EV_PER_ANGSTROM3_TO_GPA, rotations),
        provenance=provenance(
            atoms, elastic_constants={"strain": strain, "relax_ions": relax_ions}
        ),
    )


def _strained(atoms: Atoms, strain: np.ndarray) -> Atoms:
    strained = atoms.copy()
    strained.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    strained.calc = atoms.calc
    return strained


def _cartesian_rotations(atoms: Atoms, precision: float) -> np.ndarray:
    """Return the rotations of the space group as orthogonal matrices, shape (r, 3, 3)."""
    cell = atoms.cell.array
    rotations = check_symmetry(atoms, symprec=precision).rotations  # columns of fractions
    return np.array([cell.T @ rotation @ np.linalg.inv(cell.T) for rotation in rotations])
