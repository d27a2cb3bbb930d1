"""What no potential can be is refused before it is made."""

import math

import pytest

from scatterml_ase.errors import InputError
from scatterml_ase.potential.config import PotentialConfig, checked


def test_values_that_are_left_out_are_filled_in():
    config = checked(PotentialConfig(species=(8, 14)))
    assert config.reference_energies == config.binding_energies == (0.0, 0.0)
    assert config.rest_densities == config.contact_scales == (1.0, 1.0)


@pytest.mark.parametrize("name", ["binding_span", "repulsion_span", "core_span"])
@pytest.mark.parametrize("span", [(0.5, 0.5), (0.7, 0.4), (-0.1, 0.4), (0.1, math.nan), (0.3,)])
def test_spans_have_a_width(name, span):
    with pytest.raises(InputError, match=rf"{name} is .*0 <= start < end"):
        checked(PotentialConfig(species=(14,), **{name: span}))


@pytest.mark.parametrize("name", ["rest_densities", "contact_scales"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_scales_are_positive(name, value):
    with pytest.raises(InputError, match=rf"{name} is .*positive"):
        checked(PotentialConfig(species=(8, 14), **{name: (1.0, value)}))


def test_each_species_needs_its_own_value():
    with pytest.raises(InputError, match="rest_densities has 1 values for 2 species"):
        checked(PotentialConfig(species=(8, 14), rest_densities=(1.0,)))
