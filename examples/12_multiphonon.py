"""Everything a powder scatters: coherent, incoherent, by one phonon and by many, part by part."""

import tempfile
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT
from matplotlib.figure import Figure

from scatterml_ase import (
    Crystal,
    FiniteDisplacementPhonons,
    IncoherentScattering,
    Instrument,
    PhononDOS,
    PowderScattering,
    relax,
)

folder = Path(tempfile.mkdtemp(prefix="multiphonon-"))

# 1. A coherent scatterer. One call; each number of phonons is a part of the map.
aluminium = FiniteDisplacementPhonons(supercell=(4, 4, 4))(relax(bulk("Al"), EMT()))
sqw = PowderScattering(
    300, instrument="ARCS", incident_energy=130, order="all", incoherent=True,
    energy_edges=np.linspace(0, 120, 241), tolerance=0.05, progress=False,
)(aluminium)  # fmt: skip
for name in sqw.part_names:
    share = np.nansum(sqw.part(name).intensity) / np.nansum(sqw.intensity)
    print(f"Al at 300 K, ARCS: {name:12s} {100 * share:5.1f} %")

# 2. A hydride on TOSCA, from a density of states alone, as a predictor would give it. This one is
# drawn by hand after PdH: metal and hydrogen move together below 25 meV, hydrogen alone at 57 meV.
edges = np.linspace(0, 110, 441)
centres = (edges[1:] + edges[:-1]) / 2
acoustic = np.where(centres < 25, centres**2, 0.0)
optic = np.exp(-(((centres - 57) / 3.5) ** 2)) + 0.35 * np.exp(-(((centres - 70) / 9) ** 2))
acoustic, optic = (3 * part / (part.sum() * 0.25) for part in (acoustic, optic))
partial = np.array([0.99 * acoustic + 0.01 * optic, 0.01 * acoustic + 0.99 * optic])
hydride = PhononDOS(
    crystal=Crystal.from_atoms(bulk("PdH", "rocksalt", a=4.09)),
    energy_edges=edges, total=partial.sum(axis=0), partial=partial,
    provenance={"source": "drawn by hand"},
)  # fmt: skip
tosca = Instrument.load("TOSCA")
spectrum = IncoherentScattering(
    20, one_phonon="total", instrument=tosca, energy_edges=np.arange(2, 300, 0.5)
)(hydride)
print("PdH on TOSCA:", spectrum, *spectrum.part_names, sep="  ")

# 3. The same bank of detectors for each part: harmonics of the hydrogen mode.
backward = {name: tosca.spectra(spectrum.part(name))["backward"] for name in spectrum.part_names}

# 4. Draw and save: the map, a cut of stacked parts, and the spectrum with its harmonics.
figure = Figure(figsize=(12, 3.6), layout="constrained")
left, middle, right = figure.subplots(1, 3)
sqw.plot(left).set_title("Al, 300 K, ARCS, 130 meV")
sqw.cut(q=(9, 11)).plot_parts(middle).set_title("9 … 11 Å$^{-1}$")
tosca.spectra(spectrum)["backward"].plot(right, color="black", label="total")
for index, (name, cut) in enumerate(backward.items()):
    cut.plot(right, color=f"C{index}", label=name)
right.set_ylim(0, 1.05 * np.nanmax(tosca.spectra(spectrum)["backward"].intensity))
right.set_title("PdH, 20 K, TOSCA (backward)")
right.legend(frameon=False, fontsize="small")
figure.savefig(folder / "multiphonon.png", dpi=110)
sqw.save(folder / "al.nxs")
print(f"results are in {folder}")
