"""A simulation beside a measurement: scale, background, χ²."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase import Crystal, SqwMap
from scatterml_ase.errors import AccuracyWarning, InputError
from scatterml_ase.physics.kinematics import wavenumber

KINEMATICS = {"geometry": "direct", "fixed_energy": 60.0}


def simulated(**changes):
    """Make a fine map with two dispersive bands."""
    q, energy = np.linspace(0, 6, 121), np.linspace(-20, 50, 281)
    x, y = np.meshgrid((q[1:] + q[:-1]) / 2, (energy[1:] + energy[:-1]) / 2, indexing="ij")
    low, high = 15 + 5 * np.sin(2 * x), 30 + 2 * np.cos(3 * x)
    intensity = x**2 * (np.exp(-((y - low) ** 2) / 20) + 0.5 * np.exp(-((y - high) ** 2) / 10))
    values = {
        "crystal": Crystal.from_atoms(bulk("NaCl", "rocksalt", a=5.64)),
        "q": q,
        "energy_transfer": energy,
        "intensity": intensity,
        "temperature": 300.0,
        "kinematics": KINEMATICS,
    }
    return SqwMap(**{**values, **changes})


def measured(scale=250.0, background=(4.0, 0.1), seed=0, **changes):
    """Measure it on coarse bins, with noise, a gap, and two numbers to be found again."""
    sqw = simulated().rebinned(np.linspace(0.5, 5.5, 26), np.linspace(-10, 48, 30))
    rng = np.random.default_rng(seed)
    truth = scale * sqw.intensity + background[0] + background[1] * sqw.energy_centres
    error = 0.02 * np.sqrt(np.abs(truth) * 100) + 0.5
    mask = np.ones(truth.shape, bool)
    mask[10:12] = False
    values = {
        "crystal": None,
        "scale": "arbitrary",
        "ki_over_kf": None,
        "intensity": truth + error * rng.normal(size=truth.shape),
        "error": error,
        "mask": mask,
    }
    return replace(sqw, **{**values, **changes})


def test_scale_and_background_are_found_within_their_errors():
    found = simulated().compare(measured(), background="linear")
    assert abs(found.scale - 250) < 4 * found.scale_error
    assert found.scale_error < 2
    energies = measured().energy_centres
    assert np.all(np.abs(found.background - 4 - 0.1 * energies) < 5 * found.background_error)
    assert found.degrees_of_freedom == 25 * 29 - 2 * 29 - 3
    assert found.chi2_per_degree == pytest.approx(1, abs=0.15)


def test_scales_scatter_as_their_error_says():
    fits = [simulated().compare(measured(seed=k), background="linear") for k in range(40)]
    spread = np.std([fit.scale for fit in fits])
    assert spread == pytest.approx(fits[0].scale_error, rel=0.35)


def test_few_counts_are_warned_of_and_rebinning_helps():
    """Poisson numbers with errors of their roots, one where there is none, as files hold them."""
    expected = simulated().rebinned(np.linspace(0.5, 5.5, 51), np.linspace(-10, 48, 117))
    bright = {"background": "none", "q": (2.0, 5.5), "energy": (8.0, 33.0)}
    counts = np.random.default_rng(0).poisson(0.3 * expected.intensity).astype(float)
    counted = replace(
        expected, scale="arbitrary", ki_over_kf=None, crystal=None,
        intensity=counts, error=np.sqrt(np.maximum(counts, 1)),
    )  # fmt: skip
    with pytest.warns(AccuracyWarning, match=r"% of the measured bins hold no count.*Rebin"):
        low = simulated().compare(counted, **bright)
    assert low.scale < 0.3 - 5 * low.scale_error
    wide = counted.rebinned(counted.q[::5], counted.energy_transfer[::4])
    right = simulated().compare(wide, **bright)
    assert abs(right.scale - 0.3) < 0.3 * (0.3 - low.scale)


def test_a_wrong_model_shows_in_chi2():
    constant = simulated().compare(measured(background=(4.0, 0.4)))
    linear = simulated().compare(measured(background=(4.0, 0.4)), background="linear")
    assert constant.chi2_per_degree > 1.5 * linear.chi2_per_degree
    without = simulated().compare(measured(), background="none")
    assert np.all(without.background == 0)
    assert without.chi2 > linear.chi2


def test_units_do_not_matter():
    reference = simulated().compare(measured())
    found = simulated().to("THz").to("nm^-1").compare(measured().to("cm^-1"))
    assert found.scale == pytest.approx(reference.scale, rel=1e-9)
    assert found.chi2 == pytest.approx(reference.chi2, rel=1e-9)
    assert found.unit_of("background") == "arbitrary/cm^-1"
    back = found.to("meV")
    np.testing.assert_allclose(back.background, reference.background, rtol=1e-9)


def test_kf_over_ki_is_put_in_where_the_measurement_has_it():
    sqw = measured(background=(0.0, 0.0))
    ratio = wavenumber(60 - sqw.energy_centres) / wavenumber(60.0)
    raw = replace(sqw, intensity=sqw.intensity * ratio, error=sqw.error * ratio, ki_over_kf=False)
    assert simulated().compare(raw).scale == pytest.approx(simulated().compare(sqw).scale, rel=0.02)
    wrong = simulated().compare(replace(raw, ki_over_kf=True))
    assert wrong.chi2 > 2 * simulated().compare(raw).chi2


def test_a_measurement_in_absolute_units_has_a_scale_of_one():
    absolute = simulated().rebinned(np.linspace(1, 5, 9), np.linspace(0, 40, 21))
    absolute = replace(absolute.per("formula_unit"), error=np.full((8, 20), 0.1), crystal=None)
    found = simulated().compare(absolute)
    assert found.scale == pytest.approx(1, rel=1e-9)
    assert found.unit_of("measured") == "mbarn/sr/meV"
    assert found.residual.scale == "formula_unit"


def test_ranges_leave_out_what_is_not_simulated():
    sqw = measured()
    spoilt = sqw.intensity + np.where(np.abs(sqw.energy_centres) < 4, 1e6, 0)
    found = simulated().compare(
        replace(sqw, intensity=spoilt), background="linear", energy=(5, 40), q=(1, 5)
    )
    assert abs(found.scale - 250) < 4 * found.scale_error
    assert not found.mask[:, np.abs(sqw.energy_centres) < 4].any()
    assert not found.mask[:2].any()


def test_without_errors_the_scatter_tells_them():
    reference = simulated().compare(measured(), background="linear")
    found = simulated().compare(measured(error=None), background="linear")
    assert np.isnan(found.chi2)
    assert abs(found.scale - 250) < 5 * found.scale_error
    assert 0.3 < found.scale_error / reference.scale_error < 6


def test_the_residual_is_what_is_left():
    found = simulated().compare(measured(), background="linear")
    residual = found.residual
    np.testing.assert_array_equal(residual.mask, found.mask)
    pull = residual.intensity[found.mask] / residual.error[found.mask]
    assert np.sum(pull**2) == pytest.approx(found.chi2)
    assert abs(pull.mean()) < 0.2


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"energy_transfer": np.linspace(1000, 1058, 30)}, {}, "share 0 bins"),
        ({"mask": np.zeros((25, 29), bool)}, {}, "share 0 bins"),
        ({}, {"energy": (100, 200)}, "share 0 bins"),
        ({}, {"background": "cubic"}, "'cubic' is not known"),
        ({"axis": "path"}, {}, "different Q"),
        ({"ki_over_kf": False, "kinematics": None}, {}, None),
    ],
)
def test_what_cannot_be_compared_is_explained(change, options, message):
    if message is None:  # the simulation knows the neutrons
        assert simulated().compare(measured(**change), **options).scale > 0
        return
    with pytest.raises(InputError, match=message):
        simulated().compare(measured(**change), **options)


def test_a_flat_simulation_has_no_scale():
    flat = simulated(intensity=np.full((120, 280), 2.0))
    with pytest.raises(InputError, match="told apart"):
        flat.compare(measured())
    assert flat.compare(measured(), background="none").scale > 0


def test_a_negative_scale_is_warned_of():
    with pytest.warns(UserWarning, match=r"scale of -.*dark"):
        simulated().compare(measured(scale=-50.0))


def test_a_bin_that_is_half_simulated_is_left_out():
    sqw = simulated()
    mask = sqw.mask.copy()
    mask[:41] = False  # up to 2.05: within the bin 1.9 … 2.1
    found = replace(sqw, mask=mask).compare(measured())
    assert not found.mask[:8].any()
    assert found.mask[8].all()


def test_pictures(tmp_path):
    found = simulated().compare(measured(), background="linear")
    ax = found.plot(q=(2, 4))
    assert "χ²" in ax.get_title()
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sorted(names) == ["250 × simulated + background", "background", "measured"]
    low, high = ax.get_ylim()
    for line in ax.get_lines():  # a fitted background may be negative
        drawn = np.asarray(line.get_ydata(), dtype=float)
        assert low < np.nanmin(drawn) <= np.nanmax(drawn) < high
    figure = found.plot_maps()
    assert [a.get_title() for a in figure.axes[:2]] == ["Measured", "Fitted"]
    figure.savefig(tmp_path / "maps.png")
    ax.figure.savefig(tmp_path / "spectrum.png")
    plt.close("all")
