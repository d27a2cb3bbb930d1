"""Reference phonons are what phonopy makes of the same forces."""

import numpy as np
import pytest

from scatterml_ase.errors import InputError
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.training.phonons.reference import (
    ReferencePhonons,
    reduced_formula,
    reserved_formulas,
)
from scatterml_ase.training.phonons.targets import harmonic_target


def test_force_constants_are_those_of_the_displacements(reference, phonopies):
    data = ReferencePhonons(reference / "phonons.h5")
    assert data.names == list(phonopies)
    for index, phonopy in enumerate(phonopies.values()):
        phonopy.produce_force_constants(calculate_full_force_constants=False)
        expected = ForceConstants.from_phonopy(phonopy).symmetrized()
        q = [[0.5, 0.0, 0.0], [0.1, 0.2, 0.3]]
        found = data.force_constants(index)
        np.testing.assert_allclose(
            found.modes(q).frequencies, expected.modes(q).frequencies, atol=1e-6
        )


def test_a_target_is_exact_at_the_points_that_fit_the_supercell(reference):
    constants = ReferencePhonons(reference / "phonons.h5").force_constants(0)
    target = harmonic_target("Cu", constants)
    q = target.q @ np.linalg.inv(constants.crystal.reciprocal_cell)
    matrices = constants.dynamical_matrices(q) * constants.crystal.masses[0]
    np.testing.assert_allclose(target.total, matrices, atol=1e-6 * np.abs(matrices).max())
    assert target.weights.sum() == pytest.approx(1)
    assert not target.q[0].any(), "Γ comes first"
    assert not target.polar


def test_formulas_name_species_by_atomic_number():
    assert reduced_formula(np.array([14, 8, 8, 14, 8, 8])) == "O2Si1"


def test_a_file_without_reserved_formulas_is_refused(tmp_path):
    (tmp_path / "splits.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="names no reserved formulas"):
        reserved_formulas(tmp_path / "splits.json")
