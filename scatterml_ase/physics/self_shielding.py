"""How a sample weakens the beam on its way to where it scatters, and on the way out.

A = ⟨exp(−μ_i l_i − μ_f l_f)⟩ is the mean over the sample: l are the ways in and out, μ_i and μ_f
the attenuation before and after the neutron changes its energy. It multiplies what the same atoms
would scatter once if all of them stood in the full beam (V. F. Sears, Adv. Phys. 24 (1975) 1, doi
10.1080/00018737500101361). Detectors are in the plane of beam and normal of a plate, and in the
plane across a cylinder.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

_DEPTHS, _AZIMUTHS = 32, 64
"""Nodes of the quadrature over a cylinder: from the surface to the axis, and around it."""
_ANGLES = np.linspace(0.0, 180.0, 25)
"""Scattering angles in degrees between which the factor of a cylinder is interpolated."""


def plate_factor(
    two_theta: np.ndarray | float,
    attenuation: tuple[np.ndarray | float, np.ndarray | float],
    thickness: float,
    angle: float,
) -> np.ndarray:
    """Return A of a plate that is wide beside its thickness t. Arguments broadcast.

    With a = μ_i/cos α and b = μ_f/|cos(2θ − α)|, in transmission
    (exp(−bt) − exp(−at))/((a − b)t), in reflection (1 − exp(−(a + b)t))/((a + b)t).

    Parameters
    ----------
    two_theta
        Scattering angle in degrees.
    attenuation
        μ_i and μ_f per unit of length.
    thickness
        t, in that length.
    angle
        α in degrees, from the beam to the normal of the plate, turned towards the detectors if
        positive. Neutrons are transmitted while |2θ − α| < 90°, beyond they are reflected.
    """
    out = np.cos(np.radians(np.asarray(two_theta, dtype=float) - angle))
    a = np.asarray(attenuation[0]) * thickness / np.cos(np.radians(angle))
    with np.errstate(divide="ignore", invalid="ignore"):
        b = np.where(np.asarray(attenuation[1]) > 0, attenuation[1] * thickness / np.abs(out), 0.0)
        transmitted = np.exp(-np.minimum(a, b)) * _mean_decay(np.abs(a - b))
    return np.where(out > 0, transmitted, _mean_decay(a + b))


def cylinder_factor(
    two_theta: np.ndarray | float,
    attenuation: tuple[np.ndarray | float, np.ndarray | float],
    radius: float,
) -> np.ndarray:
    """Return A of a cylinder that stands across the beam, by quadrature over its section.

    Parameters
    ----------
    two_theta
        Scattering angle in degrees, shape (…, n) or what broadcasts to it.
    attenuation
        μ_i and μ_f per unit of length, shape (n,) or what broadcasts to it.
    radius
        In that length.

    Returns
    -------
    np.ndarray
        Shape (…, n); A is right to 1e-5 of itself while μ times radius is below 2, to 2e-3 below 5.
    """
    incoming, outgoing = np.broadcast_arrays(*(np.atleast_1d(mu) * radius for mu in attenuation))
    wanted = np.broadcast_to(two_theta, np.broadcast_shapes(np.shape(two_theta), incoming.shape))
    columns = (np.broadcast_to(mu, wanted.shape[-1:]) for mu in (incoming, outgoing))
    logarithms = np.log(np.maximum(_at_angles(*columns), np.finfo(float).tiny))
    found = np.empty(wanted.shape)
    for column, values in enumerate(logarithms.T):  # even about 0° and 180°
        spline = CubicSpline(_ANGLES, values, bc_type="clamped")
        found[..., column] = np.exp(spline(wanted[..., column]))
    return found


def _mean_decay(x: np.ndarray) -> np.ndarray:
    """Return (1 − exp(−x))/x, the mean of exp(−y) for y from 0 to x; 0 for infinite x."""
    safe = np.where(x > 0, x, 1.0)
    return np.where(x > 0, -np.expm1(-safe) / safe, 1.0)


def _at_angles(incoming: np.ndarray, outgoing: np.ndarray) -> np.ndarray:
    """Return A of a unit cylinder at ``_ANGLES``, shape (angle, n).

    Points at distance √(1 − s²) from the axis: in s the ways to the surface, which go as a root
    there, are smooth.
    """
    nodes, weights = np.polynomial.legendre.leggauss(_DEPTHS)
    s, weights = (nodes[:, None] + 1) / 2, weights[:, None] / 2
    azimuth = 2 * np.pi * (np.arange(_AZIMUTHS) + 0.5) / _AZIMUTHS
    shares = np.repeat(2 * s * weights / _AZIMUTHS, _AZIMUTHS)
    arriving = shares * np.exp(-np.outer(incoming, _to_surface(s, azimuth + np.pi)))
    ways_out = (_to_surface(s, azimuth - np.radians(angle)) for angle in _ANGLES)
    return np.array(
        [np.sum(arriving * np.exp(-np.outer(outgoing, way)), axis=1) for way in ways_out]
    )


def _to_surface(s: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    """Return the way from points to the surface of a unit cylinder, along azimuth 0."""
    cosine, sine = np.cos(azimuth), np.sin(azimuth)
    return np.sqrt(cosine**2 + (s * sine) ** 2) - np.sqrt(1 - s**2) * cosine
