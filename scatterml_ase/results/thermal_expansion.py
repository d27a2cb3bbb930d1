"""Volume over temperature from molecular dynamics at zero pressure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.averages import Estimate
from scatterml_ase.results.base import Result, array, new_axes
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.plotting import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, kw_only=True)
class ThermalExpansion(Result):
    """Mean volumes of classical dynamics at zero pressure.

    Parameters
    ----------
    crystal
        The cell at its static minimum: the classical crystal at 0 K.
    temperatures
        In K, shape (temperature,).
    volumes, volume_errors
        Mean per atom in Å³ and its standard error (block average), shape (temperature,).
    picoseconds
        Sampled at each temperature, after equilibration.
    """

    crystal: Crystal
    temperatures: np.ndarray = array("temperature", unit="K")
    volumes: np.ndarray = array("temperature", unit="angstrom^3")
    volume_errors: np.ndarray = array("temperature", unit="angstrom^3")
    picoseconds: float = 0.0

    signal: ClassVar[str] = "volumes"
    axes: ClassVar[tuple[str, ...]] = ("temperatures",)
    row_dims: ClassVar[tuple[str, ...]] = ("temperature",)

    @property
    def static_volume(self) -> float:
        """Per atom in Å³ at 0 K."""
        crystal = self.crystal.to("angstrom")
        return abs(float(np.linalg.det(crystal.cell))) / len(crystal)

    def linear_expansion(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (V/V₀)^⅓ − 1 and its error, shape (temperature,): relative to 0 K, no unit."""
        length = np.cbrt(self.volumes / self.static_volume)
        return length - 1, length * self.volume_errors / self.volumes / 3

    @property
    def coefficient(self) -> Estimate:
        """Mean linear expansion per K between 0 K and the temperatures, weighted by errors."""
        expansion, errors = self.linear_expansion()
        errors = np.maximum(errors, 1e-12)
        weights = (self.temperatures / errors) ** 2
        each = expansion / self.temperatures
        mean = float((weights * each).sum() / weights.sum())
        return Estimate(mean, float(weights.sum() ** -0.5))

    @property
    def between_extremes(self) -> Estimate:
        """Mean linear expansion per K between the lowest and the highest temperature.

        Here the static crystal, and with it whatever a quantum crystal does near 0 K, drops out.

        Raises
        ------
        InputError
            If there is one temperature only.
        """
        low, high = int(self.temperatures.argmin()), int(self.temperatures.argmax())
        span = float(self.temperatures[high] - self.temperatures[low])
        if span == 0:
            raise InputError(
                explain("There is one temperature", "a slope is between two", "Give two or more")
            )
        length = float(np.cbrt(self.volumes[high] / self.volumes[low]))
        shares = (self.volume_errors / self.volumes)[[low, high]]
        error = length * float(np.linalg.norm(shares)) / 3
        return Estimate((length - 1) / span, error / span)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the linear expansion in per cent over temperature, with error bars."""
        ax = new_axes(ax)
        expansion, errors = self.linear_expansion()
        hottest = 1.1 * float(self.temperatures.max())
        ax.plot(
            [0, hottest], [0, 100 * self.coefficient.value * hottest],
            color=PALETTE[0], linewidth=1.2, alpha=0.6,
        )  # fmt: skip
        ax.errorbar(
            self.temperatures, 100 * expansion, 100 * errors,
            fmt="o", color=PALETTE[0], markersize=4.5, capsize=2.5,
        )  # fmt: skip
        ax.set_xlim(0, hottest)
        ax.set_xlabel("Temperature (K)")
        ax.set_ylabel("Linear expansion (%)")
        return ax
