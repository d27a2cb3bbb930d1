"""Elastic tensors and equations of state as formulas."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from scatterml_ase.errors import InputError
from scatterml_ase.physics.elasticity import hill_averages, strain_matrix, symmetrized
from scatterml_ase.physics.equation_of_state import BirchMurnaghan, fit_birch_murnaghan


def random_stiffness():
    matrix = np.random.default_rng(0).normal(size=(6, 6))
    return matrix @ matrix.T + 5 * np.eye(6)


def isotropic(bulk, shear):
    stiffness = np.diag([2 * shear] * 3 + [shear] * 3).astype(float)
    stiffness[:3, :3] += bulk - 2 / 3 * shear
    return stiffness


def test_cubic_rotations_leave_three_constants():
    rotations = Rotation.create_group("O").as_matrix()
    c = symmetrized(random_stiffness(), rotations)
    expected = np.diag([c[0, 0]] * 3 + [c[3, 3]] * 3)
    expected[:3, :3] += c[0, 1] * (1 - np.eye(3))
    np.testing.assert_allclose(c, expected, atol=1e-12)


def test_a_sixfold_axis_ties_the_shear_in_the_plane_to_the_rest():
    """C66 = (C11 − C12)/2, by symmetry alone."""
    rotations = Rotation.create_group("D6").as_matrix()
    c = symmetrized(random_stiffness(), rotations)
    assert c[5, 5] == pytest.approx((c[0, 0] - c[0, 1]) / 2)


def test_what_is_isotropic_stays_as_it_is():
    c = isotropic(90.0, 60.0)
    some = Rotation.random(5, rng=np.random.default_rng(1)).as_matrix()
    np.testing.assert_allclose(symmetrized(c, some), c, atol=1e-12)
    assert hill_averages(c) == pytest.approx((90.0, 60.0))


def test_the_averages_of_a_crystal_do_not_know_its_orientation():
    c = random_stiffness()
    turn = Rotation.random(rng=np.random.default_rng(2)).as_matrix()
    symmetric = symmetrized(c, np.eye(3)[None])
    assert hill_averages(symmetrized(c, turn[None])) == pytest.approx(hill_averages(symmetric))


def test_shear_strains_are_engineering_ones():
    np.testing.assert_array_equal(strain_matrix(0, 0.02), np.diag([0.02, 0, 0]))
    assert strain_matrix(3, 0.02)[1, 2] == strain_matrix(3, 0.02)[2, 1] == 0.01


def test_the_fit_returns_the_equation_that_made_the_points():
    exact = BirchMurnaghan(volume=20.0, energy=-5.4, bulk_modulus=0.6, derivative=4.3)
    volumes = np.linspace(17, 23, 9)
    found = fit_birch_murnaghan(volumes, exact(volumes))
    for name in ("volume", "energy", "bulk_modulus", "derivative"):
        assert getattr(found, name) == pytest.approx(getattr(exact, name), rel=1e-9)


def test_the_bulk_modulus_is_the_curvature_and_its_derivative_the_next_order():
    fit = BirchMurnaghan(volume=20.0, energy=0.0, bulk_modulus=0.6, derivative=4.3)

    def bulk(v, h=1e-2):
        return v * (fit(v + h) - 2 * fit(v) + fit(v - h)) / h**2

    def pressure(v, h=1e-3):
        return -(fit(v + h) - fit(v - h)) / (2 * h)

    assert bulk(20.0) == pytest.approx(0.6, rel=1e-5)
    slope = (bulk(20.1) - bulk(19.9)) / (pressure(20.1) - pressure(19.9))
    assert slope == pytest.approx(4.3, rel=1e-3)


def test_no_minimum_is_no_equation_of_state():
    volumes = np.linspace(10, 12, 6)
    with pytest.raises(InputError, match="no minimum between"):
        fit_birch_murnaghan(volumes, -volumes)
    with pytest.raises(InputError, match="four parameters"):
        fit_birch_murnaghan(volumes[:3], volumes[:3])
