"""Polar crystals: what the long-range field of displaced charges does to phonons."""

from dataclasses import replace

import numpy as np
import pytest

from scatterml_ase.physics import supercell
from scatterml_ase.units import COULOMB_EV_ANGSTROM, ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV

CHARGE, EPSILON = 2.7, 6.6
Q = np.random.default_rng(3).uniform(-0.5, 0.5, (8, 3))


@pytest.fixture(scope="module")
def carbide(zincblende):
    """SiC-like: charges ±Z* in an isotropic medium."""
    born = CHARGE * np.array([1.0, -1.0])[:, None, None] * np.eye(3)
    return replace(zincblende, born_charges=born, dielectric=EPSILON * np.eye(3))


@pytest.fixture(scope="module")
def oxide(wurtzite):
    """ZnO-like: uniaxial charges and medium."""
    signs = np.where(wurtzite.crystal.numbers == 30, 1.0, -1.0)
    born = signs[:, None, None] * np.diag([2.0, 2.0, 2.2])
    return replace(wurtzite, born_charges=born, dielectric=np.diag([4.0, 4.0, 4.4]))


def test_splitting_at_gamma_is_the_macroscopic_field(carbide):
    """ω_LO² − ω_TO² = 4π e² Z²/(V ε μ) in a cubic crystal of two atoms, along any direction."""
    m1, m2 = carbide.crystal.masses
    field = 4 * np.pi * COULOMB_EV_ANGSTROM * CHARGE**2 / (carbide.crystal.volume * EPSILON)
    expected = field * (1 / m1 + 1 / m2) * ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV**2
    transverse = carbide.modes([0, 0, 0]).frequencies[0, 3:]
    np.testing.assert_allclose(transverse, transverse[0], rtol=1e-9)
    for direction in ([1, 0, 0], [1, 1, 0], [0.3, -0.2, 0.7]):
        optic = carbide.modes([0, 0, 0], q_direction=direction).frequencies[0, 3:]
        np.testing.assert_allclose(optic[:2], transverse[0], rtol=1e-9)
        np.testing.assert_allclose(optic[2] ** 2 - optic[0] ** 2, expected, rtol=1e-9)


def test_gamma_is_the_limit_of_small_q(oxide):
    for direction in ([1, 0, 0], [0, 0, 1], [0.4, 0.1, 0.8]):
        limit = oxide.modes([0, 0, 0], q_direction=direction).frequencies[0, 3:]
        near = oxide.modes(1e-5 * np.array(direction)).frequencies[0, 3:]
        np.testing.assert_allclose(near, limit, atol=1e-3)


def test_a_uniaxial_crystal_splits_differently_along_and_across_its_axis(oxide):
    along = oxide.modes([0, 0, 0], q_direction=[0, 0, 1]).frequencies[0]
    across = oxide.modes([0, 0, 0], q_direction=[1, 0, 0]).frequencies[0]
    assert np.abs(along - across).max() > 0.5


def test_neutral_charges_leave_the_acoustic_modes_alone(oxide):
    assert oxide.acoustic_residual() < 1e-4
    for direction in ([1, 0, 0], [0.3, 0.4, 0.5]):
        modes = oxide.modes([0, 0, 0], q_direction=direction)
        assert np.abs(modes.frequencies[0, :3]).max() < 1e-4


def test_polar_frequencies_are_periodic_in_q(oxide):
    """Far out the sum over G would run dry: q is folded into the first zone."""
    shifted = Q + np.random.default_rng(1).integers(-9, 10, Q.shape)
    expected = oxide.modes(Q).frequencies
    np.testing.assert_allclose(oxide.modes(shifted).frequencies, expected, atol=1e-5)
    reciprocal = oxide.modes([[0, 0, 0], [2, -1, 3]], q_direction=[0, 0, 1]).frequencies
    np.testing.assert_allclose(reciprocal[0], reciprocal[1], atol=1e-5)


def test_charges_change_nothing_where_the_supercell_already_knew(carbide, zincblende):
    """At commensurate q ≠ Γ force constants hold the whole dipole sum: it is only taken apart."""
    q = supercell.commensurate_points(carbide.supercell_matrix)
    q = q[np.abs(q - np.rint(q)).max(axis=1) > 1e-9]
    assert len(q) == 63
    expected = zincblende.modes(q).frequencies
    np.testing.assert_allclose(carbide.modes(q).frequencies, expected, atol=1e-5)
    assert np.abs(carbide.modes(Q).frequencies - zincblende.modes(Q).frequencies).max() > 0.1


def test_polar_matrices_are_hermitian_with_symmetric_frequencies(oxide):
    matrices = oxide.dynamical_matrices(Q)
    np.testing.assert_allclose(matrices, matrices.conj().swapaxes(1, 2), atol=1e-14)
    expected = oxide.modes(Q[:1]).frequencies[0]
    for rotation in oxide.symmetry_operations.rotations:
        image = Q[0] @ np.linalg.inv(rotation)
        np.testing.assert_allclose(oxide.modes(image).frequencies[0], expected, atol=1e-5)


def test_group_velocities_follow_the_polar_dispersion(oxide):
    found = oxide.modes(Q, group_velocities=True).group_velocities
    step = np.array([0, 0, 1]) @ oxide.crystal.cell.T / (2 * np.pi) * 1e-4
    ahead, behind = (oxide.modes(Q + s * step).frequencies for s in (1, -1))
    slopes = (ahead - behind) / 2e-4 * 151.92674
    np.testing.assert_allclose(found[..., 2], slopes, atol=0.1)


def test_fields_stiffen_sound_only_in_piezoelectric_directions(carbide, zincblende):
    """In zincblende, waves along ⟨100⟩ carry no longitudinal field; along ⟨111⟩ they do."""
    plain = zincblende.sound_velocities([[1, 0, 0], [1, 1, 1]])
    polar = carbide.sound_velocities([[1, 0, 0], [1, 1, 1]])
    assert abs(polar[0, 2] / plain[0, 2] - 1) < 0.05
    assert np.all(polar > 0)
