"""What a neutron spectrometer sees of silicon: S(Q,E) of a powder, and along a line in Q."""

import tempfile
from pathlib import Path

from ase.build import bulk
from matplotlib.figure import Figure

from scatterml_ase import (
    FiniteDisplacementPhonons,
    PathScattering,
    PotentialCalculator,
    PowderScattering,
    load_result,
    relax,
)

folder = Path(tempfile.mkdtemp(prefix="sqw-"))

# 1. From Atoms to force constants, as in example 02.
atoms = relax(bulk("Si"), PotentialCalculator("si"))
force_constants = FiniteDisplacementPhonons(supercell=(4, 4, 4))(atoms)

# 2. The powder on a direct-geometry spectrometer: resolution and kinematics of ARCS.
powder = PowderScattering(temperature=300, instrument="ARCS", incident_energy=100, tolerance=0.1)(
    force_constants
)
print(f"{powder.wavevectors} wavevectors, estimated error {100 * powder.relative_error:.1f} %")

# 3. A single crystal, along the standard path around the Bragg peak (0, 0, 4).
path = PathScattering(temperature=300, path="GXWKGL", zone=(2, 2, 0))(force_constants)

# 4. Draw, save, read back.
figure = Figure(figsize=(9, 3.5), layout="constrained")
left, right = figure.subplots(1, 2)
powder.plot(left)
path.plot(right)
figure.savefig(folder / "sqw.png", dpi=150)
powder.save(folder / "si.nxs")
again = load_result(folder / "si.nxs")
print(f"{again.mask.mean():.0%} of the bins are measured")
print(f"results are in {folder}")
