"""Attach the shipped silicon potential to ASE Atoms, like any other calculator."""

import numpy as np
from ase.build import bulk
from ase.calculators.fd import calculate_numerical_forces
from ase.md.verlet import VelocityVerlet
from ase.units import GPa, fs

from scatterml_ase import PotentialCalculator, list_models

# 1. What is there: each card says which elements a model knows and how it was made.
for card in list_models():
    print(card)

# 2. Energy, forces and stress in ASE's units.
atoms = bulk("Si", cubic=True)
atoms.rattle(0.05, seed=0)
atoms.calc = PotentialCalculator("si")
print(atoms.calc)
print(f"energy   {atoms.get_potential_energy() / len(atoms):.4f} eV/atom")
print(f"force    {np.linalg.norm(atoms.get_forces(), axis=1).max():.4f} eV/Å at most")
print(f"pressure {-atoms.get_stress()[:3].mean() / GPa:.2f} GPa")

# 3. Forces are exact derivatives of the energy: a finite difference agrees.
numerical = calculate_numerical_forces(atoms, eps=1e-4, iatoms=[0])
error = np.abs(atoms.get_forces()[0] - numerical[0]).max()
print(f"against a finite difference: {error:.1e} eV/Å")

# 4. Many structures at once: one batch through the network.
strained = [bulk("Si", a=a) for a in (5.3, 5.4, 5.5, 5.6)]
for structure, result in zip(strained, atoms.calc.evaluate(strained), strict=True):
    print(f"volume {structure.get_volume():.2f} Å³  energy {result['energy']:.4f} eV")

# 5. A little molecular dynamics, let go from rest; float32 is enough for that, and faster.
atoms.calc = PotentialCalculator("si", dtype="float32")
before = atoms.get_total_energy()
VelocityVerlet(atoms, timestep=1 * fs).run(20)
drift = 1e3 * (atoms.get_total_energy() - before) / len(atoms)
print(f"temperature {atoms.get_temperature():.0f} K, energy drift {drift:.3f} meV/atom in 20 fs")
