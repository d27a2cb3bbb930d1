"""Energy over volume, with the equation of state through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from scatterml_ase.physics.equation_of_state import BirchMurnaghan, fit_birch_murnaghan
from scatterml_ase.results.base import Result, array, new_axes
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.plotting import PALETTE
from scatterml_ase.units import EV_PER_ANGSTROM3_TO_GPA

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, kw_only=True)
class EnergyVolume(Result):
    """E(V) of a crystal scaled uniformly, and the third-order Birch-Murnaghan fit.

    Parameters
    ----------
    crystal
        The cell at the starting volume.
    volumes
        Per atom in Å³, ascending, shape (volume,).
    energies
        Per atom in eV, shape (volume,).
    fitted_range
        Lowest and highest V / V_start that the fit uses.
    """

    crystal: Crystal
    volumes: np.ndarray = array("volume", unit="angstrom^3")
    energies: np.ndarray = array("volume", unit="eV")
    fitted_range: tuple[float, float] = (0.9, 1.1)

    signal: ClassVar[str] = "energies"
    axes: ClassVar[tuple[str, ...]] = ("volumes",)
    row_dims: ClassVar[tuple[str, ...]] = ("volume",)

    @property
    def fit(self) -> BirchMurnaghan:
        """The equation of state per atom, in Å³ and eV."""
        crystal = self.crystal.to("angstrom")
        start = abs(float(np.linalg.det(crystal.cell))) / len(crystal)
        low, high = (share * start for share in self.fitted_range)
        inside = (self.volumes >= low * (1 - 1e-9)) & (self.volumes <= high * (1 + 1e-9))
        return fit_birch_murnaghan(self.volumes[inside], self.energies[inside])

    @property
    def volume(self) -> float:
        """Volume of the minimum per atom in Å³."""
        return self.fit.volume

    @property
    def bulk_modulus(self) -> float:
        """B at the minimum in GPa."""
        return self.fit.bulk_modulus * EV_PER_ANGSTROM3_TO_GPA

    @property
    def bulk_modulus_derivative(self) -> float:
        """dB/dp at the minimum."""
        return self.fit.derivative

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the points and the fit, energies from the minimum."""
        ax = new_axes(ax)
        fit = self.fit
        curve = np.linspace(self.volumes.min(), self.volumes.max(), 200)
        ax.plot(curve, fit(curve) - fit.energy, color=PALETTE[0], linewidth=1.4)
        ax.plot(self.volumes, self.energies - fit.energy, "o", color=PALETTE[0], markersize=3.5)
        ax.set_xlabel("Volume per atom (Å³)")
        ax.set_ylabel("Energy per atom (eV)")
        return ax
