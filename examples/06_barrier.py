"""The barrier for two neighbours in silicon to change places, without any defect around.

A climbing nudged elastic band along Pandey's concerted exchange (10.1103/PhysRevLett.57.2287), all
images on one calculator. Cell, images and steps are few to be quick: a number to publish needs
216 atoms or more and fmax=0.02.
"""

import numpy as np
from ase.build import bulk
from ase.mep import NEB
from ase.optimize import FIRE

from scatterml_ase import PotentialCalculator

calculator = PotentialCalculator("si")

# 1. The crystal, and one bond of it: atom 0 and its nearest neighbour.
crystal = bulk("Si", cubic=True).repeat(2)
neighbour = 1 + int(np.argmin(crystal.get_distances(0, range(1, len(crystal)), mic=True)))
bond = crystal.get_distance(0, neighbour, mic=True, vector=True)
axis = np.cross(bond, [0.3, 1.0, 0.0])  # any across the bond, but not along a mirror

# 2. The path: turn the bond by 180° about its middle. The last image is the crystal again, with
#    the two atoms exchanged.
images = []
for angle in np.linspace(0, 180, 7):
    image = crystal.copy()
    pair = image[[0, neighbour]]
    pair.positions[1] = pair.positions[0] + bond
    pair.rotate(angle, axis, center=pair.positions[0] + bond / 2)
    image.positions[[0, neighbour]] = pair.positions
    image.calc = calculator
    images.append(image)
first = [result["energy"] for result in calculator.evaluate(images, ["energy"])]
print(f"turning a rigid bond costs {max(first) - first[0]:.2f} eV")

# 3. Relax the band, first as a whole, then with its highest image climbing to the saddle point.
band = NEB(images, k=1.0, method="improvedtangent", allow_shared_calculator=True)
FIRE(band, logfile=None).run(fmax=0.5, steps=25)
band.climb = True
FIRE(band, logfile=None).run(fmax=0.1, steps=35)

# 4. Energies along the path, in one batch and without forces.
energies = np.array([result["energy"] for result in calculator.evaluate(images, ["energy"])])
for k, energy in enumerate(energies - energies[0]):
    print(f"image {k}   {energy:.2f} eV")
print(f"barrier   {energies.max() - energies[0]:.2f} eV")
