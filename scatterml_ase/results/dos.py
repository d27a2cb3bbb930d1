"""The phonon density of states, total and of each atom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics import density_of_states as physics
from scatterml_ase.physics.thermal import debye_temperature_from_moment
from scatterml_ase.results.base import Result, array
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.deviations import check_samples, thermal_deviations
from scatterml_ase.results.dos_figure import draw_dos
from scatterml_ase.results.modes import PhononModes
from scatterml_ase.results.thermal import (
    ThermalProperties,
    from_oscillators,
    temperature_grid,
    warn_of_imaginary_modes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Method = Literal["tetrahedron", "points"]


@dataclass(frozen=True, eq=False, kw_only=True)
class PhononDOS(Result):
    """Phonon density of states: three modes per atom, imaginary ones at negative energies.

    Parameters
    ----------
    crystal
        The primitive cell.
    energy_edges
        Edges of the energy bins, shape (energy + 1,), in meV.
    total
        Mean density in each bin in 1/meV per primitive cell, shape (energy,); integrates to 3n.
    partial
        The share of each atom (its squared eigenvector), in 1/meV, shape (atom, energy); sums to
        the total. None if no eigenvectors were at hand.
    error
        Standard deviation of the total in 1/meV, shape (energy,), if known.
    samples
        Equally likely partial densities in 1/meV, shape (sample, atom, energy), two or more, if
        known: their spread is the uncertainty, and what follows from the DOS takes it on.

    Raises
    ------
    InputError
        If shapes do not fit each other, or a single sample is given.
    """

    crystal: Crystal
    energy_edges: np.ndarray = array("energy+1", unit="{energy}")
    total: np.ndarray = array("energy", unit="1/{energy}")
    partial: np.ndarray | None = array("atom", "energy", unit="1/{energy}", default=None)
    error: np.ndarray | None = array("energy", unit="1/{energy}", default=None)
    samples: np.ndarray | None = array("sample", "atom", "energy", unit="1/{energy}", default=None)

    signal: ClassVar[str] = "total"
    axes: ClassVar[tuple[str, ...]] = ("energy_edges",)
    row_dims: ClassVar[tuple[str, ...]] = ("energy",)

    def __post_init__(self) -> None:
        """Check shapes, and that the samples have a spread."""
        super().__post_init__()
        if self.samples is not None:
            check_samples(self.samples, self.crystal)

    @classmethod
    def from_modes(cls, modes: PhononModes, **options: Any) -> PhononDOS:
        """Make the DOS from modes on a mesh.

        Options are those of :func:`~scatterml_ase.results.counted_dos.phonon_dos`.
        """
        from scatterml_ase.results.counted_dos import phonon_dos

        return phonon_dos(modes, **options)

    # -- what is in it -------------------------------------------------------------------------

    @property
    def energies(self) -> np.ndarray:
        """Centres of the bins, shape (energy,)."""
        return (self.energy_edges[1:] + self.energy_edges[:-1]) / 2

    @property
    def widths(self) -> np.ndarray:
        """Widths of the bins, shape (energy,)."""
        return np.diff(self.energy_edges)

    def by_species(self) -> dict[str, np.ndarray]:
        """Return the sum of the partial DOS over the atoms of each species, shape (energy,) each.

        Raises
        ------
        InputError
            If there is no partial DOS.
        """
        partial = self._need_partial()
        symbols = np.array(self.crystal.symbols)
        return {str(s): partial[symbols == s].sum(axis=0) for s in dict.fromkeys(symbols)}

    def neutron_weighted(self, cross_sections: np.ndarray) -> np.ndarray:
        """Return Σ_k σ_k/M_k g_k(E), shape (energy,), in the unit of σ/amu/energy.

        No factor ⟨M⟩ is put in. For σ in barn, :mod:`scatterml_ase.physics.lengths` has tables.

        Parameters
        ----------
        cross_sections
            σ of each atom, shape (atom,).
        """
        return (np.asarray(cross_sections) / self.crystal.masses) @ self._need_partial()

    def moment(self, order: int) -> float:
        """Return ⟨E^order⟩ over the modes of positive energy, in the present unit of energy."""
        return float(self._moments(order, self.total))

    @property
    def mean_energy(self) -> float:
        """Mean energy of the modes of positive energy."""
        return self.moment(1)

    @property
    def mean_energy_error(self) -> float | None:
        """Standard deviation of the mean energy over the samples; None without samples."""
        if self.samples is None:
            return None
        return float(np.std(self._moments(1, self.samples.sum(axis=1)), ddof=1))

    @property
    def debye_temperature(self) -> float:
        """Debye temperature in K of the second moment (see :class:`ThermalProperties`)."""
        return debye_temperature_from_moment(self.to("meV").moment(2))

    # -- what follows from it ------------------------------------------------------------------

    def broadened(self, fwhm: np.ndarray | float) -> Self:
        """Return the DOS broadened by a Gaussian; integrals stay what they are.

        An error without samples is lost: how those of neighbouring bins go together is not known.

        Parameters
        ----------
        fwhm
            Full width at half maximum in the present unit of energy: a number, or one per bin.

        Raises
        ------
        InputError
            If a width is negative or not finite.
        """
        values = np.asarray(fwhm, dtype=float)
        if not np.all(np.isfinite(values)) or np.any(values < 0):
            what = f"The DOS cannot be broadened by fwhm = {fwhm}"
            raise InputError(explain(what, "a width is zero or positive", "Give it in meV"))
        matrix = physics.broadening_matrix(self.energy_edges, values)
        spread = (matrix / self.widths[:, None]) * self.widths  # densities in and out
        partial = None if self.partial is None else self.partial @ spread.T
        samples = None if self.samples is None else self.samples @ spread.T
        error = None if samples is None else samples.sum(axis=1).std(axis=0, ddof=1)
        return replace(
            self, total=spread @ self.total, partial=partial, error=error, samples=samples
        )

    def thermal(
        self, temperatures: np.ndarray | Sequence[float] | float | None = None
    ) -> ThermalProperties:
        """Return the thermal properties of the DOS, with a warning if modes are imaginary.

        Displacements come from the partial DOS and are isotropic: exact for atoms on cubic sites.
        Where the DOS has samples, every property has its standard deviation over them.

        Parameters
        ----------
        temperatures
            In K, shape (temperature,) or a number; 0 to 1000 K in steps of 10 K if None.
        """
        kelvin = temperature_grid(temperatures)
        dos = self.to("meV")
        counts = dos.total * dos.widths
        negative = dos.energy_edges[1:] <= 0
        share = float(counts[negative].sum() / counts.sum())
        if share > 0:
            atoms3 = 3 * len(self.crystal)
            lowest = dos.energies[np.flatnonzero(counts)[0]]
            warn_of_imaginary_modes(max(1, round(share * atoms3)), atoms3, lowest)
        return dos._oscillators(kelvin, share)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        orientation: Literal["horizontal", "vertical"] = "horizontal",
        species: bool = True,
    ) -> Axes:
        """Draw the total DOS, with a band for its error, and, filled, that of each species.

        Parameters
        ----------
        ax
            Where to draw; a new figure if None.
        orientation
            "vertical" puts energy on the vertical axis, to stand beside a dispersion.
        species
            Draw the species too, if there are several and the DOS has a partial part.
        """
        return draw_dos(self, ax, vertical=orientation == "vertical", species=species)

    # -- parts of the above --------------------------------------------------------------------

    def _moments(self, order: int, totals: np.ndarray) -> np.ndarray:
        """Return ⟨E^order⟩ of densities on these bins, (..., energy), shape (...)."""
        edges = self.energy_edges
        energies, weights = physics.quadrature(edges)
        counts = np.where(edges[1:] > 0, totals * self.widths, 0.0)
        return counts @ np.sum(weights * energies**order, axis=1) / counts.sum(axis=-1)

    def _oscillators(self, kelvin: np.ndarray, imaginary_share: float) -> ThermalProperties:
        """Return the thermal properties of a DOS in meV."""
        edges, widths, crystal = self.energy_edges, self.widths, self.crystal
        energies, weights = physics.quadrature(edges)
        others: dict[str, Any] = {}
        if self.partial is not None:
            others["displacement_tensors"] = physics.isotropic_displacements(
                self.partial * widths, edges, crystal.masses, kelvin
            )
        if self.samples is not None:
            others |= thermal_deviations(crystal, self.samples, edges, kelvin)
        return from_oscillators(
            crystal,
            energies.ravel(),
            ((self.total * widths)[:, None] * weights).ravel(),
            kelvin,
            imaginary_share=imaginary_share,
            provenance=self.provenance,
            **others,
        )

    def _need_partial(self) -> np.ndarray:
        if self.partial is None:
            raise InputError(
                explain(
                    "This DOS has no partial part",
                    "it was made from modes without eigenvectors",
                    "Make it with eigenvectors=True",
                )
            )
        return self.partial
