"""S(Q, E) of a single crystal on planes of reciprocal space: slices at constant energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics import unit_cell
from scatterml_ase.results.base import Result, array
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.histogram import bin_centres, check_edges, known_bins
from scatterml_ase.results.plane_figure import draw_plane
from scatterml_ase.results.sqw_scale import Scale, scale_factor, spell_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, kw_only=True)
class SqwPlane(Result):
    """d²σ/dΩdE divided by k_f/k_i at Q = origin + x u + y v, one slice for each bin of energy.

    E > 0 where the neutron loses energy. Bins that are not measured hold NaN.

    Parameters
    ----------
    crystal
        The primitive cell.
    transformation
        Rows: vectors of the cell whose reciprocal-lattice units (r.l.u.) are used, in those of the
        primitive cell, shape (3, 3).
    origin
        In r.l.u., shape (3,).
    u, v
        In r.l.u., shape (3,).
    x, y
        Edges of the bins along u and v, in lengths of them, shapes (x + 1,) and (y + 1,).
    energy_transfer
        Edges of the energy bins in meV, shape (energy + 1,).
    intensity
        Mean over each bin, shape (energy, x, y), in mbarn sr⁻¹ meV⁻¹ per atom (see ``scale``).
    error
        One standard deviation of each bin, of the shape of the intensity; None: not known. What an
        :class:`~scatterml_ase.Ensemble` of potentials gives.
    mask
        True where calculated and, with an instrument, reached; None: where the intensity is finite.
    thickness
        Over how much in Å⁻¹ across the plane the intensity is a mean; 0: the plane itself.
    temperature
        In K.
    scale
        What the intensity is per.
    kinematics
        Of the instrument, as in :class:`~scatterml_ase.SqwMap`; ``psi`` is the range in degrees.
    points, wavevectors
        How many Q were calculated, and how many q were solved for them: symmetry saves the rest.
    imaginary_modes, imaginary_share
        How many modes at these Q are imaginary and left out, and which share of all.
    """

    crystal: Crystal
    transformation: np.ndarray = array("3", "xyz")
    origin: np.ndarray = array("xyz", unit="r.l.u.")
    u: np.ndarray = array("xyz", unit="r.l.u.")
    v: np.ndarray = array("xyz", unit="r.l.u.")
    x: np.ndarray = array("x+1", unit="r.l.u.")
    y: np.ndarray = array("y+1", unit="r.l.u.")
    energy_transfer: np.ndarray = array("energy+1", unit="{energy}")
    intensity: np.ndarray = array("energy", "x", "y", unit="mbarn/sr/{energy}")
    error: np.ndarray | None = array("energy", "x", "y", unit="mbarn/sr/{energy}", default=None)
    mask: np.ndarray = array("energy", "x", "y", default=None)
    thickness: float = 0.0
    temperature: float = float("nan")
    scale: Scale = "atom"
    kinematics: Mapping[str, Any] | None = None
    points: int | None = None
    wavevectors: int | None = None
    imaginary_modes: int = 0
    imaginary_share: float = 0.0

    signal: ClassVar[str] = "intensity"
    axes: ClassVar[tuple[str, ...]] = ("energy_transfer", "x", "y")
    row_dims: ClassVar[tuple[str, ...]] = ("energy", "x", "y")

    def __post_init__(self) -> None:
        """Check the edges; put NaN where nothing is known."""
        for name in ("x", "y", "energy_transfer"):
            edges = check_edges(f"SqwPlane.{name}", getattr(self, name))
            object.__setattr__(self, name, edges)
        intensity, mask = known_bins(self.intensity, self.mask)
        object.__setattr__(self, "intensity", intensity)
        object.__setattr__(self, "mask", mask)
        super().__post_init__()

    @property
    def x_centres(self) -> np.ndarray:
        """Centres of the bins along u."""
        return bin_centres(self.x)

    @property
    def y_centres(self) -> np.ndarray:
        """Centres of the bins along v."""
        return bin_centres(self.y)

    @property
    def energy_centres(self) -> np.ndarray:
        """Centres of the energy bins, in the unit of ``energy_transfer``."""
        return bin_centres(self.energy_transfer)

    @property
    def hkl(self) -> np.ndarray:
        """Centres of the bins in r.l.u. of the cell the plane is given in, shape (x, y, 3)."""
        along = self.x_centres[:, None, None] * self.u + self.y_centres[None, :, None] * self.v
        return self.origin + along

    @property
    def q_reduced(self) -> np.ndarray:
        """The same in r.l.u. of the primitive cell, shape (x, y, 3)."""
        return unit_cell.to_primitive(self.hkl, self.transformation)

    @property
    def directions(self) -> np.ndarray:
        """Directions u and v in Å⁻¹, Cartesian, shape (2, 3)."""
        crystal = self.crystal.to("angstrom")
        both = unit_cell.to_primitive(np.stack([self.u, self.v]), self.transformation)
        return both @ crystal.reciprocal_cell

    def unit_of(self, name: str) -> str:
        """Return the present unit of the array ``name``."""
        return spell_unit(super().unit_of(name), self.scale)

    def per(self, scale: Scale) -> Self:
        """Return the same plane per ``"atom"``, ``"formula_unit"`` or primitive ``"cell"``."""
        factor = scale_factor(self.scale, scale, self.crystal)
        error = None if self.error is None else self.error * factor
        return replace(self, intensity=self.intensity * factor, error=error, scale=scale)

    def at(self, energy: float) -> Self:
        """Return the slice whose energy bin holds ``energy``, in the unit of the plane.

        Raises
        ------
        InputError
            If no bin does.
        """
        edges = self.energy_transfer
        k = int(np.searchsorted(edges, energy, side="right")) - 1
        k -= int(energy == edges[-1])
        if not 0 <= k < len(edges) - 1:
            unit = self.units["energy"]
            what = f"There is no slice at {energy} {unit}"
            why = f"energy bins run from {edges[0]:g} to {edges[-1]:g} {unit}"
            raise InputError(explain(what, why, "Ask for an energy within"))
        return replace(
            self,
            energy_transfer=edges[k : k + 2],
            intensity=self.intensity[k : k + 1],
            error=None if self.error is None else self.error[k : k + 1],
            mask=self.mask[k : k + 1],
        )

    def plot(
        self,
        ax: Axes | None = None,
        *,
        energy: float | None = None,
        maximum: float | None = None,
        log: bool = False,
        colormap: str = "viridis",
    ) -> Axes:
        """Draw one slice, with equal lengths in Å⁻¹ along both axes; what is not known is grey.

        Parameters
        ----------
        energy
            Of the slice, in the unit of the plane; None: the first.
        maximum
            Intensity at the top of the colour scale; None: above nearly all bins.
        log
            Logarithmic colours over three decades.
        colormap
            Name of a matplotlib colour map.
        """
        plane = self.at(self.energy_centres[0] if energy is None else energy)
        return draw_plane(plane, ax, maximum=maximum, log=log, colormap=colormap)
