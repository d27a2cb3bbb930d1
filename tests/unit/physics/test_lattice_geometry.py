"""Supercells, meshes and zones against counting by hand and brute force."""

import numpy as np
import pytest
import spglib
from ase.build import bulk

from scatterml_ase.physics import brillouin, sum_rules, supercell

RNG = np.random.default_rng(11)
SKEWED = np.array([[3.1, 0, 0], [2.9, 0.8, 0], [-4.0, 1.1, 5.0]])
MATRICES = [np.diag([2, 3, 1]), np.array([[2, 0, 1], [0, 2, 0], [-1, 0, 3]]), -np.eye(3, dtype=int)]


@pytest.mark.parametrize("matrix", MATRICES)
def test_a_supercell_has_as_many_cells_as_its_determinant(matrix):
    cells = supercell.cells_of(matrix)
    assert len(cells) == round(abs(np.linalg.det(matrix)))
    np.testing.assert_array_equal(supercell.wrap(cells + RNG.integers(-3, 4, 3) @ matrix, matrix),
                                  cells)  # fmt: skip


@pytest.mark.parametrize("matrix", MATRICES)
def test_commensurate_waves_return_after_every_supercell_vector(matrix):
    q = supercell.commensurate_points(matrix)
    assert len(q) == round(abs(np.linalg.det(matrix)))
    turns = q @ matrix.T
    np.testing.assert_allclose(turns, np.rint(turns), atol=1e-12)
    differences = (q[:, None] - q[None]).reshape(-1, 3)
    different = np.abs(differences - np.rint(differences)).max(axis=1) > 1e-9
    assert different.sum() == len(q) * (len(q) - 1)


def test_shortest_images_are_those_of_an_exhaustive_search():
    vectors = RNG.uniform(-8, 8, (20, 3))
    index, translations = supercell.shortest_images(vectors, SKEWED)
    found = np.linalg.norm(vectors[index] + translations @ SKEWED, axis=1)
    every = np.array(list(np.ndindex(25, 25, 25))) - 12
    for k, vector in enumerate(vectors):
        best = np.linalg.norm(vector + every @ SKEWED, axis=1).min()
        np.testing.assert_allclose(found[index == k], best, atol=1e-9)


def test_the_middle_of_a_cube_has_eight_nearest_images():
    index, translations = supercell.shortest_images(np.array([[1.5, 1.5, 1.5], [0, 0, 0.2]]),
                                                    3 * np.eye(3))  # fmt: skip
    assert np.bincount(index).tolist() == [8, 1]
    assert len({tuple(t) for t in translations[index == 0].tolist()}) == 8


def test_the_enclosing_supercell_leaves_no_image_nearer():
    vectors = np.array([[4.0, 1.0, -3.0], [0, -5.5, 0]])
    matrix = supercell.enclosing_matrix(vectors, SKEWED)
    index, translations = supercell.shortest_images(vectors, matrix @ SKEWED)
    assert index.tolist() == [0, 1]
    assert not translations.any()


def test_unique_rows_are_numpys():
    rows = RNG.integers(-3, 3, (200, 4))
    unique, inverse = supercell.unique_rows(rows)
    np.testing.assert_array_equal(unique, np.unique(rows, axis=0))
    np.testing.assert_array_equal(unique[inverse], rows)


@pytest.mark.parametrize("cell", [SKEWED, bulk("Si").cell.array, np.diag([3.0, 3, 8])])
def test_folded_points_are_the_shortest_of_all_equivalents(cell):
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    q = RNG.uniform(-3, 3, (20, 3))
    folded = brillouin.fold_to_first_zone(q, cell)
    np.testing.assert_allclose(folded - q, np.rint(folded - q), atol=1e-9)
    every = np.array(list(np.ndindex(21, 21, 21))) - 10
    for start, end in zip(q, folded, strict=True):
        best = np.linalg.norm((start + every) @ reciprocal, axis=1).min()
        np.testing.assert_allclose(np.linalg.norm(end @ reciprocal), best, rtol=1e-9)
    assert np.linalg.norm(folded @ reciprocal, axis=1).max() <= brillouin.zone_radius(cell)


def test_points_on_the_zone_boundary_stay_where_they_are():
    q = np.array([[0.5, 0, 0], [-0.5, 0, 0], [0.5, 0.5, 0.5], [0, 0, 0]])
    np.testing.assert_allclose(brillouin.fold_to_first_zone(q, np.eye(3) * 4), q, atol=1e-12)


@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")  # spglib 2.7, 2.8
@pytest.mark.parametrize(
    ("atoms", "mesh"),
    [(bulk("Si"), (6, 6, 6)), (bulk("Fe"), (5, 5, 5)), (bulk("Ti"), (4, 4, 3))],
)
def test_irreducible_points_are_as_many_as_spglibs(atoms, mesh):
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    operations = brillouin.symmetry_operations(*cell, atoms.get_masses())
    points = brillouin.mesh_points(mesh, rotations=operations.rotations)
    mapping, _ = spglib.get_ir_reciprocal_mesh(mesh, cell, is_shift=[0, 0, 0])
    _, counts = np.unique(mapping, return_counts=True)
    np.testing.assert_allclose(np.sort(points.weights), np.sort(counts / np.prod(mesh)))
    assert len(points.mapping) == np.prod(mesh)


def test_operations_that_leave_the_mesh_are_not_used():
    """An uneven mesh of a cube: x and z are no longer equivalent, weights still sum to 1."""
    atoms = bulk("Po", "sc", a=3.3)
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers, atoms.get_masses())
    rotations = brillouin.symmetry_operations(*cell).rotations
    assert len(brillouin.mesh_points((4, 4, 4), rotations=rotations).weights) == 10
    uneven = brillouin.mesh_points((4, 4, 2), rotations=rotations)
    assert len(uneven.weights) == 12
    np.testing.assert_allclose(uneven.weights.sum(), 1)


def test_time_reversal_halves_a_mesh_of_no_symmetry():
    points = brillouin.mesh_points((3, 3, 3), rotations=np.eye(3, dtype=int)[None])
    assert len(points.weights) == 14
    assert np.all(np.abs(points.q_reduced) <= 0.5)


def test_operations_take_each_atom_to_one_of_its_kind():
    atoms = bulk("ZnO", "wurtzite", a=3.25, c=5.2)
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers, atoms.get_masses())
    operations = brillouin.symmetry_operations(*cell)
    for rotation, targets in zip(
        operations.cartesian(atoms.cell.array), operations.permutations, strict=True
    ):
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
        np.testing.assert_array_equal(atoms.numbers[targets], atoms.numbers)
        assert sorted(targets) == [0, 1, 2, 3]


def test_equal_pairs_are_added_up():
    pairs = np.array([[0, 1], [1, 0], [0, 1]])
    shifts = np.array([[0, 0, 1], [0, 0, -1], [0, 0, 1]])
    merged = sum_rules.merge_pairs(pairs, shifts, np.stack([np.eye(3)] * 3))
    assert merged[0].tolist() == [[0, 1], [1, 0]]
    np.testing.assert_array_equal(merged[2], [2 * np.eye(3), np.eye(3)])
    assert sum_rules.reversed_pairs(*merged[:2]).tolist() == [1, 0]
    assert sum_rules.reversed_pairs(np.array([[0, 1]]), np.array([[0, 0, 1]])).tolist() == [-1]


def test_both_sum_rules_hold_together_for_random_blocks():
    """Also where no pair of a kind exists in the list, and blocks are not symmetric."""
    pairs = RNG.integers(0, 4, (60, 2))
    shifts = RNG.integers(-1, 2, (60, 3))
    pairs, shifts, blocks = sum_rules.symmetrized(
        *sum_rules.merge_pairs(pairs, shifts, RNG.normal(size=(60, 3, 3))), 4
    )
    assert sum_rules.permutation_residual(pairs, shifts, blocks) < 1e-12
    np.testing.assert_allclose(sum_rules.drift(pairs, blocks, 4), 0, atol=1e-12)
