"""Phonons of silicon from the shipped model beside DFT; prints a table in THz.

python benchmarks/silicon.py
"""

import numpy as np
from ase.build import bulk

from scatterml_ase import FiniteDisplacementPhonons, PotentialCalculator, relax
from scatterml_ase.units import THZ_TO_MEV

POINTS = {"Γ": (0, 0, 0), "X": (0.5, 0.5, 0), "L": (0.5, 0.5, 0.5)}
BRANCHES = {
    "Γ LTO": 5,
    "X TA": 0,
    "X LAO": 2,
    "X TO": 5,
    "L TA": 0,
    "L LA": 2,
    "L LO": 3,
    "L TO": 5,
}
REFERENCES = {
    # Effective at 300 K, from the training data: benchmarks/silicon_reference.py.
    "PBE 300 K": (14.83, 4.31, 11.94, 13.21, 3.28, 10.93, 11.88, 13.94),
    # Kyoto phonon database, mp-149, CC-BY 4.0, 64-atom supercell.
    "PBEsol": (15.29, 3.98, 12.14, 13.73, 3.10, 11.08, 12.27, 14.57),
}


def main() -> None:
    """Relax, displace, diagonalise, print."""
    atoms = relax(bulk("Si"), PotentialCalculator("si"))
    force_constants = FiniteDisplacementPhonons(supercell=(5, 5, 5))(atoms)
    frequencies = {
        name: force_constants.modes([q]).frequencies[0] / THZ_TO_MEV for name, q in POINTS.items()
    }
    model = [frequencies[branch[0]][index] for branch, index in BRANCHES.items()]
    print(f"lattice constant {(4 * atoms.cell.volume) ** (1 / 3):.4f} Å (DFT-PBE 5.4687)")
    print(f"{'THz':<12}" + "".join(f"{branch:>8}" for branch in BRANCHES))
    for name, row in {"model si": model, **REFERENCES}.items():
        print(f"{name:<12}" + "".join(f"{value:8.2f}" for value in row))
    for name, row in REFERENCES.items():
        error = np.array(model) / np.array(row) - 1
        print(f"mean deviation from {name}: {100 * np.abs(error).mean():.1f} %")
    lowest = force_constants.mesh_modes((20, 20, 20)).frequencies.min()
    print(f"lowest on a 20x20x20 mesh {lowest:.1e} meV")
    print(f"acoustic residual at Γ {force_constants.acoustic_residual():.1e} meV")


if __name__ == "__main__":
    main()
