"""The same force constants in phonopy: frequencies, eigenvectors, dipoles, and the way back."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.units import COULOMB_EV_ANGSTROM, ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV

Q = np.random.default_rng(5).uniform(-0.45, 0.45, (15, 3))
FACE_CENTRED = [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]


def with_springs(atoms, matrix, primitive="P", *, compact=False):
    """Give a supercell springs to all neighbours within 3.9 Å, through phonopy's own arrays."""
    unit = PhonopyAtoms(numbers=atoms.numbers, cell=atoms.cell[:], positions=atoms.positions)
    phonopy = Phonopy(unit, matrix, primitive_matrix=primitive, is_symmetry=False)
    cell = phonopy.supercell
    repeated = Atoms(numbers=cell.numbers, cell=cell.cell, positions=cell.positions, pbc=True)
    i, j, length, bonds = neighbor_list("ijdD", repeated, 3.9)
    along = bonds[:, :, None] * bonds[:, None, :] / length[:, None, None] ** 2
    springs = (20 * np.exp(-length))[:, None, None] * (along + 0.2 * np.eye(3))
    constants = np.zeros((len(cell), len(cell), 3, 3))
    np.add.at(constants, (i, j), -springs)
    np.add.at(constants, (i, i), springs)
    if compact:
        constants = constants[phonopy.primitive.p2s_map]
    phonopy.force_constants = constants
    return phonopy


def polarise(phonopy, **options):
    """Add anisotropic Born charges that sum to zero, and an anisotropic ε."""
    rng = np.random.default_rng(2)
    count = len(phonopy.primitive)
    born = 0.3 * rng.normal(size=(count, 3, 3))
    born += np.where(np.arange(count) % 2, -1.0, 1.0)[:, None, None] * np.eye(3)
    phonopy.nac_params = {
        "born": born - born.mean(axis=0),
        "dielectric": np.array([[4, 0.3, 0], [0.3, 3.5, 0.2], [0, 0.2, 5.0]]),
        "factor": COULOMB_EV_ANGSTROM,
        "method": "gonze",
        **options,
    }
    return phonopy


def zincblende_of_conventional_cells():
    atoms = bulk("GaAs", "zincblende", a=5.65, cubic=True)
    return with_springs(atoms, np.diag([2, 2, 2]), FACE_CENTRED, compact=True)


def triclinic_in_a_sheared_supercell():
    atoms = Atoms(
        "SiOC",
        cell=[[3.4, 0, 0], [0.7, 3.9, 0], [-0.5, 0.9, 4.3]],
        scaled_positions=[[0.02, 0.01, -0.05], [0.45, 0.55, 0.3], [0.6, 0.1, 1.7]],
        pbc=True,
    )
    return with_springs(atoms, [[2, 0, 1], [0, 2, 0], [-1, 0, 3]])


CRYSTALS = [zincblende_of_conventional_cells, triclinic_in_a_sheared_supercell]


def theirs(phonopy, q, q_direction=None):
    """Run phonopy: frequencies in meV with our constants, and dynamical matrices."""
    phonopy.run_qpoints(q, nac_q_direction=q_direction, with_dynamical_matrices=True)
    frequencies = phonopy.qpoints.frequencies / phonopy.unit_conversion_factor
    return frequencies * ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV, phonopy.qpoints.dynamical_matrices


@pytest.mark.parametrize("crystal", CRYSTALS)
def test_frequencies_and_matrices_are_phonopys(crystal):
    phonopy = crystal()
    constants = ForceConstants.from_phonopy(phonopy)
    frequencies, matrices = theirs(phonopy, Q)
    np.testing.assert_allclose(constants.modes(Q).frequencies, frequencies, atol=1e-6)
    np.testing.assert_allclose(constants.dynamical_matrices(Q), matrices, atol=1e-13)


@pytest.mark.parametrize("crystal", CRYSTALS)
def test_dipole_forces_are_phonopys(crystal):
    """Gonze–Lee, with the sum over G converged in both; phonopy's own cutoff leaves 1e-5 meV."""
    phonopy = polarise(crystal())
    constants = ForceConstants.from_phonopy(phonopy)
    rough, _ = theirs(phonopy, Q)
    np.testing.assert_allclose(constants.modes(Q).frequencies, rough, atol=1e-4)
    width = constants._harmonic.dipoles.width / (2 * np.pi)
    polarise(phonopy, G_cutoff=8 * width, Lambda=width)
    frequencies, matrices = theirs(phonopy, Q)
    np.testing.assert_allclose(constants.modes(Q).frequencies, frequencies, atol=1e-6)
    np.testing.assert_allclose(constants.dynamical_matrices(Q), matrices, atol=1e-9)


@pytest.mark.parametrize("crystal", CRYSTALS)
def test_the_field_at_gamma_has_phonopys_direction(crystal):
    phonopy = polarise(crystal())
    constants = ForceConstants.from_phonopy(phonopy)
    for direction in ([1, 0, 0], [0.2, -0.5, 1]):
        expected, _ = theirs(phonopy, [[0, 0, 0]], direction)
        found = constants.modes([0, 0, 0], q_direction=direction).frequencies
        np.testing.assert_allclose(found[:, 3:], expected[:, 3:], atol=1e-4)


@pytest.mark.parametrize("polar", [False, True])
@pytest.mark.parametrize("crystal", CRYSTALS)
def test_there_and_back_changes_nothing(crystal, polar):
    phonopy = polarise(crystal()) if polar else crystal()
    constants = ForceConstants.from_phonopy(phonopy)
    back = constants.to_phonopy()
    again = ForceConstants.from_phonopy(back)
    expected = constants.modes(Q).frequencies
    np.testing.assert_allclose(again.modes(Q).frequencies, expected, rtol=1e-8)
    np.testing.assert_array_equal(again.supercell_matrix, constants.supercell_matrix)
    np.testing.assert_allclose(theirs(back, Q)[0], theirs(phonopy, Q)[0], rtol=1e-8)


def test_eigenvectors_are_phonopys_up_to_their_phase():
    """Projectors |e⟩⟨e| agree, phases of atomic positions included."""
    phonopy = triclinic_in_a_sheared_supercell()
    phonopy.run_qpoints(Q, with_eigenvectors=True)
    expected = phonopy.qpoints.eigenvectors.swapaxes(1, 2)  # [q, mode, atom xyz]
    found = ForceConstants.from_phonopy(phonopy).modes(Q).eigenvectors.reshape(expected.shape)
    overlap = np.abs(np.einsum("qma,qma->qm", found.conj(), expected))
    np.testing.assert_allclose(overlap, 1, atol=1e-9)


def test_group_velocities_are_phonopys():
    """Phonopy gives them in Å THz, which is 100 m/s."""
    phonopy = triclinic_in_a_sheared_supercell()
    phonopy.run_qpoints(Q, with_group_velocities=True)
    found = ForceConstants.from_phonopy(phonopy).modes(Q, group_velocities=True)
    expected = phonopy.qpoints.group_velocities * 100
    np.testing.assert_allclose(found.group_velocities, expected, rtol=1e-5, atol=1e-3)


def test_irreducible_points_and_weights_are_phonopys():
    phonopy = zincblende_of_conventional_cells()
    modes = ForceConstants.from_phonopy(phonopy).mesh_modes((6, 6, 6))
    symmetric = Phonopy(phonopy.unitcell, np.diag([2, 2, 2]), primitive_matrix=FACE_CENTRED)
    symmetric.force_constants = phonopy.force_constants
    symmetric.run_mesh([6, 6, 6], is_gamma_center=True)
    expected = symmetric.mesh.weights / 6**3
    np.testing.assert_allclose(np.sort(modes.weights), np.sort(expected))


def test_constants_without_a_supercell_find_one_that_holds_them():
    """Pairs alone (a predictor's, say) go to phonopy in a supercell where no image is ambiguous."""
    constants = ForceConstants.from_phonopy(zincblende_of_conventional_cells())
    near = np.abs(constants.blocks).max(axis=(1, 2)) > 1e-12
    loose = replace(
        constants,
        pairs=constants.pairs[near],
        cell_shifts=constants.cell_shifts[near],
        blocks=constants.blocks[near],
        supercell_matrix=None,
    )
    expected = loose.modes(Q).frequencies
    np.testing.assert_allclose(constants.modes(Q).frequencies, expected, rtol=1e-10)
    np.testing.assert_allclose(theirs(loose.to_phonopy(), Q)[0], expected, rtol=1e-8)
