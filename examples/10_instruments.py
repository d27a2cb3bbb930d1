"""What instruments show of aluminium: a chopper spectrometer with its counts, and TOSCA's banks."""

import tempfile
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT
from matplotlib.figure import Figure

from scatterml_ase import (
    FiniteDisplacementPhonons,
    Instrument,
    Measurement,
    PowderScattering,
    relax,
)

folder = Path(tempfile.mkdtemp(prefix="instruments-"))
force_constants = FiniteDisplacementPhonons(supercell=(4, 4, 4))(relax(bulk("Al"), EMT()))

# 1. Direct geometry: the calculated map has the resolution and reach of the instrument already.
edges = np.linspace(-20, 45, 131)
options = {"energy_edges": edges, "tolerance": 0.05, "progress": False}
sqw = PowderScattering(300, instrument="ARCS", incident_energy=60, **options)(force_constants)

# 2. What it would show: Bragg peaks, incoherent elastic line, width in Q, background and noise.
shown = Measurement("ARCS", 60, counts=20000, background=0.02)(sqw, force_constants)

# 3. Indirect geometry: E_f is fixed, and each bank of detectors measures along one line Q(E).
tosca = Instrument.load("TOSCA")
options = {"order": "all", "incoherent": True, "tolerance": 0.1, "progress": False}
spectra = tosca.spectra(PowderScattering(20, instrument=tosca, **options)(force_constants))
for bank in spectra:
    q = tosca.trajectories(np.array([0.0, 30.0]))[bank]
    print(f"TOSCA, {bank}: |Q| from {q[0]:.2f} (E = 0) to {q[1]:.2f} 1/Å (30 meV)")

# 4. Draw and save.
figure = Figure(figsize=(11, 3.4), layout="constrained")
calculated, measured, banks = figure.subplots(1, 3)
sqw.plot(calculated, maximum=3).set_title("calculated, ARCS, 60 meV")
shown.plot(measured, maximum=3).set_title("as it would be measured")
for color, (bank, cut) in zip(("C0", "C1"), spectra.items(), strict=True):
    cut.plot(banks, color=color, label=f"TOSCA, {bank}")
banks.set_ylim(0, 1.3 * max(np.nanmax(cut.intensity) for cut in spectra.values()))
banks.legend(frameon=False)
figure.savefig(folder / "instruments.png", dpi=110)
shown.save(folder / "al_arcs.nxs")
print(f"results are in {folder}")
