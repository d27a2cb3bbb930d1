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
displaced.bands("GXWKGL", points=120).plot(ax)
bands = predicted.bands("GXWKGL", points=120)
ax.plot(bands.distance, bands.frequencies, ".", markersize=3, color="C3")
ax.plot([], [], color="C0", label="displacements")
ax.plot([], [], ".", color="C3", label="predicted")
ax.legend(loc="lower center")
figure.savefig(folder / "silicon.png", dpi=150)

q = np.array([[0, 0, 0], [0.5, 0, 0.5], [0.5, 0.5, 0.5]])
for name, ours, theirs in zip(
    "ΓXL", predicted.modes(q).frequencies, displaced.modes(q).frequencies, strict=True
):
    print(
        f"{name}: highest mode {ours[-1]:.1f} meV predicted, {theirs[-1]:.1f} meV by displacements"
    )
print(f"the picture is {folder / 'silicon.png'}")
