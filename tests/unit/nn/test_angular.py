"""Spherical harmonics and coupling coefficients keep e3nn's conventions."""

import pytest
import torch
from e3nn import o3

from scatterml_ase.nn.angular import (
    SphericalHarmonics,
    clebsch_gordan,
    degree_of_component,
    degree_slices,
    mirror_parities,
)


def test_components_of_one_degree_have_norm_2l_plus_1():
    """Σ_m Y_lm² = 2l + 1 in every direction, at any distance."""
    vectors = torch.randn(10, 3, dtype=torch.float64)
    harmonics = SphericalHarmonics(4)(vectors)
    for degree, part in enumerate(degree_slices(4)):
        norm = harmonics[:, part].square().sum(1)
        torch.testing.assert_close(norm, torch.full_like(norm, 2 * degree + 1))


def test_first_degree_is_the_direction():
    """Y_1 = √3 (x, y, z)."""
    vectors = torch.randn(5, 3, dtype=torch.float64)
    directions = vectors / vectors.norm(dim=1, keepdim=True)
    torch.testing.assert_close(SphericalHarmonics(1)(vectors)[:, 1:], 3**0.5 * directions)


def test_second_derivatives_exist():
    """Training on forces differentiates twice."""
    vectors = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(SphericalHarmonics(3), vectors)


@pytest.mark.parametrize("path", [(0, 0, 0), (1, 1, 2), (2, 1, 1), (2, 2, 2), (1, 2, 2)])
def test_coupling_coefficients_are_orthogonal(path):
    """Σ_ij C_ijk C_ijl = δ_kl: independent inputs of variance one give variance one."""
    C = clebsch_gordan(*path)
    identity = torch.eye(2 * path[2] + 1, dtype=torch.float64)
    torch.testing.assert_close(torch.einsum("ijk,ijl->kl", C, C), identity)
    w3j = o3.wigner_3j(*path, dtype=torch.float64)
    torch.testing.assert_close(C / C.norm(), w3j / w3j.norm())


def test_two_vectors_couple_to_their_dot_product():
    """(1, 1 → 0) is a·b/√3."""
    a, b = torch.randn(2, 3, dtype=torch.float64)
    coupled = torch.einsum("ijk,i,j->k", clebsch_gordan(1, 1, 0), a, b)
    assert abs(float(coupled)) == pytest.approx(abs(float(a @ b)) / 3**0.5)


def test_every_component_is_even_or_odd_under_each_mirror():
    """At a second point the signs are those found at the first."""
    point = torch.tensor([[-0.2, 0.9, 0.4]], dtype=torch.float64)
    harmonics, parities = SphericalHarmonics(4), mirror_parities(4)
    for axis in range(3):
        mirrored = point.clone()
        mirrored[0, axis] *= -1
        sign = 1 - 2 * ((parities >> axis) & 1)
        torch.testing.assert_close(harmonics(mirrored), harmonics(point) * sign)
    assert parities[:4].tolist() == [0, 1, 2, 4]  # s, x, y, z


def test_degrees_of_components():
    """0, then 1 three times, then 2 five times."""
    assert degree_of_component(2).tolist() == [0, 1, 1, 1, 2, 2, 2, 2, 2]
