"""Silicon: phonons predicted from structure beside those of a potential trained on silicon."""

import tempfile
from pathlib import Path

import numpy as np
from ase.build import bulk
from matplotlib.figure import Figure

from scatterml_ase import (
    FiniteDisplacementPhonons,
    ForceConstantsPredictor,
    PotentialCalculator,
    relax,
)

folder = Path(tempfile.mkdtemp(prefix="silicon-"))
atoms = relax(bulk("Si"), PotentialCalculator("si"))

displaced = FiniteDisplacementPhonons(supercell=(4, 4, 4))(atoms)
predicted = ForceConstantsPredictor()(atoms)  # silicon was never in its training

figure = Figure(figsize=(6, 4), layout="constrained")
ax = figure.subplots()
for constants, label, style in ((displaced, "displacements", "-"), (predicted, "predicted", "--")):
    bands = constants.bands("GXWKGL", points=120)
    ax.plot(bands.distance, bands.frequencies, style, color="C0" if style == "-" else "C3")
    ax.plot([], [], style, color="C0" if style == "-" else "C3", label=label)
ax.set(xlim=(0, bands.distance[-1]), ylim=(0, None), ylabel="Energy (meV)", xticks=[])
ax.legend()
figure.savefig(folder / "silicon.png", dpi=150)

q = np.array([[0, 0, 0], [0.5, 0, 0.5], [0.5, 0.5, 0.5]])
for name, ours, theirs in zip(
    "ΓXL", predicted.modes(q).frequencies, displaced.modes(q).frequencies, strict=True
):
    print(
        f"{name}: highest mode {ours[-1]:.1f} meV predicted, {theirs[-1]:.1f} meV by displacements"
    )
print(f"the picture is {folder / 'silicon.png'}")
