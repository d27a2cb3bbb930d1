"""Vacancies and surfaces, relaxed, with any ASE calculator."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from ase.spacegroup.symmetrize import check_symmetry

from scatterml_ase.errors import InputError, explain
from scatterml_ase.units import EV_PER_ANGSTROM2_TO_J_PER_M2
from scatterml_ase.workflows.properties.dynamics import simulation_cell
from scatterml_ase.workflows.relax import relax

_SYMMETRY_PRECISION = 1e-4
_REACH = 4  # cell vectors, in the search for the vectors of a plane


@dataclass(frozen=True)
class DefectEnergy:
    """An energy of a defect, before and after its atoms relaxed.

    Parameters
    ----------
    relaxed, unrelaxed
        In ``unit``.
    unit
        ``"eV"`` for a vacancy, ``"J/m^2"`` for a surface.
    atoms
        The relaxed structure, calculator attached.
    """

    relaxed: float
    unrelaxed: float
    unit: str
    atoms: Atoms


def vacancy_formation_energy(
    atoms: Atoms,
    *,
    minimum_length: float = 10.0,
    force_tolerance: float = 5e-3,
    seed: int = 0,
    progress: bool = False,
) -> DefectEnergy:
    """Return E(N−1) − (N−1)/N E(N) of a supercell at constant volume.

    Parameters
    ----------
    atoms
        A relaxed crystal of one element with a calculator.
    minimum_length
        Distance in Å between a vacancy and its images.
    force_tolerance
        In eV/Å. Atoms start 0.02 Å off their sites, for a vacancy may break the symmetry.
    seed
        Of these displacements.
    progress
        Whether the steps of the relaxation are shown.

    Raises
    ------
    InputError
        If there are several elements: removing one then needs its chemical potential.
    """
    _one_element(atoms, "The formation energy of a vacancy")
    perfect = simulation_cell(atoms, minimum_length)
    energy = perfect.get_potential_energy()
    hole = perfect.copy()
    del hole[0]
    hole.calc = atoms.calc
    reference = energy * len(hole) / len(perfect)
    unrelaxed = hole.get_potential_energy() - reference
    hole.positions += np.random.default_rng(seed).normal(scale=0.02, size=(len(hole), 3))
    relaxed = relax(
        hole,
        cell=False,
        force_tolerance=force_tolerance,
        symmetry_precision=None,
        progress=progress,
    )
    value = relaxed.get_potential_energy() - reference
    return DefectEnergy(float(value), float(unrelaxed), "eV", relaxed)


def surface_energy(
    atoms: Atoms,
    miller: tuple[int, int, int],
    *,
    thickness: float = 14.0,
    vacuum: float = 8.0,
    force_tolerance: float = 5e-3,
    progress: bool = False,
) -> DefectEnergy:
    """Return (E_slab − N E_bulk) / 2A of a slab with two equal faces, not reconstructed.

    The slab ends at the widest gap between the planes of atoms (in diamond (111): one broken
    bond per surface atom).

    Parameters
    ----------
    atoms
        A relaxed crystal of one element with a calculator.
    miller
        Indices of the face in the conventional cell.
    thickness
        Least thickness of the slab in Å.
    vacuum
        Above and below the slab, in Å.
    force_tolerance
        In eV/Å.
    progress
        Whether the steps of the relaxation are shown.

    Raises
    ------
    InputError
        If there are several elements, the indices are all zero, or thickness or vacuum are not
        positive.
    """
    _one_element(atoms, "A surface energy")
    if not (thickness > 0 and vacuum > 0):
        what = f"thickness={thickness} and vacuum={vacuum} make no slab"
        raise InputError(explain(what, "both are lengths in Å", "Give such as 14 and 8"))
    if not any(miller):
        raise InputError(
            explain("(0, 0, 0) is no face", "a face has a normal", "Give indices such as (1, 1, 1)")
        )
    slab = _slab(atoms, miller, thickness, vacuum)
    slab.calc = atoms.calc
    bulk = atoms.get_potential_energy() / len(atoms)
    area = 2 * float(np.linalg.norm(np.cross(slab.cell[0], slab.cell[1])))

    def excess(structure: Atoms) -> float:
        energy = structure.get_potential_energy() - len(structure) * bulk
        return float(energy / area * EV_PER_ANGSTROM2_TO_J_PER_M2)

    unrelaxed = excess(slab)
    relaxed = relax(
        slab,
        cell=False,
        force_tolerance=force_tolerance,
        symmetry_precision=None,
        progress=progress,
    )
    return DefectEnergy(excess(relaxed), unrelaxed, "J/m^2", relaxed)


def _slab(atoms: Atoms, miller: tuple[int, int, int], thickness: float, vacuum: float) -> Atoms:
    """Cut a slab of whole periods whose ends are the widest gap between planes."""
    atoms = _right_handed(atoms)
    basis = _plane_basis(atoms, miller)
    unit = make_supercell(atoms, basis)
    period = unit.get_volume() / float(np.linalg.norm(np.cross(unit.cell[0], unit.cell[1])))
    block = unit.repeat((1, 1, int(np.ceil(thickness / period))))
    heights = np.sort(block.get_scaled_positions()[:, 2])
    gaps = np.diff(np.append(heights, heights[0] + 1))
    widest = int(np.flatnonzero(gaps > gaps.max() - 1e-4 / thickness)[0])
    cut = heights[widest] + gaps[widest] / 2
    block.positions -= cut * block.cell.array[2]
    block.wrap()
    a, b, c = block.cell.array
    normal = np.cross(a, b) / np.linalg.norm(np.cross(a, b))
    block.set_cell([a, b, normal * (c @ normal + 2 * vacuum)])  # room above and below
    block.positions += vacuum * normal
    return block


def _right_handed(atoms: Atoms) -> Atoms:
    """Return the same crystal with its first two cell vectors swapped if it is left-handed."""
    if atoms.cell.handedness > 0:
        return atoms
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array[[1, 0, 2]])
    return turned


def _plane_basis(atoms: Atoms, miller: tuple[int, int, int]) -> np.ndarray:
    """Return whole combinations of the cell vectors, rows: two in the plane and one to the next.

    Their determinant is 1, so they span the same lattice; the shortest ones are taken.
    """
    conventional = check_symmetry(atoms, symprec=_SYMMETRY_PRECISION)
    lattice = np.linalg.inv(conventional.transformation_matrix).T @ atoms.cell.array
    along = atoms.cell.array @ np.linalg.inv(lattice) @ np.array(miller, dtype=float)
    indices = np.round(along * 12).astype(int)  # centred cells have fractions of the indices
    indices //= np.gcd.reduce(indices)
    reach = range(-_REACH, _REACH + 1)
    vectors = np.array([v for v in itertools.product(reach, repeat=3) if any(v)])
    vectors = vectors[np.argsort(np.linalg.norm(vectors @ atoms.cell.array, axis=1), kind="stable")]
    steps = vectors @ indices
    inside, across = vectors[steps == 0], vectors[steps == 1]
    first = inside[0]
    for second, third in itertools.product(inside[1:], across):
        if round(np.linalg.det([first, second, third])) == 1:
            return np.array([first, second, third])
    raise InputError(
        explain(f"No slab with the face {miller} was found", "its indices are large",
                f"Give indices up to about {_REACH // 2}")
    )  # fmt: skip


def _one_element(atoms: Atoms, what: str) -> None:
    if len(set(atoms.numbers.tolist())) > 1:
        raise InputError(
            explain(
                f"{what} of {atoms.get_chemical_formula()} is not defined by its energy alone",
                "of several elements, what leaves and what stays needs chemical potentials",
                "Give a crystal of one element",
            )
        )
