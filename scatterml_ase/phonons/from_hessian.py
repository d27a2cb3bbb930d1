"""Force constants from exact second derivatives, with any calculator that has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from scatterml_ase.errors import InputError, explain
from scatterml_ase.phonons.cells import new_phonopy, to_ase
from scatterml_ase.phonons.equivalent_rows import inequivalent_atoms, spread_rows
from scatterml_ase.phonons.folding import fold
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
from scatterml_ase.phonons.supercell import keeps_rotations
from scatterml_ase.physics.brillouin import symmetry_operations
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
        Whether what an exact Hessian obeys is made use of: acoustic sum rule and permutation
        symmetry are imposed together to remove rounding and, where images are told apart, of
        atoms that the space group maps onto each other (within 1e-5 Å) only one is computed.
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
        check_crystal(atoms)
        _check_calculator(atoms.calc)
        if _knows_images(atoms.calc):
            force_constants = self._from_blocks(atoms)
        else:
            force_constants = self._from_matrix(atoms)
        if self.symmetrize:
            force_constants = force_constants.symmetrized()
        return replace(force_constants, provenance=describe(self, atoms))

    def _from_blocks(self, atoms: Atoms) -> ForceConstants:
        """Take the force constants of the infinite crystal; fold them if a supercell is wanted."""
        from scatterml_ase.results.crystal import Crystal
        from scatterml_ase.results.force_constants import ForceConstants

        unit, matrix = unit_cell(atoms), None
        if any(x is not None for x in (self.supercell, self.minimum_length, self.born_charges)):
            unit, matrix = self._repeated(unit)
        check_at_minimum(unit, self.force_tolerance, self.stress_tolerance)
        phonopy = new_phonopy(unit, np.eye(3, dtype=int), self.symmetry_precision)
        set_charges(phonopy, self.born_charges, self.dielectric, self.symmetry_precision)
        charges: dict[str, Any] = dict(phonopy.nac_params or {})
        primitive = to_ase(phonopy.primitive)
        calculator: SupportsHessianBlocks = atoms.calc
        pairs, shifts, blocks = self._blocks(calculator, primitive)
        infinite = ForceConstants(
            crystal=Crystal.from_atoms(primitive),
            pairs=pairs,
            cell_shifts=shifts,
            blocks=blocks,
            born_charges=charges.get("born"),
            dielectric=charges.get("dielectric"),
        )
        if matrix is None:
            return infinite
        supercell = matrix @ unit.cell.array
        of_primitive = np.rint(supercell @ np.linalg.inv(primitive.cell.array)).astype(int)
        rotations = np.unique(infinite.symmetry_operations.rotations, axis=0)
        kept = int(keeps_rotations(of_primitive, rotations).sum())
        warn_of_lost_symmetry(matrix, kept, len(rotations))
        warn_of_folding(supercell, atoms.calc)
        return fold(infinite, of_primitive)

    def _blocks(
        self, calculator: SupportsHessianBlocks, atoms: Atoms
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return pairs, cell shifts and blocks, those of equivalent atoms by symmetry."""
        if not self.symmetrize or atoms.has("initial_magmoms"):  # moments may break the symmetry
            return calculator.get_hessian_blocks(atoms, progress=self.progress)
        scaled = atoms.get_scaled_positions(wrap=False)
        operations = symmetry_operations(
            atoms.cell.array, scaled, atoms.numbers, np.ones(len(atoms))
        )
        rows = inequivalent_atoms(operations)
        found = calculator.get_hessian_blocks(atoms, rows=rows, progress=self.progress)
        return spread_rows(*found, operations, atoms.cell.array, scaled)

    def _from_matrix(self, atoms: Atoms) -> ForceConstants:
        """Take the rows of the primitive cell from the Hessian of a supercell."""
        from scatterml_ase.results.force_constants import ForceConstants

        unit, matrix = self._repeated(unit_cell(atoms))
        check_at_minimum(unit, self.force_tolerance, self.stress_tolerance)
        phonopy = new_phonopy(unit, matrix, self.symmetry_precision)
        warn_of_lost_symmetry(matrix, *rotations_of(phonopy))
        warn_of_folding(phonopy.supercell.cell, atoms.calc)
        set_charges(phonopy, self.born_charges, self.dielectric, self.symmetry_precision)
        hessian = _dense_hessian(atoms.calc, to_ase(phonopy.supercell))
        rows = hessian[phonopy.primitive.p2s_map]
        phonopy.force_constants = np.ascontiguousarray(rows.transpose(0, 2, 1, 3))
        return ForceConstants.from_phonopy(phonopy)

    def _repeated(self, unit: Atoms) -> tuple[Atoms, np.ndarray]:
        """Return the cell that is repeated and the supercell matrix."""
        return repeated_cell(
            unit,
            self.supercell,
            self.minimum_length,
            self.symmetry_precision,
            reduce=self.born_charges is None,  # they belong to the given cell
        )


def _dense_hessian(calculator: SupportsHessian, atoms: Atoms) -> np.ndarray:
    """Return the Hessian a calculator gives, in whatever of its usual shapes, as (n, 3, n, 3)."""
    n = len(atoms)
    hessian = np.asarray(calculator.get_hessian(atoms), dtype=float)
    if hessian.shape in ((n, 3, n, 3), (3 * n, n, 3), (3 * n, 3 * n)):
        return hessian.reshape(n, 3, n, 3)
    raise InputError(
        explain(
            f"{type(calculator).__name__}.get_hessian gave the shape {hessian.shape} for {n} atoms",
            f"a Hessian has the shape ({n}, 3, {n}, 3)",
            "Return that, (3N, N, 3) or (3N, 3N), in eV/Å²",
        )
    )


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
