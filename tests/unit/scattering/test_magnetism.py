"""Magnetic scattering is not calculated: that is said where it matters, and nowhere else."""

import warnings

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from scatterml_ase import Crystal, FiniteDisplacementPhonons, PathScattering, PowderScattering
from scatterml_ase.scattering.magnetism import NOT_INCLUDED, describe_magnetism, warn_of_magnetism
from scatterml_ase.testing import check_result


def test_a_crystal_remembers_moments():
    atoms = bulk("Fe")
    crystal = Crystal.from_atoms(atoms)
    np.testing.assert_allclose(crystal.magnetic_moments, [2.3])
    check_result(crystal)
    atoms = bulk("Cu")
    atoms.set_initial_magnetic_moments([[0.0, 3.0, 4.0]])
    np.testing.assert_allclose(Crystal.from_atoms(atoms).magnetic_moments, [5.0])
    atoms.set_initial_magnetic_moments([[0.0, 0.0, 0.0]])
    assert Crystal.from_atoms(atoms).magnetic_moments is None


@pytest.mark.parametrize("element", ["Cr", "Mn", "Fe", "Co", "Ni", "Ce", "Gd", "Yb", "U"])
def test_magnetic_elements_are_told_of_without_alarm(element):
    crystal = Crystal.from_atoms(bulk(element, "fcc", a=4.0))
    quiet = Crystal(**{**vars(crystal), "magnetic_moments": None})
    assert describe_magnetism(quiet) == {"magnetism": NOT_INCLUDED}
    warn_of_magnetism(quiet)


@pytest.mark.parametrize("atoms", [bulk("Cu"), bulk("Si"), bulk("NaCl", "rocksalt", a=5.6)])
def test_nothing_is_said_of_others(atoms):
    assert describe_magnetism(Crystal.from_atoms(atoms)) == {}
    warn_of_magnetism(Crystal.from_atoms(atoms))


def test_moments_that_are_set_are_warned_of_through_phonons():
    """From the atoms through force constants to each kind of scattering; x-rays do not mind."""
    atoms = bulk("Ni", a=3.52)
    atoms.set_initial_magnetic_moments([0.6])
    atoms.calc = EMT()
    constants = FiniteDisplacementPhonons(supercell=(2, 2, 2), stress_tolerance=1.0)(atoms)
    bins = {"q_edges": [2.0, 3.0], "energy_edges": [1.0, 20.0, 40.0]}
    options = {"tolerance": 0.9, "progress": False, **bins}
    with pytest.warns(UserWarning, match="Atoms of Ni .*up to 0.6 μ_B: magnetic scattering not"):
        sqw = PowderScattering(300, **options)(constants)
    assert sqw.provenance["magnetism"] == NOT_INCLUDED
    with pytest.warns(UserWarning, match=NOT_INCLUDED) as caught:
        PathScattering(300, path="GX", points=5)(constants)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xray = PowderScattering(300, probe="xray", **options)(constants)
    assert "magnetism" not in xray.provenance
