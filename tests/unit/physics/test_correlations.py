"""Spectra, correlation functions and running averages do what they say."""

from itertools import pairwise

import numpy as np
import pytest

from scatterml_ase.errors import InputError
from scatterml_ase.physics.averages import block_average
from scatterml_ase.physics.broadening import SIGMA_TO_FWHM
from scatterml_ase.physics.correlations import (
    PLANCK,
    Taper,
    binning_matrix,
    correlations,
    finest_width,
    nyquist_energy,
    segment_length,
)
from scatterml_ase.physics.quantum_correction import quantum_factor
from scatterml_ase.physics.running_average import RunningAverage
from scatterml_ase.physics.spatial_density import DensityWaves, atomic_phases
from scatterml_ase.units import BOLTZMANN


def noise(rows, frames, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(rows, frames)) + 1j * generator.normal(size=(rows, frames))


@pytest.mark.parametrize("kind", [np.real, np.asarray])
def test_a_spectrum_integrates_to_the_mean_square(kind):
    """Over both signs of energy, for a real series and a complex one."""
    taper = Taper.of_width(4.0, 3.0)
    series = kind(noise(3, taper.frames))
    integral = binning_matrix(taper.energies, taper.energies[-1] * np.array([-1.0, 1.0]))
    total = taper.spectra(series) @ integral[0] * 2 * taper.energies[-1]
    weights = taper.weights**2
    np.testing.assert_allclose(total, np.abs(series) ** 2 @ weights / weights.sum(), rtol=1e-12)


def test_a_line_becomes_a_gaussian_of_the_width_asked_for():
    taper = Taper.of_width(2.0, 5.0)
    line = np.exp(-2j * np.pi * 31.0 / PLANCK * taper.timestep * np.arange(taper.frames))
    sigma = 2.0 / SIGMA_TO_FWHM
    expected = np.exp(-0.5 * ((taper.energies - 31.0) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    found = taper.spectra(line[None])[0]
    np.testing.assert_allclose(found, expected / 2, atol=1e-3 * expected.max())  # half at −31


def test_bins_hold_the_mean_over_what_they_cover():
    energies = 0.5 * np.arange(41)
    values = energies**2
    edges = np.array([-2.25, -0.25, 0.25, 3.25, 20.0])
    fine = np.repeat(values, 2)  # the value at 0.5 k stands for 0.5 k ± 0.25
    fine = np.concatenate([fine[:0:-1], fine[1:]])[1:-1]
    borders = np.linspace(-20, 20, 161)
    centres = (borders[1:] + borders[:-1]) / 2
    nearest = np.rint(np.abs(centres) / 0.5) * 0.5
    expected = [
        np.mean((nearest**2)[(centres > low) & (centres < high)]) for low, high in pairwise(edges)
    ]
    np.testing.assert_allclose(binning_matrix(energies, edges) @ values, expected, rtol=1e-12)


def test_correlations_are_sums_over_all_origins():
    series = noise(2, 50)
    found = correlations(series, 12)
    assert found.shape == (2, 39)
    for lag in (0, 1, 38):
        products = series[:, :12].conj() * series[:, lag : lag + 12]
        np.testing.assert_allclose(found[:, lag], products.mean(axis=1).real, atol=1e-12)


def test_the_finest_width_needs_just_the_frames_there_are():
    width = finest_width(900, 2.5)
    assert 0.99 * 900 < segment_length(width, 2.5) <= 900
    assert nyquist_energy(10.0) == pytest.approx(206.78, rel=1e-4)


def test_a_running_average_is_the_block_average_of_all_samples():
    generator = np.random.default_rng(3)
    series = np.convolve(generator.normal(size=1040), np.ones(16), mode="valid")[:1024]
    average = RunningAverage()
    for value in series:
        average.add(np.array([[value]]))
    expected = block_average(series)
    assert average.mean[0, 0] == pytest.approx(expected.value, rel=1e-10)
    assert average.error()[0, 0] == pytest.approx(expected.error, rel=1e-10)
    assert average.error()[0, 0] > 2 * series.std() / np.sqrt(len(series))  # samples are correlated


def test_one_sample_has_no_error():
    average = RunningAverage()
    average.add(np.ones((2, 3)))
    assert average.error() is None
    assert average.samples == 1


@pytest.mark.parametrize("kinds", [[0, 0, 0, 0, 0], [1, 0, 2, 0, 1]])
def test_density_waves_are_sums_of_exponentials(kinds):
    generator = np.random.default_rng(1)
    indices = generator.integers(-7, 8, size=(40, 3))
    scaled = generator.uniform(-2, 3, size=(5, 3))
    phases = np.exp(2j * np.pi * indices @ scaled.T)
    expected = phases @ np.eye(max(kinds) + 1)[kinds]
    found = DensityWaves(indices, np.array(kinds)).sums(scaled)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    alone = atomic_phases(scaled.T[:, :, None], indices)
    np.testing.assert_allclose(alone[:, :, 0], phases, atol=1e-12)


@pytest.mark.parametrize("correction", ["harmonic", "schofield"])
def test_a_corrected_spectrum_obeys_detailed_balance(correction):
    energies = np.linspace(-80, 80, 33)
    factor = quantum_factor(energies, 250.0, correction)
    balance = np.exp(-energies / (BOLTZMANN * 250.0))
    np.testing.assert_allclose(factor[::-1], factor * balance, rtol=1e-12)
    assert factor[16] == 1


def test_an_unknown_correction_is_named():
    with pytest.raises(InputError, match="'egelstaff' is not known: there are harmonic"):
        quantum_factor(np.zeros(1), 300.0, "egelstaff")
