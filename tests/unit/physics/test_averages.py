"""Means and slopes of correlated series, with errors that mean something."""

import numpy as np
import pytest

from scatterml_ase.errors import InputError
from scatterml_ase.physics.averages import Estimate, block_average, slope


def correlated(length, correlation, seed):
    """Make an autoregressive series of unit variance."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=length) * np.sqrt(1 - correlation**2)
    values = np.empty(length)
    values[0] = generator.normal()
    for k in range(1, length):
        values[k] = correlation * values[k - 1] + noise[k]
    return values


def test_independent_samples_have_the_naive_error():
    values = np.random.default_rng(1).normal(3.0, 2.0, size=4096)
    found = block_average(values)
    assert found.value == pytest.approx(values.mean())
    assert 2 / 64 * 0.95 < found.error < 2 / 64 * 1.8  # the largest of several levels


def test_the_error_of_correlated_samples_grows_with_their_correlation():
    """σ √((1+ρ)/((1−ρ) n)) for an autoregressive series."""
    exact = np.sqrt((1 + 0.95) / (1 - 0.95) / 8192)
    found = [block_average(correlated(8192, 0.95, seed)).error for seed in range(4)]
    assert np.mean(found) == pytest.approx(exact, rel=0.4)
    assert min(found) > 3 / np.sqrt(8192)  # far above the naive error


def test_the_mean_lies_within_its_error_as_often_as_it_should():
    found = [block_average(correlated(2048, 0.9, seed)) for seed in range(60)]
    inside = sum(abs(x.value) < 2 * x.error for x in found)
    assert inside >= 52  # 95 % of 60 is 57


def test_the_slope_of_a_line_is_exact_and_noise_gives_its_error():
    times = np.arange(1000) * 0.1
    assert slope(times, 2 - 0.03 * times).value == pytest.approx(-0.03)
    assert slope(times, 2 - 0.03 * times).error < 1e-12
    noisy = [slope(times, 0.5 * times + correlated(1000, 0.8, k)) for k in range(40)]
    assert sum(abs(x.value - 0.5) < 2.5 * x.error for x in noisy) >= 36


@pytest.mark.parametrize("values", [np.ones(7), np.ones((9, 2)), np.append(np.ones(9), np.nan)])
def test_what_has_no_error_is_refused(values):
    with pytest.raises(InputError, match=r"block average|NaN"):
        block_average(values)


def test_an_estimate_prints_its_error():
    assert str(Estimate(20.4481, 0.0123)) == "20.45 ± 0.01"
