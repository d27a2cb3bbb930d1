"""Energy resolution as a polynomial: for instruments described by a fit, or by a guess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.broadening import SIGMA_TO_FWHM
from scatterml_ase.units import conversion_factor

Width = float | Sequence[float]
"""One width, or the coefficients of a polynomial, lowest power first."""


@dataclass(frozen=True)
class PolynomialResolution:
    """Widths relative to the fixed energy, natural in direct geometry.

    Parameters
    ----------
    fwhm_coefficients
        FWHM/E_fixed = c₀ + c₁ (E/E_fixed) + c₂ (E/E_fixed)² + …
    """

    fwhm_coefficients: tuple[float, ...]

    def energy_sigma(self, energy_transfer: np.ndarray, fixed_energy: float) -> np.ndarray:
        """Return the standard deviation in meV."""
        reduced = np.asarray(energy_transfer, dtype=float) / fixed_energy
        fwhm = fixed_energy * np.polynomial.polynomial.polyval(reduced, self.fwhm_coefficients)
        return np.maximum(fwhm, 0.0) / SIGMA_TO_FWHM

    def fixed_energy_sigma(self, fixed_energy: float) -> float:
        """Return 0: a fit of widths of E does not tell how sharp the fixed energy is."""
        return 0.0


@dataclass(frozen=True)
class TransferResolution:
    """Widths that depend on the energy transfer alone, natural in indirect geometry.

    Parameters
    ----------
    sigma_coefficients
        σ = c₀ + c₁ E + c₂ E² + …, with σ and E in meV.
    smallest_sigma
        In meV; the polynomial is not followed below it.
    """

    sigma_coefficients: tuple[float, ...]
    smallest_sigma: float = 0.0

    @classmethod
    def in_unit(
        cls, unit: str, coefficients: Sequence[float], *, smallest: float = 0.0, scale: float = 1.0
    ) -> Self:
        """Convert coefficients of a polynomial whose energies are in ``unit``.

        Parameters
        ----------
        unit
            Such as ``"cm^-1"``.
        coefficients, smallest
            Of widths, lowest power first, and the smallest width, in that unit.
        scale
            Standard deviation over the width given: 1 for σ, 1/2.3548 for FWHM.
        """
        factor = conversion_factor(unit, "meV")
        values = [scale * c * factor ** (1 - power) for power, c in enumerate(coefficients)]
        return cls(tuple(values), scale * smallest * factor)

    def energy_sigma(self, energy_transfer: np.ndarray, fixed_energy: float) -> np.ndarray:
        """Return the standard deviation in meV; ``fixed_energy`` does not matter."""
        energies = np.asarray(energy_transfer, dtype=float)
        sigma = np.polynomial.polynomial.polyval(energies, self.sigma_coefficients)
        return np.maximum(sigma, self.smallest_sigma)

    def fixed_energy_sigma(self, fixed_energy: float) -> float:
        """Return 0: a fit of widths of E does not tell how sharp the fixed energy is."""
        return 0.0


def custom_resolution(
    relative_fwhm: Width | None, fwhm: Width | None
) -> PolynomialResolution | TransferResolution | None:
    """Return the resolution of FWHM/E_fixed or of FWHM in meV; None where neither is given.

    Raises
    ------
    InputError
        If both are given, or one is negative at E = 0 or not finite.
    """
    if relative_fwhm is not None and fwhm is not None:
        raise InputError(
            explain(
                f"The energy width was given twice: {relative_fwhm} and {fwhm}",
                "one is in units of the fixed energy, the other in meV",
                "Give either relative_energy_fwhm or energy_fwhm",
            )
        )
    given = relative_fwhm if fwhm is None else fwhm
    if given is None:
        return None
    coefficients = np.atleast_1d(np.asarray(given, dtype=float))
    if not np.isfinite(coefficients).all() or not coefficients[0] >= 0:
        raise InputError(
            explain(
                f"{given} is no energy width",
                "it is a number, or coefficients of a polynomial in E, and no width is negative",
                "Give e.g. energy_fwhm=1.5 in meV, or (0.7, 0.012) for 0.7 meV + 1.2 % of E",
            )
        )
    values = tuple(coefficients.tolist())
    if fwhm is None:
        return PolynomialResolution(values)
    return TransferResolution.in_unit("meV", values, scale=1 / SIGMA_TO_FWHM)
