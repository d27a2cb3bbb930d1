"""Kinematics of direct and indirect geometry, and Gaussian broadening of histograms."""

import numpy as np
import pytest

from scatterml_ase.errors import InputError
from scatterml_ase.physics.broadening import SIGMA_TO_FWHM, broaden, gaussian_matrix
from scatterml_ase.physics.kinematics import (
    border,
    measured,
    reachable_transfer,
    ring_borders,
    wavenumber,
    wavevector_sigma,
    wavevector_transfer,
)


def test_wavelength_of_thermal_neutrons():
    """25.3 meV neutrons have 1.798 Å."""
    assert 2 * np.pi / wavenumber(25.3) == pytest.approx(1.798, abs=1e-3)


def test_elastic_scattering_is_on_the_ewald_sphere():
    """Q = 2k sin θ for E = 0."""
    angles = np.array([10.0, 90.0, 180.0])
    expected = 2 * wavenumber(50.0) * np.sin(np.radians(angles / 2))
    np.testing.assert_allclose(wavevector_transfer(50.0, 50.0, angles), expected, rtol=1e-12)


def test_forward_and_backward_scattering_bound_the_momentum():
    """|k_i − k_f| ≤ Q ≤ k_i + k_f."""
    ki, kf = wavenumber(100.0), wavenumber(40.0)
    assert border(np.array([60.0]), 100.0, 0.0)[0] == pytest.approx(ki - kf)
    assert border(np.array([60.0]), 100.0, 180.0)[0] == pytest.approx(ki + kf)


def test_a_neutron_cannot_lose_more_than_it_has():
    assert np.isnan(border(np.array([101.0]), 100.0, 30.0)[0])
    assert not measured(np.linspace(0, 20, 50), np.array([101.0]), 100.0, [(0, 180)]).any()


@pytest.mark.parametrize("geometry", ["direct", "indirect"])
def test_measured_region_is_what_the_borders_enclose(geometry):
    q, energies = np.linspace(0.01, 12, 300), np.linspace(-20, 90, 111)
    seen = measured(q, energies, 100.0, [(10, 80)], geometry)
    low = border(energies, 100.0, 10.0, geometry)
    high = border(energies, 100.0, 80.0, geometry)
    bottom, top = np.minimum(low, high), np.maximum(low, high)
    # Q grows with the angle at fixed energies, so that the region is what lies between.
    expected = (q[:, None] >= bottom) & (q[:, None] <= top)
    assert seen.any()
    np.testing.assert_array_equal(seen, expected)


def test_gaps_between_detector_banks_are_not_measured():
    q = np.linspace(0.1, 10, 500)
    whole = measured(q, np.array([0.0]), 50.0, [(5, 90)])
    banks = measured(q, np.array([0.0]), 50.0, [(5, 40), (50, 90)])
    assert banks.sum() < whole.sum()
    assert not (banks & ~whole).any()


@pytest.mark.parametrize("ranges", [[(30, 10)], [(-5, 20)], [(5, 190)]])
def test_impossible_angles_are_explained(ranges):
    with pytest.raises(InputError, match="0° to 180°"):
        measured(np.array([1.0]), np.array([0.0]), 50.0, ranges)


@pytest.mark.parametrize("geometry", ["direct", "indirect"])
def test_errors_of_angle_and_energy_go_into_the_momentum(geometry):
    """δ|Q| is the derivative by the angle, and by the fixed energy at the same E, in quadrature."""
    energies, fixed, angle = np.array([-3.0, 12.0]), 40.0, 70.0

    def q_of(fixed_energy, two_theta):
        return border(energies, fixed_energy, two_theta, geometry)

    found = [
        np.diag(wavevector_sigma(q_of(fixed, angle), energies, fixed, geometry, **errors))
        for errors in (
            {"two_theta_sigma": 0.5},
            {"fixed_energy_sigma": 0.3},
            {"two_theta_sigma": 0.5, "fixed_energy_sigma": 0.3},
        )
    ]
    by_angle = (q_of(fixed, angle + 1e-3) - q_of(fixed, angle - 1e-3)) / 2e-3 * 0.5
    by_energy = (q_of(fixed + 1e-4, angle) - q_of(fixed - 1e-4, angle)) / 2e-4 * 0.3
    np.testing.assert_allclose(found[0], by_angle, rtol=1e-6)
    np.testing.assert_allclose(found[1], by_energy, rtol=1e-6)
    np.testing.assert_allclose(found[2], np.hypot(by_angle, by_energy), rtol=1e-6)


def test_transfers_that_are_not_possible_move_to_the_nearest():
    energies = np.array([-50.0, 0.0, 50.0])
    np.testing.assert_allclose(reachable_transfer(energies, 20.0, "direct"), [-50, 0, 19.98])
    np.testing.assert_allclose(reachable_transfer(energies, 20.0, "indirect"), [-19.98, 0, 50])


def test_a_single_angle_is_a_narrow_ring():
    inner, outer = ring_borders([(10, 20), (45, 45), (180, 180)])
    np.testing.assert_allclose(inner, [10, 44.999, 179.999])
    np.testing.assert_allclose(outer, [20, 45.001, 180])


def test_broadening_conserves_the_integral():
    edges = np.linspace(-50, 50, 401)
    density = np.zeros(400)
    density[200], density[150] = 2.0, 1.0
    centres = (edges[1:] + edges[:-1]) / 2
    wide = broaden(density, edges, 1.0 + 0.01 * centres)
    assert wide.sum() * 0.25 == pytest.approx(density.sum() * 0.25, rel=1e-9)


def test_broadening_gives_the_width_asked_for():
    """A sharp line gets the FWHM of its Gaussian, and its variance."""
    edges = np.linspace(-20, 20, 1601)
    centres = (edges[1:] + edges[:-1]) / 2
    density = np.zeros(1600)
    density[800] = 1.0
    wide = broaden(density, edges, 3.0 / SIGMA_TO_FWHM)
    above = centres[wide > wide.max() / 2]
    assert above[-1] - above[0] == pytest.approx(3.0, abs=0.05)
    variance = np.sum(wide * (centres - centres[800]) ** 2) / wide.sum()
    assert np.sqrt(variance) == pytest.approx(3.0 / SIGMA_TO_FWHM, rel=1e-4)


def test_no_width_changes_nothing():
    edges = np.linspace(0, 1, 11)
    np.testing.assert_array_equal(gaussian_matrix(edges, 0.0), np.eye(10))
