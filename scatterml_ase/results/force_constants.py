"""Harmonic force constants: the hub between where phonons come from and what they are used for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics import brillouin, lattice
from scatterml_ase.results import phonopy_border
from scatterml_ase.results.base import Result, array
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.modes import PhononModes

if TYPE_CHECKING:
    from phonopy import Phonopy


@dataclass(frozen=True, eq=False, kw_only=True)
class ForceConstants(Result):
    """Second derivatives of the energy of a crystal, as a sparse list of atom pairs.

    The energy per cell of displacements u is ½ Σ_p u_i(0)·Φ_p·u_j(S) over the pairs p = (i, j, S).

    Parameters
    ----------
    crystal
        The primitive cell.
    pairs
        Atoms i and j, shape (pair, 2).
    cell_shifts
        Lattice vector S of the cell atom j is in, shape (pair, 3), integers.
    blocks
        Φ in eV/Å², shape (pair, 3, 3). Where an atom of the supercell has several nearest images,
        each image is a pair and the force constants are divided among them.
    supercell_matrix
        Integer rows: supercell vectors = supercell_matrix @ crystal.cell. None if the force
        constants were made without a supercell.
    born_charges
        Z*[i, a, b] = ∂(polarisation a)/∂(displacement b), in e, shape (atom, 3, 3).
    dielectric
        High-frequency dielectric tensor, shape (3, 3).
    """

    crystal: Crystal
    pairs: np.ndarray = array("pair", "2")
    cell_shifts: np.ndarray = array("pair", "xyz")
    blocks: np.ndarray = array("pair", "xyz", "3", unit="eV/angstrom^2")
    supercell_matrix: np.ndarray | None = array("3", "xyz", default=None)
    born_charges: np.ndarray | None = array("atom", "3", "xyz", unit="e", default=None)
    dielectric: np.ndarray | None = array("3", "xyz", default=None)

    signal: ClassVar[str] = "blocks"
    axes: ClassVar[tuple[str, ...]] = ("", "", "")
    row_dims: ClassVar[tuple[str, ...]] = ("pair",)

    # -- from and to other codes ---------------------------------------------------------------

    @classmethod
    def from_phonopy(cls, phonopy: Phonopy, provenance: dict[str, Any] | None = None) -> Self:
        """Take the primitive cell, force constants, Born charges and ε∞ of a ``Phonopy`` object.

        Raises
        ------
        InputError
            If it has no force constants.
        """
        fields = phonopy_border.read_phonopy(phonopy)
        return cls(**fields, provenance=provenance or {"source": "phonopy"})

    # -- modes ---------------------------------------------------------------------------------

    def modes(
        self,
        q_reduced: np.ndarray,
        *,
        weights: np.ndarray | None = None,
        q_direction: np.ndarray | None = None,
        eigenvectors: bool = True,
    ) -> PhononModes:
        """Solve for the phonon modes at q-points.

        Parameters
        ----------
        q_reduced
            Shape (q, 3) or (3,), reciprocal-lattice units of the primitive cell.
        weights
            Shape (q,); equal weights if None.
        q_direction
            Direction from which q → Γ is approached, reciprocal-lattice units, shape (3,) or
            (q, 3): with Born charges, the frequencies at Γ depend on it. None leaves the dipole
            field of q = Γ out.
        eigenvectors
            False saves time and memory.
        """
        q = check_q_points(q_reduced)
        crystal = self.crystal.to("angstrom")
        table = self._table
        frequencies = np.empty((len(q), 3 * table.atoms))
        vectors = np.empty((*frequencies.shape, table.atoms, 3), complex) if eigenvectors else None
        for part in lattice.chunks(len(q), table.atoms):
            matrices = lattice.dynamical_matrices(table, q[part])
            frequencies[part], found = lattice.solve(matrices, eigenvectors=eigenvectors)
            if vectors is not None and found is not None:
                phases = lattice.position_phases(q[part], crystal.scaled_positions)
                found = found.reshape(*found.shape[:2], table.atoms, 3)
                np.multiply(found, phases[:, None, :, None], out=vectors[part])
        weights = np.full(len(q), 1 / len(q)) if weights is None else np.asarray(weights)
        return PhononModes(
            crystal=self.crystal,
            q_reduced=q,
            weights=weights / weights.sum(),
            frequencies=frequencies,
            eigenvectors=vectors,
            provenance=self.provenance,
        )

    def mesh_modes(
        self,
        mesh: tuple[int, int, int] | int = (20, 20, 20),
        *,
        shift: tuple[float, float, float] = (0.0, 0.0, 0.0),
        symmetry: bool = True,
        eigenvectors: bool = True,
    ) -> PhononModes:
        """Solve for the modes on a regular mesh of the Brillouin zone.

        Parameters
        ----------
        mesh
            Divisions along the reciprocal vectors (one number: equal divisions).
        shift
            Offset from Γ in mesh steps; ½ keeps Γ out.
        symmetry
            Keep one point of each star of the space group and time reversal, with its weight.
        eigenvectors
            False saves time and memory.
        """
        from dataclasses import replace

        mesh = brillouin.check_mesh(mesh)
        rotations = self.symmetry_operations.rotations if symmetry else None
        points = brillouin.mesh_points(mesh, shift=shift, rotations=rotations)
        modes = self.modes(points.q_reduced, weights=points.weights, eigenvectors=eigenvectors)
        return replace(modes, mesh=mesh, mesh_mapping=points.mapping, reduced=symmetry)

    @cached_property
    def symmetry_operations(self) -> brillouin.SymmetryOperations:
        """The space group of the crystal (isotopes count as different)."""
        crystal = self.crystal.to("angstrom")
        return brillouin.symmetry_operations(
            crystal.cell, crystal.scaled_positions, crystal.numbers, crystal.masses
        )

    @cached_property
    def _table(self) -> lattice.FourierTable:
        return lattice.fourier_table(self.pairs, self.cell_shifts, self.blocks, self.crystal.masses)


def check_q_points(q_reduced: np.ndarray) -> np.ndarray:
    """Return q-points as a float array of shape (q, 3).

    Raises
    ------
    InputError
        If the shape is wrong or a number is not finite.
    """
    q = np.atleast_2d(np.asarray(q_reduced, dtype=float))
    if q.ndim != 2 or q.shape[1] != 3 or len(q) == 0:
        what = f"q_reduced has shape {np.shape(q_reduced)}"
        raise InputError(explain(what, "a q-point has three components", "Give shape (q, 3)"))
    if not np.isfinite(q).all():
        what = f"q_reduced has {np.sum(~np.isfinite(q))} numbers that are NaN or infinite"
        raise InputError(explain(what, "no phase exists for them", "Remove those points"))
    return q
