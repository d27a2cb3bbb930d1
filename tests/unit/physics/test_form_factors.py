"""Form factors of atoms and ions, and what the names of ions may be."""

import numpy as np
import pytest
from ase.data import chemical_symbols

from scatterml_ase.errors import InputError
from scatterml_ase.physics.form_factors import (
    LARGEST_Q,
    form_factor,
    named_amplitudes,
    scatterer_names,
    tabulated,
)

ELEMENTS = chemical_symbols[1:99]  # H to Cf


@pytest.mark.parametrize("element", ELEMENTS)
def test_forward_scattering_counts_the_electrons(element):
    """f(0) is Z minus the charge to 1e-2 electrons or, in heavy atoms, the 1e-3 Z of the fit."""
    for name in tabulated(element):
        electrons = ELEMENTS.index(element) + 1
        if name != element:
            electrons -= int(name[-1] + name[len(element) : -1])
        assert abs(float(form_factor(name, 0.0)) - electrons) < max(1e-2, 1e-3 * electrons), name


def test_form_factors_fall_with_q_to_the_hydrogen_like_core():
    """That of hydrogen is known: (1 + (a₀ Q/2)²)⁻² with a₀ = 0.529 Å."""
    Q = np.linspace(0, 12, 50)
    exact = (1 + (0.529177 * Q / 2) ** 2) ** -2
    np.testing.assert_allclose(form_factor("H", Q), exact, atol=1e-2)
    assert np.all(np.diff(form_factor("Fe", Q)) < 0)


def test_amplitudes_are_electron_radii():
    values = named_amplitudes(
        scatterer_names([11, 17, 11], {"Na": "Na+", 2: "Na"}), np.array([0.0, 3.0])
    )
    assert values.shape == (2, 3)
    expected = 2.8179403 * np.array([10, 17, 11])
    np.testing.assert_allclose(values[0], expected, atol=0.05)
    np.testing.assert_allclose(values[1, 1], 2.8179403 * form_factor("Cl", 3.0), rtol=1e-7)


def test_ions_are_given_by_element_or_index():
    assert scatterer_names([26, 8, 26]) == ("Fe", "O", "Fe")
    ions = {"Fe": "Fe3+", "O": "O2-", np.int64(2): "Fe2+"}
    assert scatterer_names([26, 8, 26], ions) == ("Fe3+", "O2-", "Fe2+")


@pytest.mark.parametrize(
    ("ions", "message"),
    [
        ({"O": "O3-"}, "of O it has O, O1-, O2-"),
        ({"O": "Fe3+"}, "makes Fe3\\+ of O"),
        ({"O": "oxide"}, "names no atom or ion"),
        ({"S": "S"}, "ions names S"),
        ({7: "O2-"}, "ions names 7"),
    ],
)
def test_impossible_ions_are_refused(ions, message):
    with pytest.raises(InputError, match=message):
        scatterer_names([26, 8], ions)


def test_what_the_table_does_not_hold_is_refused():
    with pytest.raises(InputError, match="No"):
        scatterer_names([102])
    with pytest.raises(InputError, match=r"ends at 75\.4"):
        form_factor("O", np.array([1.0, 1.01 * LARGEST_Q]))
    with pytest.raises(InputError, match="nan"):
        form_factor("O", np.nan)
