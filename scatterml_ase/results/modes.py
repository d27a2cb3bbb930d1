"""Phonon modes at a list of q-points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from scatterml_ase.physics import brillouin
from scatterml_ase.physics.debye_waller import symmetrize_tensors
from scatterml_ase.results.base import Result, array
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.plotting import PALETTE, new_axes, unit_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, kw_only=True)
class PhononModes(Result):
    """Frequencies and eigenvectors at q-points.

    Parameters
    ----------
    crystal
        The primitive cell.
    q_reduced
        Shape (q, 3), reciprocal-lattice units.
    weights
        Shape (q,), sum 1: the share of the Brillouin zone a point stands for.
    frequencies
        Signed (imaginary modes negative), ascending, shape (q, mode), in meV.
    eigenvectors
        Orthonormal e, shape (q, mode, atom, 3), complex; atom i of cell R moves as
        u ∝ M_i^-½ e_i exp(2πi q·(R + x_i)), as in phonopy.
    group_velocities
        ∂ω/∂q in m/s, Cartesian, shape (q, mode, 3).
    mesh
        The regular mesh the points come from, if any.
    mesh_mapping
        Index of the point that stands for each point of the full mesh (last index fastest).
    reduced
        True if the points are irreducible under the space group: a sum over them of anything that
        belongs to one atom (a partial DOS, a displacement tensor) must be averaged over the group,
        see :meth:`site_average` and :meth:`site_average_tensors`.
    """

    crystal: Crystal
    q_reduced: np.ndarray = array("q", "xyz")
    weights: np.ndarray = array("q")
    frequencies: np.ndarray = array("q", "mode", unit="{energy}")
    eigenvectors: np.ndarray | None = array("q", "mode", "atom", "xyz", default=None)
    group_velocities: np.ndarray | None = array("q", "mode", "xyz", unit="m/s", default=None)
    mesh: tuple[int, ...] | None = None
    mesh_mapping: np.ndarray | None = array("grid", default=None)
    reduced: bool = False

    signal: ClassVar[str] = "frequencies"
    axes: ClassVar[tuple[str, ...]] = ("", "")
    row_dims: ClassVar[tuple[str, ...]] = ("q",)

    def site_average(self, values: np.ndarray) -> np.ndarray:
        """Average one number per atom, shape (..., n), over equivalent atoms.

        Does nothing unless the points are irreducible (``reduced``).
        """
        if not self.reduced:
            return values
        permutations = self._symmetry().permutations
        return np.mean([values[..., p] for p in permutations], axis=0)

    def site_average_tensors(self, tensors: np.ndarray) -> np.ndarray:
        """Average one Cartesian tensor per atom, shape (..., n, 3, 3), over the space group.

        Does nothing unless the points are irreducible (``reduced``).
        """
        if not self.reduced:
            return tensors
        cell = self.crystal.to("angstrom").cell
        return symmetrize_tensors(tensors, cell, self._symmetry())

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the energies over the length of q, folded into the first Brillouin zone."""
        ax = new_axes(ax)
        crystal = self.crystal.to("angstrom")
        q = brillouin.fold_to_first_zone(self.q_reduced, crystal.cell) @ crystal.reciprocal_cell
        ax.plot(np.linalg.norm(q, axis=1), self.frequencies, ".", color=PALETTE[0], markersize=3)
        ax.set_xlabel("|q| (Å$^{-1}$)")
        ax.set_ylabel(f"Energy ({unit_label(self.units['energy'])})")
        return ax

    def _symmetry(self) -> brillouin.SymmetryOperations:
        crystal = self.crystal.to("angstrom")
        return brillouin.symmetry_operations(
            crystal.cell, crystal.scaled_positions, crystal.numbers, crystal.masses
        )
