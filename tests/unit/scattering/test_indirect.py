"""Spectrometers of indirect geometry: a fixed final energy, and banks along trajectories Q(E)."""

import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase.errors import InputError
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering import view
from scatterml_ase.scattering.bank_spectra import bank_spectra
from scatterml_ase.scattering.instruments import Instrument
from scatterml_ase.units import INVERSE_CM_TO_MEV

C = 2.0721248  # meV Å²

# |Q| in Å⁻¹ in the middle of each bank at E in meV, by hand: k² = E/C, law of cosines.
BY_HAND = {
    ("TOSCA", "forward", 0.0): 1.0816,  # 2 k sin(45.995°/2), k = 1.38416
    ("TOSCA", "backward", 100.0): 8.1049,  # √(50.176 + 1.916 + 13.599), 133.905°
    ("VISION", "backward", 0.0): 2.5608,  # 2 k sin(67.675°)
    ("VISION", "forward", 50.0): 4.2321,  # √(26.046 + 1.916 − 10.051), 44.65°
    ("LAGRANGE", "analyser", 50.0): 4.3310,
}


@pytest.mark.parametrize(("name", "bank", "energy"), BY_HAND)
def test_trajectories_by_hand(name, bank, energy):
    found = Instrument.load(name).trajectories(np.array([energy]))[bank]
    assert found[0] == pytest.approx(BY_HAND[name, bank, energy], abs=1e-3)


@pytest.mark.parametrize(
    ("name", "final", "angles"),
    [
        ("TOSCA", 3.97, [(38.88, 53.11), (126.97, 140.84)]),
        ("VISION", 3.97, [(40.15, 49.15), (130.85, 139.85)]),
        ("Lagrange", 4.5, [(10, 90)]),
    ],
)
def test_the_final_energy_is_fixed(name, final, angles):
    instrument = Instrument.load(name)
    assert instrument.geometry == "indirect"
    assert instrument.fixed_energy() == final
    assert instrument.two_theta == tuple(angles)
    assert len(instrument.sources) >= 3
    assert view.resolve_instrument(name, None) == (instrument, final)
    with pytest.raises(InputError, match=r"final energy is fixed, at .* meV\. Leave"):
        instrument.fixed_energy(60.0)
    with pytest.raises(InputError, match="crystals select the final energy"):
        Instrument.load(name, chopper_frequency=300)


@pytest.mark.parametrize("name", ["TOSCA", "VISION"])
def test_the_resolution_of_tosca_and_vision(name):
    """σ = 2.5 + 0.005 E + 1e-7 E² in cm⁻¹."""
    instrument = Instrument.load(name, width_scale=2.0)
    energies = np.array([0.0, 500.0, 2000.0, 4000.0])
    sigma = instrument.energy_sigma(energies * INVERSE_CM_TO_MEV, 3.97) / INVERSE_CM_TO_MEV
    np.testing.assert_allclose(sigma, 2 * np.array([2.5, 5.025, 12.9, 24.1]), rtol=1e-12)


# Half of the reported widths in meV, as the source prints their coefficients.
LAGRANGE = {
    ("Cu220", 10.0): 0.4,  # the floor
    ("Cu220", 100.0): (7.6987e-5 * 1e4 + 2.156 - 0.035961) / 2,
    ("Cu331", 100.0): (-8.60511597e-2 + 1.11911095 + 5.15925386e-2 + 0.658362118) / 2,
    ("Si311", 30.0): 0.4,
    ("Si111", 5.0): 0.4,
}


@pytest.mark.parametrize(("setting", "energy"), LAGRANGE)
def test_the_resolution_of_lagrange(setting, energy):
    instrument = Instrument.load(f"Lagrange:{setting}")
    sigma = instrument.energy_sigma(np.array([energy]), 4.5)[0]
    assert sigma == pytest.approx(LAGRANGE[setting, energy], rel=1e-7)
    assert instrument.name == f"LAGRANGE:{setting}"


def test_a_monochromator_limits_what_is_measured():
    """Cu(220) offers E_i of 26 to 500 meV: nothing is seen below E = 21.5 meV."""
    instrument = Instrument.load("LAGRANGE")
    energies = np.linspace(0, 60, 121)
    seen = instrument.measured_bins(np.linspace(0, 9, 91), energies, 4.5).any(axis=0)
    np.testing.assert_array_equal(seen, energies[:-1] + 0.25 >= 21.5)
    assert instrument.largest_transfer(4.5) == 495.5
    assert Instrument.load("TOSCA").largest_transfer(3.97) == np.inf


def test_an_unknown_setting_lists_the_known():
    with pytest.raises(InputError, match="LAGRANGE:Cu220, LAGRANGE:Cu331"):
        Instrument.load("Lagrange:Ge111")
    with pytest.raises(InputError, match="only one"):
        Instrument.load("TOSCA:fast")


def test_custom_instruments_of_indirect_geometry():
    instrument = Instrument.custom([45, (130, 140)], final_energy=4.0, energy_fwhm=(0.5, 0.01))
    assert instrument.geometry == "indirect"
    assert instrument.banks == ("45°", "130°–140°")
    np.testing.assert_allclose(instrument.energy_fwhm(np.array([0.0, 100.0]), 4.0), [0.5, 1.5])
    same = Instrument.custom(np.array([[45, 45], [130, 140]]), final_energy=4.0)
    assert same.two_theta == instrument.two_theta
    assert instrument.describe()["final_energy"] == 4.0


def test_the_angles_of_vision_are_those_of_its_tubes():
    """Tubes of 6.375 inch along the radius, seen in an analyser half as far away."""
    ends = 0.5174 + np.array([-1, 1]) * 6.375 * 0.0254 / 2
    forward = np.degrees(np.arctan(ends / 0.5174))
    found = Instrument.load("VISION").two_theta
    np.testing.assert_allclose(found, [forward, 180 - forward[::-1]], atol=0.01)


def test_bins_are_measured_where_a_bank_crosses_them():
    """A single angle marks the bins that its trajectory passes through, and no others."""
    instrument = Instrument.custom([45, 135], final_energy=3.97)
    q, energies = np.linspace(0, 9, 181), np.linspace(0, 100, 101)
    seen = instrument.measured_bins(q, energies, 3.97)
    at_edges = instrument.trajectories(energies)
    for k in range(100):
        expected = np.zeros(180, dtype=bool)
        for line in at_edges.values():
            expected |= (q[1:] > line[k] - 1e-3) & (q[:-1] < line[k + 1] + 1e-3)
        assert not (seen[:, k] & ~expected).any()
        assert seen[:, k].any()


# -- spectra --------------------------------------------------------------------------------------


def flat_map(function, **options):
    """Make a map of a function of |Q| and E, with the mean over each bin at its centre."""
    q, energies = np.linspace(0, 9, 361), np.linspace(0, 100, 51)
    centres = [(edges[1:] + edges[:-1]) / 2 for edges in (q, energies)]
    values = function(centres[0][:, None], centres[1][None])
    return SqwMap(
        crystal=Crystal.from_atoms(bulk("Al")), q=q, energy_transfer=energies,
        intensity=np.broadcast_to(values, (360, 50)), temperature=20.0, **options,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["TOSCA", "VISION", "LAGRANGE"])
def test_spectra_are_means_over_the_bank(name):
    """Of S = Q² E, a bank gives the mean of Q² over the range that it sees, times E."""
    instrument = Instrument.load(name)
    sqw = flat_map(lambda q, e: q**2 * e)
    spectra = instrument.spectra(sqw)
    assert tuple(spectra) == instrument.banks
    for (first, last), cut in zip(instrument.two_theta, spectra.values(), strict=True):
        ki = np.sqrt((cut.centres + instrument.final_energy) / C)
        kf = np.sqrt(instrument.final_energy / C)
        ends = [np.sqrt(ki**2 + kf**2 - 2 * ki * kf * np.cos(np.radians(a))) for a in (first, last)]
        mean = (ends[0] ** 2 + ends[0] * ends[1] + ends[1] ** 2) / 3
        kept = cut.centres > 5
        np.testing.assert_allclose(cut.intensity[kept], (mean * cut.centres)[kept], rtol=4e-3)
        assert cut.temperature == 20.0
        assert cut.provenance["bank"]["two_theta"] == (first, last)


def test_spectra_of_a_masked_map_use_what_is_measured():
    """A constant stays constant, its error shrinks with the number of bins, and gaps are NaN."""
    instrument = Instrument.load("TOSCA")
    whole = flat_map(lambda q, e: 0 * q * e + 3.0)
    mask = instrument.measured_bins(whole.q, whole.energy_transfer, 3.97)
    mask[:, 20] = False
    sqw = flat_map(
        lambda q, e: 0 * q * e + 3.0, mask=mask, error=np.full(mask.shape, 0.5),
        kinematics=instrument.map_kinematics(3.97),
    )  # fmt: skip
    for cut in bank_spectra(sqw).values():
        assert np.isnan(cut.intensity[20])
        known = np.delete(np.arange(50), 20)
        np.testing.assert_allclose(cut.intensity[known], 3.0)
        assert (cut.error[known] < 0.4).all()


def test_spectra_know_their_parts():
    parts = np.stack([np.full((360, 50), 1.0), np.full((360, 50), 2.0)])
    sqw = flat_map(lambda q, e: 0 * q * e + 3.0, parts=parts, part_names=("1 phonon", "2 phonons"))
    for cut in Instrument.load("TOSCA").spectra(sqw).values():
        assert cut.part_names == ("1 phonon", "2 phonons")
        np.testing.assert_allclose(cut.parts[1], 2.0)


def test_spectra_need_a_powder_and_an_instrument():
    with pytest.raises(InputError, match="belongs to no instrument"):
        bank_spectra(flat_map(lambda q, e: q + e))
    path = flat_map(lambda q, e: q + e, axis="path")
    with pytest.raises(InputError, match="of a path"):
        Instrument.load("TOSCA").spectra(path)


def test_spectra_of_a_map_of_another_instrument_are_refused():
    """It has that one's resolution, and is measured elsewhere."""
    arcs = Instrument.load("ARCS").map_kinematics(60.0)
    with pytest.raises(InputError, match=r"another instrument .* than TOSCA.*at 60 meV"):
        Instrument.load("TOSCA").spectra(flat_map(lambda q, e: q * e, kinematics=arcs))
    graphite = Instrument.load("LAGRANGE").map_kinematics(4.5)
    with pytest.raises(InputError, match=r"another instrument .* than TOSCA.*at 4.5 meV"):
        Instrument.load("TOSCA").spectra(flat_map(lambda q, e: q * e, kinematics=graphite))
    with pytest.raises(InputError, match=r"ARCS at 80 meV"):
        Instrument.load("ARCS").spectra(flat_map(lambda q, e: q * e, kinematics=arcs), 80.0)


def test_energies_that_a_monochromator_does_not_reach_are_told():
    instrument = Instrument.load("LAGRANGE:Cu331")
    mask = instrument.measured_bins(np.linspace(0, 9, 91), np.linspace(0, 45, 46), 4.5)
    with pytest.raises(InputError, match=r"E is not within 62.5 … 495.5 meV"):
        view.check_something_measured(mask, instrument, 4.5)


def test_spectra_convert_units_first():
    sqw = flat_map(lambda q, e: q * e)
    expected = Instrument.load("TOSCA").spectra(sqw)
    found = Instrument.load("TOSCA").spectra(sqw.to("THz"))
    for bank, cut in expected.items():
        np.testing.assert_allclose(found[bank].intensity, cut.intensity, rtol=1e-12)
