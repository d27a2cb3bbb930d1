"""Scattering lengths: the table against Sears's numbers, its own cross-sections, and a peer."""

import csv
from importlib.resources import files

import numpy as np
import pytest
from ase.data import chemical_symbols

from scatterml_ase.errors import InputError
from scatterml_ase.physics.lengths import identify, nuclide, scattering_lengths

SEARS = {
    "H": -3.7390, "D": 6.671, "Li": -1.90, "7Li": -2.22, "C": 6.6460, "N": 9.36, "O": 5.803,
    "Na": 3.63, "Mg": 5.375, "Al": 3.449, "Si": 4.1491, "S": 2.847, "Cl": 9.5770, "K": 3.67,
    "Ti": -3.438, "V": -0.3824, "Mn": -3.73, "Fe": 9.45, "Ni": 10.3, "58Ni": 14.4, "60Ni": 2.8,
    "62Ni": -8.7, "Cu": 7.718, "Zn": 5.680, "Ga": 7.288, "Ge": 8.185, "As": 6.58, "Zr": 7.16,
    "Nb": 7.054, "Mo": 6.715, "Pb": 9.405, "U": 8.417,
}  # fmt: skip


@pytest.mark.parametrize(("name", "length"), SEARS.items())
def test_values_of_sears(name, length):
    assert nuclide(name).coherent_length == pytest.approx(length, rel=1e-12)


@pytest.mark.parametrize("name", ["B", "10B", "Cd", "113Cd", "Sm", "Gd", "157Gd", "6Li", "Eu"])
def test_strong_absorbers_have_complex_lengths(name):
    """In b = b' − i b'' the imaginary part is the absorption (optical theorem)."""
    found = nuclide(name)
    assert found.coherent_length.imag < 0
    # σ_abs(1.798 Å) = 2 λ b'' (1 fm Å = 1e-25 m² = 1e3 barn)
    assert 2 * 1.798 * -found.coherent_length.imag * 1e3 == pytest.approx(
        found.absorption_cross_section, rel=0.05
    )


def table():
    text = files("scatterml_ase.physics").joinpath("data/sears1992.csv").read_text()
    rows = [line for line in text.splitlines() if not line.startswith("#")]
    return [nuclide(row["name"]) for row in csv.DictReader(rows)]


def test_every_length_agrees_with_its_cross_section():
    """σ_coh = 4π|b|² in every row, within the table's rounding."""
    assert len(table()) > 300
    for item in table():
        expected = 4 * np.pi * abs(item.coherent_length) ** 2 / 100
        assert item.coherent_cross_section == pytest.approx(expected, rel=0.15, abs=0.02), item
        if item.incoherent_length and item.name != "Am":
            expected = 4 * np.pi * abs(item.incoherent_length) ** 2 / 100
            assert item.incoherent_cross_section == pytest.approx(expected, rel=0.3, abs=0.1), item


def test_the_table_covers_all_elements_of_the_field():
    missing = []
    for number in range(1, 93):
        try:
            nuclide(chemical_symbols[number])
        except InputError:
            missing.append(chemical_symbols[number])
    assert missing == ["Po", "At", "Rn", "Fr", "Ac"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_natural_elements_equal_the_peers_table():
    pytest.importorskip("euphonic")
    from euphonic.util import get_reference_data

    reference = get_reference_data("Sears1992", "coherent_scattering_length")
    assert len(reference) > 80
    for symbol, length in reference.items():
        value = complex(length.to("fm").magnitude)
        if np.isfinite(value):
            assert nuclide(symbol).coherent_length.real == pytest.approx(value.real, rel=0.01), (
                symbol
            )


@pytest.mark.parametrize(
    ("number", "mass", "name"),
    [
        (1, 1.008, "H"), (1, 2.014, "2H"), (1, 3.016, "3H"), (3, 6.94, "Li"), (3, 6.941, "Li"),
        (3, 7.016, "7Li"), (3, 6.015, "6Li"), (5, 10.81, "B"), (5, 11.009, "11B"),
        (28, 58.6934, "Ni"), (28, 57.935, "58Ni"), (28, 59.931, "60Ni"), (30, 65.409, "Zn"),
        (6, 13.003, "13C"), (7, 15.0, "15N"), (92, 238.029, "U"), (14, 27.977, "28Si"),
    ],
)  # fmt: skip
def test_masses_tell_isotopes(number, mass, name):
    assert identify(number, mass) == name
    assert scattering_lengths([number], [mass])[1][0] == nuclide(name).coherent_length


def test_spellings_of_one_isotope():
    assert nuclide("D") == nuclide("2H") == nuclide("H2") == nuclide("H-2")


def test_overrides_by_element_isotope_and_atom():
    numbers, masses = [3, 3, 3], [6.94, 7.016, 6.94]
    names, values = scattering_lengths(numbers, masses, {"Li": -1.0, "7Li": -2.0, 2: "6Li"})
    assert names == ("Li", "7Li", "6Li")
    assert values.tolist() == [-1, -2, 2 - 0.261j]


def test_a_missing_isotope_is_explained():
    with pytest.raises(InputError, match=r"59Ni.*58Ni.*scattering_lengths="):
        scattering_lengths([28], [58.93])


def test_a_strange_mass_is_explained_and_can_be_overruled():
    with pytest.raises(InputError, match="names no nuclide"):
        scattering_lengths([1], [1.5])
    assert scattering_lengths([1], [1.5], {"H": "D"})[1][0] == 6.671


def test_an_override_of_nothing_is_explained():
    with pytest.raises(InputError, match=r"names Ga.*has Si"):
        scattering_lengths([14], [28.085], {"Ga": 7.0})


def test_a_name_that_is_no_nuclide():
    with pytest.raises(InputError, match="names no nuclide"):
        nuclide("Xy")
