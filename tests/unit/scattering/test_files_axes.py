"""Names and units of axes as the field spells them."""

import numpy as np
import pytest

from scatterml_ase.errors import InputError
from scatterml_ase.scattering.files.axes import factor_of, in_our_unit, kind_of

ENERGY = {
    "meV": 1,
    "MEV": 1,
    "millielectronvolt": 1,
    "DeltaE": 1,
    "eV": 1e3,
    "THz": 4.135667697,
    "cm^-1": 0.123984198,
    "cm-1": 0.123984198,
    "1/cm": 0.123984198,
    "cm⁻¹": 0.123984198,
    "1.60218e-22*m**2*kg*s**-2": 1,
    "1.602176634e-19*kg*m**2*s**-2": 1e3,
    "[meV]": 1,
}
WAVEVECTOR = {
    "angstrom^-1": 1,
    "Angstrom^-1": 1,
    "A^-1": 1,
    "A-1": 1,
    "1/A": 1,
    "1/angstrom": 1,
    "1/ angstroms": 1,
    "Å⁻¹": 1,
    "Å^-1": 1,
    "angstrom**-1": 1,
    "inverse_angstroms": 1,
    "nm^-1": 0.1,
    "1e+10*m**-1": 1,
    "1.0*m**-1": 1e-10,
    "in 1.987 A^-1": 1.987,
    "0.5 Å^-1": 0.5,
    "MomentumTransfer": 1,
}


@pytest.mark.parametrize("unit", ENERGY)
def test_units_of_energy(unit):
    assert factor_of(unit, "energy") == pytest.approx(ENERGY[unit], rel=1e-8)
    assert factor_of(unit, "wavevector") is None
    assert kind_of("axis", unit) == "energy"


@pytest.mark.parametrize("unit", WAVEVECTOR)
def test_units_of_wavevectors(unit):
    assert factor_of(unit, "wavevector") == pytest.approx(WAVEVECTOR[unit], rel=1e-12)
    assert factor_of(unit, "energy") is None
    assert kind_of("axis", unit) == "wavevector"


@pytest.mark.parametrize(
    "unit", ["", "K", "r.l.u.", "counts", "degree", "m", "s**-2", "1/meV", "meters"]
)
def test_other_units_are_neither(unit):
    assert factor_of(unit, "energy") is None
    assert factor_of(unit, "wavevector") is None


@pytest.mark.parametrize(
    "name", ["E", "en", "energy_transfer", "DeltaE", "hw", "ħω", "omega", "dE"]
)
def test_names_of_energy(name):
    assert kind_of(name, None) == "energy"


@pytest.mark.parametrize(
    "name", ["Q", "|Q|", "q_centres", "mod_q", "momentum transfer", "wavevector"]
)
def test_names_of_wavevectors(name):
    assert kind_of(name, "") == "wavevector"


@pytest.mark.parametrize("name", ["T", "intensity", "axis1", "polar", "time", "detector"])
def test_other_names_are_neither(name):
    assert kind_of(name, None) is None


def test_the_unit_of_the_file_wins_where_it_is_known():
    values = np.array([1.0, 2.0])
    told = {"energy": "eV"}
    np.testing.assert_allclose(in_our_unit(values, "E", "meV", "energy", told), [1, 2])
    np.testing.assert_allclose(in_our_unit(values, "E", "odd", "energy", told), [1e3, 2e3])
    np.testing.assert_allclose(in_our_unit(values, "E", "", "energy", told), [1e3, 2e3])
    with pytest.raises(InputError, match="'odd' and 'parsec' is not known"):
        in_our_unit(values, "E", "odd", "energy", {"energy": "parsec"})
