"""Dispersion and S(Q,E) from structure alone: no calculator, no displacements."""

import tempfile
from pathlib import Path

from ase.build import bulk
from matplotlib.figure import Figure

from scatterml_ase import ForceConstantsPredictor, PowderScattering

folder = Path(tempfile.mkdtemp(prefix="direct-"))
atoms = bulk("NaCl", "rocksalt", a=5.64)

# 1. Force constants with Born charges, the same object that displacements give.
force_constants = ForceConstantsPredictor()(atoms)
print(f"acoustic modes at Γ: {force_constants.acoustic_residual():.1e} meV")
print(f"Born charge of sodium: {force_constants.born_charges[0, 0, 0]:.2f} e")

# 2. Dispersion with LO-TO splitting, and what a spectrometer sees.
bands = force_constants.bands("GXWKGL", points=120)
sqw = PowderScattering(300, instrument="MERLIN", incident_energy=40, tolerance=0.2)(force_constants)

figure = Figure(figsize=(9, 3.5), layout="constrained")
left, right = figure.subplots(1, 2)
bands.plot(left)
sqw.plot(right)
figure.savefig(folder / "nacl.png", dpi=150)
print(f"the picture is {folder / 'nacl.png'}; scatterml spectrum FILE --direct does all of it")
