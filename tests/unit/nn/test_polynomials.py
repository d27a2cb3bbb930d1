"""Spherical harmonics as polynomials: e3nn's values and derivatives."""

import pytest
import torch

from scatterml_ase.nn.angular import SphericalHarmonics
from scatterml_ase.nn.polynomials import SphericalPolynomials, monomial_exponents


@pytest.mark.parametrize("l_max", range(7))
def test_values_and_gradients_are_those_of_the_harmonics(l_max):
    generator = torch.Generator().manual_seed(l_max)
    vectors = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    weights = torch.randn((l_max + 1) ** 2, 40, generator=generator, dtype=torch.float64)
    polynomials = SphericalPolynomials(l_max).double()
    lengths = vectors.norm(dim=1)
    directions = (vectors / lengths[:, None]).T.contiguous()
    values, monomials = polynomials(directions)
    torch.testing.assert_close(values.T, SphericalHarmonics(l_max)(vectors), rtol=0, atol=1e-13)

    gradient = polynomials.gradient(weights, monomials)
    gradient = (gradient - directions * (directions * gradient).sum(0)) / lengths
    vectors.requires_grad_()
    expected = torch.zeros_like(vectors)
    if l_max:
        total = (SphericalHarmonics(l_max)(vectors).T * weights).sum()
        (expected,) = torch.autograd.grad(total, vectors)
    torch.testing.assert_close(gradient.T, expected, rtol=1e-11, atol=1e-12)


def test_monomials_come_in_the_order_of_the_exponents():
    polynomials = SphericalPolynomials(4).double()
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(
        torch.randn(3, 5, generator=generator, dtype=torch.float64), dim=0
    )
    _, monomials = polynomials(directions)
    powers = torch.tensor(monomial_exponents(4))
    expected = (directions.T.unsqueeze(1) ** powers).prod(2).T
    torch.testing.assert_close(monomials, expected)
