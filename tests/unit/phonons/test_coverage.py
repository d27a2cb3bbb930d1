"""Structures unlike those a model was shown are told so."""

import warnings

import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase.errors import AccuracyWarning, StabilityWarning
from scatterml_ase.phonons.coverage import Coverage, packing
from scatterml_ase.phonons.harmonic_graph import crystal_edges


def salt(a=5.64, name="NaCl"):
    return bulk(name, "rocksalt", a=a)


def check(atoms, coverage):
    coverage.check(atoms, crystal_edges(atoms, 6.0), "small")


@pytest.fixture(scope="module")
def coverage():
    shown = [salt(), salt(4.03, "LiF"), salt(6.29, "KCl")]
    return Coverage.of((atoms, crystal_edges(atoms, 6.0)) for atoms in shown)


def test_a_crystal_that_was_shown_raises_no_word(coverage):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(salt(), coverage)
        check(salt(5.5), coverage)


def test_a_squeezed_crystal_is_told_of_its_shortest_contact(coverage):
    with pytest.warns(StabilityWarning, match=r"Na and Cl are 2\.35 Å apart"):
        check(salt(4.7), coverage)


def test_an_expanded_crystal_is_told_of_its_packing(coverage):
    with pytest.warns(StabilityWarning, match="fill .* of the volume"):
        check(salt(8.0), coverage)


def test_species_never_seen_in_contact_are_named(coverage):
    with (
        pytest.warns(StabilityWarning, match="Na and Na"),  # closer than in any salt shown
        pytest.warns(AccuracyWarning, match="never seen F-Na in contact"),
    ):
        check(salt(4.62, "NaF"), coverage)


def test_packing_counts_spheres():
    atoms = bulk("Si")
    assert packing(atoms) == pytest.approx(2 * 4 / 3 * np.pi * 1.11**3 / atoms.get_volume())
