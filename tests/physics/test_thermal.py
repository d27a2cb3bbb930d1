"""Thermal properties against phonopy, Einstein, Debye and the laws of thermodynamics."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from ase import Atoms
from scipy.integrate import quad

from scatterml_ase.errors import InputError, StabilityWarning
from scatterml_ase.physics import thermal as physics
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.modes import PhononModes
from scatterml_ase.results.thermal import GAS_CONSTANT, ThermalProperties, thermal_properties
from scatterml_ase.testing import check_result
from scatterml_ase.units import BOLTZMANN, THZ_TO_MEV

TEMPERATURES = np.array([0.0, 10, 50, 300, 1000])


def einstein(energies=(20.0, 20.0, 20.0), **fields) -> PhononModes:
    """One atom whose modes have the same energies at two q-points."""
    return PhononModes(
        crystal=Crystal.from_atoms(Atoms("Al", cell=np.eye(3) * 3, pbc=True)),
        q_reduced=np.array([[0.25, 0, 0], [0, 0.25, 0]]),
        weights=np.array([0.5, 0.5]),
        frequencies=np.array([energies, energies]),
        **fields,
    )


# -- against phonopy ---------------------------------------------------------------------------


@pytest.mark.parametrize("symmetry", [True, False])
def test_thermodynamics_are_those_of_phonopy(wurtzite, symmetry):
    phonopy = wurtzite.to_phonopy()
    phonopy.run_mesh([6, 6, 6], is_gamma_center=True)
    phonopy.run_thermal_properties(temperatures=TEMPERATURES, cutoff_frequency=1e-2)
    theirs = phonopy.thermal_properties
    ours = thermal_properties(wurtzite.mesh_modes(6, symmetry=symmetry), TEMPERATURES)
    np.testing.assert_allclose(ours.heat_capacity, theirs.heat_capacity, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(ours.entropy, theirs.entropy, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(ours.free_energy, theirs.free_energy, rtol=1e-5)


@pytest.mark.parametrize("symmetry", [True, False])
def test_displacements_are_those_of_phonopy(wurtzite, symmetry):
    """An irreducible mesh, averaged over the space group, gives phonopy's full mesh."""
    phonopy = wurtzite.to_phonopy()
    phonopy.run_mesh(
        [6, 6, 6], is_gamma_center=True, is_mesh_symmetry=False, with_eigenvectors=True
    )
    phonopy.run_thermal_displacement_matrices(temperatures=TEMPERATURES, freq_min=1e-2)
    theirs = phonopy.thermal_displacement_matrices.thermal_displacement_matrices
    ours = thermal_properties(wurtzite.mesh_modes(6, symmetry=symmetry), TEMPERATURES)
    np.testing.assert_allclose(ours.displacement_tensors, theirs, rtol=1e-5, atol=1e-9)
    anisotropy = ours.displacement_tensors[3, 0]
    assert abs(anisotropy[2, 2] / anisotropy[0, 0] - 1) > 1e-3  # the test can tell z from x
    assert anisotropy[0, 0] == pytest.approx(anisotropy[1, 1], rel=1e-6)


def test_extrapolated_displacements_are_those_of_a_denser_mesh(zincblende):
    """Γ left out costs 1/n; 8³ with 4³ does better than 16³ alone."""
    coarse, modes, dense, denser = (zincblende.mesh_modes(n) for n in (4, 8, 16, 32))
    best = thermal_properties(denser, 300, coarse=dense).isotropic_displacements
    error = {
        "one": thermal_properties(dense, 300).isotropic_displacements / best - 1,
        "two": thermal_properties(modes, 300, coarse=coarse).isotropic_displacements / best - 1,
    }
    assert np.abs(error["two"]).max() < 3e-3
    assert np.abs(error["two"]).max() < np.abs(error["one"]).max() / 3


# -- closed forms ------------------------------------------------------------------------------


def test_meshes_that_avoid_gamma_are_not_extrapolated(zincblende):
    """Their error has the other sign: what mends a mesh with Γ would make it worse."""
    dense = zincblende.thermal(300, 24).isotropic_displacements
    shifted = zincblende.mesh_modes(12, shift=(0.5, 0.5, 0.5))
    np.testing.assert_allclose(
        zincblende.thermal(300, shifted).isotropic_displacements, dense, rtol=0.03
    )


def test_an_einstein_solid():
    """C = 3R (θ/T)² e^{θ/T}/(e^{θ/T}−1)²; U = 3 E/2 coth(E/2kT)."""
    thermal = thermal_properties(einstein(), TEMPERATURES[1:])
    x = 20 / (BOLTZMANN * TEMPERATURES[1:])
    expected = 3 * GAS_CONSTANT * (x / 2 / np.sinh(x / 2)) ** 2
    np.testing.assert_allclose(thermal.heat_capacity, expected, rtol=1e-12)
    np.testing.assert_allclose(thermal.internal_energy, 30 / np.tanh(x / 2) * 0.0964853, rtol=1e-6)
    assert thermal.debye_temperature == pytest.approx(np.sqrt(5 / 3) * 20 / BOLTZMANN)


@pytest.mark.parametrize("ratio", [0.01, 0.5, 3.0, 20.0])
def test_the_debye_function_is_its_integral(ratio):
    integral = quad(lambda x: x**4 * np.exp(x) / np.expm1(x) ** 2, 0, ratio)[0]
    assert float(physics.debye_heat_capacity(ratio)) == pytest.approx(3 / ratio**3 * integral)


def test_debyes_law_at_low_temperature():
    """C → 12π⁴/5 N k (T/Θ)³."""
    assert float(physics.debye_heat_capacity(100.0)) == pytest.approx(
        4 * np.pi**4 / 5 / 100**3, rel=1e-6
    )


def test_a_debye_solid_has_its_debye_temperature_at_every_temperature():
    temperatures = np.array([0.0, 5, 20, 100, 300])
    heat = physics.debye_heat_capacity(400 / np.maximum(temperatures, 1e-9))
    found = physics.caloric_debye_temperatures(heat, temperatures)
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1:], 400, rtol=1e-6)


def test_the_debye_temperature_of_sound_is_that_of_the_debye_cutoff():
    """Silicon: v ≈ 5950 m/s and 0.05 atoms/Å³ give the known 645 K within 2 %."""
    found = physics.debye_temperature_from_sound(5950, 8 / 5.431**3)
    cutoff = 1.0545718e-34 * 5950 * (6 * np.pi**2 * 8 / 5.431**3) ** (1 / 3) * 1e10
    assert found == pytest.approx(cutoff / 1.380649e-23, rel=1e-6)
    assert found == pytest.approx(645, rel=0.02)


def test_the_caloric_debye_temperature_tends_to_that_of_the_second_moment(wurtzite):
    modes = wurtzite.mesh_modes(6, shift=(0.5, 0.5, 0.5))  # no Γ: no mode is left out
    thermal = thermal_properties(modes, [100, 2000])
    assert thermal.caloric_debye_temperatures()[1] == pytest.approx(
        thermal.debye_temperature, rel=3e-3
    )


# -- the laws ----------------------------------------------------------------------------------


def test_absolute_zero_is_exact(zincblende):
    """Third law: S = C = 0, and F = U is the zero-point energy ½ΣE."""
    modes = zincblende.mesh_modes(4)
    thermal = thermal_properties(modes, 0)
    assert thermal.entropy[0] == thermal.heat_capacity[0] == 0
    assert thermal.free_energy[0] == thermal.internal_energy[0] == thermal.zero_point_energy
    zero_point = (modes.weights @ modes.frequencies).sum() / 2 * 0.0964853
    assert thermal.zero_point_energy == pytest.approx(zero_point, rel=1e-6)


def test_low_temperatures_underflow_to_zero_silently():
    thermal = thermal_properties(einstein((80.0, 80.0, 80.0)), [1e-3, 0.1, 1.0])
    np.testing.assert_array_equal(thermal.heat_capacity, 0)
    np.testing.assert_array_equal(thermal.entropy, 0)


def test_dulong_and_petit_at_high_temperature(wurtzite):
    thermal = thermal_properties(wurtzite.mesh_modes(4, shift=(0.5, 0.5, 0.5)), 1e5)
    assert thermal.heat_capacity[0] == pytest.approx(12 * 8.314463, rel=1e-5)
    assert thermal.dulong_petit == pytest.approx(12 * 8.314463, rel=1e-6)


def test_thermodynamic_identities_hold(zincblende):
    """−dF/dT = S, dU/dT = C and F = U − TS."""
    temperature, step = 250.0, 0.5
    thermal = thermal_properties(
        zincblende.mesh_modes(4), temperature + step * np.array([-1, 0, 1])
    )
    slope = np.diff(thermal.free_energy[[0, 2]]) / (2 * step) * 1e3
    assert -slope[0] == pytest.approx(thermal.entropy[1], rel=1e-5)
    slope = np.diff(thermal.internal_energy[[0, 2]]) / (2 * step) * 1e3
    assert slope[0] == pytest.approx(thermal.heat_capacity[1], rel=1e-5)
    np.testing.assert_allclose(
        thermal.internal_energy - thermal.temperatures * thermal.entropy * 1e-3,
        thermal.free_energy,
        rtol=1e-12,
    )


# -- what is left out --------------------------------------------------------------------------


def test_translations_are_left_out_and_said_nothing_about(zincblende):
    modes = zincblende.mesh_modes(2)
    thermal = thermal_properties(modes, 1e5)
    assert thermal.imaginary_modes == 0
    # 3 of the 8 × 6 modes of the full mesh are the translations at Γ
    assert thermal.heat_capacity[0] == pytest.approx(45 / 8 * GAS_CONSTANT, rel=1e-5)


def test_a_soft_optical_mode_is_not_taken_for_a_translation():
    """At Γ the translations have equal displacements, whatever their frequencies."""
    across = np.array([1, -1]) / np.sqrt(2)
    along = np.array([1, 1]) / np.sqrt(2)
    vectors = np.zeros((1, 6, 2, 3), dtype=complex)
    for axis in range(3):
        vectors[0, axis, :, axis] = across
        vectors[0, 3 + axis, :, axis] = along
    frequencies = np.array([[-0.01, 0.0, 0.01, 0.03, 0.04, 0.05]])
    marked = physics.acoustic_modes_at_gamma(
        np.zeros((1, 3)), frequencies, vectors, np.array([28.0, 28.0])
    )
    assert marked.tolist() == [[False] * 3 + [True] * 3]
    blind = physics.acoustic_modes_at_gamma(np.zeros((1, 3)), frequencies)
    assert blind.tolist() == [[True] * 3 + [False] * 3]


def test_imaginary_modes_are_counted_and_warned_of():
    with pytest.warns(StabilityWarning, match=r"2 of 6 modes.*lowest -3.00 meV.*Relax"):
        thermal = thermal_properties(einstein((-3.0, 20, 20)), 300)
    assert thermal.imaginary_modes == 2
    assert thermal.imaginary_share == pytest.approx(1 / 3)
    x = 20 / (BOLTZMANN * 300)
    expected = 2 * GAS_CONSTANT * (x / 2 / np.sinh(x / 2)) ** 2
    assert thermal.heat_capacity[0] == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [-1, [300, np.nan], np.inf])
def test_impossible_temperatures_are_refused(temperature):
    with pytest.raises(InputError, match=r"is not possible.*kelvin"):
        thermal_properties(einstein(), temperature)


# -- behaviour ---------------------------------------------------------------------------------


def test_per_atom_and_per_formula_unit(wurtzite):
    cell = thermal_properties(wurtzite.mesh_modes(3), [100, 300])
    atom, unit = cell.per("atom"), cell.per("formula_unit")
    np.testing.assert_allclose(atom.heat_capacity * 4, cell.heat_capacity)
    np.testing.assert_allclose(unit.entropy * 2, cell.entropy)
    np.testing.assert_allclose(atom.per("cell").free_energy, cell.free_energy)
    assert atom.zero_point_energy * 4 == pytest.approx(cell.zero_point_energy)
    assert atom.dulong_petit == pytest.approx(3 * GAS_CONSTANT)
    np.testing.assert_array_equal(atom.displacement_tensors, cell.displacement_tensors)
    np.testing.assert_allclose(
        atom.caloric_debye_temperatures(), cell.caloric_debye_temperatures(), rtol=1e-9
    )
    with pytest.raises(InputError, match=r"per 'mole'.*cell, formula_unit, atom"):
        cell.per("mole")


def test_frequencies_may_come_in_any_unit():
    ours = thermal_properties(einstein().to("THz"), 300)
    assert ours.heat_capacity[0] == pytest.approx(
        thermal_properties(einstein(), 300).heat_capacity[0]
    )
    assert einstein().to("THz").frequencies[0, 0] == pytest.approx(20 / THZ_TO_MEV)


def test_displacements_need_eigenvectors():
    thermal = ThermalProperties.from_modes(einstein())
    assert thermal.displacement_tensors is None
    assert thermal.isotropic_displacements is None
    assert thermal.temperatures[[0, -1]].tolist() == [0, 1000]


@pytest.mark.parametrize("temperatures", [300.0, [0, 100, 300, 1000]])
def test_the_picture_has_units_and_the_classical_limit(zincblende, temperatures):
    ax = thermal_properties(zincblende.mesh_modes(3), temperatures).plot()
    assert ax.get_xlabel() == "Temperature (K)"
    assert "J/K per mole of cells" in ax.get_ylabel()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[-1] == "$3nR$ = 49.9"
    plt.close(ax.figure)


def test_thermal_properties_keep_the_contract_of_results(wurtzite):
    check_result(thermal_properties(wurtzite.mesh_modes(3), [0, 100, 300]))
    plt.close("all")
