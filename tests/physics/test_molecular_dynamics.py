"""The shipped silicon potential in what ASE's users run: dynamics, cells that move, phonopy."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.fd import calculate_numerical_forces
from ase.constraints import FixAtoms
from ase.filters import FrechetCellFilter
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from ase.optimize import LBFGS
from ase.units import fs, kB
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from scatterml_ase import PotentialCalculator


def hot_silicon(temperature, **options):
    """Eight atoms with random momenta at rest as a whole."""
    atoms = bulk("Si", cubic=True)
    atoms.calc = PotentialCalculator("si", **options)
    random = np.random.default_rng(4)
    scale = np.sqrt(atoms.get_masses()[:, None] * kB * temperature)
    momenta = scale * random.normal(size=(len(atoms), 3))
    atoms.set_momenta(momenta - momenta.mean(axis=0))
    return atoms


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_total_energy_does_not_drift(dtype):
    """Velocity Verlet errs by the square of the time step: a sixteenth at a quarter of the step.

    That holds for forces that are the exact derivative of the energy, and only for them.
    """
    errors = {}
    for step in (2.0, 0.5):
        atoms = hot_silicon(1200, dtype=dtype)
        energies = []
        dynamics = VelocityVerlet(atoms, timestep=step * fs)
        dynamics.attach(lambda a=atoms, e=energies: e.append(a.get_total_energy()))
        dynamics.run(int(60 / step))
        errors[step] = np.ptp(energies) / len(atoms)
    assert errors[0.5] < errors[2.0] / 10
    assert errors[0.5] < 1e-4  # eV/atom


def test_a_thermostat_keeps_its_temperature_with_fixed_atoms():
    atoms = hot_silicon(600, dtype="float32")
    atoms.set_constraint(FixAtoms([0]))
    fixed = atoms.positions[0].copy()
    random = np.random.default_rng(7)
    dynamics = Langevin(
        atoms, 2 * fs, temperature_K=600, friction=0.1 / fs, rng=random, fixcm=False
    )
    temperatures = []
    dynamics.attach(lambda: temperatures.append(atoms.get_temperature()))
    dynamics.run(150)
    assert 450 < np.mean(temperatures[50:]) < 750
    np.testing.assert_array_equal(atoms.positions[0], fixed)


def test_a_strained_cell_relaxes_to_the_crystal():
    """Atoms and cell at once; the neighbours that are kept follow the cell."""
    atoms = bulk("Si", cubic=True)
    atoms.set_cell(atoms.cell.array @ [[1.04, 0.02, 0], [0, 0.97, 0], [0, 0.01, 1]], True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = PotentialCalculator("si")
    LBFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-4, steps=80)
    fresh = atoms.copy()
    fresh.calc = PotentialCalculator("si", skin=0.0)
    assert np.abs(fresh.get_stress()).max() < 1e-4
    np.testing.assert_allclose(atoms.cell.angles(), 90, atol=0.02)
    assert np.ptp(atoms.cell.lengths()) < 2e-3
    assert atoms.cell.lengths().mean() == pytest.approx(5.469, abs=0.01)  # of PBE: docs/silicon.md


def test_a_phonopy_script_runs_as_with_any_calculator():
    atoms = bulk("Si", a=5.469)
    phonon = Phonopy(
        PhonopyAtoms(atoms.get_chemical_symbols(), cell=atoms.cell, positions=atoms.positions),
        supercell_matrix=np.diag([2, 2, 2]),
        primitive_matrix="auto",
    )
    phonon.generate_displacements(distance=0.01)
    calculator = PotentialCalculator("si")
    sets = []
    for cell in phonon.supercells_with_displacements:
        displaced = bulk("Si").repeat(2)  # any Atoms: what counts is set below
        displaced.set_cell(cell.cell)
        displaced.set_positions(cell.positions)
        displaced.calc = calculator
        sets.append(displaced.get_forces())
    phonon.forces = sets
    phonon.produce_force_constants()
    phonon.symmetrize_force_constants()
    phonon.run_qpoints([[0, 0, 0]])
    frequencies = phonon.qpoints.frequencies[0]
    np.testing.assert_allclose(frequencies[:3], 0, atol=1e-3)
    assert 14.5 < frequencies[3:].mean() < 16.0  # THz; measured 15.5 at room temperature
    assert np.ptp(frequencies[3:]) < 1e-3


def test_float32_forces_are_derivatives_of_the_float64_energy():
    atoms = hot_silicon(300)
    atoms.rattle(0.1, seed=2)
    numerical = calculate_numerical_forces(atoms, eps=1e-3, iatoms=[3])[0]
    atoms.calc = PotentialCalculator("si", dtype="float32")
    np.testing.assert_allclose(atoms.get_forces()[3], numerical, atol=1e-4)
