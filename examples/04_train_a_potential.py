"""Train a small potential on copper labelled by ASE's effective-medium theory.

Real training sets come from DFT; the way is the same: structures with energies and forces in a
file, a training file in TOML, one call. From the shell it is ``scatterml train copper.toml``.
"""

import tempfile
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write

from scatterml_ase import PotentialCalculator
from scatterml_ase.training import train

TRAINING = """
name = "copper"

[data]
train = "copper.extxyz"

[split]
fraction = 0.2                  # the last fifth of the file is for validation

[model.options]                 # small, to be quick: leave them out for a real potential
cutoff = 5.0
channels = 8
l_max = 2
correlation = 3

[optimizer]
learning_rate = 0.02
ema_decay = 0.95

[run]
epochs = 40
batch_structures = 4
"""

folder = Path(tempfile.mkdtemp(prefix="train-"))
random = np.random.default_rng(seed=0)

# 1. Labelled structures: strained and rattled cells, with energy, forces and stress.
images = []
for _ in range(40):
    atoms = bulk("Cu", cubic=True)
    strained = atoms.cell.array @ (np.eye(3) + random.normal(0, 0.02, (3, 3)))
    atoms.set_cell(strained, scale_atoms=True)
    atoms.rattle(0.1, rng=random)
    atoms.calc = EMT()
    atoms.get_stress()  # computes energy and forces as well
    images.append(atoms)
write(folder / "copper.extxyz", images)

# 2. Train: reads and checks the data, writes log, checkpoint, parity plot and model.
(folder / "copper.toml").write_text(TRAINING, encoding="utf-8")
model = train(folder / "copper.toml", output=folder / "run")

# 3. Use it like any other calculator.
atoms = bulk("Cu", cubic=True)
atoms.rattle(0.1, seed=1)
atoms.calc = PotentialCalculator(model)
learned = atoms.get_forces()
atoms.calc = EMT()
error = np.abs(learned - atoms.get_forces()).mean()
print(f"mean force {np.abs(learned).mean():.3f} eV/Å, mean error {error:.3f} eV/Å")
print(f"model, log and parity plot are in {folder / 'run'}")
