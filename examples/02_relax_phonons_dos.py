"""Relax silicon, make its phonons, and look at dispersion, density of states and heat capacity."""

import tempfile
from pathlib import Path

import numpy as np
from ase.build import bulk
from matplotlib.figure import Figure

from scatterml_ase import FiniteDisplacementPhonons, PotentialCalculator, relax

folder = Path(tempfile.mkdtemp(prefix="phonons-"))

# 1. Relax: a copy with the calculator attached, space group kept.
atoms = relax(bulk("Si"), PotentialCalculator("si"))
print(f"lattice constant {np.sqrt(2) * atoms.cell.lengths()[0]:.4f} Å")

# 2. Force constants, the hub of everything that follows. Any ASE calculator would do.
force_constants = FiniteDisplacementPhonons(supercell=(4, 4, 4))(atoms)
points = {"Γ": (0, 0, 0), "X": (0.5, 0.5, 0), "L": (0.5, 0.5, 0.5)}
for name, q in points.items():
    frequencies = force_constants.modes([q]).frequencies[0]
    print(name, *(f"{frequency:6.2f}" for frequency in frequencies), "meV")
print(f"lowest on a 20×20×20 mesh: {force_constants.lowest_frequency():.2f} meV")
print(f"acoustic modes at Γ: {force_constants.acoustic_residual():.1e} meV")
print("sound along [100]:", force_constants.sound_velocities((1, 0, 0)).round(), "m/s")

# 3. Dispersion along the standard path and density of states; every result draws itself.
bands = force_constants.bands()
dos = force_constants.dos(mesh=(24, 24, 24))
figure = Figure(figsize=(7, 3.5), layout="constrained")
left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
bands.plot(left)
dos.plot(right, orientation="vertical")
right.set_ylabel("")
figure.savefig(folder / "phonons.png", dpi=150)

# 4. Thermal properties, and units: a density of states takes the Jacobian.
thermal = force_constants.thermal([100, 300, 600]).per("atom")
for temperature, capacity in zip(thermal.temperatures, thermal.heat_capacity, strict=True):
    print(f"C_V({temperature:.0f} K) = {capacity:.2f} J/(K mol)")
in_thz = dos.to("THz")
print(f"states per cell: {np.sum(in_thz.total * np.diff(in_thz.energy_edges)):.3f}")

# 5. Files: NeXus for viewers and for reading back, CSV for spreadsheets, phonopy for its friends.
force_constants.save(folder / "force_constants.nxs")
dos.to_csv(folder / "dos.csv")
force_constants.to_phonopy().save(folder / "phonopy_params.yaml")
print(f"results are in {folder}")
