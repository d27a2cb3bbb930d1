"""Elastic constants of a crystal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from scatterml_ase.physics.elasticity import hill_averages
from scatterml_ase.results.base import Result, array, new_axes
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.plotting import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, kw_only=True)
class ElasticConstants(Result):
    """The stiffness C_ij = ∂σ_i/∂ε_j in Voigt order xx yy zz yz xz xy.

    Parameters
    ----------
    crystal
        The cell that was strained; its Cartesian axes are those of the stiffness.
    stiffness
        In GPa, engineering shear strains, shape (6, 6).
    """

    crystal: Crystal
    stiffness: np.ndarray = array("voigt_row", "voigt", unit="GPa")

    signal: ClassVar[str] = "stiffness"
    axes: ClassVar[tuple[str, ...]] = ("", "")
    row_dims: ClassVar[tuple[str, ...]] = ("voigt_row",)

    @property
    def bulk_modulus(self) -> float:
        """Bulk modulus of a polycrystal (Hill's mean) in GPa."""
        return hill_averages(self.stiffness)[0]

    @property
    def shear_modulus(self) -> float:
        """Shear modulus of a polycrystal (Hill's mean) in GPa."""
        return hill_averages(self.stiffness)[1]

    @property
    def stable(self) -> bool:
        """Whether every small strain costs energy (Born's criterion): C is positive definite."""
        return bool(np.linalg.eigvalsh(self.stiffness)[0] > 0)

    @property
    def cubic(self) -> tuple[float, float, float]:
        """C11, C12 and C44 in GPa: means over the axes, all there is in a cubic crystal."""
        c = self.stiffness
        return (
            float(np.diag(c)[:3].mean()),
            float((c[0, 1] + c[0, 2] + c[1, 2]) / 3),
            float(np.diag(c)[3:].mean()),
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the matrix with its numbers."""
        ax = new_axes(ax)
        limit = float(np.abs(self.stiffness).max())
        ax.imshow(self.stiffness, cmap="RdBu_r", vmin=-limit, vmax=limit, alpha=0.6)
        for i, row in enumerate(self.stiffness):
            for j, value in enumerate(row):
                ax.text(j, i, f"{value:.0f}", ha="center", va="center", color=INK)
        ax.set_xticks(range(6), ["xx", "yy", "zz", "yz", "xz", "xy"])
        ax.set_yticks(range(6), ["xx", "yy", "zz", "yz", "xz", "xy"])
        ax.set_title("Stiffness (GPa)")
        return ax
