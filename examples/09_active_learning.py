"""Choose which structures of a hot run to label, so that few labels teach much.

ASE's effective-medium theory stands for the expensive calculation. From the shell the choice is
``scatterml select pool.traj --count 8 --model MODEL --known known.extxyz -o chosen.extxyz``.
"""

import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write
from ase.md.langevin import Langevin

from scatterml_ase import PotentialCalculator
from scatterml_ase.training import check_data, select_structures, train

TRAINING = """
name = "copper"
[data]
train = "known.extxyz"
[split]
fraction = 0.15
[model.options]
cutoff = 4.5
channels = 4
l_max = 1
correlation = 2
n_basis = 5
[optimizer]
learning_rate = 0.02
ema_decay = 0.9
[run]
epochs = 20
"""

folder = Path(tempfile.mkdtemp(prefix="active-"))
(folder / "train.toml").write_text(TRAINING, encoding="utf-8")


def labelled(images: list[Atoms]) -> list[Atoms]:
    """Do the expensive calculation."""
    copies = [atoms.copy() for atoms in images]
    for atoms in copies:
        atoms.calc = EMT()
        atoms.get_stress()  # computes energy and forces as well
    return copies


def learned(known: list[Atoms], name: str) -> Path:
    """Train on labelled structures and return the folder of the model."""
    write(folder / "known.extxyz", known)
    return train(folder / "train.toml", output=folder / name, progress=False)


def error(model: Path, images: list[Atoms]) -> float:
    """Return the mean error of the force components in eV/Å."""
    calculator = PotentialCalculator(model)
    predicted = [result["forces"] for result in calculator.evaluate(images)]
    true = [atoms.get_forces() for atoms in images]
    return float(np.abs(np.array(predicted) - np.array(true)).mean())


# 1. What is known: a few quiet crystals. What is cheap: a hot run, here from 300 to 2500 K.
random = np.random.default_rng(seed=0)
quiet = [bulk("Cu", cubic=True).repeat((2, 1, 1)) for _ in range(8)]
for atoms in quiet:
    atoms.rattle(0.05, rng=random)
known = labelled(quiet)

run, atoms = [], bulk("Cu", a=3.7, cubic=True).repeat((2, 1, 1))
atoms.calc = EMT()
dynamics = Langevin(
    atoms, 4 * units.fs, temperature_K=300, friction=0.05 / units.fs, fixcm=False, rng=random
)
for temperature in np.linspace(300, 2500, 60):
    dynamics.set_temperature(temperature_K=temperature)
    dynamics.run(10)
    run.append(atoms.copy())
pool, test = run[::2], labelled(run[1::2])

# 2. A first model, and the structures that differ most from all it has seen.
first = learned(known, "first")
chosen = select_structures(pool, 6, model=first, known=known)
print(chosen)

# 3. Label these alone; are the labels sound? Then learn again.
write(folder / "new.extxyz", labelled(chosen.pick(pool)))
print(check_data([folder / "new.extxyz"]))
second = learned(labelled(chosen.pick(pool)) + known, "second")
print(f"force error on the hot run: {error(first, test):.3f} eV/Å before, ", end="")
print(f"{error(second, test):.3f} eV/Å with {len(chosen.indices)} of {len(pool)} labelled")
