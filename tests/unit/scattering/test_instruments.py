"""Spectrometers: every preset works, and its resolution is of the right size."""

import re
import tomllib
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest

from scatterml_ase.errors import AccuracyWarning, InputError
from scatterml_ase.scattering.instrument_files import known_instruments
from scatterml_ase.scattering.instruments import Instrument, find_instrument
from scatterml_ase.scattering.resolution import (
    Aperture,
    DiskChopper,
    FermiChopper,
    IkedaCarpenterPulse,
    MeasuredPulse,
    TimeOfFlightResolution,
    speed,
)

# σ in meV at E/E_i = 0, 0.5, 0.95 by PyChop's formulas and default choppers (ResINS 0.1.0).
PEER = {
    ("ARCS", 100): (2.067, 1.280, 0.900),
    ("ARCS", 30): (0.441, 0.264, 0.179),
    ("SEQUOIA", 100): (1.108, 0.842, 0.719),
    ("SEQUOIA", 30): (0.287, 0.228, 0.199),
    ("MAPS", 500): (6.613, 4.251, 3.217),
    ("MARI", 100): (0.776, 0.555, 0.455),
    ("MERLIN", 100): (2.309, 1.367, 0.936),
    ("CNCS", 12): (0.308, 0.139, 0.061),
    ("LET", 20): (0.372, 0.179, 0.083),
}
# The SNS pulses are described by one formula in both; others differ in tables and choppers.
TOLERANCE = {"ARCS": 0.02, "SEQUOIA": 0.02}


@pytest.mark.parametrize(("name", "energy"), PEER)
def test_resolution_of_presets(name, energy):
    sigma = Instrument.load(name).energy_sigma(np.array([0, 0.5, 0.95]) * energy, energy)
    np.testing.assert_allclose(sigma, PEER[name, energy], rtol=TOLERANCE.get(name, 0.28))


DIRECT = [name for name in known_instruments() if Instrument.load(name).geometry == "direct"]


@pytest.mark.filterwarnings("ignore:The chopper of")  # the ends of the range take others
@pytest.mark.parametrize("name", DIRECT)
def test_every_preset_has_sources_and_sees_something(name):
    instrument = Instrument.load(name)
    assert len(instrument.sources) >= 2
    energy = float(np.sqrt(np.prod(np.minimum(instrument.incident_energy_range, 100.0))))
    for offered in (energy, *instrument.incident_energy_range):
        assert instrument.fixed_energy(offered) == offered
    transfers = np.linspace(-0.5, 0.9, 29) * energy
    seen = instrument.measured(np.linspace(0.05, 8, 160), transfers, energy)
    assert 0.01 < seen.mean() < 0.95
    sigma = instrument.energy_sigma(transfers, energy)
    assert np.all(np.diff(sigma) < 0)  # the more energy is lost, the sharper
    np.testing.assert_allclose(instrument.energy_fwhm(transfers, energy), 2.3548 * sigma, rtol=1e-4)
    assert np.isnan(instrument.energy_sigma(np.array([1.1 * energy]), energy)[0])
    assert instrument.describe()["name"] == name


@pytest.mark.parametrize("name", known_instruments())
def test_preset_files_say_where_they_are_from(name):
    path = files("scatterml_ase.scattering").joinpath(f"data/{name.lower()}.toml")
    data = tomllib.loads(path.read_text("utf-8"))
    assert data["name"] == name
    assert data["date"]
    assert any("doi" in source or "arXiv" in source for source in data["sources"])


def test_names_are_found_in_any_case():
    assert find_instrument("sequoia") == Instrument.load("SEQUOIA")
    assert find_instrument(None) is None


def test_an_unknown_instrument_lists_the_known():
    with pytest.raises(InputError, match=r"ARCS.*SEQUOIA.*Instrument\.custom"):
        Instrument.load("HRPD")


def test_a_faster_chopper_is_sharper():
    slow, fast = (Instrument.load("ARCS", chopper_frequency=f) for f in (300, 600))
    at_zero = [i.energy_sigma(np.array([0.0]), 100.0)[0] for i in (slow, fast)]
    assert at_zero[1] < 0.9 * at_zero[0]


@pytest.mark.parametrize(
    ("name", "energy", "frequency"),
    [("MARI", 60.0, None), ("ARCS", 500.0, None), ("SEQUOIA", 8.0, 420), ("ARCS", 30.0, 600)],
)
def test_a_chopper_that_passes_nothing_is_told(name, energy, frequency):
    """ResINS refuses MARI, SEQUOIA and ARCS there: no transmission. The remedy named is one."""
    instrument = Instrument.load(name, chopper_frequency=frequency)
    with pytest.warns(AccuracyWarning, match="passes no neutrons of") as told:
        assert instrument.fixed_energy(energy) == energy
    low, high = (
        float(n) for n in re.search(r"between (\d+) and (\d+) Hz", str(told[0].message)).groups()
    )
    for open_for in (0.99 * low + 0.01 * high, 0.01 * low + 0.99 * high):
        Instrument.load(name, chopper_frequency=open_for).fixed_energy(energy)


def test_a_chopper_opens_where_gamma_is_below_four():
    """2ω/v meets the curvature of the slits in the middle of the frequencies that pass."""
    chopper = FermiChopper(slit_width=0.76, radius=49.0, curvature=1300.0, frequency=300)
    low, high = chopper.passing_frequencies(60.0)
    middle = float(speed(60.0)) / (4 * np.pi * 1.3)
    assert (low + high) / 2 == pytest.approx(middle)
    widths = [replace(chopper, frequency=f).sigma(60.0) * f for f in (0.999 * high, middle)]
    assert widths[0] < 0.1 * widths[1]


def test_width_scale_multiplies_every_width():
    instrument = Instrument.load("MAPS")
    wider = replace(instrument, width_scale=1.15)
    energies = np.linspace(0, 80, 9)
    np.testing.assert_allclose(
        wider.energy_sigma(energies, 100), 1.15 * instrument.energy_sigma(energies, 100)
    )


def test_custom_instrument_without_and_with_resolution():
    sharp = Instrument.custom([(3, 135)])
    assert not sharp.energy_sigma(np.array([0.0, 10.0]), 50.0).any()
    wide = Instrument.custom([(3, 135)], relative_energy_fwhm=(0.04, -0.03))
    np.testing.assert_allclose(wide.energy_fwhm(np.array([0.0, 50.0]), 50.0), [2.0, 0.5])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"two_theta": [(60, 20)]}, "0° to 180°"),
        ({"two_theta": [200.0]}, "0° to 180°"),
        ({"two_theta": []}, "no detectors"),
        ({"two_theta": 90.0}, "no scattering angles"),
        ({"two_theta": [(3, 30, 60)]}, "no scattering angles"),
        ({"final_energy": -4.0}, "final_energy=-4.0"),
        ({"two_theta_fwhm": 0.0}, "two_theta_fwhm=0.0"),
        ({"energy_fwhm": 1.0, "relative_energy_fwhm": 0.02}, "given twice"),
        ({"energy_fwhm": np.nan}, "no energy width"),
        ({"relative_energy_fwhm": -0.1}, "no energy width"),
    ],
)
def test_impossible_custom_instruments(options, message):
    with pytest.raises(InputError, match=message):
        Instrument.custom(**{"two_theta": [(3, 135)], **options})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"final_energy": 4.0}, "of direct geometry with a final energy"),
        ({"geometry": "indirect"}, "of indirect geometry with a final energy of None"),
        ({"width_scale": 0.0}, "width_scale=0.0"),
        ({"banks": ("one", "two")}, "2 names for 1 banks"),
        ({"two_theta": ((3, 40), (60, 90)), "banks": ("one", "one")}, "of one name: one, one"),
    ],
)
def test_contradictions_are_explained(fields, message):
    with pytest.raises(InputError, match=message):
        replace(Instrument.load("ARCS"), **fields)


@pytest.mark.parametrize("frequency", [0.0, -60.0, np.inf, np.nan])
def test_impossible_chopper_frequencies(frequency):
    with pytest.raises(InputError, match="how often the chopper turns"):
        Instrument.load("ARCS", chopper_frequency=frequency)


@pytest.mark.parametrize(
    ("name", "first", "distance"),
    [
        ("CNCS", DiskChopper(20.0, 2.0, 20.0, 60.0), 6.413),
        ("LET", DiskChopper(40.0, 40.0, 290.0, 60.0, disks=2), 7.83),
    ],
)
def test_first_choppers_that_are_left_out_do_not_matter(name, first, distance):
    """At their usual frequency (PyChop) the moderator tells the speed better at every E_i."""
    instrument = Instrument.load(name)
    path, moderator = instrument.resolution.source_chopper, instrument.resolution.moderator
    for energy in np.geomspace(*instrument.incident_energy_range, 20):
        assert first.sigma(energy) / (path - distance) > 1.5 * moderator.sigma(energy) / path


def test_how_sharp_the_incident_energy_is():
    """Two times on one path tell a speed: δE_i/E_i = 2 δt v_i/L."""
    resolution, energy = Instrument.load("ARCS").resolution, 20.0
    late = np.hypot(resolution.moderator.sigma(energy), resolution.chopper.sigma(energy)) * 1e-6
    expected = 2 * energy * late * float(speed(energy)) / 11.61
    assert resolution.fixed_energy_sigma(energy) == pytest.approx(expected, rel=1e-12)


def test_angle_and_incident_energy_blur_the_momentum():
    """At E = 0, Q = 2k sin θ: δQ = k cos θ δ(2θ), and δQ/Q = δE_i/2E_i."""
    by_angle = Instrument.custom([(3, 135)], two_theta_fwhm=1.0)
    k, q = np.sqrt(50 / 2.0721248), np.array([1.0, 4.0])
    cosine = np.sqrt(1 - (q / (2 * k)) ** 2)
    found = by_angle.q_sigma(q, np.array([0.0]), 50.0)[:, 0]
    np.testing.assert_allclose(found, k * cosine * np.radians(1.0 / 2.35482), rtol=1e-5)
    arcs = replace(Instrument.load("ARCS"), two_theta_fwhm=None)
    spread = arcs.resolution.fixed_energy_sigma(50.0)
    found = arcs.q_sigma(q, np.array([0.0]), 50.0)[:, 0]
    np.testing.assert_allclose(found, q * spread / 100.0, rtol=1e-9)
    assert not arcs.q_sigma(np.array([30.0]), np.array([0.0]), 50.0).any()  # out of reach


def monte_carlo(resolution, energy_transfer, incident_energy, count=200_000):
    """Fly neutrons through the instrument and record the energy transfer as it does."""
    generator = np.random.default_rng(3)
    l1, x, l2 = resolution.source_chopper, resolution.chopper_sample, resolution.sample_detector
    start = generator.normal(0, resolution.moderator.sigma(incident_energy), count) * 1e-6
    late = generator.normal(0, resolution.chopper.sigma(incident_energy), count) * 1e-6
    nominal_in, nominal_out = speed(incident_energy), speed(incident_energy - energy_transfer)
    at_chopper = l1 / nominal_in
    speed_in = l1 / (at_chopper + late - start)
    loss = energy_transfer  # what the sample takes is sharp
    energy_in = incident_energy * (speed_in / nominal_in) ** 2
    speed_out = speed(energy_in - loss)
    path = l2 + generator.normal(0, resolution.detector_depth / 4, count)
    arrival = at_chopper + late + x / speed_in + path / speed_out
    recorded = l2 / (arrival - at_chopper - x / nominal_in)
    assumed = incident_energy - (incident_energy - loss) * (recorded / nominal_out) ** 2
    return np.std(assumed)


@pytest.mark.parametrize("transfer", [0.0, 30.0, 50.0])
def test_first_order_widths_equal_those_of_flown_neutrons(transfer):
    """δE by the formula is the spread of what 200 000 simulated neutrons record."""
    resolution = TimeOfFlightResolution(
        moderator=MeasuredPulse((1.0, 4.0), (20.0, 40.0)),
        chopper=FermiChopper(slit_width=1.5, radius=50.0, curvature=580.0, frequency=400.0),
        source_chopper=11.6,
        chopper_sample=2.0,
        sample_detector=3.0,
        detector_depth=0.025,
    )
    sigma = float(resolution.energy_sigma(np.array([transfer]), 80.0)[0])
    assert sigma == pytest.approx(monte_carlo(resolution, transfer, 80.0), rel=0.02)


def test_pulse_widths():
    """Closed forms: FWHM → σ, slowing down ∝ λ, a straight slit, one disk, two disks."""
    pulse = MeasuredPulse((2.0, 4.0), (20.0, 40.0))
    assert pulse.sigma(81.8042 / 9) == pytest.approx(30 / 2.3548, rel=1e-3)  # 3 Å
    assert pulse.sigma(81.8042) == pytest.approx(10 / 2.3548, rel=1e-3)  # 1 Å, below the table
    decay = IkedaCarpenterPulse(s1=100.0, s2=0.0, b1=0.05, b2=0.1, switch_energy=1e9)
    fast = 1 / (float(speed(50.0)) * 1e-4)
    assert decay.sigma(50.0) == pytest.approx(np.sqrt(3 * fast**2 + 400), rel=1e-6)
    slit = FermiChopper(slit_width=1.0, radius=50.0, curvature=1e12, frequency=1e-6)
    opening = 1.0 / (2 * 50.0 * 2 * np.pi * 1e-6)
    assert slit.sigma(100.0) == pytest.approx(opening / np.sqrt(6) * 1e6, rel=1e-3)
    tip = 2 * np.pi * 0.3 * 100
    one = DiskChopper(slot_width=20, beam_width=10, radius=300, frequency=100)
    assert one.sigma(5.0) == pytest.approx(np.sqrt(500 / 12) / tip * 1e3, rel=1e-6)
    two = DiskChopper(slot_width=20, beam_width=20, radius=300, frequency=100, disks=2)
    assert two.sigma(5.0) == pytest.approx(10 / tip / np.sqrt(6) * 1e3, rel=1e-6)


def test_a_wide_beam_blurs_and_tilt_can_compensate():
    plain = TimeOfFlightResolution(
        moderator=MeasuredPulse((1.0, 4.0), (20.0, 40.0)),
        chopper=FermiChopper(slit_width=1.5, radius=50.0, curvature=580.0, frequency=400.0),
        source_chopper=11.6,
        chopper_sample=2.0,
        sample_detector=3.0,
    )
    widths = [
        float(replace(plain, aperture=aperture).energy_sigma(np.zeros(1), 80.0)[0])
        for aperture in (None, Aperture(0.1, 9.0, 20.0), Aperture(0.1, 9.0, -20.0))
    ]
    assert widths[0] < widths[1] < widths[2]
