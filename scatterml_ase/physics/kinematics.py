"""Where in (Q, E) a spectrometer can measure: Q² = k_i² + k_f² − 2 k_i k_f cos 2θ.

Squires, Introduction to the Theory of Thermal Neutron Scattering, doi 10.1017/CBO9781139107808.
Energy transfer E = E_i − E_f > 0 where the neutron loses energy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.units import HBAR2_PER_2_NEUTRON_MASS

Geometry = Literal["direct", "indirect"]
AngleRanges = Sequence[tuple[float, float]]


def wavenumber(energy: np.ndarray | float) -> np.ndarray:
    """Return k = √(2 mₙ E)/ħ in Å⁻¹ of neutrons of ``energy`` in meV (NaN where negative)."""
    energy = np.asarray(energy, dtype=float)
    return np.sqrt(np.where(energy >= 0, energy, np.nan) / HBAR2_PER_2_NEUTRON_MASS)


def wavevector_transfer(
    incident_energy: np.ndarray | float,
    final_energy: np.ndarray | float,
    two_theta: np.ndarray | float,
) -> np.ndarray:
    """Return |Q| in Å⁻¹; energies in meV, scattering angle 2θ in degrees. NaN if E < 0."""
    ki, kf = wavenumber(incident_energy), wavenumber(final_energy)
    cosine = np.cos(np.radians(two_theta))
    return np.sqrt(np.maximum(ki**2 + kf**2 - 2 * ki * kf * cosine, 0.0))


def incident_and_final(
    energy_transfer: np.ndarray, fixed_energy: float, geometry: Geometry
) -> tuple[np.ndarray, np.ndarray]:
    """Return E_i and E_f in meV: the one that is fixed, and the one that follows from E."""
    energy_transfer = np.asarray(energy_transfer, dtype=float)
    fixed = np.full_like(energy_transfer, fixed_energy)
    if geometry == "direct":
        return fixed, fixed - energy_transfer
    return fixed + energy_transfer, fixed


def reachable_transfer(
    energy_transfer: np.ndarray, fixed_energy: float, geometry: Geometry
) -> np.ndarray:
    """Return energy transfers in meV, moved to the nearest at which both energies are positive."""
    limit = 0.999 * fixed_energy
    if geometry == "direct":
        return np.minimum(energy_transfer, limit)
    return np.maximum(energy_transfer, -limit)


def border(
    energy_transfer: np.ndarray,
    fixed_energy: float,
    two_theta: float,
    geometry: Geometry = "direct",
) -> np.ndarray:
    """Return |Q|(E) in Å⁻¹ at one scattering angle, NaN where the neutron has no energy left."""
    return wavevector_transfer(
        *incident_and_final(energy_transfer, fixed_energy, geometry), two_theta
    )


def measured(
    q: np.ndarray,
    energy_transfer: np.ndarray,
    fixed_energy: float,
    two_theta: AngleRanges,
    geometry: Geometry = "direct",
) -> np.ndarray:
    """Say which points (|Q|, E) the detectors see.

    Parameters
    ----------
    q
        |Q| in Å⁻¹, shape (q,).
    energy_transfer
        E in meV, shape (energy,).
    fixed_energy
        E_i (direct geometry) or E_f (indirect) in meV.
    two_theta
        Ranges (from, to) of the scattering angle covered by detectors, in degrees.
    geometry
        Which of the two energies is fixed.

    Returns
    -------
    np.ndarray
        True where measured, shape (q, energy).
    """
    incident, final = incident_and_final(energy_transfer, fixed_energy, geometry)
    possible = (incident > 0) & (final > 0)
    ki, kf = wavenumber(incident), wavenumber(final)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (ki**2 + kf**2 - np.asarray(q)[:, None] ** 2) / (2 * ki * kf)
    seen = np.zeros(cosine.shape, dtype=bool)
    for first, last in check_two_theta(two_theta):
        seen |= (cosine <= np.cos(np.radians(first))) & (cosine >= np.cos(np.radians(last)))
    return seen & possible


def scattering_angles(
    q: np.ndarray, energy_transfer: np.ndarray, fixed_energy: float, geometry: Geometry
) -> np.ndarray:
    """Return 2θ in degrees at points (|Q|, E), shape (q, energy).

    Points that no angle reaches get the nearest, 0 or 180; NaN if E < 0 of a neutron.

    Parameters
    ----------
    q, energy_transfer
        |Q| in Å⁻¹ and E in meV, shapes (q,) and (energy,).
    fixed_energy, geometry
        E_i (direct) or E_f (indirect) in meV.
    """
    ki, kf = (wavenumber(x) for x in incident_and_final(energy_transfer, fixed_energy, geometry))
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (ki**2 + kf**2 - np.asarray(q, dtype=float)[:, None] ** 2) / (2 * ki * kf)
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))


def wavevector_sigma(
    q: np.ndarray,
    energy_transfer: np.ndarray,
    fixed_energy: float,
    geometry: Geometry,
    *,
    two_theta_sigma: float = 0.0,
    fixed_energy_sigma: float = 0.0,
) -> np.ndarray:
    """Return the standard deviation of |Q| in Å⁻¹, shape (q, energy).

    An angle that is off by δ changes |Q| by k_i k_f sin 2θ δ/Q. A fixed energy that is off by δE
    changes k_i and k_f by δE/(2ck), c = ħ²/2mₙ, at the same energy transfer (whose own error is
    the energy resolution). Both are independent.

    Parameters
    ----------
    q, energy_transfer
        |Q| in Å⁻¹ and E in meV, shapes (q,) and (energy,).
    fixed_energy, geometry
        E_i (direct) or E_f (indirect) in meV.
    two_theta_sigma
        Standard deviation of the scattering angle in degrees.
    fixed_energy_sigma
        Standard deviation of the fixed energy in meV.

    Returns
    -------
    np.ndarray
        0 at points that no scattering angle reaches.
    """
    ki, kf = (wavenumber(x) for x in incident_and_final(energy_transfer, fixed_energy, geometry))
    length = np.asarray(q, dtype=float)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (ki**2 + kf**2 - length**2) / (2 * ki * kf)
        by_angle = ki * kf * np.sqrt(1 - cosine**2) * np.radians(two_theta_sigma)
        slope = (ki - kf * cosine) / ki + (kf - ki * cosine) / kf
        by_energy = slope * fixed_energy_sigma / (2 * HBAR2_PER_2_NEUTRON_MASS)
        sigma = np.hypot(by_angle, by_energy) / length
    return np.where(np.isfinite(sigma), sigma, 0.0)


def ring_borders(two_theta: AngleRanges) -> tuple[np.ndarray, np.ndarray]:
    """Return inner and outer angles in degrees, shape (range,) each; a single angle gets 0.002°."""
    inner, outer = np.array(two_theta, dtype=float).T
    alone = np.where(outer > inner, 0.0, 0.001)
    return np.maximum(inner - alone, 0.0), np.minimum(outer + alone, 180.0)


def check_two_theta(two_theta: AngleRanges) -> list[tuple[float, float]]:
    """Return ranges of 2θ as given, after checking that they lie within 0° … 180°.

    A range may be a single angle: from and to are then equal.

    Raises
    ------
    InputError
        If a range is the wrong way round or outside.
    """
    ranges = [(float(first), float(last)) for first, last in two_theta]
    for first, last in ranges:
        if not 0 <= first <= last <= 180:
            raise InputError(
                explain(
                    f"The scattering-angle range {first}° … {last}° is not possible",
                    "2θ runs from 0° to 180°, smaller number first",
                    "Give ranges such as two_theta=[(3, 135)]",
                )
            )
    return ranges
