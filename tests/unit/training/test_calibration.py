"""Whether the judgement of uncertainties can be trusted."""

import numpy as np
import pytest

from scatterml_ase.training.calibration import (
    ENERGY_FLOOR,
    FORCE_FLOOR,
    Judged,
    best_scale,
    coverage,
    miscalibration_area,
    spread_quality,
)
from scatterml_ase.training.reliability import plot_reliability

RANDOM = np.random.default_rng(0)
SPREADS = np.exp(RANDOM.normal(-3, 1, 20_000))  # eV/Å
ERRORS = SPREADS * RANDOM.normal(size=20_000)


def test_gaussian_errors_of_the_width_foretold_are_calibrated():
    quality = spread_quality(ERRORS, SPREADS)
    assert quality.z == pytest.approx(1.0, abs=0.03)
    assert quality.area < 0.01
    assert quality.rank > 0.4
    assert quality.rmse == pytest.approx(1e3 * np.sqrt(np.mean(ERRORS**2)))


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_a_wrong_width_shows_in_z_and_area_but_not_in_the_rank(factor):
    quality = spread_quality(ERRORS, factor * SPREADS)
    assert quality.z == pytest.approx(1 / factor, rel=0.03)
    assert quality.area > 0.2
    assert quality.rank == pytest.approx(spread_quality(ERRORS, SPREADS).rank)


def test_spreads_that_know_nothing_have_no_rank():
    shuffled = np.random.default_rng(1).permutation(SPREADS)
    assert abs(spread_quality(ERRORS, shuffled).rank) < 0.03
    assert np.isnan(spread_quality(ERRORS, np.ones_like(ERRORS)).rank)
    assert np.isnan(spread_quality(ERRORS[:0], SPREADS[:0]).z)


def test_coverage_is_that_of_the_normal_distribution():
    z = np.random.default_rng(2).normal(size=50_000)
    assert coverage(z, np.array([0.0, 0.6827, 0.9545, 1.0])) == pytest.approx(
        [0, 0.6827, 0.9545, 1], abs=0.01
    )
    assert miscalibration_area(np.zeros(10)) == pytest.approx(0.5, abs=0.01)
    assert miscalibration_area(np.full(10, 1e9)) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("factor", [0.01, 1.0, 300.0])
def test_the_likeliest_scale_is_found_through_the_floor(factor):
    errors = np.random.default_rng(3).normal(size=SPREADS.size) * np.hypot(SPREADS, 0.02)
    assert best_scale(errors, factor * SPREADS, 0.02) == pytest.approx(1 / factor, rel=0.03)


def test_spreads_of_nothing_cannot_be_scaled():
    assert best_scale(ERRORS, np.zeros_like(ERRORS), 1e-3) == 1.0


@pytest.fixture
def judged() -> Judged:
    """Ten structures of a quiet group, ten of a loud one, foretold rightly."""
    random = np.random.default_rng(4)
    loud = np.repeat([False, True], 10)
    width = np.where(loud, 0.1, 0.01)
    force_spreads = [w * np.exp(random.normal(0, 0.3, 30)) for w in width]
    return Judged(
        groups=["loud" if flag else "quiet" for flag in loud],
        energy_errors=0.1 * width * random.normal(size=20),
        energy_spreads=0.1 * width,
        force_errors=[s[:, None] * random.normal(size=(30, 3)) for s in force_spreads],
        force_spreads=force_spreads,
        grades=[np.where(np.arange(30) < (3 if flag else 0), 1.5, 0.5) for flag in loud],
    )


def test_groups_are_judged_apart(judged):
    rows = judged.rows()
    assert list(rows) == ["all", "loud", "quiet"]
    assert rows["loud"]["forces"].count == 900
    assert rows["loud"]["forces"].rmse > 5 * rows["quiet"]["forces"].rmse
    assert rows["loud"]["outside"] == pytest.approx(0.1)
    assert (rows["quiet"]["outside"], rows["all"]["outside"]) == (0.0, pytest.approx(0.05))
    assert rows["all"]["forces"].z == pytest.approx(1.0, abs=0.1)
    table = str(judged).splitlines()
    assert [line.split()[0] for line in table[2:]] == ["loud", "quiet", "all"]


def test_the_card_gets_plain_values(judged):
    plain = judged.part("quiet").to_dict()
    assert set(plain) == {"units", "all"}
    assert plain["all"]["energy"]["rank"] is None  # all spreads are equal
    assert isinstance(plain["all"]["forces"]["z"], float)


def test_labels_are_not_better_than_their_floor(judged):
    quiet = judged.part("quiet")
    assert quiet.energies[1].min() > ENERGY_FLOOR
    assert np.all(quiet.forces[1] >= FORCE_FLOOR)


def test_the_picture_is_drawn(judged, tmp_path):
    plot_reliability(judged, tmp_path / "reliability.png", title="toy")
    assert (tmp_path / "reliability.png").stat().st_size > 10_000
