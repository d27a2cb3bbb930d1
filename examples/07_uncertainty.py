"""How sure is the potential? Errors foretold, and MD that stops where knowledge ends.

A shipped model that has a committee needs one line: ``atoms.calc = CommitteeCalculator("si")``.
Here a small copper potential is trained on ASE's effective-medium theory, so that the truth is at
hand, and is given its committee. From the shell that is ``scatterml uncertainty FOLDER``.
"""

import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import bulk, fcc100
from ase.calculators.emt import EMT
from ase.io import read, write
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution

from scatterml_ase import CommitteeCalculator, StopOnExtrapolation
from scatterml_ase.potential.observer import ExtrapolationError
from scatterml_ase.training import fit_committee, train
from scatterml_ase.training.uncertainty import dataset_of

TRAINING = """
name = "copper"

[data]
train = "copper.extxyz"

[split]
fraction = 0.25

[model.options]
cutoff = 5.0
channels = 8
l_max = 2
correlation = 3

[optimizer]
learning_rate = 0.02
ema_decay = 0.95

[run]
epochs = 20
batch_structures = 4
"""

folder = Path(tempfile.mkdtemp(prefix="uncertainty-"))
random = np.random.default_rng(seed=0)


def copper(rattle: float) -> Atoms:
    """Return a strained and rattled crystal."""
    atoms = bulk("Cu", cubic=True)
    strained = atoms.cell.array @ (np.eye(3) + random.normal(0, 0.02, (3, 3)))
    atoms.set_cell(strained, scale_atoms=True)
    atoms.rattle(rattle, rng=random)
    return atoms


# 1. A potential of the warm crystal, as in example 04.
images = [copper(rattle=0.1) for _ in range(48)]
for atoms in images:
    atoms.calc = EMT()
    atoms.get_stress()
write(folder / "copper.extxyz", images)
(folder / "copper.toml").write_text(TRAINING, encoding="utf-8")
model = train(folder / "copper.toml", output=folder / "run", progress=False)

# 2. Its committee: members of the last layer, calibrated on the structures held out in training.
print(fit_committee(model, dataset_of(model, config=folder / "copper.toml")))

# 3. Spreads and grades beside the truth.
calculator = CommitteeCalculator(model)
structures = {
    "as in training": copper(rattle=0.1),
    "rattled twice": copper(rattle=0.2),
    "rattled thrice": copper(rattle=0.3),
    "surface": fcc100("Cu", (2, 2, 3), vacuum=6.0),
    "compressed": bulk("Cu", a=3.1),
}
print(f"\n{'':<16}{'force error':>12}{'spread':>9}{'grade':>8}    (eV/Å, worst grade)")
for name, atoms in structures.items():
    atoms.calc = EMT()
    truth = atoms.get_forces()
    atoms.calc = calculator
    error = np.sqrt(np.mean((atoms.get_forces() - truth) ** 2))
    spread = np.sqrt(np.mean(calculator.get_force_spread(atoms) ** 2))
    grade = calculator.get_extrapolation(atoms).max()
    print(f"{name:<16}{error:>12.3f}{spread:>9.3f}{grade:>8.2f}")

# 4. Molecular dynamics, heated until the potential no longer knows what it sees.
atoms = bulk("Cu", cubic=True) * (2, 2, 2)
atoms.calc = CommitteeCalculator(model, dtype="float32")
MaxwellBoltzmannDistribution(atoms, temperature_K=600, rng=random)
dynamics = Langevin(
    atoms, 4 * units.fs, temperature_K=300, friction=0.05 / units.fs, fixcm=False, rng=random
)
dynamics.attach(StopOnExtrapolation(atoms, file=folder / "odd.xyz"), interval=5)
try:
    for temperature in range(300, 6000, 300):
        dynamics.set_temperature(temperature_K=temperature)
        dynamics.run(20)
except ExtrapolationError as stop:
    print(f"\nStopped at {atoms.get_temperature():.0f} K after {dynamics.nsteps} steps.\n{stop}")
    kept = read(folder / "odd.xyz")
    print(f"The kept frame has grades up to {kept.arrays['extrapolation'].max():.2f}.")
