"""Harmonic force constants: the hub between where phonons come from and what they are used for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from tqdm import tqdm

from scatterml_ase.physics import brillouin, dipole, dynamics, lattice, paths, sum_rules
from scatterml_ase.results import checks, phonopy_border
from scatterml_ase.results.bands import PhononBands
from scatterml_ase.results.base import Result, array
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.force_constants_figure import draw_decay
from scatterml_ase.results.modes import PhononModes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from phonopy import Phonopy

    from scatterml_ase.results.dos import PhononDOS
    from scatterml_ase.results.thermal import ThermalProperties

Mesh = int | Sequence[int]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
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
        High-frequency dielectric tensor, shape (3, 3). With both, dipole–dipole forces are taken
        as long-ranged (Gonze and Lee, doi:10.1103/PhysRevB.55.10355), as in phonopy.
    """

    crystal: Crystal
    pairs: np.ndarray = array("pair", "2")
    cell_shifts: np.ndarray = array("pair", "xyz")
    blocks: np.ndarray = array("pair", "xyz_i", "xyz_j", unit="eV/angstrom^2")
    supercell_matrix: np.ndarray | None = array("3", "xyz", default=None)
    born_charges: np.ndarray | None = array("atom", "xyz", "xyz_u", unit="e", default=None)
    dielectric: np.ndarray | None = array("xyz", "xyz_2", default=None)

    signal: ClassVar[str] = "blocks"
    axes: ClassVar[tuple[str, ...]] = ("", "", "")
    row_dims: ClassVar[tuple[str, ...]] = ("pair",)

    def __post_init__(self) -> None:
        """Check what would otherwise give wrong phonons in silence."""
        super().__post_init__()
        checks.check_force_constants(self)

    # -- from and to other codes ---------------------------------------------------------------

    @classmethod
    def from_phonopy(cls, phonopy: Phonopy, provenance: Mapping[str, Any] | None = None) -> Self:
        """Take the primitive cell, force constants, Born charges and ε∞ of a ``Phonopy`` object.

        Raises
        ------
        InputError
            If it has no force constants.
        """
        fields = phonopy_border.read(phonopy)
        return cls(**fields, provenance=provenance or {"source": "phonopy"})

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read ``phonopy_params.yaml``, or ``phonopy.yaml`` with the files of its folder.

        These are ``force_constants.hdf5``, ``FORCE_CONSTANTS`` or ``FORCE_SETS``, and ``BORN``.

        Raises
        ------
        InputError
            If a file is missing or damaged, or nothing gives force constants.
        """
        phonopy = phonopy_border.load(Path(path))
        return cls.from_phonopy(phonopy, {"source": Path(path).name})

    def to_phonopy(self) -> Phonopy:
        """Return a ``Phonopy`` object of the primitive cell and supercell with these constants."""
        return phonopy_border.write(self)

    # -- modes ---------------------------------------------------------------------------------

    def modes(
        self,
        q_reduced: np.ndarray | Sequence[Sequence[float]] | Sequence[float],
        *,
        weights: np.ndarray | None = None,
        q_direction: np.ndarray | Sequence[float] | None = None,
        eigenvectors: bool = True,
        group_velocities: bool = False,
        progress: bool = False,
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
            (q, 3): with Born charges, the modes at Γ depend on it. None (or zeros) leaves the
            macroscopic field at Γ out.
        eigenvectors
            False saves time and memory.
        group_velocities
            Whether to compute ∂ω/∂q too.
        progress
            Whether to show a progress bar.
        """
        q = checks.check_q_points(q_reduced)
        with tqdm(total=len(q), desc="modes", unit=" q", disable=not progress) as bar:
            solution = dynamics.solve(
                self._harmonic,
                q,
                q_direction=checks.check_directions(q_direction, len(q)),
                eigenvectors=eigenvectors,
                velocities=group_velocities,
                report=bar.update,
            )
        return PhononModes(
            crystal=self.crystal,
            q_reduced=q,
            weights=checks.check_weights(weights, len(q)),
            frequencies=solution.frequencies,
            eigenvectors=solution.eigenvectors,
            group_velocities=solution.velocities,
            provenance=self.provenance,
        )

    def mesh_modes(
        self,
        mesh: Mesh = (20, 20, 20),
        *,
        shift: tuple[float, float, float] = (0.0, 0.0, 0.0),
        symmetry: bool = True,
        eigenvectors: bool = True,
        group_velocities: bool = False,
        progress: bool = False,
    ) -> PhononModes:
        """Solve for the modes on a regular mesh of the Brillouin zone, otherwise as :meth:`modes`.

        Parameters
        ----------
        mesh
            Divisions along the reciprocal vectors (one number: equal divisions).
        shift
            Offset from Γ in mesh steps; ½ keeps Γ out.
        symmetry
            Keep one point of each star of the space group and time reversal, with its weight.
        """
        divisions = checks.check_mesh(mesh)
        rotations = self.symmetry_operations.rotations if symmetry else None
        points = brillouin.mesh_points(divisions, shift=shift, rotations=rotations)
        modes = self.modes(
            points.q_reduced,
            weights=points.weights,
            eigenvectors=eigenvectors,
            group_velocities=group_velocities,
            progress=progress,
        )
        return replace(modes, mesh=divisions, mesh_mapping=points.mapping, reduced=symmetry)

    def bands(
        self,
        path: str | np.ndarray | Sequence[Sequence[float]] | None = None,
        *,
        points: int = 300,
    ) -> PhononBands:
        """Solve along a path of high symmetry.

        Parameters
        ----------
        path
            None: the standard path for the space group (seekpath; Hinuma et al. 2017). A string
            such as ``"GXWKGL"``, a break written ``"GXU,KG"``: special points by ASE's names. Or
            corner points, shape (k, 3), reciprocal-lattice units.
        points
            Number of q-points, about, shared among the segments by length.
        """
        crystal = self.crystal.to("angstrom")
        segments = paths.segments_of(path, crystal.cell, crystal.scaled_positions, crystal.numbers)
        line = paths.sample(segments, crystal.cell, points)
        modes = self.modes(line.q_reduced, q_direction=line.directions, eigenvectors=False)
        return PhononBands(
            crystal=self.crystal,
            q_reduced=line.q_reduced,
            distance=line.distance,
            frequencies=modes.frequencies,
            labels=line.labels,
            segments=line.segments,
            provenance=self.provenance,
        )

    def dynamical_matrices(
        self, q_reduced: np.ndarray, *, q_direction: np.ndarray | None = None
    ) -> np.ndarray:
        """Return D(q) in eV/Å²/amu, shape (q, 3n, 3n), with atomic positions in the phases."""
        q = checks.check_q_points(q_reduced)
        direction = checks.check_directions(q_direction, len(q))
        phases = lattice.position_phases(q, self._harmonic.scaled_positions).repeat(3, axis=1)
        matrices = dynamics.matrices(self._harmonic, q, direction)
        return phases[:, :, None] * matrices * phases.conj()[:, None, :]

    # -- what follows from the modes -----------------------------------------------------------

    def dos(self, mesh: Mesh = (20, 20, 20), *, partial: bool = True, **options: Any) -> PhononDOS:
        """Return the density of states on a mesh, resolved by atom if ``partial``.

        Options (energy bins, broadening, method) go to
        :func:`scatterml_ase.results.counted_dos.phonon_dos`.
        """
        from scatterml_ase.results.counted_dos import phonon_dos

        return phonon_dos(self.mesh_modes(mesh, eigenvectors=partial), **options)

    def thermal(
        self,
        temperatures: np.ndarray | Sequence[float] | float | None = None,
        mesh: Mesh | PhononModes = (20, 20, 20),
    ) -> ThermalProperties:
        """Return heat capacity, entropy, free energy and displacements at temperatures in K.

        None stands for 0 to 1000 K in steps of 10 K. Displacements, which converge slowly, are
        extrapolated from this mesh and one half as dense if the mesh holds Γ. ``mesh`` may be what
        :meth:`mesh_modes` returned, which saves solving it again.
        """
        from scatterml_ase.results.thermal import thermal_properties

        modes = mesh if isinstance(mesh, PhononModes) else self.mesh_modes(mesh)
        divisions = modes.mesh or (0, 0, 0)
        coarse = None
        if min(divisions) >= 4 and not np.all(np.any(modes.q_reduced, axis=1)):
            coarse = self.mesh_modes([(n + 1) // 2 for n in divisions])
        return thermal_properties(modes, temperatures, coarse=coarse)

    def sound_velocities(self, directions: np.ndarray | Sequence[Any] = (1, 0, 0)) -> np.ndarray:
        """Return the three sound velocities along Cartesian directions, in m/s.

        For directions of shape (3,) or (d, 3) and any length, velocities have shape (3,) or
        (d, 3), ascending: the last is (quasi-)longitudinal. Negative ones tell an instability.
        """
        checked = checks.check_cartesian(directions)
        velocities = dynamics.sound_velocities(self._harmonic, np.atleast_2d(checked))
        return velocities[0] if checked.ndim == 1 else velocities

    def acoustic_residual(self) -> float:
        """Return the largest absolute energy of the acoustic modes at Γ in meV (exactly: 0)."""
        return dynamics.acoustic_residual(self._harmonic)

    def rotational_residual(self) -> float:
        """Return how far the rotational sum rule is from being obeyed, 0 (exactly) to 1.

        See :func:`scatterml_ase.physics.sum_rules.rotational_residual`. It concerns force constants
        that end within the supercell; those between Born charges do not.
        """
        crystal = self.crystal.to("angstrom")
        i, j = self.pairs.T
        x = crystal.scaled_positions
        vectors = (self.cell_shifts + x[j] - x[i]) @ crystal.cell
        return sum_rules.rotational_residual(self.pairs, vectors, self.blocks)

    def lowest_frequency(self, mesh: Mesh = (20, 20, 20)) -> float:
        """Return the lowest signed energy on a mesh, in meV; acoustic modes at Γ are left out."""
        modes = self.mesh_modes(mesh, eigenvectors=False)
        return dynamics.lowest_frequency(modes.q_reduced, modes.frequencies)

    def symmetrized(self) -> Self:
        """Return force constants that obey index permutation and the acoustic sum rule.

        The change of the blocks is the smallest that does it; Born charges are made neutral.
        """
        pairs, shifts, blocks = sum_rules.symmetrized(
            self.pairs, self.cell_shifts, self.blocks, len(self.crystal)
        )
        born = self.born_charges
        born = None if born is None else born - born.mean(axis=0)
        return replace(self, pairs=pairs, cell_shifts=shifts, blocks=blocks, born_charges=born)

    def substituted(self, substitution: str) -> Self:
        """Return force constants of the crystal with other isotopes: forces stay, modes change.

        ``force_constants.substituted("H->D 98 %")`` vibrates with the mean mass of 98 % D and 2 %
        natural H, and scatters as that mix does; see :meth:`Crystal.substituted`.

        Raises
        ------
        InputError
            If the text cannot be read, or concerns no atom of the crystal.
        """
        crystal = self.crystal.substituted(substitution)
        steps = ", ".join(filter(None, (self.provenance.get("isotopes"), substitution)))
        return replace(self, crystal=crystal, provenance={**self.provenance, "isotopes": steps})

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw how the blocks decay with the distance of their atoms."""
        return draw_decay(self, ax)

    @cached_property
    def symmetry_operations(self) -> brillouin.SymmetryOperations:
        """The space group of the crystal (isotopes count as different)."""
        crystal = self.crystal.to("angstrom")
        return brillouin.symmetry_operations(
            crystal.cell, crystal.scaled_positions, crystal.numbers, crystal.masses
        )

    @cached_property
    def _harmonic(self) -> dynamics.HarmonicCrystal:
        """What D(q) is made of: the Fourier table and, in a polar crystal, the dipole sum."""
        checks.warn_of_asymmetry(self)
        crystal = self.crystal.to("angstrom")
        cell, positions, masses = crystal.cell, crystal.scaled_positions, crystal.masses
        terms = [(self.pairs, self.cell_shifts, self.blocks)]
        sums = None
        if self.born_charges is not None and self.dielectric is not None:
            sums = dipole.dipole_sum(cell, positions, masses, self.born_charges, self.dielectric)
            matrix = phonopy_border.supercell_matrix(self)
            dipoles = dipole.dipole_pairs(sums, matrix, masses)
            terms.append((dipoles[0], dipoles[1], -dipoles[2]))
        pairs, shifts, blocks = (np.concatenate(part) for part in zip(*terms, strict=True))
        table = lattice.fourier_table(pairs, shifts, blocks, masses)
        return dynamics.HarmonicCrystal(table, cell, positions, masses, sums)
