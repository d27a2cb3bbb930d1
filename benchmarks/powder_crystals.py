"""Force constants for the benchmark of powder maps that need no file."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.spacegroup import crystal
from matscipy.neighbours import neighbour_list

from scatterml_ase import FiniteDisplacementPhonons, ForceConstants, PotentialCalculator, relax
from scatterml_ase.physics import dipole
from scatterml_ase.physics.supercell import unique_rows
from scatterml_ase.results.crystal import Crystal


def copper() -> ForceConstants:
    """Return those of the effective-medium theory."""
    atoms = bulk("Cu", a=3.5898)
    atoms.calc = EMT()
    return FiniteDisplacementPhonons(supercell=(4, 4, 4))(atoms)


def silicon() -> ForceConstants:
    """Return those of the shipped potential."""
    atoms = relax(bulk("Si"), PotentialCalculator("si"))
    return FiniteDisplacementPhonons(supercell=(4, 4, 4))(atoms)


def salt() -> ForceConstants:
    """Return springs between neighbours, and ions of one charge."""
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    return polar(atoms, 4, {(11, 17): (2.83, 1.2), (17, 17): (4.0, 0.15)}, {11: 1.1, 17: -1.1}, 2.3)


def quartz() -> ForceConstants:
    """Return stiff bonds Si-O, springs along the edges of tetrahedra, and ions."""
    atoms = crystal(
        ["Si", "O"], [(0.4697, 0, 2 / 3), (0.4133, 0.2672, 0.7855)], spacegroup=154,
        cellpar=[4.916, 4.916, 5.405, 90, 90, 120],
    )  # fmt: skip
    springs = {(8, 14): (1.7, 25.0), (8, 8): (3.6, 4.0), (14, 14): (3.3, 4.0)}
    return polar(atoms, 3, springs, {14: 3.4, 8: -1.7}, 2.4)


def polar(
    atoms: Atoms,
    repeat: int,
    springs: dict[tuple[int, int], tuple[float, float]],
    charges: dict[int, float],
    dielectric: float,
) -> ForceConstants:
    """Return springs and the dipole-dipole forces of a supercell, as a calculator would give them.

    Parameters
    ----------
    atoms
        The primitive cell.
    repeat
        How many times it is repeated along each axis.
    springs
        Reach in Å and constant in eV/Å², by atomic numbers, the smaller first.
    charges
        Born charge by atomic number.
    dielectric
        The dielectric constant.
    """
    born = np.array([charges[z] for z in atoms.numbers])[:, None, None] * np.eye(3)
    matrix = repeat * np.eye(3, dtype=int)
    found = Crystal.from_atoms(atoms)
    sums = dipole.dipole_sum(
        found.cell, found.scaled_positions, found.masses, born, dielectric * np.eye(3)
    )
    pairs, shifts, blocks = dipole.dipole_pairs(sums, matrix, found.masses)
    spring_pairs, spring_shifts, spring_blocks = spring_blocks_of(atoms, springs)
    rows, row = unique_rows(  # one entry a pair, or the check of symmetry would see halves
        np.concatenate(
            [np.hstack([pairs, shifts]), np.hstack([spring_pairs, spring_shifts])], axis=0
        )
    )
    total = np.zeros((len(rows), 3, 3))
    np.add.at(total, row, np.concatenate([blocks, spring_blocks]))
    return ForceConstants(
        crystal=found,
        pairs=rows[:, :2],
        cell_shifts=rows[:, 2:],
        blocks=total,
        supercell_matrix=matrix,
        born_charges=born,
        dielectric=dielectric * np.eye(3),
    )


def spring_blocks_of(
    atoms: Atoms, springs: dict[tuple[int, int], tuple[float, float]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pairs, shifts and blocks of springs; each resists bending by a tenth."""
    i, j, d, D, S = neighbour_list("ijdDS", atoms, max(reach for reach, _ in springs.values()))
    low, high = np.sort([atoms.numbers[i], atoms.numbers[j]], axis=0)
    constant = np.zeros(len(i))
    for (first, second), (reach, value) in springs.items():
        constant[(low == first) & (high == second) & (d < reach)] = value
    unit = D / d[:, None]
    stiff = unit[:, :, None] * unit[:, None, :] + 0.1 * np.eye(3)
    between = constant[:, None, None] * stiff
    own = np.arange(len(atoms))
    on_site = np.zeros((len(atoms), 3, 3))
    np.add.at(on_site, i, between)
    pairs = np.concatenate([np.stack([i, j], axis=1), np.stack([own, own], axis=1)])
    shifts = np.concatenate([S, np.zeros((len(own), 3), dtype=int)])
    return pairs, shifts, np.concatenate([-between, on_site])


def many_atoms() -> ForceConstants:
    """Return springs in an alloy of 108 atoms without any symmetry."""
    atoms = bulk("Cu", "fcc", a=3.75, cubic=True) * (3, 3, 3)
    generator = np.random.default_rng(0)
    atoms.numbers[generator.choice(len(atoms), 36, replace=False)] = 47
    atoms.rattle(0.05, seed=1)
    springs = {(29, 29): (3.2, 1.6), (29, 47): (3.2, 1.8), (47, 47): (3.2, 2.2)}
    pairs, shifts, blocks = spring_blocks_of(atoms, springs)
    return ForceConstants(
        crystal=Crystal.from_atoms(atoms), pairs=pairs, cell_shifts=shifts, blocks=blocks
    )


CRYSTALS: dict[str, Callable[[], ForceConstants]] = {
    "Cu": copper,
    "Si": silicon,
    "NaCl": salt,
    "quartz": quartz,
}
