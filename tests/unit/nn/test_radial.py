"""Radial functions end smoothly and start at order one."""

import math

import pytest
import torch

from scatterml_ase.nn.cutoff import PolynomialCutoff, segment_sum, smooth_step, switch_off
from scatterml_ase.nn.radial import BesselBasis, RadialNetwork


def derivatives(function, x: float, orders: int) -> list[float]:
    """Value and derivatives of a scalar function by automatic differentiation."""
    point = torch.tensor([x], dtype=torch.float64, requires_grad=True)
    values = [function(point).sum()]
    for _ in range(orders):
        values.append(torch.autograd.grad(values[-1], point, create_graph=True)[0].sum())
    return [value.item() for value in values]


@pytest.mark.parametrize("power", [3, 5, 6])
def test_the_envelope_ends_with_two_zero_derivatives(power):
    """u(c) = u'(c) = u''(c) = 0 coming from inside, and exactly 0 outside."""
    envelope = PolynomialCutoff(4.0, power)
    for value in derivatives(envelope, 4.0 - 1e-9, 2):
        assert value == pytest.approx(0.0, abs=1e-6)
    assert derivatives(envelope, 4.5, 2) == [0.0, 0.0, 0.0]
    assert float(envelope(torch.zeros(1))) == 1.0


@pytest.mark.parametrize("x", [1e-6, 1 - 1e-6])
def test_the_step_has_three_zero_derivatives_at_both_ends(x):
    """S(0) = 0 and S(1) = 1 with S' = S'' = S''' = 0."""
    value, *slopes = derivatives(smooth_step, x, 3)
    assert value == pytest.approx(round(x), abs=1e-12)
    assert slopes == pytest.approx([0.0, 0.0, 0.0], abs=2e-3)


def test_the_switch_is_one_inside_and_zero_outside():
    """And a half in the middle, by symmetry."""
    r = torch.tensor([0.5, 1.0, 1.5, 2.0, 3.0], dtype=torch.float64)
    assert switch_off(r, 1.0, 2.0).tolist() == pytest.approx([1.0, 1.0, 0.5, 0.0, 0.0])


def test_the_basis_is_bessel_functions_under_the_envelope():
    """Each function is proportional to j0(nπr/c) u(r)."""
    basis = BesselBasis(5.0, 6).double()
    r = torch.linspace(0.3, 4.9, 40, dtype=torch.float64)
    n = torch.arange(1, 7, dtype=torch.float64)
    x = r[:, None] * n * math.pi / 5.0
    expected = torch.special.spherical_bessel_j0(x) * n * PolynomialCutoff(5.0)(r)[:, None]
    ratio = basis(r) / expected
    torch.testing.assert_close(ratio, ratio[:1, :1].expand_as(ratio), rtol=1e-9, atol=0)


def test_the_basis_has_unit_mean_square_in_an_even_sphere():
    """Averaged over neighbours spread evenly in the sphere, and over the functions."""
    basis = BesselBasis(5.0, 8).double()
    r = torch.linspace(0, 5, 4001, dtype=torch.float64)[1:]
    mean = torch.trapezoid(basis(r).square().mean(1) * 3 * r**2 / 125, r)
    assert float(mean) == pytest.approx(1.0, rel=2e-3)


def test_the_basis_and_its_derivatives_vanish_at_the_cutoff():
    """So an atom that enters the sphere is felt in no second derivative."""
    basis = BesselBasis(5.0, 4).double()
    for value in derivatives(lambda r: basis(r).sum(1), 5.0 - 1e-7, 2):
        assert value == pytest.approx(0.0, abs=1e-4)


def test_the_scale_of_the_basis_does_not_depend_on_the_default_dtype():
    """A model reads the same whatever the user's default is when it is loaded."""
    scale = BesselBasis(5.0, 4).scale
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        assert BesselBasis(5.0, 4).scale == scale
    finally:
        torch.set_default_dtype(before)


def test_the_radial_network_has_the_shape_it_is_asked_for():
    """(edges, basis) in, (edges, weights) out; no hidden layer makes it linear."""
    assert RadialNetwork(4, [8, 8], 3)(torch.rand(5, 4)).shape == (5, 3)
    linear = RadialNetwork(4, [], 3)
    x = torch.rand(2, 4)
    torch.testing.assert_close(linear(x[:1] + x[1:]), linear(x[:1]) + linear(x[1:]))


def test_segment_sum_adds_rows_of_one_index():
    """Rows 0 and 2 go to place 1, nothing goes to place 2."""
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    found = segment_sum(values, torch.tensor([1, 0, 1]), 3)
    assert found.tolist() == [[3.0, 4.0], [6.0, 8.0], [0.0, 0.0]]
