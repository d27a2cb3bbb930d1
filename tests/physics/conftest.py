"""Crystals of springs: force constants that are exact, stable and cheap, of any structure."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list

from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.force_constants import ForceConstants


def springs(
    atoms: Atoms, cutoff: float, stretch: float, bend: float, supercell: int
) -> ForceConstants:
    """Join all neighbours within ``cutoff`` by springs along and across the bond (eV/Å²).

    Every bond weakens with its length, so that inequivalent bonds differ. Each is a harmonic
    energy of u_j − u_i: the acoustic sum rule holds by construction.
    """
    i, j, shifts, bonds = neighbor_list("ijSD", atoms, cutoff)
    length = np.linalg.norm(bonds, axis=1)
    along = bonds[:, :, None] * bonds[:, None, :] / length[:, None, None] ** 2
    blocks = stretch * along + bend * (np.eye(3) - along)
    blocks *= ((length.min() / length) ** 4)[:, None, None]
    own = [blocks[i == atom].sum(axis=0) for atom in range(len(atoms))]
    each = np.arange(len(atoms))
    return ForceConstants(
        crystal=Crystal.from_atoms(atoms),
        pairs=np.concatenate([np.stack([i, j], axis=1), np.stack([each, each], axis=1)]),
        cell_shifts=np.concatenate([shifts, np.zeros((len(atoms), 3), dtype=int)]),
        blocks=np.concatenate([-blocks, own]),
        supercell_matrix=supercell * np.eye(3, dtype=int),
    )


@pytest.fixture(scope="session")
def zincblende() -> ForceConstants:
    """Two atoms on cubic sites, no inversion."""
    return springs(bulk("SiC", "zincblende", a=4.35), 3.5, 12.0, 2.0, supercell=4)


@pytest.fixture(scope="session")
def wurtzite() -> ForceConstants:
    """Four atoms on two pairs of equivalent sites, uniaxial."""
    return springs(bulk("ZnO", "wurtzite", a=3.25, c=5.2, u=0.38), 3.4, 6.0, 1.5, supercell=4)


@pytest.fixture(scope="session", params=["right-handed", "left-handed"])
def triclinic(request) -> ForceConstants:
    """Three atoms at random places: no symmetry at all, in two descriptions."""
    order = [0, 1, 2] if request.param == "right-handed" else [1, 0, 2]
    cell = np.array([[4.2, 0.3, -0.5], [0.6, 4.6, 0.4], [-0.7, 0.2, 4.0]])[order]
    positions = np.array([[0.05, 0.1, 0.9], [0.45, 0.6, 0.35], [0.8, 0.2, 0.5]])[:, order]
    atoms = Atoms("SiOGa", cell=cell, scaled_positions=positions, pbc=True)
    return springs(atoms, 4.2, 8.0, 1.5, supercell=4)
