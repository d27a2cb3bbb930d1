"""What a hot crystal scatters, from molecular dynamics: every phonon, with its lifetime.

Lattice dynamics knows neither lifetimes nor how a crystal softens when it is hot; a trajectory of
any calculator does. Here it is copper at 800 K with EMT, in seconds; with a potential of yours only
the calculator differs.
"""

import tempfile
from pathlib import Path

from ase.build import bulk
from ase.calculators.emt import EMT
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import Stationary
from ase.md.verlet import VelocityVerlet
from ase.units import fs
from matplotlib.figure import Figure
from numpy.random import default_rng

from scatterml_ase import (
    TrajectoryCorrelations,
    TrajectoryDOS,
    TrajectoryScattering,
    analyze_trajectory,
)

folder = Path(tempfile.mkdtemp(prefix="trajectory-"))

# 1. Heat the crystal from rest, then let it go by itself. ASE writes into the file how far its
#    frames are apart (2 steps of 6 fs); the analysis reads it from there.
unit_cell = bulk("Cu", a=3.64)
atoms = bulk("Cu", a=3.64, cubic=True).repeat(2)
atoms.calc = EMT()
random = default_rng(seed=1)
Langevin(atoms, 6 * fs, temperature_K=800, friction=0.05 / fs, rng=random, fixcm=False).run(60)
Stationary(atoms)
dynamics = VelocityVerlet(atoms, 6 * fs, trajectory=str(folder / "hot.traj"), loginterval=2)
dynamics.run(1200)

# 2. One reading of the file serves any number of analyses. The wavevectors on the path that fit the
#    simulated cell are chosen; unit_cell says which zone their names refer to.
where = {"path": "GXGL", "zone": (2, 2, 0), "unit_cell": unit_cell}
sqw, intermediate, dos = analyze_trajectory(
    folder / "hot.traj",
    TrajectoryScattering(**where, scattering="coherent", energy_fwhm=4.0),
    TrajectoryCorrelations(**where, longest_time=1000),
    TrajectoryDOS(unit_cell=unit_cell, energy_fwhm=4.0),
)
print(f"{sqw.provenance['picoseconds']:.0f} ps at {sqw.temperature:.0f} K, {len(sqw.distance)} Q")
print(f"Mean energy of the vibrations: {dos.mean_energy:.1f} meV")

# 3. Error bars come from blocks of the trajectory.
cut = sqw.cut(energy=(8, 40))
print(f"Intensity at {cut.centres[3]:.2f} 1/Å: {cut.intensity[3]:.2f} ± {cut.error[3]:.2f} mbarn")

figure = Figure(figsize=(11, 3.5), layout="constrained")
left, middle, right = figure.subplots(1, 3)
sqw.plot(left, log=True)
dos.plot(middle)
intermediate.plot(right)
figure.savefig(folder / "trajectory.png", dpi=150)
sqw.save(folder / "hot.nxs")
print(f"results are in {folder}")
