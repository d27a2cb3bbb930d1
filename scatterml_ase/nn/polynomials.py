"""Spherical harmonics of unit vectors as polynomials, with their derivatives, for a fused pass."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from scatterml_ase.nn.angular import SphericalHarmonics, degree_slices
from scatterml_ase.nn.tables import TableModule


class SphericalPolynomials(TableModule):
    """Y_lm(u) = Σ_k C_{lm,k} x^a y^b z^c: one matrix product, components first.

    Every harmonic is a homogeneous polynomial of its degree, and the derivative of a monomial
    along an axis is a multiple of a monomial of one degree less, so that the gradient of
    Σ g_lm Y_lm is one more matrix product and one contraction. Coefficients are those of
    :class:`~scatterml_ase.nn.angular.SphericalHarmonics`.

    Parameters
    ----------
    l_max
        Largest degree.
    """

    coefficients: Tensor
    slopes: Tensor

    def __init__(self, l_max: int) -> None:
        super().__init__()
        self.l_max = l_max
        exponents = monomial_exponents(l_max)
        coefficients = _coefficients(l_max)
        place: dict[tuple[int, ...], int] = {e: k for k, e in enumerate(exponents)}
        lower = len(monomial_exponents(l_max - 1)) if l_max else 0
        slopes = torch.zeros(3, lower, len(coefficients), dtype=torch.float64)
        for k, exponent in enumerate(exponents):
            for axis in range(3):
                if exponent[axis] > 0:
                    less = tuple(n - (i == axis) for i, n in enumerate(exponent))
                    slopes[axis, place[less]] += exponent[axis] * coefficients[:, k]
        self.register_table("coefficients", coefficients)
        self.register_table("slopes", slopes.flatten(0, 1))

    def forward(self, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Return Y ((l_max + 1)², n) and the monomials for unit ``directions`` (3, n)."""
        x, y, z = directions
        monomials = directions.new_empty(self.coefficients.shape[1], directions.shape[1])
        monomials[0] = 1.0
        if self.l_max:
            monomials[1:4] = directions
        start = 1  # of the degree below
        for degree in range(2, self.l_max + 1):
            size = degree * (degree + 1) // 2  # of the degree below
            end = start + size
            torch.mul(monomials[start:end], x, out=monomials[end : end + size])
            torch.mul(
                monomials[end - degree : end], y, out=monomials[end + size : end + size + degree]
            )
            torch.mul(monomials[end - 1], z, out=monomials[end + size + degree])
            start = end
        return self.coefficients @ monomials, monomials

    def gradient(self, weights: Tensor, monomials: Tensor) -> Tensor:
        """Return Σ_lm g_lm ∂Y_lm/∂u, shape (3, n), of ``weights`` g ((l_max + 1)², n).

        It is the gradient of the polynomials; the part along u belongs to the caller's chain rule
        through u = d/|d|, which removes it.
        """
        lower = self.slopes.shape[0] // 3
        if lower == 0:
            return weights.new_zeros(3, weights.shape[1])
        spread = (self.slopes @ weights).view(3, lower, -1)
        return (spread * monomials[:lower]).sum(1)


def monomial_exponents(l_max: int) -> list[tuple[int, int, int]]:
    """List the exponents (a, b, c) of x^a y^b z^c by degree; in each, falling in a, then in b."""
    return [
        (a, b, degree - a - b)
        for degree in range(l_max + 1)
        for a in range(degree, -1, -1)
        for b in range(degree - a, -1, -1)
    ]


@lru_cache(maxsize=16)
def _coefficients(l_max: int) -> Tensor:
    """Fit the harmonics' polynomials, exact to rounding, shape ((l_max + 1)², monomials)."""
    exponents = torch.tensor(monomial_exponents(l_max))
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(8 * len(exponents), 3, generator=generator, dtype=torch.float64)
    directions = torch.nn.functional.normalize(directions, dim=1)
    values = SphericalHarmonics(l_max)(directions)  # [point, lm]
    monomials = (directions.unsqueeze(1) ** exponents).prod(2)  # [point, monomial]
    coefficients = torch.zeros(values.shape[1], len(exponents), dtype=torch.float64)
    for degree, part in enumerate(degree_slices(l_max)):
        own = torch.nonzero(exponents.sum(1) == degree).squeeze(1)
        fit = torch.linalg.lstsq(monomials[:, own], values[:, part]).solution.T
        coefficients[part, own[0] : own[-1] + 1] = torch.where(fit.abs() < 1e-12, 0.0, fit)
    return coefficients
