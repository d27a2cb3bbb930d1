"""E(V) of a crystal, with any ASE calculator."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.energy_volume import EnergyVolume
from scatterml_ase.workflows.properties.provenance import provenance


def equation_of_state(
    atoms: Atoms,
    *,
    shares: tuple[float, float] = (0.85, 1.15),
    points: int = 13,
) -> EnergyVolume:
    """Return energies of the crystal scaled uniformly, V/V_start within ``shares``.

    Scaled coordinates stay: that is the relaxed E(V) of every cubic crystal whose sites are
    fixed by symmetry, and an upper bound of it elsewhere. Volumes within 10 % of the start
    enter the fit.
    """
    lengths = np.cbrt(np.linspace(*shares, points))
    energies = []
    for length in lengths:
        image = atoms.copy()
        image.set_cell(atoms.cell.array * length, scale_atoms=True)
        image.calc = atoms.calc
        energies.append(image.get_potential_energy() / len(atoms))
    return EnergyVolume(
        crystal=Crystal.from_atoms(atoms),
        volumes=lengths**3 * atoms.get_volume() / len(atoms),
        energies=np.array(energies),
        provenance=provenance(atoms, equation_of_state={"shares": shares, "points": points}),
    )
