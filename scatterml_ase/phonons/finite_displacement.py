"""Force constants from forces on displaced atoms, with any ASE calculator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from phonopy import Phonopy
from phonopy.structure.symmetry import symmetrize_borns_and_epsilon
from tqdm import tqdm

import scatterml_ase
from scatterml_ase.errors import (
    AccuracyWarning,
    InputError,
    StabilityWarning,
    explain,
    warn,
)
from scatterml_ase.phonons.cells import new_phonopy, primitive_cell, to_ase, unit_indices
from scatterml_ase.phonons.provenance import describe_calculator
from scatterml_ase.phonons.supercell import choose_supercell, shortest_image, supercell_matrix
from scatterml_ase.protocols import SupportsEvaluate
from scatterml_ase.units import COULOMB_EV_ANGSTROM, EV_PER_ANGSTROM3_TO_GPA

if TYPE_CHECKING:
    from scatterml_ase.results.force_constants import ForceConstants

# A batch holds about this many atoms: enough to keep a model busy, little enough for memory.
_ATOMS_PER_BATCH = 1000
_MINIMUM_LENGTH = 15.0  # Å: half of it is the range that force constants usually need


@dataclass(frozen=True, eq=False)
class FiniteDisplacementPhonons:
    """Force constants by displacing symmetry-distinct atoms in a supercell.

    ``FiniteDisplacementPhonons(supercell=(4, 4, 4))(atoms)`` takes the forces from ``atoms.calc``
    and returns :class:`~scatterml_ase.ForceConstants` of the primitive cell. The atoms are not
    changed and not relaxed.

    Parameters
    ----------
    supercell
        Repetitions of the given cell along its vectors, or a 3×3 integer matrix whose rows make
        the supercell vectors. If None, the smallest supercell that keeps the symmetry and has
        periodic images at least ``minimum_length`` apart.
    minimum_length
        Distance in Å between periodic images of an atom, where no supercell is given. If None,
        15 Å, or three times the calculator's cutoff where it has one that is larger than 5 Å.
    displacement
        How far atoms are moved, in Å.
    force_tolerance
        A structure with a larger force on any atom, in eV/Å, is refused: it is at no minimum.
    stress_tolerance
        A larger stress component, in eV/Å³, gives a warning (1e-3 eV/Å³ is 0.16 GPa).
    symmetry_precision
        Tolerance in Å for finding the symmetry.
    symmetrize
        Whether the force constants are fitted with space group, acoustic sum rule and
        permutation symmetry imposed together; otherwise they stay as the forces gave them.
    born_charges
        Born effective charges, shape (atoms, 3, 3), in e, for the atoms of the given cell, to add
        the non-analytical term; needs ``dielectric``.
    dielectric
        High-frequency dielectric tensor, shape (3, 3).
    progress
        Whether a progress bar is shown.
    """

    supercell: Sequence[int] | Sequence[Sequence[int]] | np.ndarray | None = None
    minimum_length: float | None = None
    displacement: float = 0.01
    force_tolerance: float = 0.01
    stress_tolerance: float = 1e-3
    symmetry_precision: float = 1e-4
    symmetrize: bool = True
    born_charges: np.ndarray | None = None
    dielectric: np.ndarray | None = None
    progress: bool = False

    def __call__(self, atoms: Atoms) -> ForceConstants:
        """Return the force constants of the primitive cell of ``atoms``.

        Raises
        ------
        InputError
            If the atoms have no calculator, are no three-dimensional crystal, feel forces above
            ``force_tolerance``, or an option cannot be used.
        """
        from scatterml_ase.results.force_constants import ForceConstants

        force_constants = ForceConstants.from_phonopy(self.phonopy(atoms))
        return replace(force_constants, provenance=self._provenance(atoms))

    def phonopy(self, atoms: Atoms) -> Phonopy:
        """Return the ``Phonopy`` object with displacements, forces and force constants."""
        _check_crystal(atoms)
        unit, matrix = self._unit_cell_and_supercell(atoms)
        residual = self._check_at_minimum(unit)
        phonopy = new_phonopy(unit, matrix, self.symmetry_precision)
        _warn_if_unsuited(phonopy, unit.calc)
        self._set_nac(phonopy)
        if not 0 < self.displacement < 0.5:
            raise InputError(
                explain(f"displacement={self.displacement} cannot be used",
                        "it is a small distance in Å", "Give a number such as 0.01")
            )  # fmt: skip
        phonopy.generate_displacements(distance=self.displacement)
        # A cell at its minimum only up to the tolerance: what is left of the forces is no response.
        background = residual[unit_indices(phonopy)]
        phonopy.forces = [forces - background for forces in self._forces(phonopy, unit.calc)]
        phonopy.produce_force_constants(
            show_drift=False,
            calculate_full_force_constants=False,
            fc_calculator="symfc" if self.symmetrize else "traditional",
        )
        return phonopy

    # -- steps ------------------------------------------------------------------------------

    def _unit_cell_and_supercell(self, atoms: Atoms) -> tuple[Atoms, np.ndarray]:
        """Return the cell that is repeated, calculator attached, and the supercell matrix."""
        unit = Atoms(
            numbers=atoms.numbers,
            positions=atoms.positions,
            cell=atoms.cell,
            masses=atoms.get_masses(),
            magmoms=atoms.get_initial_magnetic_moments() if atoms.has("initial_magmoms") else None,
            pbc=True,
        )
        if self.supercell is not None:
            matrix = supercell_matrix(self.supercell)
        else:
            if self.born_charges is None:  # they belong to the given cell
                unit = primitive_cell(unit, self.symmetry_precision)
            length = self.minimum_length
            if length is None:
                length = max(_MINIMUM_LENGTH, 3 * (_cutoff(atoms.calc) or 0.0))
            matrix = choose_supercell(unit, length, self.symmetry_precision)
        unit.calc = atoms.calc
        return unit, matrix

    def _check_at_minimum(self, unit: Atoms) -> np.ndarray:
        """Refuse forces above the limit, warn of stress; return the residual forces (n, 3)."""
        forces = unit.get_forces()
        largest = float(np.linalg.norm(forces, axis=1).max())
        if not largest <= self.force_tolerance:
            raise InputError(
                explain(
                    f"A force of {largest:.3g} eV/Å acts on an atom of {unit.symbols}",
                    f"phonons are vibrations about a minimum, and force_tolerance is "
                    f"{self.force_tolerance:g} eV/Å",
                    "Relax first: atoms = relax(atoms), or raise force_tolerance",
                )
            )
        try:
            stress = float(np.abs(unit.get_stress()).max())
        except (PropertyNotImplementedError, NotImplementedError):
            return forces
        if stress > self.stress_tolerance:
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

    def _set_nac(self, phonopy: Phonopy) -> None:
        """Add Born charges and dielectric tensor, symmetrised, for the primitive cell."""
        if self.born_charges is None and self.dielectric is None:
            return
        born, dielectric = np.array(self.born_charges), np.array(self.dielectric)
        unit = phonopy.unitcell
        if born.shape != (len(unit), 3, 3) or dielectric.shape != (3, 3):
            raise InputError(
                explain(
                    f"born_charges has shape {born.shape}, dielectric {dielectric.shape}",
                    f"the cell has {len(unit)} atoms, and the two belong together",
                    f"Give born_charges of shape ({len(unit)}, 3, 3) and dielectric (3, 3)",
                )
            )
        born, dielectric = symmetrize_borns_and_epsilon(
            born, dielectric, unit, primitive=phonopy.primitive, symprec=self.symmetry_precision
        )
        phonopy.nac_params = {
            "born": born,
            "dielectric": dielectric,
            "factor": COULOMB_EV_ANGSTROM,
            "method": "gonze",
        }

    def _forces(self, phonopy: Phonopy, calculator: Any) -> Iterator[np.ndarray]:
        """Yield the forces (supercell atoms, 3) of each displaced supercell."""
        supercells = phonopy.supercells_with_displacements or []
        batched = isinstance(calculator, SupportsEvaluate)
        size = max(1, _ATOMS_PER_BATCH // len(phonopy.supercell)) if batched else 1
        with tqdm(total=len(supercells), desc="displacements", disable=not self.progress) as bar:
            for start in range(0, len(supercells), size):
                images = [to_ase(cell) for cell in supercells[start : start + size]]
                yield from _evaluate(calculator, images)
                bar.update(len(images))

    def _provenance(self, atoms: Atoms) -> dict[str, Any]:
        options = {
            item.name: value.tolist() if isinstance(value, np.ndarray) else value
            for item in fields(self)
            if (value := getattr(self, item.name)) is not None and item.name != "progress"
        }
        return {
            "version": f"scatterml_ase {scatterml_ase.__version__}",
            "formula": atoms.get_chemical_formula(),
            "calculator": describe_calculator(atoms.calc),
            "FiniteDisplacementPhonons": options,
        }


def _check_crystal(atoms: Atoms) -> None:
    """Refuse what has no phonons: no calculator, no atoms, no three-dimensional lattice."""
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
    if np.linalg.det(atoms.cell.array) < 0:
        raise InputError(
            explain(
                f"The cell vectors of {atoms.symbols} are left-handed",
                "phonopy takes right-handed cells only",
                "Exchange two of them, the crystal is the same: "
                "atoms.set_cell(atoms.cell.array[[1, 0, 2]])",
            )
        )


def _evaluate(calculator: Any, images: list[Atoms]) -> Iterator[np.ndarray]:
    if isinstance(calculator, SupportsEvaluate):
        for result in calculator.evaluate(images):
            yield np.asarray(result["forces"])
        return
    for image in images:
        image.calc = calculator
        yield image.get_forces()


def _warn_if_unsuited(phonopy: Phonopy, calculator: Any) -> None:
    """Warn of a supercell that breaks the symmetry or folds direct interactions.

    An interaction is folded when an atom and its own image both lie within the cutoff of one
    neighbour; what message passing adds beyond the cutoff is weak. Wavevectors that fit the
    supercell are exact in any case.
    """
    operations = len(phonopy.symmetry.pointgroup_operations)
    if operations < (full := len(phonopy.primitive_symmetry.pointgroup_operations)):
        warn(
            explain(
                f"The supercell {phonopy.supercell_matrix.T.tolist()} keeps {operations} of the "
                f"{full} rotations of the crystal",
                "directions that are equivalent get different force constants",
                "Repeat equivalent axes equally, or leave supercell=None to have one chosen",
            ),
            AccuracyWarning,
            stacklevel=5,
        )
    cutoff = _cutoff(calculator)
    nearest = shortest_image(phonopy.supercell.cell)
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


def _cutoff(calculator: Any) -> float | None:
    """Return the distance in Å to which a calculator's atoms interact directly, if it tells."""
    cutoff = getattr(calculator, "cutoff", None)
    return float(cutoff) if isinstance(cutoff, int | float) else None
