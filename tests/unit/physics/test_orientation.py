"""Crystals on spectrometers: UB matrices and rotation scans against numbers worked by hand."""

import numpy as np
import pytest
from ase.build import bulk
from ase.geometry import cellpar_to_cell
from scipy.spatial.transform import Rotation

from scatterml_ase.errors import InputError
from scatterml_ase.physics import unit_cell
from scatterml_ase.physics.kinematics import wavenumber
from scatterml_ase.physics.orientation import (
    Orientation,
    RotationScan,
    busing_levy_b,
    vertical_rotation,
)

CUBIC = 2 * np.pi / 4.0 * np.eye(3)  # a = 4 Å
# From a* = bc sin α/V, cos γ* = (cos α cos β − cos γ)/(sin α sin β) and so on.
BY_HAND = {
    (4, 4, 4, 90, 90, 90): [[0.25, 0, 0], [0, 0.25, 0], [0, 0, 0.25]],
    (3.25, 3.25, 5.2, 90, 90, 120): [
        [0.3552923, 0.1776462, 0],
        [0, 0.3076923, 0],
        [0, 0, 0.1923077],
    ],
    (5, 6, 7, 80, 95, 110): [
        [0.2129314, 0.0598069, 0.0043541],
        [0, 0.1692378, -0.0251896],
        [0, 0, 0.1428571],
    ],
}


@pytest.mark.parametrize("parameters", BY_HAND)
def test_b_is_that_of_busing_and_levy(parameters):
    cell = cellpar_to_cell(parameters) @ Rotation.from_rotvec([0.3, -1.0, 0.5]).as_matrix().T
    found = busing_levy_b(unit_cell.reciprocal_of(cell))
    np.testing.assert_allclose(found, BY_HAND[parameters], atol=2e-7)


@pytest.mark.parametrize("parameters", BY_HAND)
def test_ub_there_and_back(parameters):
    """U is a rotation, UB = U B, and a UB matrix gives back the orientation it was made of."""
    reciprocal = unit_cell.reciprocal_of(cellpar_to_cell(parameters))
    mounted = Orientation.from_vectors((1, 1, 0), (0, 1, 1), reciprocal)
    np.testing.assert_allclose(mounted.u @ mounted.u.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(mounted.u) == pytest.approx(1)
    np.testing.assert_allclose(mounted.u @ busing_levy_b(reciprocal), mounted.ub, atol=1e-12)
    again = Orientation.from_ub(mounted.ub, reciprocal)
    np.testing.assert_allclose(again.rotation, mounted.rotation, atol=1e-12)


def test_u_is_along_the_beam_and_v_in_the_plane():
    """A cubic crystal with a along the beam and b across: hand-worked UB."""
    mounted = Orientation.from_vectors((1, 0, 0), (0, 1, 0), CUBIC)
    np.testing.assert_allclose(mounted.ub, [[0, 0.25, 0], [0, 0, 0.25], [0.25, 0, 0]], atol=1e-15)
    np.testing.assert_allclose(mounted.laboratory(CUBIC[0], 90), [np.pi / 2, 0, 0], atol=1e-12)


def test_laboratory_there_and_back():
    mounted = Orientation.from_vectors((1, 2, 0), (0, 1, 1), CUBIC)
    Q = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(mounted.crystal(mounted.laboratory(Q, 33.0), 33.0), Q, atol=1e-12)


def test_a_measured_ub_of_a_slightly_larger_lattice_keeps_its_rotation():
    mounted = Orientation.from_vectors((1, 1, 0), (0, 0, 1), CUBIC)
    found = Orientation.from_ub(mounted.ub / 1.01, CUBIC)
    np.testing.assert_allclose(found.rotation, mounted.rotation, atol=1e-12)


@pytest.mark.parametrize(
    ("energy", "psi", "horizontal", "seen"),
    [
        (0.0, (40, 50), None, True),
        (0.0, (-50, -40), None, True),
        (0.0, (310, 320), None, True),  # −45° once more
        (0.0, (0, 30), None, False),
        (0.0, (40, 50), ((-100, -80),), True),  # Q goes left, the neutron right
        (0.0, (40, 50), ((80, 100),), False),
        (0.0, (0, 360), ((80, 100),), True),
        (25.0, (0, 360), None, False),  # the neutron has no energy left
    ],
)
def test_a_right_angle(energy, psi, horizontal, seen):
    """|Q| = √2 k at E = 0 is scattering by 90°, with Q at 45° to the beam."""
    mounted = Orientation.from_vectors((1, 0, 0), (0, 1, 0), CUBIC)
    Q = np.array([[np.sqrt(2) * wavenumber(20.0), 0, 0]])
    scan = RotationScan(mounted, psi, horizontal)
    assert scan.reached(Q, np.array([energy]), 20.0, "direct").tolist() == [[seen]]


@pytest.mark.parametrize("geometry", ["direct", "indirect"])
def test_reach_is_what_turning_the_crystal_step_by_step_finds(geometry):
    mounted = Orientation.from_vectors((1, 2, 0), (0, 1, 3), CUBIC)
    generator = np.random.default_rng(1)
    Q, energies = generator.uniform(-3, 3, size=(60, 3)), np.array([-5.0, 0.0, 4.0, 12.0])
    scan = RotationScan(mounted, (-20.0, 150.0), ((-30.0, 130.0),), (-20.0, 45.0))
    found = scan.reached(Q, energies, 40.0, geometry)
    initial, final = (40.0, 40.0 - energies) if geometry == "direct" else (40.0 + energies, 40.0)
    ki, kf = wavenumber(initial + 0 * energies), wavenumber(final + 0 * energies)
    expected = np.zeros_like(found)
    steps = np.linspace(-20, 150, 4001)
    turned = np.array([mounted.laboratory(Q, psi) for psi in steps])  # [psi, Q, xyz]
    for k in range(len(energies)):
        out = np.array([0, 0, ki[k]]) - turned
        misfit = np.linalg.norm(out, axis=2) - kf[k]
        crossing = misfit[1:] * misfit[:-1] <= 0
        flat = np.degrees(np.arctan2(out[..., 0], out[..., 2]))[1:]
        level = np.degrees(np.arcsin(out[..., 1] / np.linalg.norm(out, axis=2)))[1:]
        seen = (flat >= -30) & (flat <= 130) & (level >= -20) & (level <= 45)
        expected[:, k] = (crossing & seen).any(axis=0)
    assert 0.2 < found.mean() < 0.6
    np.testing.assert_array_equal(found, expected)


def test_the_conventional_cell_of_a_face_centred_crystal():
    """Of the cubic cell of silicon the axes are x, y, z; (1 1 1) is the same vector in both."""
    atoms = bulk("Si", a=5.43)
    described = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    matrix = unit_cell.cell_transformation("conventional", *described)
    np.testing.assert_array_equal(matrix, [[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
    np.testing.assert_allclose(matrix @ atoms.cell.array, 5.43 * np.eye(3), atol=1e-12)
    np.testing.assert_allclose(unit_cell.to_primitive([2, 0, 0], matrix), [0, 1, 1], atol=1e-12)
    np.testing.assert_allclose(unit_cell.from_primitive([0, 1, 1], matrix), [2, 0, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Orientation.from_vectors((1, 0, 0), (2, 0, 0), CUBIC), "span no plane"),
        (lambda: Orientation.from_vectors((1, 0), (0, 1), CUBIC), "no two vectors"),
        (lambda: Orientation.from_ub(np.eye(3), CUBIC), "not one of this crystal"),
        (lambda: Orientation.from_ub(-CUBIC / (2 * np.pi), CUBIC), "it mirrors"),
        (lambda: Orientation.from_ub(np.eye(2), CUBIC), "three by three"),
        (
            lambda: RotationScan(Orientation(np.eye(3), CUBIC), psi=(50.0, 10.0)),
            "psi=.* is no range",
        ),
        (lambda: unit_cell.cell_transformation("cubic", np.eye(3), np.zeros((1, 3)), [1]), "known"),
        (lambda: unit_cell.cell_transformation([[1, 0]], np.eye(3), np.zeros((1, 3)), [1]), "rows"),
        (
            lambda: unit_cell.cell_transformation(
                np.ones((3, 3)), np.eye(3), np.zeros((1, 3)), [1]
            ),
            "no volume",
        ),
    ],
)
def test_what_cannot_be_is_explained(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_turning_by_two_angles_is_turning_by_their_sum():
    np.testing.assert_allclose(
        vertical_rotation(20) @ vertical_rotation(35), vertical_rotation(55), atol=1e-14
    )
