"""What an instrument shows: resolution, elastic line, gaps, background, noise, each by itself."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase.errors import InputError
from scatterml_ase.physics.broadening import SIGMA_TO_FWHM, broaden_known
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering.counting import poisson_counts
from scatterml_ase.scattering.elastic import ElasticLine
from scatterml_ase.scattering.instruments import Instrument
from scatterml_ase.scattering.measurement import Measurement
from scatterml_ase.scattering.nuclei import Nuclei
from scatterml_ase.scattering.self_shielding import Cylinder, FlatPlate
from scatterml_ase.testing import check_analyzer, check_result

CRYSTAL = Crystal.from_atoms(bulk("Al", a=4.05))
MOTION = 0.008 * np.eye(3)[None]
DIRECT = Instrument.custom([(3, 135)], relative_energy_fwhm=(0.04, -0.03))


def powder(values=1.0, q=(0.0, 12.0, 121), energies=(-20.0, 60.0, 161), **options):
    q, energies = np.linspace(*q), np.linspace(*energies)
    shape = (len(q) - 1, len(energies) - 1)
    return SqwMap(
        crystal=CRYSTAL, q=q, energy_transfer=energies, temperature=300.0,
        intensity=np.broadcast_to(values, shape), **{"provenance": {"made": "here"}, **options},
    )  # fmt: skip


def measure(sqw, instrument=DIRECT, incident_energy=80.0, **options):
    options = {"elastic": False, "displacements": MOTION, **options}
    return Measurement(instrument, incident_energy, **options)(sqw)


# -- resolution -----------------------------------------------------------------------------------


def test_a_sharp_map_gets_the_energy_resolution():
    """A line of phonons at 20 meV gets the width of the instrument there, and keeps its area."""
    values = np.zeros((120, 160))
    values[:, 80] = 2.0  # from 20.0 to 20.5 meV
    found = measure(powder(values))
    row = found.intensity[40]
    centres = found.energy_centres
    assert row.sum() * 0.5 == pytest.approx(1.0, rel=1e-6)
    fwhm = SIGMA_TO_FWHM * np.sqrt(np.average((centres - 20.25) ** 2, weights=row))
    assert fwhm == pytest.approx(0.04 * 80 - 0.03 * 20.25, rel=0.01)


def test_a_map_of_the_instrument_has_its_resolution_already():
    values = np.zeros((120, 160))
    values[:, 80] = 2.0
    sqw = powder(values, kinematics=DIRECT.map_kinematics(80.0))
    found = measure(sqw)
    np.testing.assert_array_equal(found.intensity[found.mask], sqw.intensity[found.mask])


def test_the_resolution_of_another_instrument_is_refused():
    """Energy alone does not tell: ARCS and SEQUOIA at 80 meV are not equally sharp."""
    sqw = powder(kinematics=Instrument.load("ARCS").map_kinematics(80.0))
    assert measure(sqw, "ARCS").mask.any()
    with pytest.raises(InputError, match="another instrument or energy than SEQUOIA"):
        measure(sqw, "SEQUOIA")


def test_a_line_in_q_gets_the_width_asked_for():
    values = np.zeros((120, 160))
    values[40] = 1.0
    sqw = powder(values, kinematics=DIRECT.map_kinematics(80.0))
    column = measure(sqw, q_fwhm=0.5).cut(energy=(0, 1)).intensity
    centres = sqw.q_centres
    known = np.isfinite(column)
    mean = np.average(centres[known], weights=column[known])
    variance = np.average((centres[known] - mean) ** 2, weights=column[known])
    assert mean == pytest.approx(4.05, abs=1e-3)
    assert SIGMA_TO_FWHM * np.sqrt(variance) == pytest.approx(0.5, rel=0.02)


def test_the_instrument_knows_its_width_in_q():
    """1.5° of uncertainty of the angle: δQ = k cos θ δ(2θ) at E = 0."""
    values = np.zeros((200, 2))
    values[100] = 1.0
    instrument = replace(DIRECT, two_theta_fwhm=1.5)
    sqw = powder(
        values, q=(3.0, 5.0, 201), energies=(-0.5, 0.5, 3),
        kinematics=instrument.map_kinematics(80.0),
    )  # fmt: skip
    column = measure(sqw, instrument).intensity[:, 1]
    k = np.sqrt(80 / 2.0721248)
    expected = k * np.sqrt(1 - (4.0 / (2 * k)) ** 2) * np.radians(1.5)
    variance = np.average((sqw.q_centres - 4.005) ** 2, weights=column)
    assert SIGMA_TO_FWHM * np.sqrt(variance) == pytest.approx(expected, rel=0.03)


def test_borders_stay_as_bright():
    """What is not known is no darkness: a constant stays one up to the border."""
    mask = np.zeros((50, 3), dtype=bool)
    mask[10:30, 0] = mask[:, 1] = True
    found = broaden_known(
        np.where(mask, 7.0, np.nan), mask, np.linspace(0, 5, 51), np.full((50, 3), 0.4)
    )
    np.testing.assert_allclose(found[mask], 7.0, rtol=1e-12)
    assert not found[:, 2].any()


# -- elastic line ---------------------------------------------------------------------------------


def test_the_elastic_line_in_absolute_units():
    """Over E it is Bragg peaks plus incoherent scattering; in E it is as wide as the resolution."""
    found = measure(powder(0.0), elastic=True, q_fwhm=0.05)
    line = ElasticLine(CRYSTAL, Nuclei.of(CRYSTAL), MOTION)
    expected = line.incoherent(found.q_centres)
    expected += line.bragg(found.q, lambda q: np.full_like(q, 0.05 / SIGMA_TO_FWHM))
    near = found.mask[:, (found.energy_centres > -6) & (found.energy_centres < 6)].all(axis=1)
    assert near.sum() > 60
    content = np.nansum(found.intensity, axis=1) * 0.5
    np.testing.assert_allclose(content[near], expected[near], rtol=1e-4)
    row = np.nan_to_num(found.intensity[30])
    fwhm = SIGMA_TO_FWHM * np.sqrt(np.average(found.energy_centres**2, weights=row))
    assert fwhm == pytest.approx(0.04 * 80, rel=0.01)
    strongest = found.q_centres[np.nanargmax(content)]
    assert strongest == pytest.approx(2 * np.pi * np.sqrt(3) / 4.05, abs=0.05)  # (111)
    assert found.provenance["scattering_lengths_fm"]["Al"] == (3.449, 0.0)


def test_a_sharp_instrument_puts_the_line_into_one_bin():
    found = measure(powder(0.0), Instrument.custom([(3, 135)]), elastic=True)
    filled = (np.nan_to_num(found.intensity) > 0).any(axis=0)
    np.testing.assert_array_equal(np.flatnonzero(filled), [40])


def test_the_elastic_line_covers_what_phonons_left_out():
    """Bins at E = 0 that hold no one-phonon scattering are measured, with the elastic line."""
    mask = np.ones((120, 160), dtype=bool)
    mask[:, 39:41] = False
    sqw = powder(np.where(mask, 1.0, np.nan), mask=mask)
    assert not measure(sqw).mask[50, 39:41].any()
    with_line = measure(sqw, elastic=True)
    assert with_line.mask[50, 39:41].all()
    assert with_line.intensity[:, 39:41][with_line.mask[:, 39:41]].max() > 100


def test_the_motion_is_computed_from_force_constants(monkeypatch):
    from scatterml_ase.scattering import measurement

    asked = []

    def motion(force_constants, temperature):
        asked.append((force_constants, temperature))
        return MOTION

    monkeypatch.setattr(measurement, "mean_square_displacements", motion)
    found = Measurement(DIRECT, 80.0)(powder(), "the crystal's")
    assert asked == [("the crystal's", 300.0)]
    expected = measure(powder(), elastic=True)
    np.testing.assert_array_equal(found.intensity, expected.intensity)


def test_a_map_per_formula_unit_in_other_units_gives_the_same():
    expected = measure(powder(2.0), elastic=True)
    found = measure(powder(2.0).per("cell").to("THz"), elastic=True)
    np.testing.assert_allclose(found.intensity, expected.intensity, rtol=1e-9)


# -- detectors ------------------------------------------------------------------------------------


def test_gaps_between_detectors_are_masked():
    """At MAPS nothing is seen between 19.8° and 21.1°, unless the gaps are switched off."""
    sqw = powder(q=(5.0, 6.0, 201), energies=(-1.0, 1.0, 3))
    whole, gappy = (measure(sqw, "MAPS", 500.0, gaps=gaps) for gaps in (False, True))
    k = np.sqrt(500 / 2.0721248)
    low, high = (2 * k * np.sin(np.radians(angle / 2)) for angle in (19.8, 21.1))
    inside = (sqw.q[:-1] > low + 0.005) & (sqw.q[1:] < high - 0.005)
    assert inside.sum() > 10
    assert whole.mask[inside].all()
    assert not gappy.mask[inside].any()
    assert np.isnan(gappy.intensity[inside]).all()
    assert (whole.mask | ~gappy.mask).all()


def test_gaps_cannot_be_filled_later():
    sqw = powder(kinematics=Instrument.load("MAPS").map_kinematics(80.0))
    with pytest.raises(InputError, match="gaps between the detectors of MAPS"):
        measure(sqw, "MAPS", gaps=False)


def test_kf_over_ki_can_be_left_in():
    divided, counted = (measure(powder(3.0), ki_over_kf=flag) for flag in (True, False))
    ratio = np.sqrt((80 - counted.energy_centres) / 80)
    expected = np.where(counted.mask, divided.intensity * ratio, np.nan)
    np.testing.assert_allclose(counted.intensity, expected, rtol=1e-12)
    assert divided.ki_over_kf
    assert not counted.ki_over_kf


def test_indirect_geometry_needs_no_incident_energy():
    found = measure(powder(4.0), "TOSCA", None)
    assert found.kinematics["geometry"] == "indirect"
    assert 0.01 < found.mask.mean() < 0.1
    spectra = Instrument.load("TOSCA").spectra(found)
    inner = spectra["backward"].intensity[50:100]
    np.testing.assert_allclose(inner, 4.0, rtol=1e-4)


# -- sample ---------------------------------------------------------------------------------------


def test_a_sample_weakens_phonons_and_elastic_line_but_no_background():
    sqw, sample = powder(3.0), Cylinder(20.0, packing=0.6)
    bare = measure(sqw, elastic=True)
    shown = measure(sqw, elastic=True, sample=sample, background=0.5, ki_over_kf=False)
    expected = sample(bare).with_ki_over_kf(applied=False)
    both = shown.mask & expected.mask
    assert both.sum() == shown.mask.sum() == expected.mask.sum()
    assert np.nanmin(sample(bare).intensity / bare.intensity) < 0.9
    np.testing.assert_allclose(
        shown.intensity[both], expected.intensity[both] + 0.5, rtol=1e-9
    )  # the background is flat as counted
    assert shown.provenance["self_shielding"]["sample"] == "Cylinder"
    check_result(shown)


def test_a_sample_costs_counts():
    """Counts scatter about what leaves the sample."""
    sqw, sample = powder(3.0, kinematics=DIRECT.map_kinematics(80.0)), Cylinder(20.0)
    weaker, told = sample.shielding(sqw)
    assert told["self_shielding"]["radius"] == 20.0
    shown = measure(sqw, sample=sample, counts=1e6)
    ratio = shown.intensity / (3.0 * weaker)
    assert np.nanmean(ratio[shown.mask]) == pytest.approx(1, abs=1e-3)


def test_a_sample_is_put_in_once_and_before_the_counts():
    sqw, sample = powder(3.0, kinematics=DIRECT.map_kinematics(80.0)), FlatPlate(2.0)
    with pytest.raises(InputError, match=r"elastic line would not be.*sample="):
        measure(sample(sqw), elastic=True)
    assert measure(sample(sqw)).mask.any()
    with pytest.raises(InputError, match="shielded already"):
        measure(sample(sqw), sample=sample)
    for options in ({"counts": 100}, {"background": 0.1}):
        with pytest.raises(InputError, match=r"Counts and background.*sample="):
            sample(measure(sqw, **options))


# -- background and noise -------------------------------------------------------------------------


def test_a_background_is_flat_as_counted():
    plain, raised = (measure(powder(3.0), background=b, ki_over_kf=False) for b in (0.0, 0.7))
    np.testing.assert_allclose(
        raised.intensity - plain.intensity, np.where(plain.mask, 0.7, np.nan)
    )


def test_poisson_statistics_of_counts():
    """Mean and variance of the numbers are what was expected, and the error is their root."""
    content = np.repeat([0.0, 0.02, 0.1, 1.0], 20000) * 3.0
    found, error = poisson_counts(content, 400.0, seed=5)
    numbers = found * 400 / 3
    for k, mean in enumerate([0.0, 8.0, 40.0, 400.0]):
        group = numbers[k * 20000 : (k + 1) * 20000]
        np.testing.assert_allclose(group, np.rint(group), atol=1e-9)
        assert group.mean() == pytest.approx(mean, abs=4 * np.sqrt(mean / 20000))
        assert group.var() == pytest.approx(mean, rel=0.04)
    np.testing.assert_allclose(error * 400 / 3, np.sqrt(np.maximum(numbers, 1)))


def test_noise_scatters_about_what_is_expected_by_its_error():
    """χ² per bin is 1 where many are counted; the strongest bin has the counts asked for."""
    smooth = measure(powder(3.0))
    noisy = measure(powder(3.0), counts=900.0)
    kept = noisy.mask
    assert np.isnan(noisy.error[~kept]).all()
    pull = ((noisy.intensity - smooth.intensity) / noisy.error)[kept]
    assert np.mean(pull) == pytest.approx(0.0, abs=0.06)
    assert np.mean(pull**2) == pytest.approx(1.0, abs=0.05)
    brightest = kept[:, 5]  # most neutrons where k_f/k_i is largest
    relative = (noisy.error / noisy.intensity)[brightest, 5]
    assert np.mean(relative**-2) == pytest.approx(900.0, rel=0.05)


def test_the_same_seed_gives_the_same_counts():
    maps = [measure(powder(3.0), counts=50.0, seed=seed).intensity for seed in (1, 1, 2)]
    np.testing.assert_array_equal(maps[0], maps[1])
    assert not np.array_equal(maps[0], maps[2], equal_nan=True)


def test_without_counts_there_is_no_error():
    assert measure(powder(3.0)).error is None


# -- parts ----------------------------------------------------------------------------------------


def parted():
    """Return the sum of a line at 20 meV and a flat part."""
    values = np.zeros((2, 120, 160))
    values[0, :, 80], values[1] = 2.0, 0.5
    return powder(values.sum(axis=0), parts=values, part_names=("coherent 1", "beyond"))


@pytest.mark.parametrize("flag", [True, False])
def test_parts_are_measured_as_the_whole_is(flag):
    """Each is broadened; elastic line and background are parts of their own."""
    options = {"elastic": True, "background": 0.3, "q_fwhm": 0.2, "ki_over_kf": flag}
    found = measure(parted(), **options)
    assert found.part_names == ("coherent 1", "beyond", "elastic", "background")
    whole = measure(replace(parted(), parts=None, part_names=()), **options)
    np.testing.assert_allclose(found.intensity, whole.intensity, rtol=1e-12)
    np.testing.assert_allclose(found.parts.sum(axis=0), found.intensity, rtol=1e-12)
    alone = powder(parted().parts[0])
    expected = measure(alone, q_fwhm=0.2, ki_over_kf=flag).intensity
    coherent = found.part("coherent 1").intensity[found.mask & np.isfinite(expected)]
    np.testing.assert_allclose(coherent, expected[np.isfinite(expected)], atol=1e-12)
    assert whole.parts is None


def test_what_is_off_is_no_part():
    assert measure(parted()).part_names == ("coherent 1", "beyond")


def test_noise_belongs_to_no_part():
    noisy = measure(parted(), counts=100.0)
    assert noisy.parts is None
    assert noisy.part_names == ()


# -- contract and refusals ------------------------------------------------------------------------


def test_a_measurement_keeps_the_contract():
    analyzer = Measurement(DIRECT, 80.0, counts=100.0, displacements=MOTION)
    check_analyzer(analyzer, powder(3.0))
    result = analyzer(powder(3.0))
    check_result(result)
    assert result.provenance["made"] == "here"
    assert result.provenance["measurement"]["counts"] == 100.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"instrument": "ARCS", "incident_energy": 5.0}, "20 … 1500"),
        ({"instrument": "ARCS", "incident_energy": None}, "incident_energy in meV"),
        ({"instrument": "TOSCA"}, "final energy is fixed"),
        ({"instrument": "HUBBLE"}, "not known"),
        ({"instrument": None, "incident_energy": None}, "needs an instrument"),
        ({"counts": 0.0}, "counts=0.0"),
        ({"counts": np.nan}, "counts=nan"),
        ({"background": -1.0}, "background=-1.0"),
        ({"q_fwhm": -0.1}, "q_fwhm=-0.1"),
        ({"elastic": True, "displacements": None}, "motion of the atoms is not known"),
        ({"elastic": True, "displacements": np.eye(3)}, "3×3 tensor"),
        ({"elastic": True, "incoherent_cross_sections": {"Fe": 1.0}}, "names Fe"),
    ],
)
def test_what_cannot_be_measured_is_explained(options, message):
    with pytest.raises(InputError, match=message):
        measure(powder(), **options)


@pytest.mark.parametrize(
    ("sqw", "message"),
    [
        (powder(q=(20.0, 30.0, 11)), "measures none of the bins"),
        (powder(energies=(90.0, 100.0, 11)), "measures none of the bins"),
        (powder(axis="path"), "along a path"),
        (powder(provenance={"probe": "xray"}), "x-ray"),
        (powder(kinematics=DIRECT.map_kinematics(60.0)), "at 60 meV"),
        (powder(kinematics=Instrument.load("VISION").map_kinematics(3.97)), "indirect geometry"),
    ],
    ids=[
        "q out of reach",
        "more energy than E_i",
        "path",
        "x-rays",
        "other energy",
        "other geometry",
    ],
)
def test_maps_that_cannot_be_measured_are_explained(sqw, message):
    with pytest.raises(InputError, match=message):
        measure(sqw)


def test_nothing_is_measured_twice_nor_counted_in_the_dark():
    with pytest.raises(InputError, match="a measurement already"):
        measure(measure(powder()))
    with pytest.raises(InputError, match="nothing to count"):
        measure(powder(0.0), counts=10.0)


def test_an_unknown_crystal_has_no_elastic_line():
    sqw = replace(powder(), crystal=None)
    assert measure(sqw).crystal is None
    with pytest.raises(InputError, match="crystal is not known"):
        measure(sqw, elastic=True)
