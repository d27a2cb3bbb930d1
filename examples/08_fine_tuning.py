"""Fine-tune the shipped silicon model to another level of theory with a dozen structures.

Here the other level is Tersoff's potential (1988, 10.1103/PhysRevB.37.6991), because it is quick;
in earnest it is the functional you need. From the shell: ``scatterml train new.toml --from si``.
"""

import json
import logging
import tempfile
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.calculators.tersoff import Tersoff, TersoffParameters
from ase.io import write

from scatterml_ase import PotentialCalculator
from scatterml_ase.training import train

TERSOFF = TersoffParameters(
    A=3264.7, B=95.373, lambda1=3.2394, lambda2=1.3258, lambda3=1.3258, beta=0.33675,
    gamma=1.0, m=3.0, n=22.956, c=4.8381, d=2.0417, h=0.0, R=3.0, D=0.2,
)  # fmt: skip

TRAINING = """
name = "si-tersoff"

[data]
train = "tersoff.extxyz"

[split]
fraction = 0.25                 # the last quarter of the file is for validation

[model]
start = "si"                    # a shipped model, or the folder of one of yours
freeze = ["basis", "embedding"] # what atoms look like; what follows from it is learned anew

[optimizer]
learning_rate = 0.002           # a fifth of what a training from scratch takes
warmup_steps = 5
ema_decay = 0.9

[run]
epochs = 20
batch_structures = 2
"""

logging.basicConfig(format="%(message)s")
logging.getLogger("scatterml_ase.training").setLevel(logging.INFO)  # what the training says
folder = Path(tempfile.mkdtemp(prefix="fine-tuning-"))
random = np.random.default_rng(seed=0)

# 1. A few structures at the new level: strained and rattled cells of eight atoms.
images = []
for _ in range(12):
    atoms = bulk("Si", cubic=True)
    strained = atoms.cell.array @ (np.eye(3) + random.normal(0, 0.015, (3, 3)))
    atoms.set_cell(strained, scale_atoms=True)
    atoms.rattle(0.08, rng=random)
    atoms.calc = Tersoff({("Si", "Si", "Si"): TERSOFF})
    atoms.get_stress()  # computes energy and forces as well
    images.append(atoms)
write(folder / "tersoff.extxyz", images)

# 2. Go on from the shipped model. Its energies are shifted to the new level before the first step.
(folder / "new.toml").write_text(TRAINING, encoding="utf-8")
model = train(folder / "new.toml", output=folder / "run", progress=False)

# 3. The card says where the model came from, and what fine-tuning has gained.
card = json.loads((model / "card.json").read_text(encoding="utf-8"))
origin = card["training"]["fine_tuned_from"]
print(f"fine-tuned from {origin['name']} (sha256 {origin['sha256'][:12]}…)")
for name in ("validation before fine-tuning", "validation"):
    errors = card["metrics"][name]["all"]
    print(f"{name}: {errors['energy_mae']:.1f} meV/atom, {errors['force_mae']:.0f} meV/Å")

# 4. Use it like any other calculator.
silicon = bulk("Si")
silicon.calc = PotentialCalculator(model)
print(f"energy {silicon.get_potential_energy() / 2:.3f} eV/atom (Tersoff: -4.630)")
