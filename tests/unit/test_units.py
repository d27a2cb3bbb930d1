"""The conversion factors against two tables that others keep."""

import ase.units
import numpy as np
import pytest
from phonopy.physical_units import get_physical_units

from scatterml_ase import units
from scatterml_ase.errors import InputError

PHONOPY = get_physical_units()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (units.THZ_TO_MEV, 1e3 * ase.units._hplanck * 1e12 / ase.units._e),
        (units.INVERSE_CM_TO_MEV, 1e3 * ase.units.invcm),
        (units.BOLTZMANN, 1e3 * ase.units.kB),
        (units.HBAR2_PER_AMU, 1e23 * ase.units._hbar**2 / ase.units._amu / ase.units._e),
        (units.EV_PER_ANGSTROM3_TO_GPA, 1 / ase.units.GPa),
        (units.MEV_TO_KJ_PER_MOL, 1e-3 * ase.units.mol / ase.units.kJ),
        (units.COULOMB_EV_ANGSTROM, ase.units.Hartree * ase.units.Bohr),
        (units.ROOT_EV_PER_AMU_TO_METRE_PER_SECOND, 1e-10 * ase.units.second),
    ],
)
def test_constants_are_those_of_ase(ours, theirs):
    assert ours == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (units.THZ_TO_MEV, 1e3 * PHONOPY.THzToEv),
        (units.INVERSE_CM_TO_MEV, 1e3 * PHONOPY.CmToEv),
        (units.BOLTZMANN, 1e3 * PHONOPY.KB),
        (units.MEV_TO_KJ_PER_MOL, 1e-3 * PHONOPY.EvTokJmol),
        (
            units.ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV,
            1e3 * PHONOPY.DefaultToTHz * PHONOPY.THzToEv,
        ),
        (units.EV_PER_ANGSTROM3_TO_GPA, PHONOPY.EVAngstromToGPa),
    ],
)
def test_constants_are_those_of_phonopy(ours, theirs):
    assert ours == pytest.approx(theirs, rel=1e-6)


def test_a_silicon_atom_has_the_numbers_of_the_physics_page():
    assert pytest.approx(4.1801593, rel=1e-6) == units.HBAR2_PER_AMU
    assert pytest.approx(2.0721248, rel=1e-6) == units.HBAR2_PER_2_NEUTRON_MASS
    assert pytest.approx(2.8179403, rel=1e-6) == units.ELECTRON_RADIUS
    assert pytest.approx(7.638232e-12, rel=1e-6) == units.HBAR_PER_BOLTZMANN


@pytest.mark.parametrize("unit", ["eV", "THz", "cm^-1", "cm-1", "K", "kJ/mol"])
def test_there_and_back_is_the_identity(unit):
    there = units.conversion_factor("meV", unit)
    assert there * units.conversion_factor(unit, "meV") == pytest.approx(1, rel=1e-14)


def test_reciprocal_lengths_convert_inversely_to_lengths():
    for short, long in [("angstrom", "nm"), ("angstrom", "bohr")]:
        length = units.conversion_factor(short, long)
        wavevector = units.conversion_factor(f"{short}^-1", f"{long}^-1")
        assert length * wavevector == pytest.approx(1, rel=1e-14)


def test_spectroscopists_numbers():
    np.testing.assert_allclose(units.conversion_factor("meV", "cm^-1"), 8.0655439, rtol=1e-7)
    np.testing.assert_allclose(units.conversion_factor("meV", "THz"), 0.2417989, rtol=1e-6)


@pytest.mark.parametrize(("source", "target"), [("meV", "angstrom"), ("meV", "furlong")])
def test_a_conversion_between_dimensions_is_refused(source, target):
    with pytest.raises(InputError, match=r"Cannot convert meV to .* Use one of meV, eV"):
        units.conversion_factor(source, target)


def test_an_unknown_unit_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"'furlong' is not known.*meV.*angstrom"):
        units.conversion_factor("furlong", "meV")
    assert units.dimension("furlong") is None
