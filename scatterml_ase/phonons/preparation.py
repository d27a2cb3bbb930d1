"""What every way to force constants asks of a crystal before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from phonopy import Phonopy
from phonopy.structure.symmetry import symmetrize_borns_and_epsilon

from scatterml_ase.errors import (
    AccuracyWarning,
    InputError,
    StabilityWarning,
    explain,
    warn,
)
from scatterml_ase.phonons.cells import primitive_cell
from scatterml_ase.phonons.supercell import choose_supercell, shortest_image, supercell_matrix
from scatterml_ase.units import COULOMB_EV_ANGSTROM, EV_PER_ANGSTROM3_TO_GPA

_MINIMUM_LENGTH = 15.0  # Å: half of it is the range that force constants usually need


def check_crystal(atoms: Atoms) -> None:
    """Refuse what has no phonons: no calculator, no atoms, no three-dimensional lattice.

    Raises
    ------
    InputError
        With what is missing.
    """
    if atoms.calc is None:
        raise InputError(
            explain(f"{atoms.symbols} has no calculator", "phonons need forces",
                    'Attach one: atoms.calc = PotentialCalculator("si") or any ASE calculator')
        )  # fmt: skip
    if len(atoms) == 0:
        raise InputError(
            explain("The structure is empty", "there is no atom to displace", "Give a crystal")
        )
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise InputError(
            explain(f"{atoms.symbols} has positions or a cell that are no numbers (NaN or inf)",
                    "nothing can be computed from them", "Check where the structure comes from")
        )  # fmt: skip
    if not atoms.pbc.all() or abs(np.linalg.det(atoms.cell.array)) < 1e-6:
        raise InputError(
            explain(
                f"{atoms.symbols} is no three-dimensional crystal (pbc={atoms.pbc.tolist()}, "
                f"cell volume {abs(np.linalg.det(atoms.cell.array)):.3g} Å³)",
                "phonons with wavevectors need a lattice in all three directions",
                "Set a cell and atoms.pbc = True; for molecules use ase.vibrations, for a slab "
                "give vacuum and pbc in all directions",
            )
        )
    check_handedness(atoms)


def check_handedness(atoms: Atoms) -> None:
    """Refuse a left-handed cell.

    Raises
    ------
    InputError
        The message says how to make it right-handed.
    """
    if np.linalg.det(atoms.cell.array) < 0:
        raise InputError(
            explain(
                f"The cell vectors of {atoms.symbols} are left-handed",
                "phonopy takes right-handed cells only",
                "Exchange two of them, the crystal is the same: "
                "atoms.set_cell(atoms.cell.array[[1, 0, 2]])",
            )
        )


def unit_cell(atoms: Atoms) -> Atoms:
    """Return a copy with what phonons depend on, and the calculator; nothing else."""
    unit = Atoms(
        numbers=atoms.numbers,
        positions=atoms.positions,
        cell=atoms.cell,
        masses=atoms.get_masses(),
        magmoms=atoms.get_initial_magnetic_moments() if atoms.has("initial_magmoms") else None,
        pbc=True,
    )
    unit.calc = atoms.calc
    return unit


def repeated_cell(
    unit: Atoms,
    supercell: Sequence[int] | Sequence[Sequence[int]] | np.ndarray | None,
    minimum_length: float | None,
    precision: float,
    *,
    reduce: bool = True,
) -> tuple[Atoms, np.ndarray]:
    """Return the cell that is repeated, calculator attached, and the supercell matrix (rows).

    Without ``supercell`` one is chosen, with images at least ``minimum_length`` (Å) apart; if
    that is None too, 15 Å or three times the calculator's cutoff. Then it is the primitive cell
    that is repeated if ``reduce``.
    """
    if supercell is not None:
        return unit, supercell_matrix(supercell)
    calculator = unit.calc
    if reduce:
        unit = primitive_cell(unit, precision)
        unit.calc = calculator
    if minimum_length is None:
        minimum_length = max(_MINIMUM_LENGTH, 3 * (known_cutoff(calculator) or 0.0))
    return unit, choose_supercell(unit, minimum_length, precision)


def check_at_minimum(unit: Atoms, force_tolerance: float, stress_tolerance: float) -> np.ndarray:
    """Refuse forces above the limit (eV/Å), warn of stress (eV/Å³); return the forces (n, 3).

    Raises
    ------
    InputError
        If a force is larger than the limit.
    """
    forces = unit.get_forces()
    largest = float(np.linalg.norm(forces, axis=1).max())
    if not largest <= force_tolerance:
        raise InputError(
            explain(
                f"A force of {largest:.3g} eV/Å acts on an atom of {unit.symbols}",
                f"phonons are vibrations about a minimum, and force_tolerance is "
                f"{force_tolerance:g} eV/Å",
                "Relax first: atoms = relax(atoms), or raise force_tolerance",
            )
        )
    try:
        stress = float(np.abs(unit.get_stress()).max())
    except (PropertyNotImplementedError, NotImplementedError):
        return forces
    if stress > stress_tolerance:
        warn(
            explain(
                f"The cell of {unit.symbols} is under a stress of "
                f"{stress * EV_PER_ANGSTROM3_TO_GPA:.2g} GPa",
                "phonons shift with it (typically 1 % per GPa)",
                "Relax the cell first: atoms = relax(atoms), or raise stress_tolerance "
                "if the pressure is meant",
            ),
            StabilityWarning,
            stacklevel=5,
        )
    return forces


def set_charges(
    phonopy: Phonopy,
    born_charges: np.ndarray | None,
    dielectric: np.ndarray | None,
    precision: float,
) -> None:
    """Add Born charges of the unit cell (e) and dielectric tensor, symmetrised, if there are any.

    Raises
    ------
    InputError
        If a shape is wrong or one is given without the other.
    """
    if born_charges is None and dielectric is None:
        return
    born, epsilon = np.array(born_charges), np.array(dielectric)
    unit = phonopy.unitcell
    if born.shape != (len(unit), 3, 3) or epsilon.shape != (3, 3):
        raise InputError(
            explain(
                f"born_charges has shape {born.shape}, dielectric {epsilon.shape}",
                f"the cell has {len(unit)} atoms, and the two belong together",
                f"Give born_charges of shape ({len(unit)}, 3, 3) and dielectric (3, 3)",
            )
        )
    born, epsilon = symmetrize_borns_and_epsilon(
        born, epsilon, unit, primitive=phonopy.primitive, symprec=precision
    )
    phonopy.nac_params = {
        "born": born,
        "dielectric": epsilon,
        "factor": COULOMB_EV_ANGSTROM,
        "method": "gonze",
    }


def warn_of_lost_symmetry(matrix: np.ndarray, kept: int, rotations: int) -> None:
    """Warn of a supercell (rows of ``matrix``) that keeps fewer rotations than the crystal has."""
    if kept < rotations:
        warn(
            explain(
                f"The supercell {matrix.tolist()} keeps {kept} of the {rotations} rotations of "
                "the crystal",
                "directions that are equivalent get different force constants",
                "Repeat equivalent axes equally, or leave supercell=None to have one chosen",
            ),
            AccuracyWarning,
            stacklevel=5,
        )


def warn_of_folding(cell: np.ndarray, calculator: Any) -> None:
    """Warn of a supercell (vectors as rows, Å) that folds direct interactions.

    An interaction is folded when an atom and its own image both lie within the cutoff of one
    neighbour; what message passing adds beyond the cutoff is weak. Wavevectors that fit the
    supercell are exact in any case.
    """
    cutoff = known_cutoff(calculator)
    nearest = shortest_image(cell)
    if cutoff is not None and nearest < 2 * cutoff:
        warn(
            explain(
                f"Periodic images in the supercell are {nearest:.1f} Å apart",
                f"the calculator acts to {cutoff:.1f} Å, so interactions beyond "
                f"{nearest / 2:.1f} Å fold onto nearer ones and the dispersion between "
                "wavevectors that fit the supercell is an interpolation",
                f"Use a larger supercell (images {2 * cutoff:.0f} Å apart or more)",
            ),
            AccuracyWarning,
            stacklevel=5,
        )


def rotations_of(phonopy: Phonopy) -> tuple[int, int]:
    """Return how many rotations the supercell keeps, and how many the crystal has."""
    kept = len(phonopy.symmetry.pointgroup_operations)
    return kept, len(phonopy.primitive_symmetry.pointgroup_operations)


def known_cutoff(calculator: Any) -> float | None:
    """Return the distance in Å to which a calculator's atoms interact directly, if it tells."""
    cutoff = getattr(calculator, "cutoff", None)
    return float(cutoff) if isinstance(cutoff, int | float) else None
