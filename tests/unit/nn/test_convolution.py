"""The convolution is e3nn's tensor product, equivariant, and ends smoothly at the cutoff."""

import pytest
import torch
from e3nn import o3

from scatterml_ase.errors import InputError
from scatterml_ase.nn.angular import SphericalHarmonics
from scatterml_ase.nn.convolution import Convolution
from scatterml_ase.nn.cutoff import PolynomialCutoff
from scatterml_ase.nn.density import AtomicBasis
from scatterml_ase.nn.gate import gate
from scatterml_ase.nn.neighbourhood import Neighbourhood
from scatterml_ase.nn.radial import BesselBasis

IN, OUT, L_MAX, CUTOFF = "4x0e + 3x1o + 2x1e + 2x2e", "5x0e + 3x0o + 2x1o + 3x2e + 1x3o", 3, 3.0


@pytest.fixture
def convolution() -> Convolution:
    torch.manual_seed(1)
    return Convolution(IN, OUT, l_max=L_MAX, n_basis=4, average_neighbours=5.0).double()


@pytest.fixture
def cloud() -> dict[str, torch.Tensor]:
    """Six atoms, all pairs within the cutoff."""
    torch.manual_seed(2)
    positions = torch.rand(6, 3, dtype=torch.float64) * 3
    i, j = torch.cartesian_prod(torch.arange(6), torch.arange(6)).T
    vectors = positions[j] - positions[i]
    near = (i != j) & (vectors.norm(dim=1) < CUTOFF)
    senders = torch.randn(6, o3.Irreps(IN).dim, dtype=torch.float64)
    return {"index": torch.stack([i, j])[:, near], "vectors": vectors[near], "senders": senders}


def convolve(convolution, senders, index, vectors):
    radial = BesselBasis(CUTOFF, 4).double()(vectors.norm(dim=1))
    envelope = PolynomialCutoff(CUTOFF)(vectors.norm(dim=1))
    return convolution(senders, index, SphericalHarmonics(L_MAX)(vectors), radial, envelope)


def random_rotation(*, reflect: bool) -> torch.Tensor:
    matrix = o3.rand_matrix(dtype=torch.float64)
    return -matrix if reflect else matrix


def rotate(irreps: str, matrix: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """Rotate features with e3nn's Wigner matrices."""
    return features @ o3.Irreps(irreps).D_from_matrix(matrix).T


@pytest.mark.usefixtures("e3nn_in_double")
@pytest.mark.parametrize("reflect", [False, True])
def test_turning_the_input_turns_the_output(convolution, cloud, reflect):
    """f'(D f, R r) = D f'(f, r) for rotations and for rotations with inversion."""
    matrix = random_rotation(reflect=reflect)
    turned = convolve(
        convolution,
        rotate(IN, matrix, cloud["senders"]),
        cloud["index"],
        cloud["vectors"] @ matrix.T,
    )
    expected = rotate(OUT, matrix, convolve(convolution, *cloud_arguments(cloud)))
    torch.testing.assert_close(turned, expected, rtol=1e-10, atol=1e-10)


def cloud_arguments(cloud):
    return cloud["senders"], cloud["index"], cloud["vectors"]


@pytest.mark.usefixtures("e3nn_in_double")
def test_equals_the_tensor_product_of_e3nn(convolution, cloud):
    """The same weights in e3nn's FullyConnectedTensorProduct give the same sums."""
    senders, index, vectors = cloud_arguments(cloud)
    harmonics = SphericalHarmonics(L_MAX)(vectors)
    r = vectors.norm(dim=1)
    radial, envelope = BesselBasis(CUTOFF, 4).double()(r), PolynomialCutoff(CUTOFF)(r)
    product = o3.FullyConnectedTensorProduct(
        IN,
        SphericalHarmonics(L_MAX).irreps,
        OUT,
        shared_weights=False,
        irrep_normalization="component",
        path_normalization="none",
    ).double()
    weights = torch.cat(list(_weights(convolution, product, radial, envelope)), dim=1)
    messages = product(senders[index[1]], harmonics, weights)
    expected = torch.zeros(6, o3.Irreps(OUT).dim, dtype=torch.float64)
    expected.index_add_(0, index[0], messages / 5.0**0.5)
    torch.testing.assert_close(convolve(convolution, *cloud_arguments(cloud)), expected)


def _weights(convolution, product, radial, envelope):
    """Spell the radial weights and the linear map as weights (edges, ·) of each path of e3nn."""
    sources = []
    for k, block in enumerate(convolution.blocks):
        R = convolution.weights[k](radial) * envelope[:, None]
        R = R.view(-1, block.mul, block.n_paths)
        degrees = [
            degree
            for degree in range(L_MAX + 1)
            for out in o3.Irreps(IN)[k].ir * o3.Irrep(degree, (-1) ** degree)
            if out in [ir for _, ir in o3.Irreps(OUT)]
        ]
        for p, (degree, (_, out)) in enumerate(zip(degrees, block.irreps_out, strict=True)):
            sources.append((k, degree, str(out), R[:, :, p]))
    linear = {
        (ins.i_in, ins.i_out): ins.path_weight * weight
        for ins, weight in zip(
            convolution.linear.instructions, _linear_weights(convolution.linear), strict=True
        )
    }
    for ins in product.instructions:
        out = o3.Irreps(OUT)[ins.i_out].ir
        for number, (k, degree, name, R) in enumerate(sources):
            if (k, degree, name) == (ins.i_in1, ins.i_in2, str(out)):
                uv = R[:, :, None] * linear[number, ins.i_out][None]
                yield uv.flatten(1)


def _linear_weights(linear):
    offset = 0
    for ins in linear.instructions:
        size = ins.path_shape[0] * ins.path_shape[1]
        yield linear.weight[offset : offset + size].view(ins.path_shape)
        offset += size


def test_scalar_senders_give_the_atomic_basis(cloud):
    """The fast basis of scalar senders is Σ_j h_j B_n Y_lm W_l, written as one einsum."""
    torch.manual_seed(3)
    _, index, vectors = cloud_arguments(cloud)
    basis = AtomicBasis(2, 4, 5, L_MAX, average_neighbours=7.0).double()
    radial = BesselBasis(CUTOFF, 4).double()(vectors.norm(dim=1))
    harmonics = SphericalHarmonics(L_MAX)(vectors)
    h = torch.randn(6, 2, dtype=torch.float64)
    layout = Neighbourhood.from_edges(index, 6)
    found = basis(layout, radial, layout.blocks(harmonics), h)
    weight = basis.weight.view(L_MAX + 1, 2, 4, 5)[basis.degrees]
    centres = torch.nn.functional.one_hot(index[0], 6).double()
    expected = torch.einsum(
        "ei,ek,en,em,mknc->mic", centres, h[index[1]], radial, harmonics, weight
    )
    torch.testing.assert_close(found, expected / 7.0**0.5)


def test_edges_must_be_sorted_by_centre():
    """An unsorted list would be summed wrongly, so it is refused."""
    with pytest.raises(InputError, match="graph_from_atoms"):
        Neighbourhood.from_edges(torch.tensor([[1, 0], [0, 1]]), 2)


def test_a_result_no_coupling_reaches_is_refused():
    """Scalars and vectors cannot make an odd scalar."""
    with pytest.raises(InputError, match="0o"):
        Convolution("2x0e", "1x0o", l_max=1, n_basis=2, average_neighbours=1.0)


@pytest.mark.usefixtures("e3nn_in_double")
@pytest.mark.parametrize("reflect", [False, True])
def test_the_gate_keeps_symmetry(reflect):
    """Odd scalars stay odd, vectors only change in length."""
    torch.manual_seed(4)
    nonlinearity = gate("4x0e + 3x0o + 2x1o + 1x2e").double()
    features = torch.randn(5, nonlinearity.irreps_in.dim, dtype=torch.float64)
    matrix = random_rotation(reflect=reflect)
    turned = nonlinearity(rotate(nonlinearity.irreps_in, matrix, features))
    expected = rotate("4x0e + 3x0o + 2x1o + 1x2e", matrix, nonlinearity(features))
    torch.testing.assert_close(turned, expected, rtol=1e-10, atol=1e-10)
