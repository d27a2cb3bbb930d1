"""Many-body products: equal to explicit Clebsch–Gordan sums, invariant, exact in every dtype."""

import pytest
import torch
from e3nn import o3

from scatterml_ase.nn.angular import SphericalHarmonics, clebsch_gordan, degree_slices
from scatterml_ase.nn.product import ManyBodyProduct, SymmetricSquare, symmetric_paths


def random_basis(l_max: int, atoms: int = 3, channels: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(l_max)
    size = ((l_max + 1) ** 2, atoms, channels)
    return torch.randn(size, generator=generator, dtype=torch.float64)


def turn(l_max: int, matrix: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    D = SphericalHarmonics(l_max).irreps.D_from_matrix(matrix)
    return torch.einsum("mn,nac->mac", D, basis)


@pytest.mark.parametrize("l_max", [0, 1, 2, 3, 4])
def test_the_square_is_the_clebsch_gordan_product(l_max):
    """Every path equals the plain triple sum over components."""
    basis, slices = random_basis(l_max), degree_slices(l_max)
    found = SymmetricSquare(l_max).double()(basis)
    counters = [0] * (l_max + 1)
    for l1, l2, l3 in symmetric_paths(l_max):
        expected = torch.einsum(
            "ijk,iac,jac->kac", clebsch_gordan(l1, l2, l3), basis[slices[l1]], basis[slices[l2]]
        )
        torch.testing.assert_close(found[l3][counters[l3]], expected, rtol=1e-12, atol=1e-12)
        counters[l3] += 1


@pytest.mark.usefixtures("e3nn_in_double")
def test_the_square_is_e3nns_tensor_product():
    """For one channel, e3nn's TensorProduct with the same paths gives the same components."""
    basis = random_basis(2, atoms=4, channels=1)
    irreps = o3.Irreps.spherical_harmonics(2)
    paths = symmetric_paths(2)
    out = o3.Irreps([(1, (l3, (-1) ** l3)) for *_, l3 in paths])
    instructions = [(l1, l2, k, "uuu", False) for k, (l1, l2, _) in enumerate(paths)]
    product = o3.TensorProduct(irreps, irreps, out, instructions, path_normalization="none")
    flat = basis[:, :, 0].T
    expected = product.double()(flat, flat)
    found = [part.flatten(0, 1)[:, :, 0] for part in SymmetricSquare(2).double()(basis)]
    torch.testing.assert_close(torch.cat(found).T, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.usefixtures("e3nn_in_double")
@pytest.mark.parametrize("reflect", [False, True])
@pytest.mark.parametrize("correlation", [1, 2, 3, 4])
def test_invariants_do_not_change_and_products_turn(correlation, reflect):
    """Turning the basis leaves the invariants and turns the mixed products along."""
    torch.manual_seed(5)
    product = ManyBodyProduct(2, 3, correlation).double()
    matrix = o3.rand_matrix(dtype=torch.float64) * (-1 if reflect else 1)
    invariants, mixed = product(random_basis(3))
    turned, turned_mixed = product(turn(3, matrix, random_basis(3)))
    assert invariants.shape == (3, product.size)
    torch.testing.assert_close(turned, invariants, rtol=1e-10, atol=1e-10)
    for degree, (before, after) in enumerate(zip(mixed, turned_mixed, strict=True)):
        D = o3.Irrep(degree, (-1) ** degree).D_from_matrix(matrix)
        expected = torch.einsum("mn,nac->mac", D, before)
        torch.testing.assert_close(after, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("correlation", [1, 2, 3, 4])
def test_scaling_the_basis_shows_the_order(correlation):
    """Twice the basis gives 2^ν times the highest invariants: ν is the correlation order."""
    torch.manual_seed(6)
    product = ManyBodyProduct(2, 2, correlation).double()
    basis = random_basis(2)
    ratio = product(2 * basis)[0] / product(basis)[0]
    orders = torch.log2(ratio).round()
    assert sorted(set(orders.flatten().tolist())) == list(range(1, correlation + 1))
    torch.testing.assert_close(torch.log2(ratio), orders)


def test_derivatives_of_the_square_to_third_order():
    """Its hand-written backward passes agree with finite differences, again and again."""
    square = SymmetricSquare(2).double()

    def flat(x):
        return torch.cat([part.flatten() for part in square(x)])

    def gradient(x):
        return torch.autograd.grad(flat(x).square().sum(), x, create_graph=True)[0]

    x = random_basis(2, atoms=2, channels=1).requires_grad_()
    assert torch.autograd.gradcheck(flat, x)
    assert torch.autograd.gradgradcheck(flat, x)
    assert torch.autograd.gradgradcheck(gradient, x)


def test_pieces_do_not_matter():
    """More columns than fit into one piece give the same as each atom alone."""
    basis = random_basis(3, atoms=50, channels=7)
    square = SymmetricSquare(3).double()
    together = square(basis)
    alone = [square(basis[:, k : k + 1].contiguous()) for k in range(50)]
    for degree, part in enumerate(together):
        torch.testing.assert_close(part, torch.cat([x[degree] for x in alone], dim=2))


def test_float32_leaves_no_trace_in_float64():
    """A product that has been float32 is equivariant to 1e-12 again in float64."""
    fresh, travelled = SymmetricSquare(3).double(), SymmetricSquare(3).double().float().double()
    assert torch.equal(fresh.odd, travelled.odd)
    assert fresh.odd.dtype == torch.float64
    torch.testing.assert_close(SymmetricSquare(3).odd, fresh.odd.float(), rtol=0, atol=0)
