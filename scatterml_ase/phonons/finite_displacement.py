"""Force constants from forces on displaced atoms, with any ASE calculator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from phonopy import Phonopy
from tqdm import tqdm

from scatterml_ase.errors import InputError, explain
from scatterml_ase.phonons.cells import new_phonopy, to_ase, unit_indices
from scatterml_ase.phonons.preparation import (
    check_at_minimum,
    check_crystal,
    repeated_cell,
    rotations_of,
    set_charges,
    unit_cell,
    warn_of_folding,
    warn_of_lost_symmetry,
)
from scatterml_ase.phonons.provenance import describe
from scatterml_ase.protocols import SupportsEvaluate

if TYPE_CHECKING:
    from scatterml_ase.results.force_constants import ForceConstants

# A batch holds about this many atoms: enough to keep a model busy, little enough for memory.
_ATOMS_PER_BATCH = 1000
_MOST_FITTED = 8000
"""Free force constants that are fitted all at once, in half a gigabyte."""
_SWEEPS = 10
"""How often sum rule and permutation symmetry are imposed in turn."""


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
        permutation symmetry imposed together; otherwise they stay as the forces gave them. In
        large cells of low symmetry, where the fit would take gigabytes, sum rule and permutation
        symmetry are imposed in turn instead.
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
        return replace(force_constants, provenance=describe(self, atoms))

    def phonopy(self, atoms: Atoms) -> Phonopy:
        """Return the ``Phonopy`` object with displacements, forces and force constants."""
        check_crystal(atoms)
        precision = self.symmetry_precision
        unit, matrix = repeated_cell(
            unit_cell(atoms),
            self.supercell,
            self.minimum_length,
            precision,
            reduce=self.born_charges is None,  # they belong to the given cell
        )
        residual = check_at_minimum(unit, self.force_tolerance, self.stress_tolerance)
        phonopy = new_phonopy(unit, matrix, precision)
        warn_of_lost_symmetry(matrix, *rotations_of(phonopy))
        warn_of_folding(phonopy.supercell.cell, unit.calc)
        set_charges(phonopy, self.born_charges, self.dielectric, precision)
        if not 0 < self.displacement < 0.5:
            raise InputError(
                explain(f"displacement={self.displacement} cannot be used",
                        "it is a small distance in Å", "Give a number such as 0.01")
            )  # fmt: skip
        phonopy.generate_displacements(distance=self.displacement)
        # A cell at its minimum only up to the tolerance: what is left of the forces is no response.
        background = residual[unit_indices(phonopy)]
        phonopy.forces = [forces - background for forces in self._forces(phonopy, unit.calc)]
        fitted = self.symmetrize and _free_constants(phonopy) <= _MOST_FITTED
        phonopy.produce_force_constants(
            show_drift=False,
            calculate_full_force_constants=False,
            fc_calculator="symfc" if fitted else "traditional",
        )
        if self.symmetrize and not fitted:
            phonopy.symmetrize_force_constants(level=_SWEEPS, show_drift=False)
        return phonopy

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


def _free_constants(phonopy: Phonopy) -> float:
    """Return about how many force constants symmetry leaves free: the square of it fills memory."""
    operations = len(phonopy.primitive_symmetry.symmetry_operations["rotations"])
    return 9 * len(phonopy.primitive) * len(phonopy.supercell) / (2 * operations)


def _evaluate(calculator: Any, images: list[Atoms]) -> Iterator[np.ndarray]:
    if isinstance(calculator, SupportsEvaluate):
        for result in calculator.evaluate(images):
            yield np.asarray(result["forces"])
        return
    for image in images:
        image.calc = calculator
        yield image.get_forces()
