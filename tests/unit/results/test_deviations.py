"""What follows from a density of states takes its uncertainty on."""

import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase import Crystal, PhononDOS, load_result
from scatterml_ase.results.thermal import GAS_CONSTANT
from scatterml_ase.units import BOLTZMANN

EDGES = np.linspace(0, 60, 2401)
STRETCHES = 1 + 0.02 * np.array([-1.5, -0.5, 0.5, 1.5]) / np.std([-1.5, -0.5, 0.5, 1.5], ddof=1)


def peak(energy):
    """Return an Einstein peak of three modes at an energy in meV for each of two atoms."""
    place = np.searchsorted(EDGES, energy) - 1
    density = np.zeros((2, len(EDGES) - 1))
    # shared among two bins so that the mean is exact
    centres = (EDGES[1:] + EDGES[:-1]) / 2
    other = place + (1 if energy > centres[place] else -1)
    share = abs(energy - centres[place]) / abs(centres[other] - centres[place])
    width = EDGES[1] - EDGES[0]
    density[:, place], density[:, other] = 3 * (1 - share) / width, 3 * share / width
    return density


@pytest.fixture(scope="module")
def dos():
    mean = peak(30.0)
    samples = np.array([peak(30.0 * stretch) for stretch in STRETCHES])
    return PhononDOS(
        crystal=Crystal.from_atoms(bulk("Si")),
        energy_edges=EDGES,
        total=mean.sum(axis=0),
        partial=mean,
        samples=samples,
        error=samples.sum(axis=1).std(axis=0, ddof=1),
    )


def einstein_capacity(energy, temperature):
    u = energy / (BOLTZMANN * temperature)
    return 6 * GAS_CONSTANT * (u / (2 * np.sinh(u / 2))) ** 2


def test_the_heat_capacity_is_as_unsure_as_its_slope_says(dos):
    """Two per cent on every frequency give 2 % of dC/dlnω."""
    thermal = dos.thermal([100.0, 300.0])
    for temperature, error in zip((100.0, 300.0), thermal.heat_capacity_error, strict=True):
        higher, lower = (einstein_capacity(30 * x, temperature) for x in (1.001, 0.999))
        assert error == pytest.approx(0.02 * abs(higher - lower) / 0.002, rel=0.02)


def test_hot_crystals_have_sure_heat_capacities_and_unsure_free_energies(dos):
    """At high temperature C is classical, and F shifts by kT for each relative shift of ω."""
    thermal = dos.thermal([3000.0])
    assert thermal.heat_capacity_error[0] < 1e-3 * thermal.heat_capacity[0]
    expected = 6 * GAS_CONSTANT * 3000 * 0.02 * 1e-3  # kJ/mol
    assert thermal.free_energy_error[0] == pytest.approx(expected, rel=0.01)
    assert thermal.debye_temperature_error == pytest.approx(
        0.02 * thermal.debye_temperature, rel=0.01
    )
    displacement = thermal.isotropic_displacements[0]
    np.testing.assert_allclose(
        thermal.isotropic_displacement_error[0], 0.04 * displacement, rtol=0.02
    )


def test_errors_follow_the_basis(dos):
    cell, atom = (dos.thermal([200.0]).per(basis) for basis in ("cell", "atom"))
    np.testing.assert_allclose(atom.entropy_error, cell.entropy_error / 2)
    assert atom.debye_temperature_error == cell.debye_temperature_error


def test_errors_and_samples_survive_files_and_units(dos, tmp_path):
    dos.save(tmp_path / "dos.nxs")
    again = load_result(tmp_path / "dos.nxs")
    np.testing.assert_allclose(again.samples, dos.samples)
    thermal = again.thermal([100.0])
    thermal.save(tmp_path / "thermal.nxs")
    read = load_result(tmp_path / "thermal.nxs")
    np.testing.assert_allclose(read.heat_capacity_error, thermal.heat_capacity_error)
    converted = dos.to("THz")
    edges = converted.energy_edges
    np.testing.assert_allclose((converted.samples * np.diff(edges)).sum(axis=2), 3)


def test_a_broadened_density_keeps_samples_and_its_error(dos):
    broad = dos.broadened(2.0)
    np.testing.assert_allclose(broad.error, broad.samples.sum(axis=1).std(axis=0, ddof=1))
    assert broad.error.max() < dos.error.max()


def test_thermal_properties_are_drawn_with_their_bands(dos):
    assert len(dos.thermal([100.0, 200.0, 300.0]).plot().collections) == 2
