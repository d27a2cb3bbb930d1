"""Rebinning conserves what is measured; rings of detectors become bins of |Q|."""

import numpy as np
import pytest

from scatterml_ase.physics.kinematics import incident_and_final, wavevector_transfer
from scatterml_ase.physics.least_squares import fit_linear
from scatterml_ase.physics.rebinning import (
    q_to_rings,
    rebin,
    ring_overlaps,
    rings_to_q,
)

ENERGIES = np.linspace(-20, 45, 14)


def test_integrals_are_what_they_were():
    rng = np.random.default_rng(0)
    x, y = np.sort(rng.uniform(0, 5, 9)), np.sort(rng.uniform(0, 3, 7))
    values = rng.normal(size=(8, 6))
    new = (np.linspace(-0.5, 5.5, 13), np.linspace(-1, 4, 6))
    found = rebin(values, None, np.ones((8, 6), bool), (x, y), new)
    area = found.coverage * np.diff(new[0])[:, None] * np.diff(new[1])
    assert np.nansum(found.values * area) == pytest.approx(
        np.sum(values * np.diff(x)[:, None] * np.diff(y))
    )


def test_unknown_bins_do_not_count_and_errors_add_in_squares():
    values, error = np.array([[1.0], [3.0], [5.0], [np.nan]]), np.full((4, 1), 0.4)
    mask = np.isfinite(values)
    edges = (np.arange(5.0), np.array([0.0, 1.0]))
    found = rebin(values, error, mask, edges, (np.array([0.0, 2.0, 4.0]), edges[1]))
    np.testing.assert_allclose(found.values[:, 0], [2, 5])
    np.testing.assert_allclose(found.error[:, 0], [0.4 / np.sqrt(2), 0.4])
    np.testing.assert_allclose(found.coverage[:, 0], [1, 0.5])


def rings(count=40):
    angles = np.linspace(5, 130, count + 1)
    return angles[:-1], angles[1:]


def exact_areas(low, high, geometry, fixed):
    """Area in (|Q|, E) between the borders of each ring, by many points along the energies."""
    fine = np.linspace(ENERGIES[:-1], ENERGIES[1:], 201)
    energies = incident_and_final(fine, fixed, geometry)
    width = wavevector_transfer(*energies, high[:, None, None]) - wavevector_transfer(
        *energies, low[:, None, None]
    )
    return np.trapezoid(width, dx=np.diff(ENERGIES)[0] / 200, axis=1)


@pytest.mark.parametrize(("geometry", "fixed"), [("direct", 60.0), ("indirect", 25.0)])
def test_bins_share_all_of_each_ring(geometry, fixed):
    low, high = rings()
    shared = np.zeros((40, 13))
    overlaps = ring_overlaps((low, high), ENERGIES, np.linspace(0, 15, 301), fixed, geometry)
    for ring, energy, _, area in overlaps:
        assert np.all(area > -1e-12)
        np.add.at(shared, (ring, energy), area)
    np.testing.assert_allclose(shared, exact_areas(low, high, geometry, fixed), rtol=0.04)


def test_what_lies_beyond_the_energy_of_the_neutron_is_not_measured():
    low, high = rings()
    overlaps = ring_overlaps((low, high), ENERGIES, np.linspace(0, 15, 301), 27.0, "direct")
    reached = {int(e) for _, energy, _, _ in overlaps for e in energy}
    assert reached == set(range(9))  # up to 25 meV


def test_the_place_of_each_share_is_where_its_energy_and_angle_say():
    low, high = rings()
    edges = np.linspace(0, 12, 241)
    for ring, energy, q, area in ring_overlaps((low, high), ENERGIES, edges, 60.0, "direct"):
        inside = area > 1e-9
        span = [ENERGIES[energy], ENERGIES[energy + 1]]
        ends = [
            wavevector_transfer(60.0, 60.0 - e, angle[ring]) for e in span for angle in (low, high)
        ]
        assert np.all((edges[q + 1] > np.min(ends, axis=0))[inside])
        assert np.all((edges[q] < np.max(ends, axis=0))[inside])


def test_a_smooth_map_survives_rings_and_back():
    low, high = rings(250)
    edges = np.linspace(0, 12, 121)
    q = (edges[1:] + edges[:-1]) / 2
    values = np.repeat(1 + q[:, None] ** 2, 13, axis=1)
    error, mask = np.full(values.shape, 0.1), np.ones(values.shape, bool)
    place = ((low, high), ENERGIES, edges, 60.0, "direct")
    seen = q_to_rings(values, error, mask, ring_overlaps(*place), 250)
    middle = incident_and_final((ENERGIES[1:] + ENERGIES[:-1]) / 2, 60.0, "direct")
    at = wavevector_transfer(*middle, ((low + high) / 2)[:, None])
    np.testing.assert_allclose(seen.values, 1 + at**2, rtol=0.06)
    back = rings_to_q(
        seen.values, seen.error, seen.coverage > 0.99, ring_overlaps(*place), (edges, ENERGIES)
    )
    whole = back.coverage > 0.99
    assert whole.mean() > 0.5
    np.testing.assert_allclose(back.values[whole], values[whole], rtol=0.05)
    assert np.all(back.error[whole] <= 0.1 + 1e-12)


def test_a_fit_knows_its_errors():
    """Coefficients scatter as their covariance says, and χ² is the number of points."""
    rng = np.random.default_rng(3)
    x = np.linspace(0, 1, 60)
    columns = np.column_stack([x, np.ones(60)])
    sigma = 0.05 + 0.1 * x
    fits = [fit_linear(columns, 2 * x + 1 + sigma * rng.normal(size=60), sigma) for _ in range(300)]
    found = np.array([fit.coefficients for fit in fits])
    np.testing.assert_allclose(found.mean(axis=0), [2, 1], atol=0.01)
    np.testing.assert_allclose(np.cov(found.T), fits[0].covariance, rtol=0.25)
    assert np.mean([fit.chi2 for fit in fits]) == pytest.approx(58, rel=0.05)


def test_what_cannot_be_told_apart_is_not_fitted():
    ones = np.ones(5)
    assert fit_linear(np.column_stack([ones, 3 * ones]), ones, ones) is None
    assert fit_linear(np.zeros((5, 1)), ones, ones) is None
    assert fit_linear(np.ones((1, 2)), ones[:1], ones[:1]) is None
