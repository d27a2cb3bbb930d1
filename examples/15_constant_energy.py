"""A single crystal on a spectrometer: slices at constant energy, and a grid in four dimensions."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from ase.build import bulk
from matplotlib.figure import Figure

from scatterml_ase import (
    FiniteDisplacementPhonons,
    GridScattering,
    PlaneScattering,
    PotentialCalculator,
    relax,
)

folder = Path(tempfile.mkdtemp(prefix="constant-energy-"))
atoms = relax(bulk("Si"), PotentialCalculator("si"))
force_constants = FiniteDisplacementPhonons(supercell=(4, 4, 4))(atoms)

# 1. The (H H L) plane at 18 ... 20 meV, in units of the cubic cell. Symmetry leaves few
#    wavevectors to solve.
everything = PlaneScattering(
    temperature=300,
    axes=((1, 1, 0), (0, 0, 1)),
    ranges=((-4, 4), (-5, 5)),
    bins=(120, 150),
    energy=(18, 20),
)
plane = everything(force_constants)
print(f"{plane.points} scattering vectors from {plane.wavevectors} wavevectors")

# 2. What MERLIN sees of it with [110] along the beam at psi = 0, the crystal turned by 60 degrees.
#    Mosaic and divergence blur Q by 0.1 1/Å.
measured = replace(
    everything, instrument="MERLIN", incident_energy=60, psi=(0, 60), q_fwhm=0.1, q_samples=32
)(force_constants)
print(f"{measured.mask.mean():.0%} of the plane is measured")

# 3. The same with phonons of finite lifetime: widths that grow with energy.
damped = replace(everything, linewidths=lambda q, energy: 0.05 * energy)(force_constants)

figure = Figure(figsize=(11, 3.1), layout="constrained")
for ax, shown in zip(figure.subplots(1, 3), (plane, measured, damped), strict=True):
    shown.plot(ax, maximum=3.0)
figure.savefig(folder / "planes.png", dpi=150)

# 4. A grid of H, K, L and E goes into one file, slab by slab, and is read piece by piece.
grid = GridScattering(
    temperature=300,
    ranges=((-2, 2), (-2, 2), (0, 2)),
    bins=(20, 20, 10),
    energy_edges=np.linspace(-40, 70, 56),
).write(force_constants, folder / "grid.nxs")
print(f"grid {grid.shape}: {grid.facts['points']} points from {grid.facts['wavevectors']} q")
cut = grid.plane("z", between=(0, 0.4), energy=(18, 22))
cut.save(folder / "cut.nxs")
print(f"results are in {folder}")
