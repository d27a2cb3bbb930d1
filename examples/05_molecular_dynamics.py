"""Heat silicon, let it breathe at constant pressure, and see that energy is conserved.

Any dynamics of ASE drives the calculator; float32 is enough for it and faster than float64.
"""

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.md.langevin import Langevin
from ase.md.nose_hoover_chain import IsotropicMTKNPT
from ase.md.velocitydistribution import Stationary
from ase.md.verlet import VelocityVerlet
from ase.units import GPa, fs

from scatterml_ase import PotentialCalculator


def sampled(dynamics, quantity, steps: int, interval: int = 5) -> np.ndarray:
    """Run and return what a quantity of the atoms was on the way."""
    values: list[float] = []
    dynamics.attach(lambda: values.append(quantity(dynamics.atoms)), interval=interval)
    dynamics.run(steps)
    return np.array(values)


def pressure(atoms: Atoms) -> float:
    """Return the pressure in GPa, with the kinetic part."""
    return -atoms.get_stress(include_ideal_gas=True)[:3].mean() / GPa


# 1. A crystal of 64 atoms. Neighbours are kept between steps as long as nothing can have entered
#    the cutoff; it changes no number, and skin=0 switches it off.
atoms = bulk("Si", cubic=True).repeat(2)
atoms.calc = PotentialCalculator("si", dtype="float32", skin=0.5)

# 2. Canonical: a strong thermostat heats the crystal from rest to 600 K.
random = np.random.default_rng(seed=0)
thermostat = Langevin(atoms, 2 * fs, temperature_K=600, friction=0.05 / fs, rng=random, fixcm=False)
temperatures = sampled(thermostat, Atoms.get_temperature, steps=100)
Stationary(atoms)
print(f"Langevin  {temperatures[10:].mean():.0f} K on average after 0.1 ps")

# 3. Microcanonical: nothing but the forces; the total energy must not drift.
dynamics = VelocityVerlet(atoms, timestep=1 * fs)
energies = sampled(dynamics, Atoms.get_total_energy, steps=100) / len(atoms)
times = np.linspace(0, 0.1, len(energies))  # ps
drift = 1e3 * np.polyfit(times, energies, deg=1)[0]
print(f"NVE       energy fluctuates by {1e3 * energies.std():.3f} meV/atom, drifts by "
      f"{drift:+.2f} meV/atom/ps")  # fmt: skip

# 4. Constant pressure: the cell moves as well, and the stress drives it.
barostat = IsotropicMTKNPT(
    atoms, 2 * fs, temperature_K=600, pressure_au=0.0, tdamp=50 * fs, pdamp=200 * fs
)
pressures = sampled(barostat, pressure, steps=100)
side = np.cbrt(atoms.get_volume()) / 2
print(f"NPT       {pressures.mean():+.2f} GPa on average, cell of {side:.3f} Å")
