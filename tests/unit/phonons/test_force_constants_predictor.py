"""Force constants predicted from structure: what holds for any weights, and bad input."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.spacegroup import crystal

from scatterml_ase import ForceConstantsPredictor, PowderScattering
from scatterml_ase.errors import InputError, ModelError
from scatterml_ase.phonons.force_constants_model import ForceConstantsConfig, ForceConstantsModel
from scatterml_ase.store import save_model
from scatterml_ase.units import INVERSE_CM_TO_MEV

SMALL = {
    "channels": 4, "l_max": 2, "layers": 2, "senders": 4, "width": 16, "equivariants": 2,
    "hidden": 16, "responses": (2, 2, 1), "charge_channels": 4, "cutoff": 5.0,
    "encoder_cutoff": 4.5, "response_cutoff": 4.0,
}  # fmt: skip
Q = np.array([[0.1, 0.2, 0.3], [0.5, 0.0, 0.0], [0.0, 0.0, 0.0]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(4)
    model = ForceConstantsModel(ForceConstantsConfig(species=(8, 14, 16, 30), **SMALL))
    path = tmp_path_factory.mktemp("models") / "small"
    save_model(model, path, {"task": "force-constants"})
    return path


@pytest.fixture
def predictor(folder):
    return ForceConstantsPredictor(model=folder)


def quartz():
    return crystal(
        ["Si", "O"],
        [(0.4697, 0, 0), (0.4135, 0.2669, 0.1191)],
        spacegroup=152,
        cellpar=[4.916, 4.916, 5.4054, 90, 90, 120],
    )


def wurtzite():
    return bulk("ZnS", "wurtzite", a=3.82, c=6.26)


@pytest.mark.parametrize("make", [quartz, wurtzite, lambda: bulk("Si")])
def test_a_rigid_shift_costs_nothing_and_matrices_are_hermitian(predictor, make):
    constants = predictor(make())
    assert constants.acoustic_residual() / INVERSE_CM_TO_MEV < 1e-3
    matrices = constants.dynamical_matrices(Q)
    largest = np.abs(matrices).max()
    np.testing.assert_allclose(matrices, matrices.conj().swapaxes(1, 2), atol=1e-13 * largest)


@pytest.mark.parametrize("make", [quartz, wurtzite])
def test_the_space_group_is_that_of_the_structure(predictor, make):
    """Equivariance: frequencies at q and at R q are the same."""
    constants = predictor(make())
    operations = constants.symmetry_operations
    assert len(operations.rotations) > 1
    turned = [np.linalg.inv(w).T @ Q[0] for w in operations.rotations]
    frequencies = constants.modes(np.array(turned)).frequencies
    np.testing.assert_allclose(frequencies, frequencies[:1].repeat(len(turned), 0), atol=1e-6)


@pytest.mark.parametrize("reflection", [False, True])
def test_a_turned_crystal_has_the_same_frequencies(predictor, reflection):
    atoms = quartz()
    turned = atoms.copy()
    turned.rotate(40, (3, 1, 2), rotate_cell=True)
    if reflection:  # keeps the cell right-handed: a mirror and an exchange of vectors
        turned.set_cell(-turned.cell.array[[1, 0, 2]])
        turned.positions *= -1
    found, expected = (predictor(a).mesh_modes((3, 3, 3)) for a in (turned, atoms))
    means = [one.weights @ one.frequencies for one in (found, expected)]
    np.testing.assert_allclose(means[0], means[1], atol=1e-6)


def test_the_same_crystal_in_a_larger_cell_or_another_order(predictor):
    atoms = wurtzite()
    expected = predictor(atoms).modes(Q).frequencies
    shuffled = atoms[[2, 0, 3, 1]]
    shuffled.positions += [0.3, -0.2, 7.1]
    np.testing.assert_allclose(predictor(shuffled).modes(Q).frequencies, expected, atol=1e-6)
    large = predictor(atoms.repeat((2, 1, 1)))
    assert len(large.crystal) == len(atoms), "the primitive cell is found"
    np.testing.assert_allclose(
        large.modes(Q[2:]).frequencies, expected[2:], atol=1e-6, err_msg="at Γ"
    )


def test_a_list_gives_what_one_by_one_gives(predictor):
    many = [quartz(), wurtzite(), bulk("Si")]
    for one, atoms in zip(predictor(many), many, strict=True):
        alone = predictor(atoms)
        np.testing.assert_allclose(one.modes(Q).frequencies, alone.modes(Q).frequencies, atol=2e-6)
    assert predictor([]) == []


def test_isotopes_change_frequencies_and_no_force(predictor):
    light = wurtzite()
    heavy = light.copy()
    heavy.set_masses(4 * light.get_masses())
    first, second = predictor(light), predictor(heavy)
    np.testing.assert_allclose(first.blocks, second.blocks, atol=1e-10)
    np.testing.assert_allclose(
        second.modes(Q).frequencies, first.modes(Q).frequencies / 2, atol=1e-9
    )


def test_forces_end_smoothly_at_the_cutoff(predictor):
    """Stretching the crystal through the cutoff changes frequencies without a jump."""
    scales = np.linspace(0.98, 1.02, 81)
    frequencies = []
    for scale in scales:
        atoms = bulk("Si")
        atoms.set_cell(atoms.cell * scale * 5.0 / 4.5, scale_atoms=True)
        frequencies.append(predictor(atoms).modes(Q[:1]).frequencies[0])
    second = np.abs(np.diff(frequencies, n=2, axis=0))
    assert second.max() < 20 * np.median(second) + 1e-3


def test_charges_of_the_user_take_the_place_of_predicted_ones(folder):
    atoms = wurtzite()
    signs = np.where(atoms.numbers == 30, 2.0, -2.0)
    charges = signs[:, None, None] * np.eye(3)
    given = ForceConstantsPredictor(model=folder, born_charges=charges, dielectric=6 * np.eye(3))
    constants = given(atoms)
    np.testing.assert_allclose(constants.born_charges, charges, atol=1e-9)
    np.testing.assert_allclose(constants.dielectric, 6 * np.eye(3), atol=1e-9)
    free = ForceConstantsPredictor(model=folder, polar=False)(atoms)
    assert free.born_charges is None and free.supercell_matrix is None


def test_phonopy_finds_the_same_frequencies(predictor):
    constants = predictor(wurtzite())
    phonopy = constants.to_phonopy()
    phonopy.run_qpoints(Q[:2])
    from scatterml_ase.units import THZ_TO_MEV

    np.testing.assert_allclose(
        phonopy.qpoints.frequencies * THZ_TO_MEV,
        constants.modes(Q[:2]).frequencies,
        atol=2e-3,
    )


def test_what_is_predicted_scatters(predictor):
    sqw = PowderScattering(300, tolerance=0.5, q_edges=np.linspace(0, 4, 9))(predictor(bulk("Si")))
    assert np.nansum(sqw.intensity) > 0


@pytest.mark.parametrize(
    ("atoms", "error", "message"),
    [
        (molecule("H2O"), InputError, "no molecules and no slabs"),
        (Atoms("Si", cell=[3, 3, 0], pbc=(1, 1, 0)), InputError, "no three-dimensional crystal"),
        (bulk("NaCl", "rocksalt", a=5.6), ModelError, "Na, Cl is not in model 'small'"),
        (Atoms("Si", positions=[[np.nan, 0, 0]], cell=[3, 3, 3], pbc=True), InputError, "NaN"),
        (Atoms(cell=[3, 3, 3], pbc=True), InputError, "no atoms"),
    ],
    ids=["molecule", "slab", "unknown element", "NaN", "empty"],
)
def test_what_cannot_be_predicted_is_refused(predictor, atoms, error, message):
    with pytest.raises(error, match=message):
        predictor(atoms)


def springs(atoms, matrix_of):
    """Force constants of springs between nearest neighbours, K from the unit vector."""
    from ase.neighborlist import neighbor_list

    from scatterml_ase import Crystal, ForceConstants

    i, j, S, D = neighbor_list("ijSD", atoms, 1.9)
    K = np.array([matrix_of(d / np.linalg.norm(d)) for d in D])
    pairs = np.concatenate([np.stack([i, j], 1), np.stack([i, i], 1)])
    return ForceConstants(
        crystal=Crystal.from_atoms(atoms),
        pairs=pairs,
        cell_shifts=np.concatenate([S, 0 * S]),
        blocks=np.concatenate([-K, K]),
    )


def test_central_springs_obey_the_rotational_sum_rule_and_others_do_not(predictor):
    """A spring along its bond feels no rotation; one that resists sideways does."""
    central = springs(quartz(), lambda n: np.outer(n, n))
    assert central.rotational_residual() < 1e-12
    sideways = springs(quartz(), lambda n: np.eye(3))
    assert 0.01 < sideways.rotational_residual() <= 1
    assert 0 <= predictor(quartz()).rotational_residual() <= 1
