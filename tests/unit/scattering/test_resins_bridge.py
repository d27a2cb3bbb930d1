"""The bridge to ResINS: used when asked for, and never otherwise."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from scatterml_ase.errors import InputError
from scatterml_ase.scattering.instruments import Instrument
from scatterml_ase.scattering.resins_bridge import resolution_from_resins


@pytest.fixture
def installed():
    pytest.importorskip("resins")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "theirs", "incident_energy", "tolerance"),
    [
        ("ARCS", "ARCS", 60.0, 0.02),
        ("SEQUOIA", "SEQUOIA", 60.0, 0.02),
        ("TOSCA", "TOSCA", None, 1e-6),
        ("LAGRANGE", "Lagrange", None, 1e-6),
    ],
)
def test_widths_of_resins_are_ours_where_the_numbers_are(name, theirs, incident_energy, tolerance):
    """One formula, two programs; Lagrange above 40 meV, where its polynomial is in force."""
    ours = Instrument.load(name)
    bridged = replace(ours, resolution=resolution_from_resins(theirs))
    fixed = ours.fixed_energy(incident_energy)
    energies = np.array([40.0, 50.0, 55.0])
    expected = ours.energy_sigma(energies, fixed)
    np.testing.assert_allclose(bridged.energy_sigma(energies, fixed), expected, rtol=tolerance)
    assert bridged.describe()["resolution"]["instrument"] == theirs
    assert bridged.resolution.fixed_energy_sigma(fixed) == 0.0


@pytest.mark.usefixtures("installed")
def test_the_incident_energy_limits_the_transfer():
    resolution = resolution_from_resins("ARCS", chopper_frequency=600)
    found = resolution.energy_sigma(np.array([0.0, 30.0, 70.0]), 60.0)
    np.testing.assert_array_equal(np.isnan(found), [False, False, True])
    slower = resolution_from_resins("ARCS").energy_sigma(np.array([0.0]), 60.0)
    assert found[0] < 0.9 * slower[0]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (("HUBBLE",), {}, "ResINS gives no resolution of 'HUBBLE'"),
        (("ARCS", "guess"), {}, "ResINS gives no resolution of 'ARCS'"),
        (("ARCS",), {"choper": 3}, r"choper is no setting of ARCS .* chopper_package"),
        (("ARCS",), {"e_init": 60}, "e_init is no setting"),
        (("TOSCA",), {"chopper_frequency": 3}, "it has none"),
    ],
)
def test_what_resins_does_not_know(arguments, settings, message):
    with pytest.raises(InputError, match=message):
        resolution_from_resins(*arguments, **settings)


@pytest.mark.usefixtures("installed")
def test_what_a_model_refuses_is_explained():
    with pytest.raises(InputError, match="ResINS gives no resolution of 'ARCS': it says"):
        resolution_from_resins("ARCS").energy_sigma(np.zeros(1), 5.0)


def test_nothing_needs_resins(monkeypatch):
    monkeypatch.setitem(sys.modules, "resins", None)
    assert Instrument.load("ARCS").energy_sigma(np.zeros(1), 60.0) > 0
    with pytest.raises(InputError, match="pip install resins"):
        resolution_from_resins("ARCS")
