"""Instruments of indirect geometry and measurements, on a crystal of springs."""

import numpy as np
import pytest

from scatterml_ase.errors import InputError
from scatterml_ase.scattering.instruments import Instrument
from scatterml_ase.scattering.measurement import Measurement
from scatterml_ase.scattering.path import PathScattering
from scatterml_ase.scattering.powder import PowderScattering
from scatterml_ase.scattering.scatterer import mean_square_displacements

BINS = {"q_edges": np.linspace(0, 10, 26), "energy_edges": np.linspace(0, 120, 61)}
QUICK = {"tolerance": 0.5, "maximum_wavevectors": 4000, "progress": False}


def test_a_powder_on_an_indirect_instrument(zincblende):
    """The same map as with a width of the user's own, where a bank sees it."""
    instrument = Instrument.custom([(40, 50), (130, 140)], final_energy=4.0, energy_fwhm=3.0)
    seen = PowderScattering(300, instrument=instrument, **BINS, **QUICK)(zincblende)
    whole = PowderScattering(300, energy_fwhm=3.0, **BINS, **QUICK)(zincblende)
    np.testing.assert_array_equal(
        seen.mask, instrument.measured_bins(seen.q, seen.energy_transfer, 4.0) & whole.mask
    )
    assert 0.05 < seen.mask.mean() < 0.2
    np.testing.assert_allclose(seen.intensity[seen.mask], whole.intensity[seen.mask], rtol=1e-9)
    assert seen.kinematics["geometry"] == "indirect"
    assert seen.kinematics["fixed_energy"] == 4.0


def test_default_bins_of_an_indirect_instrument_hold_all_modes(zincblende):
    """The final energy is small, but does not limit what neutrons lose."""
    sqw = PowderScattering(20, instrument="VISION", q_edges=BINS["q_edges"], **QUICK)(zincblende)
    highest = zincblende.mesh_modes(6).frequencies.max()
    assert sqw.energy_transfer[-1] > 1.1 * highest
    assert sqw.mask[:, -1].any()


def test_a_path_on_an_indirect_instrument(zincblende):
    """A point is measured where some crystal setting puts a bank there: k_i² = (E_f + E)/c."""
    sqw = PathScattering(300, path="GXWKGL", zone=(2, 1, 0), points=80, instrument="TOSCA")(
        zincblende
    )
    lengths = np.linalg.norm(sqw.q_reduced @ zincblende.crystal.reciprocal_cell, axis=1)
    c = 2.0721248
    ki, kf = np.sqrt((3.97 + sqw.energy_centres) / c), np.sqrt(3.97 / c)
    cosine = (ki**2 + kf**2 - lengths[:, None] ** 2) / (2 * ki * kf)
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    inside = ((angle > 38.88) & (angle < 53.11)) | ((angle > 126.97) & (angle < 140.84))
    np.testing.assert_array_equal(sqw.mask[:, 1:], (inside & (np.abs(cosine) < 1))[:, 1:])
    assert sqw.mask.any()


def test_the_elastic_line_moves_as_the_crystal_does(zincblende):
    """Force constants give the Debye–Waller factor at the temperature of the map."""
    sqw = PowderScattering(600, instrument="MAPS", incident_energy=200, **BINS, **QUICK)(zincblende)
    found = Measurement("MAPS", 200)(sqw, zincblende)
    motion = mean_square_displacements(zincblende, 600.0)
    expected = Measurement("MAPS", 200, displacements=motion)(sqw)
    np.testing.assert_array_equal(found.intensity, expected.intensity)
    colder = mean_square_displacements(zincblende, 10.0)
    frozen = Measurement("MAPS", 200, displacements=colder)(sqw)
    at_zero = found.mask[:, 0] & (found.q_centres > 6)
    assert (found.intensity[at_zero, 0] < frozen.intensity[at_zero, 0]).mean() > 0.9


def test_an_incident_energy_has_no_place_in_indirect_geometry(zincblende):
    with pytest.raises(InputError, match="Leave incident_energy out"):
        PowderScattering(300, instrument="TOSCA", incident_energy=60)(zincblende)
    with pytest.raises(InputError, match=r"TOSCA at E_f = 3\.97 meV measures none"):
        PowderScattering(300, instrument="TOSCA", q_edges=[20, 30])(zincblende)
