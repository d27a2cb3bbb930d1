"""Inelastic x-ray scattering of silicon, with error bars from a committee of potentials."""

import tempfile
from pathlib import Path

from ase.build import bulk
from matplotlib.figure import Figure

from scatterml_ase import CommitteeCalculator, Ensemble, HessianPhonons, PathScattering, relax

folder = Path(tempfile.mkdtemp(prefix="ixs-"))

# 1. The mean potential relaxes; every member gives force constants of that structure.
atoms = relax(bulk("Si"), CommitteeCalculator("si"))
ensemble = Ensemble.of(atoms, phonons=HessianPhonons(stress_tolerance=0.01))
print(f"{len(ensemble.members)} members")

# 2. X-rays along Γ–X around the Bragg peak (2 2 0) of the primitive cell, 1.5 meV wide.
ixs = PathScattering(300, path="GX", zone=(2, 2, 0), points=80, energy_fwhm=1.5, probe="xray")
sqw = ensemble(ixs)  # the mean, with the standard deviation over members as its error
half = sqw.q[-1] / 2
spectrum = ensemble(ixs, then=lambda member: member.cut(q=(half - 0.02, half + 0.02)))
dos = ensemble.dos(16)

# 3. Where do the members disagree?
relative = spectrum.error.sum() / spectrum.intensity.sum()
print(f"S(Q,E) half-way to X: the band is {relative:.0%} of the mean")
print(f"density of states: {dos.error.sum() / dos.total.sum():.0%}")

# 4. Draw the mean map, the spectrum at one Q and the density of states with their bands.
figure = Figure(figsize=(11, 3.2), layout="constrained")
left, middle, right = figure.subplots(1, 3)
sqw.plot(left, log=True)
spectrum.plot(middle)
dos.plot(right)
figure.savefig(folder / "ixs.png", dpi=130)
sqw.save(folder / "ixs.nxs")
print(f"results are in {folder}")
