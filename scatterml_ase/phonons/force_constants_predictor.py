"""Force constants straight from structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

import numpy as np
import torch
from ase import Atoms

from scatterml_ase.phonons.batch import CrystalBatch, in_batches
from scatterml_ase.phonons.cells import new_phonopy, to_ase
from scatterml_ase.phonons.coverage import Coverage, coverage_of
from scatterml_ase.phonons.force_constants_model import ForceConstantsModel
from scatterml_ase.phonons.harmonic_assembly import Pairs, assemble
from scatterml_ase.phonons.preparation import set_charges, unit_cell
from scatterml_ase.phonons.provenance import describe_prediction
from scatterml_ase.physics import dipole, supercell
from scatterml_ase.physics.debye_waller import symmetrize_tensors
from scatterml_ase.physics.sum_rules import merge_pairs
from scatterml_ase.store import load_model

if TYPE_CHECKING:
    from phonopy import Phonopy

    from scatterml_ase.results.force_constants import ForceConstants

_NEUTRAL = 1e-3  # e: charges below do nothing


@dataclass(frozen=True, eq=False)
class ForceConstantsPredictor:
    """Force constants straight from structure: no calculator, no displacements, milliseconds.

    ``ForceConstantsPredictor()(atoms)`` returns :class:`~scatterml_ase.ForceConstants` of the
    primitive cell, of the same kind as :class:`~scatterml_ase.FiniteDisplacementPhonons`: they give
    dispersion, densities of states, thermodynamics and S(q,ω). The acoustic sum rule, index
    permutation and the space group hold exactly; the structure is taken as it is, nothing is
    relaxed. The model is in docs/direct_phonons.md, with its errors.

    Parameters
    ----------
    model
        Name or folder of the model.
    born_charges
        Born effective charges, shape (atoms, 3, 3), in e, for the atoms of the given cell, in
        place of predicted ones; needs ``dielectric``.
    dielectric
        High-frequency dielectric tensor, shape (3, 3).
    polar
        Whether long-ranged forces between Born charges are added. None: as the model was trained,
        always; the predicted charges of elements vanish by symmetry or nearly so. False suits
        metals.
    symmetry_precision
        Tolerance in Å for finding the primitive cell.
    progress
        Whether a list of structures shows a progress bar.
    """

    model: str | Path = "force-constants"
    born_charges: np.ndarray | None = None
    dielectric: np.ndarray | None = None
    polar: bool | None = None
    symmetry_precision: float = 1e-4
    progress: bool = False

    @overload
    def __call__(self, atoms: Atoms) -> ForceConstants: ...

    @overload
    def __call__(self, atoms: Sequence[Atoms]) -> list[ForceConstants]: ...

    def __call__(self, atoms: Atoms | Sequence[Atoms]) -> ForceConstants | list[ForceConstants]:
        """Return the force constants of one crystal, or of each of a list.

        Raises
        ------
        InputError
            If a structure is no three-dimensional crystal, is disordered, or holds an element the
            model does not know.
        """
        many = [atoms] if isinstance(atoms, Atoms) else list(atoms)
        found = in_batches(
            many,
            self._predict,
            self.network.card,
            name="force constants",
            progress=self.progress,
        )
        return found[0] if isinstance(atoms, Atoms) else found

    @cached_property
    def network(self) -> Any:
        """The model, loaded on first use."""
        return load_model(self.model, "float64")

    @cached_property
    def _coverage(self) -> Coverage | None:
        return coverage_of(self.network.card)

    def _predict(self, many: list[Atoms]) -> list[ForceConstants]:
        network = cast(ForceConstantsModel, self.network)
        given = [self._phonopy(atoms) for atoms in many]
        batch = CrystalBatch.of([to_ase(one.primitive) for one in given], network, self._coverage)
        marks = torch.full((len(many),), float(self.polar is not False))
        with torch.inference_mode():
            terms = network(batch.graph, marks)
            found = network.polarity(batch.graph)
        K, W, s = (x.double().numpy() for x in (terms.springs, terms.responses, terms.stiffness))
        born, dielectric = found.born_charges.double().numpy(), found.dielectric.double().numpy()
        where, chosen = batch.near(network.config.response_cutoff)
        results = []
        for k, (cell, edges) in enumerate(zip(batch.cells, batch.edges, strict=True)):
            own, near = batch.atoms[k], chosen[k]
            springs = (edges.index[:, edges.pairs], edges.shifts[edges.pairs], K[batch.pairs[k]])
            responses = (edges.index[:, near], edges.shifts[near], W[where[k]])
            field = (born[own], dielectric[k])
            if (charges := given[k].nac_params) is not None:
                field = (charges["born"], charges["dielectric"])
            results.append(self._result(cell, assemble(springs, responses, s[own]), field))
        return results

    def _phonopy(self, atoms: Atoms) -> Phonopy:
        """Return what finds the primitive cell and holds the user's charges."""
        phonopy = new_phonopy(unit_cell(atoms), np.eye(3, dtype=int), self.symmetry_precision)
        set_charges(phonopy, self.born_charges, self.dielectric, self.symmetry_precision)
        return phonopy

    def _result(
        self, cell: Atoms, pairs: Pairs, field: tuple[np.ndarray, np.ndarray]
    ) -> ForceConstants:
        from scatterml_ase.results.crystal import Crystal
        from scatterml_ase.results.force_constants import ForceConstants

        result = ForceConstants(
            crystal=Crystal.from_atoms(cell),
            pairs=pairs[0],
            cell_shifts=pairs[1],
            blocks=pairs[2],
            provenance=describe_prediction(self, self.network.card, cell),
        )
        return result if self.polar is False else with_dipoles(result, *field)


def with_dipoles(
    short_ranged: ForceConstants, born_charges: np.ndarray, dielectric: np.ndarray
) -> ForceConstants:
    """Add the forces between Born charges to force constants that lack them.

    Charges and ε∞ are symmetrised by the space group first. The result holds those of a supercell
    in which every pair is its own shortest image, as finite displacements in it would. Nothing is
    added where symmetry, as in elements, leaves no charge.
    """
    crystal = short_ranged.crystal.to("angstrom")
    operations = short_ranged.symmetry_operations
    rotations = operations.cartesian(crystal.cell)
    dielectric = (rotations @ dielectric @ rotations.swapaxes(1, 2)).mean(axis=0)
    born_charges = symmetrize_tensors(born_charges, crystal.cell, operations)
    born_charges = born_charges - born_charges.mean(axis=0)
    if np.abs(born_charges).max() < _NEUTRAL:
        return short_ranged
    i, j = short_ranged.pairs.T
    x = crystal.scaled_positions
    vectors = (short_ranged.cell_shifts + x[j] - x[i]) @ crystal.cell
    matrix = supercell.enclosing_matrix(vectors, crystal.cell)
    sums = dipole.dipole_sum(crystal.cell, x, crystal.masses, born_charges, dielectric)
    own = (short_ranged.pairs, short_ranged.cell_shifts, short_ranged.blocks)
    parts = zip(own, dipole.dipole_pairs(sums, matrix, crystal.masses), strict=True)
    pairs, shifts, blocks = merge_pairs(*(np.concatenate(part) for part in parts))
    both = replace(
        short_ranged,
        pairs=pairs,
        cell_shifts=shifts,
        blocks=blocks,
        supercell_matrix=matrix,
        born_charges=born_charges,
        dielectric=dielectric,
    )
    # In the sum over all dipoles a rigid shift costs a little where symmetry is low.
    return both.symmetrized()
