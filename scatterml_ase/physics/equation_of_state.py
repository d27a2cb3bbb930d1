"""The third-order Birch-Murnaghan equation of state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scatterml_ase.errors import InputError, explain


@dataclass(frozen=True)
class BirchMurnaghan:
    """E(V) of third order in the Eulerian strain: Birch, 10.1103/PhysRev.71.809.

    Parameters
    ----------
    volume, energy
        At the minimum; any unit, here Å³ and eV.
    bulk_modulus
        In units of energy per volume.
    derivative
        dB/dp, a number.
    """

    volume: float
    energy: float
    bulk_modulus: float
    derivative: float

    def __call__(self, volumes: np.ndarray) -> np.ndarray:
        """Return the energy at each volume, the same shape."""
        x = (self.volume / np.asarray(volumes)) ** (2 / 3)
        cubic = (x - 1) ** 3 * self.derivative + (x - 1) ** 2 * (6 - 4 * x)
        return self.energy + 9 / 16 * self.volume * self.bulk_modulus * cubic


def fit_birch_murnaghan(volumes: np.ndarray, energies: np.ndarray) -> BirchMurnaghan:
    """Fit the equation of state by linear least squares: E is a cubic polynomial in V^(-2/3).

    Parameters
    ----------
    volumes, energies
        Shape (points,), four or more, with the minimum between them.

    Raises
    ------
    InputError
        If there are fewer than four points or no minimum between them.
    """
    volumes, energies = np.asarray(volumes, dtype=float), np.asarray(energies, dtype=float)
    if len(volumes) < 4 or len(volumes) != len(energies):
        raise InputError(
            explain(f"{len(volumes)} volumes and {len(energies)} energies make no E(V)",
                    "the fit has four parameters", "Give four or more of each")
        )  # fmt: skip
    scale = float(volumes.mean())
    x = (scale / volumes) ** (2 / 3)
    polynomial = np.polynomial.Polynomial.fit(x, energies, 3).convert()
    slope, bend = polynomial.deriv(), polynomial.deriv(2)
    minima = [
        float(root.real)
        for root in np.atleast_1d(slope.roots())
        if abs(root.imag) < 1e-9 and bend(root.real) > 0 and x.min() <= root.real <= x.max()
    ]
    if not minima:
        raise InputError(
            explain(
                f"E(V) has no minimum between {volumes.min():.3f} and {volumes.max():.3f} Å³",
                "an equation of state is an expansion about one",
                "Relax the crystal first, or scan other volumes",
            )
        )
    at = minima[0]
    volume = scale * at**-1.5
    curvature, third = float(bend(at)), float(polynomial.deriv(3)(at))
    # From d²E/dx² = 9/4 V₀ B and d³E/dx³ = 27/8 V₀ B (B' − 4) at x = 1, x counted from V₀.
    bulk = 4 / 9 * curvature * at**2 / volume
    derivative = 4 + third * at**3 * 8 / (27 * volume * bulk)
    return BirchMurnaghan(float(volume), float(polynomial(at)), float(bulk), float(derivative))
