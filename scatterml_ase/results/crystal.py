"""The crystal a result belongs to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.symbols import Symbols

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics import isotopes
from scatterml_ase.results.base import Result, array, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, kw_only=True)
class Crystal(Result):
    """A primitive cell: what every array with an ``atom`` dimension refers to.

    Parameters
    ----------
    cell
        Cell vectors as rows, shape (3, 3), in Å.
    scaled_positions
        Fractional coordinates, shape (atoms, 3).
    numbers
        Atomic numbers, shape (atoms,).
    masses
        Masses, shape (atoms,), in amu; isotopes are told by them.
    nuclides
        Isotopes or mixes of them that masses do not tell, one name per atom such as
        ``"98% 2H + 2% H"``, "" where they do; see :meth:`substituted`.
    magnetic_moments
        Moments the atoms were given, in Bohr magnetons, shape (atoms,): their lengths where they
        have directions. None: no atom has one.
    """

    cell: np.ndarray = array("3", "xyz", unit="{length}")
    scaled_positions: np.ndarray = array("atom", "xyz")
    numbers: np.ndarray = array("atom")
    masses: np.ndarray = array("atom", unit="amu")
    nuclides: tuple[str, ...] = ()
    magnetic_moments: np.ndarray | None = array("atom", unit="bohr_magneton", default=None)

    signal: ClassVar[str] = "scaled_positions"
    axes: ClassVar[tuple[str, ...]] = ("", "")
    row_dims: ClassVar[tuple[str, ...]] = ("atom",)

    def __post_init__(self) -> None:
        """Check the names; keep moments as lengths, and only if there are any."""
        if len(self.nuclides) not in (0, len(self.numbers)):
            what = f"Crystal.nuclides names {len(self.nuclides)} nuclides"
            why = f"the crystal has {len(self.numbers)} atoms"
            raise InputError(explain(what, why, "Give one for each atom, or none"))
        object.__setattr__(self, "magnetic_moments", _lengths(self.magnetic_moments))
        super().__post_init__()

    @classmethod
    def from_atoms(cls, atoms: Atoms) -> Self:
        """Take cell, positions, species, masses and initial magnetic moments of ``atoms``."""
        moments = atoms.arrays.get("initial_magmoms")
        return cls(
            cell=atoms.cell.array,
            scaled_positions=atoms.get_scaled_positions(wrap=False),
            numbers=atoms.numbers,
            masses=atoms.get_masses(),
            magnetic_moments=moments,
        )

    def to_atoms(self) -> Atoms:
        """Return periodic ASE Atoms."""
        crystal = self.to("angstrom")
        return Atoms(
            numbers=crystal.numbers,
            cell=crystal.cell,
            scaled_positions=crystal.scaled_positions,
            masses=crystal.masses,
            pbc=True,
        )

    def substituted(self, substitution: str) -> Self:
        """Return the crystal with other isotopes, their masses and scattering.

        ``crystal.substituted("H->D 98 %")``; see
        :func:`~scatterml_ase.physics.isotopes.substitutions` for the syntax. Substitutions of
        elements start from the natural mix again.

        Raises
        ------
        InputError
            If the text cannot be read, or concerns no atom of the crystal.
        """
        changed = isotopes.substitute(substitution, self.numbers, self.masses, self.nuclides)
        return replace(self, nuclides=changed.nuclides, masses=changed.masses)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the cell and its atoms, seen a little from above, in Å; return the axes."""
        from ase.visualize.plot import plot_atoms

        ax = new_axes(ax)
        plot_atoms(self.to_atoms(), ax, radii=0.4, rotation="-80x,-15y,0z")
        ax.set(xlabel="Å", ylabel="Å", aspect="equal")
        return ax

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Chemical symbols, one per atom."""
        return tuple(chemical_symbols[z] for z in self.numbers)

    @property
    def formula(self) -> str:
        """Chemical formula of the cell, e.g. ``"Si2"``."""
        return str(Symbols(self.numbers).get_chemical_formula("metal"))

    @property
    def formula_units(self) -> int:
        """How many formula units are in the cell: 2 for Si2O4."""
        return int(np.gcd.reduce(np.unique(self.numbers, return_counts=True)[1]))

    @property
    def positions(self) -> np.ndarray:
        """Cartesian positions, shape (atoms, 3), in Å."""
        return self.scaled_positions @ self.cell

    @property
    def reciprocal_cell(self) -> np.ndarray:
        """Reciprocal cell vectors as rows, shape (3, 3), in Å⁻¹ with 2π."""
        return 2 * np.pi * np.linalg.inv(self.cell).T

    @property
    def volume(self) -> float:
        """Volume of the cell in Å³."""
        return float(abs(np.linalg.det(self.cell)))


def _lengths(moments: Any) -> np.ndarray | None:
    """Return lengths of moments with directions, others as they are; None if there are none."""
    if moments is None or not np.any(moments):
        return None
    values = np.asarray(moments, dtype=float)
    return np.linalg.norm(values, axis=1) if values.ndim == 2 else values
