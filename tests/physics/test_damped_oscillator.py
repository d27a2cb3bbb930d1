"""Damped oscillators obey detailed balance and the sum rule, and become sharp without damping."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from scatterml_ase.physics import damped_oscillator
from scatterml_ase.physics.structure_factor import occupation_factors
from scatterml_ase.scattering.powder import PowderScattering
from scatterml_ase.units import BOLTZMANN

LINES = [(10.0, 1.0, 300.0), (10.0, 3.0, 5.0), (4.0, 9.0, 100.0), (5.0, 10.0, 50.0), (3.0, 0.5, 0)]


@pytest.mark.parametrize("omega, gamma, temperature", LINES)  # under-, over-, critically damped
def test_detailed_balance_is_exact(omega, gamma, temperature):
    energies = np.linspace(0.01, 60, 400)
    loss = damped_oscillator.spectrum(energies, omega, gamma, temperature)
    gain = damped_oscillator.spectrum(-energies, omega, gamma, temperature)
    factor = np.exp(-energies / (BOLTZMANN * temperature)) if temperature else 0.0
    np.testing.assert_allclose(gain, loss * factor, rtol=1e-11, atol=1e-14 * loss.max())


@pytest.mark.parametrize("omega, gamma, temperature", LINES)
def test_bins_hold_the_integral(omega, gamma, temperature):
    edges = np.array([-31.0, -20, -7, -2.5, -0.4, 0.9, 1, 4, 5.5, 9, 10.5, 11, 30, 41])
    found = damped_oscillator.bin_integrals(edges, omega, gamma, temperature)
    expected = [
        quad(
            lambda x: damped_oscillator.spectrum(np.array([x]), omega, gamma, temperature)[0],
            low, high, points=[x for x in (0.0, omega) if low < x < high] or None, limit=200,
        )[0]
        for low, high in pairwise(edges)
    ]  # fmt: skip
    np.testing.assert_allclose(found, expected, atol=2e-5 * max(expected))


@pytest.mark.parametrize("omega, gamma, temperature", LINES)
def test_the_first_moment_does_not_depend_on_damping(omega, gamma, temperature):
    """∫ E S(E) dE = F/2."""
    far = np.geomspace(100.5, 1e6, 4000)
    edges = np.concatenate([-far[::-1], np.linspace(-100, 100, 8001), far])
    content = damped_oscillator.bin_integrals(edges, omega, gamma, temperature)
    assert content @ ((edges[1:] + edges[:-1]) / 2) == pytest.approx(0.5, rel=2e-4)


@pytest.mark.parametrize("temperature", [0.0, 20.0, 300.0])
def test_without_damping_lines_are_sharp(temperature):
    edges = np.linspace(-20, 20, 401)
    omega = np.array([10.03, 3.47])
    found = damped_oscillator.bin_integrals(edges, omega, np.full(2, 1e-7), temperature)
    loss, gain = occupation_factors(omega, temperature)
    expected = np.zeros_like(found)
    rows = np.arange(2)
    expected[rows, np.searchsorted(edges, omega) - 1] = loss
    expected[rows, np.searchsorted(edges, -omega) - 1] = gain
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * loss.max())


def test_a_histogram_of_sharp_modes_is_damped_bin_by_bin():
    """What a mode at the centre of a bin becomes, and sharp modes stay as they are."""
    edges = np.linspace(-30, 30, 61)
    centres = (edges[1:] + edges[:-1]) / 2
    fwhm = np.where(np.abs(centres) > 8, 2.0, 0.0)
    matrix = damped_oscillator.damping_matrix(edges, centres, fwhm, 200.0)
    content = np.zeros(60)
    for energy, strength in ((5.5, 3.0), (12.5, 4.0)):
        loss, gain = occupation_factors(np.array([energy]), 200.0)
        content[np.searchsorted(edges, [energy, -energy]) - 1] = (
            strength * loss[0],
            strength * gain[0],
        )
    expected = 4.0 * damped_oscillator.bin_integrals(edges, 12.5, 2.0, 200.0)
    loss, gain = occupation_factors(np.array([5.5]), 200.0)
    expected[[35, 24]] += 3.0 * loss[0], 3.0 * gain[0]
    np.testing.assert_allclose(matrix @ content, expected, rtol=1e-12)


def test_a_powder_of_damped_modes(zincblende):
    """Widths of a powder leave the first moment, and zero widths leave everything."""
    edges = np.concatenate([np.linspace(-150, 150, 301), np.geomspace(152, 3000, 60)])
    edges = np.concatenate([-edges[:300:-1], edges])
    sharp = PowderScattering(
        300.0, q_edges=[2, 3, 4], energy_edges=edges, tolerance=0.5, progress=False
    )
    maps = [
        replace(sharp, linewidths=widths)(zincblende)
        for widths in (None, 0.0, lambda energies: 1.0 + 0.05 * energies)
    ]
    plain, still, damped = (np.where(sqw.mask, sqw.intensity, 0.0) for sqw in maps)
    np.testing.assert_allclose(still, plain, rtol=1e-12)
    weights = maps[0].energy_centres * np.diff(edges)
    np.testing.assert_allclose(damped @ weights, plain @ weights, rtol=0.01)
    assert damped.max() < 0.5 * plain.max()


def test_damped_modes_beyond_the_bins_reach_into_them(zincblende):
    """Bins that see part of the spectrum hold what wider ones hold there."""
    options = PowderScattering(
        300.0, q_edges=[2, 3], energy_edges=np.arange(40.0, 60.5, 0.5), tolerance=0.5,
        linewidths=8.0, maximum_wavevectors=3000, progress=False,
    )  # fmt: skip
    part = options(zincblende)
    whole = replace(options, energy_edges=np.arange(0.0, 150.5, 0.5))(zincblende)
    np.testing.assert_allclose(part.intensity, whole.intensity[:, 80:120], rtol=0.02)
