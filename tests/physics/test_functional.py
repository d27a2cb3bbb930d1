"""S(Q, E) and its derivatives: what one-phonon sums give, and what finite differences give."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from scatterml_ase.errors import InputError
from scatterml_ase.physics.broadening import SIGMA_TO_FWHM
from scatterml_ase.scattering.functional import SpectrumFunction
from scatterml_ase.scattering.matrix_function import quadratic_form
from scatterml_ase.scattering.one_phonon import one_phonon

EDGES = np.linspace(-60, 170, 116)
SETTING = {"temperature": 300.0, "energy_edges": EDGES, "energy_fwhm": 4.0}
# Points where modes are degenerate: along [100] and [111], at X, L and Γ; and a general one.
HKL = np.array([[2, 2.2, 2.2], [1.3, 1.3, 1.3], [3, 2.5, 1.5], [2.5, 2.5, 2.5], [3, 3, 1],
                [2.11, 0.3, 1.27]])  # fmt: skip
U = np.array([0.004, 0.006])[:, None, None] * np.eye(3)


@pytest.fixture(scope="module")
def function(zincblende):
    return SpectrumFunction.prepare(zincblende, HKL, displacements=U, **SETTING)


def summed(force_constants, hkl=HKL, **options):
    """Gaussians under the mode-by-mode structure factors, integrated over the bins."""
    from scipy.special import ndtr

    modes = one_phonon(force_constants, hkl, 300.0, reduced=True, displacements=U, **options)
    sigma = SETTING["energy_fwhm"] / SIGMA_TO_FWHM

    def lines(energies):
        return np.diff(ndtr((EDGES - energies[..., None]) / sigma), axis=-1) / np.diff(EDGES)

    total = modes.loss[..., None] * lines(modes.frequencies)
    total += modes.gain[..., None] * lines(-modes.frequencies)
    return total.sum(axis=1)


@pytest.mark.parametrize("probe", ["neutron", "xray"])
def test_values_are_sums_over_modes(zincblende, probe):
    function = SpectrumFunction.prepare(zincblende, HKL, displacements=U, probe=probe, **SETTING)
    expected = summed(zincblende, probe=probe)
    np.testing.assert_allclose(function().numpy(), expected, rtol=1e-9, atol=1e-10 * expected.max())


def test_values_of_a_polar_crystal_hold_the_dipoles(zincblende):
    born, dielectric = np.array([2.7, -2.7])[:, None, None] * np.eye(3), 6.5 * np.eye(3)
    polar = replace(zincblende, born_charges=born, dielectric=dielectric)
    found = SpectrumFunction.prepare(polar, HKL, displacements=U, **SETTING)().numpy()
    np.testing.assert_allclose(found, summed(polar), rtol=1e-8, atol=1e-9 * found.max())
    assert np.abs(found - summed(zincblende)).max() > 0.1 * found.max()


def test_values_of_an_asymmetric_list_of_pairs_without_symmetry(triclinic):
    """Three species at random places, and energies below zero at T = 0 are empty."""
    setting = {**SETTING, "temperature": 0.0}
    function = SpectrumFunction.prepare(triclinic, HKL, displacements=np.zeros((3, 3, 3)),
                                        **setting)  # fmt: skip
    modes = one_phonon(triclinic, HKL, 0.0, reduced=True, displacements=np.zeros((3, 3, 3)))
    found = function()
    content = (found.numpy() * np.diff(EDGES)).sum(axis=1)
    np.testing.assert_allclose(content, modes.loss.sum(axis=1), rtol=1e-5)
    assert torch.isfinite(found).all()


def fourth_order(values, step):
    """Return the derivative at 0 from values at −2, −1, 1, 2 steps."""
    return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)


def assert_slope(call, start, direction, weights, step):
    """Check the gradient of the weighed spectrum along a direction by differences."""
    variable = start.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((call(variable) * weights).sum(), variable)
    assert torch.isfinite(gradient).all()
    values = [(call(start + k * step * direction) * weights).sum() for k in (-2, -1, 1, 2)]
    expected = fourth_order(values, step)
    found = (gradient * direction).sum()
    assert abs(found - expected) < 1e-6 * abs(expected)


def change_of_springs(force_constants):
    """Random and without any symmetry but that a crystal shifted as a whole feels no force."""
    generator = torch.Generator().manual_seed(7)
    change = torch.randn(force_constants.blocks.shape, generator=generator, dtype=torch.float64)
    change = (change + change.mT) / 2
    pairs = torch.tensor(force_constants.pairs)
    rows = torch.zeros(len(force_constants.crystal), 3, 3, dtype=torch.float64)
    rows = rows.index_add(0, pairs[:, 0], change / 2).index_add(0, pairs[:, 1], change / 2)
    own = (pairs[:, 0] == pairs[:, 1]).numpy() & ~force_constants.cell_shifts.any(axis=1)
    change[own] -= rows[pairs[own, 0]]
    return change


@pytest.mark.parametrize("point", range(len(HKL)))
def test_the_gradient_by_force_constants_is_right_where_modes_are_degenerate(
    zincblende, function, point
):
    """Any change of springs, also one that breaks the symmetry and with it the degeneracy."""
    generator = torch.Generator().manual_seed(8)
    blocks, direction = torch.tensor(zincblende.blocks), change_of_springs(zincblende)
    energies = len(EDGES) - 1
    weights = torch.zeros(len(HKL), energies, dtype=torch.float64)
    weights[point] = torch.randn(energies, generator=generator, dtype=torch.float64)
    assert_slope(function, blocks, direction, weights, 1e-3)
    gaps = np.diff(zincblende.modes(HKL[point]).frequencies[0])
    assert (gaps.min() < 1e-6) == (point < 5)


@pytest.mark.parametrize("probe", ["neutron", "xray"])
def test_the_gradient_by_strain_is_right(zincblende, probe):
    """Q changes with the cell at the same hkl: in size, in direction, and f(|Q|) with it."""
    function = SpectrumFunction.prepare(zincblende, HKL, displacements=U, probe=probe, **SETTING)
    generator = torch.Generator().manual_seed(3)
    shape = (len(HKL), len(EDGES) - 1)
    weights = torch.randn(shape, generator=generator, dtype=torch.float64)
    direction = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    zero = torch.zeros(3, 3, dtype=torch.float64)
    assert_slope(lambda strain: function(strain=strain), zero, direction, weights, 1e-3)


def test_the_gradient_by_displacements_is_right(function):
    start = torch.tensor(U)
    direction = torch.tensor([[[1.0, 0.3, 0.0], [0.3, 0.5, -0.2], [0.0, -0.2, 1.5]]] * 2).double()
    weights = torch.linspace(1, 2, len(EDGES) - 1, dtype=torch.float64)
    assert torch.equal(function(displacements=start), function())
    assert_slope(lambda u: function(displacements=u), start, direction, weights, 1e-4)


def test_a_strained_crystal_is_the_one_with_the_strained_cell(zincblende, function):
    strain = np.array([[0.01, 0.004, 0.0], [0.004, -0.02, 0.003], [0.0, 0.003, 0.005]])
    crystal = zincblende.crystal
    changed = replace(crystal, cell=crystal.cell @ (np.eye(3) + strain).T)
    expected = summed(replace(zincblende, crystal=changed))
    found = function(strain=torch.tensor(strain)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10 * expected.max())


def test_strain_and_force_constants_that_follow_it_together(zincblende, function):
    """d/dη of blocks(η) and strain(η) at once: the total derivative along a compression."""
    blocks = torch.tensor(zincblende.blocks)
    weights = torch.linspace(1, 2, len(EDGES) - 1, dtype=torch.float64)
    one = torch.eye(3, dtype=torch.float64)

    def compressed(eta):
        return function(blocks * (1 - 8 * eta), strain=eta * one)

    zero = torch.zeros((), dtype=torch.float64)
    assert_slope(compressed, zero, torch.ones((), dtype=torch.float64), weights, 2e-4)


@pytest.mark.parametrize("gap", [0.0, 1e-9, 1e-6, 0.99e-5, 1.01e-5, 1e-3])
def test_nearly_degenerate_eigenvalues_have_the_same_derivative_as_far_ones(gap):
    """a† f(D) a with f(λ) = λ³ is a polynomial: its exact derivative is known for any gap."""
    generator = torch.Generator().manual_seed(1)
    basis, _ = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.complex128))
    values = torch.tensor([1.0, 1.0 + gap, 1.0 + gap, 2.5], dtype=torch.complex128)
    matrix = (basis * values) @ basis.mH
    matrix = ((matrix + matrix.mH) / 2)[None].requires_grad_()
    vector = torch.randn(1, 4, generator=generator, dtype=torch.complex128).requires_grad_()
    form = quadratic_form(matrix, vector, lambda x: x[..., None] ** 3)
    (cube,) = torch.einsum("pi,pij,pj->p", vector.conj(), matrix @ matrix @ matrix, vector).real
    found = torch.autograd.grad(form.sum(), (matrix, vector))
    expected = torch.autograd.grad(cube, (matrix, vector))
    hermitian = (expected[0] + expected[0].mH) / 2
    np.testing.assert_allclose(found[0].numpy(), hermitian.numpy(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found[1].numpy(), expected[1].numpy(), rtol=1e-9, atol=1e-9)


def test_modes_without_energy_at_a_bragg_peak_are_left_out(function):
    """At (3, 3, 1) the acoustic modes have no energy: there S would be infinite."""
    own = function.scatterer.force_constants
    assert np.sum(np.abs(own.modes(HKL[4]).frequencies) < 1e-3) == 3
    spectrum = function()[4]
    assert torch.isfinite(spectrum).all()
    expected = one_phonon(own, HKL[4:5], 300.0, reduced=True, displacements=U)
    content = (spectrum.numpy() * np.diff(EDGES))[EDGES[:-1] >= 0].sum()
    np.testing.assert_allclose(content, expected.loss.sum(), rtol=1e-6)


def test_what_cannot_be_used_is_refused(zincblende, function):
    with pytest.raises(InputError, match="no derivative"):
        SpectrumFunction.prepare(zincblende, HKL, displacements=U, **{**SETTING, "energy_fwhm": 0})
    with pytest.raises(InputError, match="one for each bin"):
        SpectrumFunction.prepare(
            zincblende, HKL, displacements=U, **{**SETTING, "energy_fwhm": np.ones(3)}
        )
    with pytest.raises(InputError, match="blocks is a Tensor of shape"):
        function(torch.zeros(2, 3, 3))
    with pytest.raises(InputError, match="strain is a ndarray"):
        function(strain=np.zeros((3, 3)))
    assert "6 Q, 115 energies" in repr(function)
