"""Mean-square displacements against closed formulas and symmetry."""

import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase.errors import InputError
from scatterml_ase.physics.brillouin import symmetry_operations
from scatterml_ase.physics.debye_waller import (
    displacement_tensors,
    extrapolate,
    symmetrize_tensors,
)
from scatterml_ase.units import BOLTZMANN, HBAR2_PER_AMU


def einstein(energy=20.0, mass=10.0):
    """One wavevector, one atom, three equal modes."""
    return {
        "frequencies": np.full((1, 3), energy),
        "eigenvectors": np.eye(3)[None, :, None, :].astype(complex),
        "weights": np.ones(1),
        "masses": np.array([mass]),
    }


def operations(atoms):
    return symmetry_operations(
        atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers, atoms.get_masses()
    )


@pytest.mark.parametrize("temperature", [0.0, 10.0, 300.0])
def test_einstein_oscillator(temperature):
    """U = ħ²/(2ME) coth(E/2kT) for one Einstein oscillator, ħ²/2ME exactly at T = 0."""
    tensors = displacement_tensors(**einstein(), temperatures=np.array([temperature]))
    thermal = 1.0 if temperature == 0 else 1 / np.tanh(10.0 / (BOLTZMANN * temperature))
    expected = HBAR2_PER_AMU / (2 * 10.0 * 20.0) * thermal
    np.testing.assert_allclose(tensors, expected * np.eye(3)[None, None], rtol=1e-12, atol=1e-18)


def test_equipartition_at_high_temperature():
    """At high T the spring energy E²M u²/(2ħ²) of each mode is kT/2."""
    tensors = displacement_tensors(**einstein(), temperatures=np.array([1e5]))
    spring = 10.0 * 20.0**2 / HBAR2_PER_AMU
    np.testing.assert_allclose(spring * tensors[0, 0, 0, 0], BOLTZMANN * 1e5, rtol=1e-5)


def test_acoustic_and_imaginary_modes_are_left_out():
    modes = einstein()
    modes["frequencies"] = np.array([[-5.0, 1e-6, 20.0]])
    tensors = displacement_tensors(**modes, temperatures=np.array([300.0]))
    assert np.count_nonzero(tensors) == 1
    assert tensors[0, 0, 2, 2] > 0


def test_weights_need_no_normalisation():
    once = displacement_tensors(**einstein(), temperatures=np.array([300.0]))
    modes = einstein()
    modes["weights"] = np.array([7.0])
    np.testing.assert_allclose(displacement_tensors(**modes, temperatures=[300.0]), once)


def test_symmetrized_tensor_of_a_cubic_site_is_isotropic():
    atoms = bulk("NaCl", "zincblende", a=5.0)
    tensors = np.random.default_rng(0).normal(size=(2, 2, 3, 3))
    tensors = tensors + np.swapaxes(tensors, -1, -2)
    mean = symmetrize_tensors(tensors, atoms.cell.array, operations(atoms))
    trace = np.trace(tensors, axis1=-2, axis2=-1)[..., None, None]
    np.testing.assert_allclose(mean, trace / 3 * np.eye(3), atol=1e-12)


def test_isotopes_on_equivalent_sites_keep_their_own_tensors():
    """Diamond's two atoms are equivalent; two isotopes on them are not."""
    atoms = bulk("Si")
    tensors = np.stack([np.eye(3), 2 * np.eye(3)])
    mean = symmetrize_tensors(tensors, atoms.cell.array, operations(atoms))
    np.testing.assert_allclose(mean, [1.5 * np.eye(3)] * 2, atol=1e-12)
    atoms.set_masses([28.0, 30.0])
    mean = symmetrize_tensors(tensors, atoms.cell.array, operations(atoms))
    np.testing.assert_allclose(mean, tensors, atol=1e-12)


def test_symmetrising_keeps_hexagonal_tensors_uniaxial_and_the_trace():
    atoms = bulk("Zn")
    tensors = np.random.default_rng(1).normal(size=(2, 3, 3))
    tensors = tensors + np.swapaxes(tensors, -1, -2)
    mean = symmetrize_tensors(tensors, atoms.cell.array, operations(atoms))
    assert np.isclose(np.trace(mean[0]), np.trace(tensors.mean(axis=0)))
    np.testing.assert_allclose(mean[0], mean[1], atol=1e-12)
    np.testing.assert_allclose(mean[0, 0, 0], mean[0, 1, 1])
    np.testing.assert_allclose(mean[0] - np.diag(np.diag(mean[0])), 0, atol=1e-12)


def test_extrapolation_removes_the_first_order_error():
    """1/q² over a box without the cell at the origin: 8³ and 16³ beat 32³ by far."""

    def integral(n):
        q = (np.arange(n) - n // 2 + (0.5 if n % 2 else 0)) / n
        squares = sum(axis**2 for axis in np.meshgrid(q, q, q))
        return np.sum(1 / squares[squares > 0]) / n**3

    best = extrapolate(integral(64), integral(128))
    assert abs(extrapolate(integral(8), integral(16)) - best) < 0.1 * abs(integral(32) - best)


@pytest.mark.parametrize("temperature", [-1.0, np.nan])
def test_impossible_temperature(temperature):
    with pytest.raises(InputError, match="kelvin"):
        displacement_tensors(**einstein(), temperatures=np.array([temperature]))
