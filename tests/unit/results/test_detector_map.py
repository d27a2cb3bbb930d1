"""What detectors measured, and the powder map it becomes."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from scatterml_ase import DetectorMap
from scatterml_ase.errors import InputError
from scatterml_ase.physics.kinematics import incident_and_final, wavevector_transfer


def rings(**changes):
    """Make rings that see 1 + Q², counted with an error of 0.1."""
    polar = np.linspace(5, 125, 241)
    edges = np.linspace(-20, 40, 61)
    middle = incident_and_final((edges[1:] + edges[:-1]) / 2, 50.0, "direct")
    values = {
        "polar": polar,
        "polar_width": np.full(241, 0.5),
        "energy_transfer": edges,
        "intensity": 1 + wavevector_transfer(*middle, polar[:, None]) ** 2,
        "error": np.full((241, 60), 0.1),
        "fixed_energy": 50.0,
        "temperature": 20.0,
        "psi": 3.0,
    }
    return DetectorMap(**{**values, **changes})


def test_a_function_of_q_is_found_again():
    sqw = rings().to_q()
    expected = 1 + sqw.q_centres[:, None] ** 2
    difference = (sqw.intensity - expected) / expected
    assert sqw.mask.mean() > 0.4
    assert np.abs(difference[sqw.mask]).max() < 0.06
    assert np.abs(np.mean(difference[sqw.mask])) < 2e-3
    assert np.all(sqw.error[sqw.mask] <= 0.1 + 1e-12)


def test_the_map_knows_its_measurement():
    sqw = rings().to("THz").to_q(np.linspace(0, 8, 41))
    assert sqw.units["energy"] == "THz"
    assert sqw.temperature == 20
    assert (sqw.scale, sqw.ki_over_kf) == ("arbitrary", None)
    assert sqw.kinematics["fixed_energy"] == 50
    assert sqw.kinematics["psi"] == 3
    ((first, last),) = sqw.kinematics["two_theta"]
    assert (first, last) == pytest.approx((4.75, 125.25))
    np.testing.assert_array_equal(sqw.q, np.linspace(0, 8, 41))


def test_bins_of_q_are_about_as_wide_as_detectors():
    step = np.diff(rings().to_q().q)
    assert step == pytest.approx(np.full(len(step), 0.05))
    assert np.diff(rings(polar_width=np.full(241, 3.0)).to_q().q)[0] == pytest.approx(0.2)


def test_gaps_between_banks_are_not_measured():
    whole = rings()
    kept = (whole.polar < 40) | (whole.polar > 60)
    arrays = {n: getattr(whole, n)[kept] for n in ("polar", "polar_width", "intensity", "error")}
    banks = replace(whole, mask=None, **arrays)
    assert len(banks.two_theta) == 2
    sqw, full = banks.to_q(), whole.to_q()
    assert np.all(full.mask | ~sqw.mask)
    elastic = np.abs(sqw.energy_centres) < 1
    low, high = wavevector_transfer(50.0, 50.0, np.array([42.0, 58.0]))
    gap = (sqw.q_centres > low) & (sqw.q_centres < high)
    assert gap.any()
    assert not sqw.mask[np.ix_(gap, elastic)].any()
    assert full.mask[np.ix_(gap, elastic)].all()


def test_masked_and_dead_detectors_do_not_count():
    intensity = np.array(rings().intensity)
    mask = np.ones(intensity.shape, bool)
    intensity[100:140], mask[100:140] = 1e9, False
    sqw = rings(intensity=intensity, mask=mask).to_q()
    assert np.nanmax(sqw.intensity) < 200


def test_bins_without_any_count_are_unknown():
    """Zero with zero error in every detector: nobody knows how small the intensity is."""
    intensity, error = np.array(rings().intensity), np.full((241, 60), 0.1)
    intensity[:, 30], error[:, 30] = 0, 0
    intensity[::2, 31], error[::2, 31] = 0, 0
    sqw = rings(intensity=intensity, error=error).to_q(np.linspace(0, 8, 21))
    assert not sqw.mask[:, 30].any()
    both = sqw.mask[:, 31] & sqw.mask[:, 32]
    half = sqw.intensity[both, 31] / sqw.intensity[both, 32]
    np.testing.assert_allclose(half, 0.5, atol=0.1)  # zeros beside counts are counts


def test_widths_that_overlap_can_be_replaced():
    wide = rings(polar_width=np.full(241, 8.0))
    edges = np.linspace(0, 8, 81)
    blurred, sharp = wide.to_q(edges), wide.to_q(edges, width=0.5)
    reference = rings().to_q(edges)
    both = sharp.mask & reference.mask
    np.testing.assert_allclose(sharp.intensity[both], reference.intensity[both])
    assert np.median(blurred.error[both] / sharp.error[both]) < 0.7


def test_indirect_geometry_reaches_high_energies():
    sqw = rings(
        geometry="indirect", fixed_energy=4.0, energy_transfer=np.linspace(0, 300, 61)
    ).to_q()
    assert sqw.mask[:, -1].any()
    q = sqw.q_centres[sqw.mask[:, -1]]
    kf, ki = np.sqrt(np.array([4.0, 301.5]) / 2.0721248)
    assert q.min() > ki - kf - 0.2
    assert q.max() < ki + kf + 0.2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fixed_energy": -3.0}, "no neutron energy"),
        ({"polar_width": np.zeros(241)}, "no scattering angle"),
        ({"polar": np.linspace(170, 190, 241)}, "no scattering angle"),
        ({"energy_transfer": np.linspace(1, 0, 61)}, "no list of bin edges"),
        ({"intensity": np.ones((241, 3))}, "intensity has shape"),
    ],
)
def test_impossible_detectors_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        rings(**changes)


def test_banks_at_single_angles_are_rings_too():
    """An instrument may be told as 45° and 135°: each is a ring of hardly any width."""
    seen = ((45.0, 45.0), (135.0, 135.0))
    sqw = rings().to_q(np.linspace(0, 9, 181))
    known = {"geometry": "direct", "fixed_energy": 50.0, "two_theta": seen}
    found = DetectorMap.from_sqw(replace(sqw, kinematics=known))
    np.testing.assert_allclose(found.polar, [45, 135])
    q = wavevector_transfer(
        *incident_and_final(found.energy_transfer[:-1] + 0.5, 50.0, "direct"), 45.0
    )
    np.testing.assert_allclose(found.intensity[0], 1 + q**2, rtol=0.06)


def test_picture():
    ax = rings(intensity=np.where(rings().intensity > 20, np.nan, 1.0)).plot()
    assert "2θ" in ax.get_xlabel()
    assert "arb. units" in ax.figure.axes[1].get_ylabel()
    ax.figure.canvas.draw()
    plt.close(ax.figure)
