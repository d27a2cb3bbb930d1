"""The phonon density of states of a CIF file, in milliseconds, with its uncertainty."""

import tempfile
from pathlib import Path

from ase.build import bulk
from ase.io import read
from matplotlib.figure import Figure

from scatterml_ase import PhononDOSPredictor, load_result

folder = Path(tempfile.mkdtemp(prefix="dos-"))
bulk("MgO", "rocksalt", a=4.22).write(folder / "mgo.cif")  # take your own file here

# 1. From structure to density of states: three modes an atom, atom by atom. Nothing is relaxed.
atoms = read(folder / "mgo.cif")
fast = PhononDOSPredictor()
dos = fast(atoms)
print(f"mean energy {dos.mean_energy:.1f} meV, species {', '.join(dos.by_species())}")

# 2. What follows from it takes the uncertainty on.
thermal = dos.thermal([100, 300])
for temperature, value, error in zip(
    thermal.temperatures, thermal.heat_capacity, thermal.heat_capacity_error, strict=True
):
    print(f"C_V({temperature:.0f} K) = {value:.2f} ± {error:.2f} J/(K mol)")
print(
    f"Debye temperature {thermal.debye_temperature:.0f} ± {thermal.debye_temperature_error:.0f} K"
)

# 3. The same from predicted force constants: slower and sharper.
sharp = PhononDOSPredictor(method="force_constants")(atoms)

figure = Figure(figsize=(8, 3.5), layout="constrained")
left, right = figure.subplots(1, 2, sharex=True, sharey=True)
dos.plot(left)
sharp.plot(right)
left.set_title('method="fast"')
right.set_title('method="force_constants"')
figure.savefig(folder / "dos.png", dpi=150)
dos.save(folder / "dos.nxs")
print(f"{load_result(folder / 'dos.nxs')}")
print(f"results are in {folder}")
