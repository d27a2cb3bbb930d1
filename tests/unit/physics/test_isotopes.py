"""Mixes of isotopes: natural elements are mixes too, and the table knows them."""

import numpy as np
import pytest
from ase.data import atomic_masses, atomic_numbers

from scatterml_ase.errors import InputError
from scatterml_ase.physics.isotopes import (
    canonical,
    composition,
    mean_mass,
    nuclide,
    substitute,
    substitutions,
)
from scatterml_ase.physics.lengths import (
    absorption_cross_sections,
    incoherent_cross_sections,
    scattering_lengths,
)

# Natural abundances in per cent: Meija et al., doi 10.1515/pac-2015-0503.
NATURAL = {
    "Li": {"6Li": 7.59, "7Li": 92.41},
    "Cl": {"35Cl": 75.76, "37Cl": 24.24},
    "Ni": {"58Ni": 68.0769, "60Ni": 26.2231, "61Ni": 1.1399, "62Ni": 3.6345, "64Ni": 0.9256},
    "Cu": {"63Cu": 69.15, "65Cu": 30.85},
}


def mix(shares):
    return " + ".join(f"{share}% {name}" for name, share in shares.items())


@pytest.mark.parametrize("element", NATURAL)
def test_the_natural_mix_of_isotopes_is_the_natural_element(element):
    """Lengths, absorption and mass are means; incoherence comes from spins and from disorder."""
    found, table = nuclide(mix(NATURAL[element])), nuclide(element)
    assert found.coherent_length.real == pytest.approx(table.coherent_length.real, rel=2e-3)
    assert found.coherent_cross_section == pytest.approx(table.coherent_cross_section, rel=5e-3)
    assert found.incoherent_cross_section == pytest.approx(
        table.incoherent_cross_section, rel=0.03, abs=0.05
    )
    assert found.absorption_cross_section == pytest.approx(table.absorption_cross_section, rel=0.02)
    natural = atomic_masses[atomic_numbers[element]]
    assert mean_mass(mix(NATURAL[element])) == pytest.approx(natural, rel=2e-4)


def test_two_isotopes_without_spin_scatter_incoherently_by_disorder_alone():
    """σ_inc = 4π c(1 − c)(b₁ − b₂)²: ⁵⁸Ni and ⁶⁰Ni have no spin."""
    found = nuclide("30% 58Ni + 70% 60Ni")
    assert found.incoherent_cross_section == pytest.approx(
        4 * np.pi * 0.3 * 0.7 * (14.4 - 2.8) ** 2 / 100, rel=1e-12
    )
    assert found.coherent_length == pytest.approx(0.3 * 14.4 + 0.7 * 2.8)
    assert found.incoherent_length is None


def test_a_null_matrix_scatters_incoherently_only():
    """⁵⁸Ni and ⁶²Ni in the ratio of their lengths, 8.7 to 14.4, have no mean length."""
    share = 100 * 8.7 / (8.7 + 14.4)
    found = nuclide(f"{share:.10f}% 58Ni + {100 - share:.10f}% 62Ni")
    assert abs(found.coherent_length) < 1e-8
    assert found.incoherent_cross_section == pytest.approx(4 * np.pi * 14.4 * 8.7 / 100, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("H->D 98 %", {"H": "98% 2H + 2% H"}),
        ("H→D 98%", {"H": "98% 2H + 2% H"}),
        (" H -> 2H 100 % ", {"H": "2H"}),
        ("Li->7Li", {"Li": "7Li"}),
        ("H->D 99.5 %, Li → 7Li", {"H": "99.5% 2H + 0.5% H", "Li": "7Li"}),
        ("H->D 60 %, H->T 10 %", {"H": "60% 2H + 30% H + 10% 3H"}),
        ("7Li->6Li 50 %", {"7Li": "50% 6Li + 50% 7Li"}),
        ("D->H .5 %", {"2H": "99.5% 2H + 0.5% H"}),
        ("H->D 0 %", {"H": "H"}),
    ],
)
def test_the_syntax(text, expected):
    assert substitutions(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("H", "is no isotopic substitution.*H->D 98 %"),
        ("H->D 98", "is no isotopic substitution"),
        ("H->D 99,5 %", "'H->D 99' in 'H->D 99,5 %'"),
        ("H->D,", "'' in"),
        ("H->He", "mixes H and He"),
        ("H->D 60 %, H->T 60 %", "replaces 120 % of H"),
        ("Xx->D", "'Xx' names no nuclide"),
        ("H->D -3 %", "is no isotopic substitution"),
    ],
)
def test_what_cannot_be_read_is_explained(text, reason):
    with pytest.raises(InputError, match=reason):
        substitutions(text)


def test_spellings_of_a_mix_are_one():
    assert canonical("2 % H + 98.0%D") == canonical("98% 2H + 2% H") == "98% 2H + 2% H"
    assert canonical("100% D") == canonical("D") == "2H"
    assert composition("25% D + 25% D + 50% H") == {"2H": 0.5, "H": 0.5}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("98% D + 1% H", "add up to 99 %"),
        ("50% D + 50% He", "mixes 2H and He|mixes H and He"),
        ("50% D + H", "'H' in"),
        ("50% 9H + 50% H", "9H"),
    ],
)
def test_a_mix_that_is_none_is_explained(name, reason):
    with pytest.raises(InputError, match=reason):
        nuclide(name)


def test_masses_follow_and_other_atoms_keep_theirs():
    found = substitute("H->D 98 %, 7Li->6Li", [1, 3, 3, 8], [1.008, 7.0, 6.94, 15.9])
    assert found.nuclides == ("98% 2H + 2% H", "6Li", "", "")
    np.testing.assert_allclose(
        found.masses, [0.98 * 2.014102 + 0.02 * 1.008, 6.015123, 6.94, 15.9], rtol=1e-6
    )


def test_an_element_is_replaced_whatever_its_masses_and_names():
    found = substitute("H->D 90 %", [1, 1, 1], [2.014, 1.3, 1.99], ["", "", "98% 2H + 2% H"])
    assert set(found.nuclides) == {"90% 2H + 10% H"}
    assert np.ptp(found.masses) == 0


def test_what_is_not_there_cannot_be_replaced():
    with pytest.raises(InputError, match="replaces Li: the crystal has H, O"):
        substitute("H->D, Li->7Li", [1, 8], [1.008, 15.999])
    with pytest.raises(InputError, match="replaces 6Li: the crystal has Li"):
        substitute("6Li->7Li", [3], [6.94])


# -- as scattering lengths ------------------------------------------------------------------------


def test_a_substitution_takes_the_place_of_scattering_lengths():
    names, lengths = scattering_lengths([1, 3], [1.008, 6.94], "H->D 98 %")
    assert names == ("98% 2H + 2% H", "Li")
    np.testing.assert_allclose(lengths, [0.98 * 6.671 - 0.02 * 3.739, -1.90])
    same = scattering_lengths([1, 3], [1.008, 6.94], {"H": "98% D + 2% H"})
    assert same[0] == names
    np.testing.assert_array_equal(same[1], lengths)


def test_the_mean_mass_of_a_mix_is_not_taken_for_an_isotope():
    """1.994 amu is near 2: told by the mass alone, the mix would be pure D."""
    assert scattering_lengths([1], [1.994])[0] == ("2H",)
    names, lengths = scattering_lengths([1], [1.994], nuclides=["98% 2H + 2% H"])
    assert lengths[0] == pytest.approx(6.4628)
    assert incoherent_cross_sections(names)[0] == pytest.approx(
        0.98 * 2.05 + 0.02 * 80.26 + 4 * np.pi * 0.98 * 0.02 * (6.671 + 3.739) ** 2 / 100
    )


def test_lengths_of_the_users_own_win_over_a_mix():
    names = ["98% 2H + 2% H", "98% 2H + 2% H", "7Li"]
    own = {"98% D + 2% H": 6.0, 0: 5.0, "Li": 1.0}
    found, lengths = scattering_lengths([1, 1, 3], [1.994, 1.994, 7.016], own, nuclides=names)
    np.testing.assert_allclose(lengths, [5.0, 6.0, 1.0])
    assert found == tuple(names)


def test_absorption_of_the_table_and_of_the_users_own():
    np.testing.assert_allclose(absorption_cross_sections(["B", "2H"]), [767.0, 0.000519])
    np.testing.assert_allclose(absorption_cross_sections(["B", "B"], {1: 700.0}), [767.0, 700.0])
    with pytest.raises(InputError, match="absorption_cross_sections names Cd"):
        absorption_cross_sections(["B"], {"Cd": 1.0})
    with pytest.raises(InputError, match="not possible"):
        absorption_cross_sections(["B"], {"B": -1.0})
