"""Force constants from exact second derivatives, with any calculator that has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from phonopy import Phonopy

from scatterml_ase.errors import InputError, explain
from scatterml_ase.phonons.cells import new_phonopy, quiet_phonopy, to_ase
from scatterml_ase.phonons.preparation import (
    check_at_minimum,
    check_crystal,
    repeated_cell,
    set_charges,
    unit_cell,
    warn_if_unsuited,
)
from scatterml_ase.phonons.provenance import describe
from scatterml_ase.protocols import SupportsHessian, SupportsHessianBlocks

if TYPE_CHECKING:
    from scatterml_ase.results.force_constants import ForceConstants


@dataclass(frozen=True, eq=False)
class HessianPhonons:
    """Force constants from the Hessian of the energy: nothing is displaced.

    ``HessianPhonons()(atoms)`` asks ``atoms.calc`` and returns
    :class:`~scatterml_ase.ForceConstants` of the primitive cell. The atoms are not changed and not
    relaxed. A :class:`~scatterml_ase.PotentialCalculator` gives the force constants of the
    infinite crystal from its primitive cell: no supercell cuts them off. From another calculator
    with ``get_hessian(atoms)`` the Hessian of a supercell is taken.

    Parameters
    ----------
    supercell
        Repetitions of the given cell along its vectors, or a 3×3 integer matrix whose rows make
        the supercell vectors: force constants are folded onto it, as finite displacements in it
        would give them. If None, as ``minimum_length`` says.
    minimum_length
        Distance in Å between periodic images of an atom in a supercell chosen to keep the
        symmetry. If None too, the force constants stay those of the infinite crystal where the
        calculator gives them, unless there are Born charges, whose non-analytical term needs a
        supercell. Then 15 Å, or three times the calculator's cutoff if that is more.
    force_tolerance
        A structure with a larger force on any atom, in eV/Å, is refused: it is at no minimum.
    stress_tolerance
        A larger stress component, in eV/Å³, gives a warning (1e-3 eV/Å³ is 0.16 GPa).
    symmetry_precision
        Tolerance in Å for finding the primitive cell.
    symmetrize
        Whether acoustic sum rule and permutation symmetry, which an exact Hessian obeys, are
        imposed together to remove rounding.
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
            If the atoms have no calculator or one without Hessian, are no three-dimensional
            crystal, feel forces above ``force_tolerance``, or an option cannot be used.
        """
        phonopy = self._prepare(atoms)
        if _knows_images(atoms.calc):
            force_constants = self._from_blocks(phonopy, atoms.calc)
        else:
            force_constants = _from_supercell(phonopy, atoms.calc)
        if self.symmetrize:
            force_constants = force_constants.symmetrized()
        return replace(force_constants, provenance=describe(self, atoms))

    def _prepare(self, atoms: Atoms) -> Phonopy:
        """Return a checked ``Phonopy`` object of the supercell; 1×1×1 if none is needed."""
        check_crystal(atoms)
        _check_calculator(atoms.calc)
        unit, precision = unit_cell(atoms), self.symmetry_precision
        matrix = np.eye(3, dtype=int)
        if not self._is_infinite(atoms.calc):
            unit, matrix = repeated_cell(
                unit,
                self.supercell,
                self.minimum_length,
                precision,
                reduce=self.born_charges is None,  # they belong to the given cell
            )
        check_at_minimum(unit, self.force_tolerance, self.stress_tolerance)
        phonopy = new_phonopy(unit, matrix, precision)
        if not self._is_infinite(atoms.calc):
            warn_if_unsuited(phonopy, atoms.calc)
        set_charges(phonopy, self.born_charges, self.dielectric, precision)
        return phonopy

    def _is_infinite(self, calculator: Any) -> bool:
        wanted = (self.supercell, self.minimum_length, self.born_charges)
        return all(x is None for x in wanted) and _knows_images(calculator)

    def _from_blocks(self, phonopy: Phonopy, calculator: SupportsHessianBlocks) -> ForceConstants:
        """Take the force constants of the infinite crystal; fold them if a supercell is wanted."""
        from scatterml_ase.results.crystal import Crystal
        from scatterml_ase.results.force_constants import ForceConstants

        primitive = to_ase(phonopy.primitive)
        pairs, shifts, blocks = calculator.get_hessian_blocks(primitive, progress=self.progress)
        charges: dict[str, Any] = dict(phonopy.nac_params or {})
        infinite = ForceConstants(
            crystal=Crystal.from_atoms(primitive),
            pairs=pairs,
            cell_shifts=shifts,
            blocks=blocks,
            born_charges=charges.get("born"),
            dielectric=charges.get("dielectric"),
        )
        if self._is_infinite(calculator):
            return infinite
        matrix = phonopy.supercell.cell @ np.linalg.inv(primitive.cell.array)
        folded = replace(infinite, supercell_matrix=np.rint(matrix).astype(int))
        with quiet_phonopy():
            return ForceConstants.from_phonopy(folded.to_phonopy())


def _from_supercell(phonopy: Phonopy, calculator: SupportsHessian) -> ForceConstants:
    """Take the rows of the primitive cell from the Hessian of the supercell."""
    from scatterml_ase.results.force_constants import ForceConstants

    supercell = to_ase(phonopy.supercell)
    hessian = np.asarray(calculator.get_hessian(supercell), dtype=float)
    atoms = len(supercell)
    if hessian.shape not in (
        (atoms, 3, atoms, 3),
        (3 * atoms, atoms, 3),
        (3 * atoms, 3 * atoms),
    ):
        raise InputError(
            explain(
                f"{type(calculator).__name__}.get_hessian gave the shape {hessian.shape} for "
                f"{atoms} atoms",
                f"a Hessian has the shape ({atoms}, 3, {atoms}, 3)",
                "Return that, (3N, N, 3) or (3N, 3N), in eV/Å²",
            )
        )
    rows = hessian.reshape(atoms, 3, atoms, 3)[phonopy.primitive.p2s_map]
    phonopy.force_constants = np.ascontiguousarray(rows.transpose(0, 2, 1, 3))
    return ForceConstants.from_phonopy(phonopy)


def _knows_images(calculator: Any) -> bool:
    """Tell whether a calculator gives the force constants of the infinite crystal."""
    if not isinstance(calculator, SupportsHessianBlocks):
        return False
    return calculator.interaction_range is not None


def _check_calculator(calculator: Any) -> None:
    if not isinstance(calculator, SupportsHessian | SupportsHessianBlocks):
        raise InputError(
            explain(
                f"{type(calculator).__name__} has no Hessian",
                "it has no method get_hessian(atoms)",
                "Use FiniteDisplacementPhonons, which needs forces only, or a calculator with "
                "second derivatives such as PotentialCalculator",
            )
        )
