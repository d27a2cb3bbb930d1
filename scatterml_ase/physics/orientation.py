"""A crystal on a spectrometer: UB matrices, and what a rotation about the vertical axis reaches.

Laboratory axes: z along the incident beam, y up, x = y × z to the left of who looks downstream.
Turning the crystal by ψ is R(ψ), counter-clockwise seen from above, so that

    k_i − k_f = Q = 2π R(ψ) U B (h k l)

with U and B as Busing and Levy define them (doi 10.1107/S0365110X67000970): B takes (h k l) to
Cartesian axes with x along a* and y in the plane of a* and b*, U turns these into the laboratory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.kinematics import Geometry, incident_and_final, wavenumber

_MISFIT = 0.05
"""How much the lattice in a UB matrix may differ from the crystal's, relative."""


@dataclass(frozen=True, eq=False)
class Orientation:
    """How a crystal is mounted: where its reciprocal lattice lies in the laboratory at ψ = 0.

    Parameters
    ----------
    rotation
        Proper rotation from the crystal's Cartesian axes (those of its atoms) to the laboratory's,
        shape (3, 3): Q_laboratory = rotation @ Q.
    reciprocal_cell
        Of the cell whose (h k l) is meant, rows in Å⁻¹ with 2π.
    """

    rotation: np.ndarray
    reciprocal_cell: np.ndarray

    @classmethod
    def from_vectors(
        cls, u: Sequence[float], v: Sequence[float], reciprocal_cell: np.ndarray
    ) -> Self:
        """Mount the crystal with u along the beam at ψ = 0 and v in the horizontal plane.

        v points to the side of +x; it need not be perpendicular to u.

        Parameters
        ----------
        u, v
            In reciprocal-lattice units.
        reciprocal_cell
            Rows in Å⁻¹ with 2π.

        Raises
        ------
        InputError
            If the two are no vectors or parallel.
        """
        both = np.array([u, v], dtype=float)
        if both.shape != (2, 3) or not np.isfinite(both).all():
            what = f"u={u!r} and v={v!r} are no two vectors"
            raise InputError(explain(what, "each has three components", "Give e.g. (1, 1, 0)"))
        along, across = both @ reciprocal_cell
        up = np.cross(along, across)
        if np.linalg.norm(up) < 1e-9 * np.linalg.norm(along) * np.linalg.norm(across) or not (
            along.any() and across.any()
        ):
            what = f"u={u!r} and v={v!r} span no plane"
            raise InputError(explain(what, "they are parallel or zero", "Give two directions"))
        z, y = along / np.linalg.norm(along), up / np.linalg.norm(up)
        return cls(np.array([np.cross(y, z), y, z]), np.array(reciprocal_cell, dtype=float))

    @classmethod
    def from_ub(cls, ub: np.ndarray, reciprocal_cell: np.ndarray) -> Self:
        """Take the orientation out of a measured UB matrix.

        The lattice in it, that of the sample, may differ a little from that of the crystal, which
        is usually relaxed: the rotation that fits best is kept (the polar factor).

        Parameters
        ----------
        ub
            U B in Å⁻¹ **without** 2π, shape (3, 3), laboratory axes as in this module.
        reciprocal_cell
            Of the cell the matrix belongs to, rows in Å⁻¹ with 2π.

        Raises
        ------
        InputError
            If its lattice is not that of the crystal, or it mirrors.
        """
        matrix = np.array(ub, dtype=float)
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
            what = f"A UB matrix of shape {matrix.shape} cannot be used"
            raise InputError(explain(what, "it is three by three finite numbers", "Check it"))
        reciprocal = np.array(reciprocal_cell, dtype=float)
        product = 2 * np.pi * matrix @ np.linalg.inv(reciprocal.T)  # rotation times strain
        left, stretches, right = np.linalg.svd(product)
        rotation = left @ right
        if np.abs(stretches - 1).max() > _MISFIT or np.linalg.det(rotation) < 0:
            theirs = ", ".join(f"{x:.4g}" for x in np.linalg.norm(np.linalg.inv(matrix), axis=1))
            ours = np.linalg.norm(2 * np.pi * np.linalg.inv(reciprocal), axis=0)
            raise InputError(
                explain(
                    "The UB matrix is not one of this crystal",
                    f"its lattice vectors are {theirs} Å long, the crystal's "
                    f"{', '.join(f'{x:.4g}' for x in ours)} Å, or it mirrors",
                    "Name the cell it belongs to (cell='conventional'), and give it in 1/Å "
                    "without 2π, with z along the beam and y up",
                )
            )
        return cls(rotation, reciprocal)

    @property
    def ub(self) -> np.ndarray:
        """The UB matrix in Å⁻¹ without 2π, shape (3, 3): Q_laboratory = 2π UB (h k l)."""
        return self.rotation @ self.reciprocal_cell.T / (2 * np.pi)

    @property
    def u(self) -> np.ndarray:
        """Busing and Levy's U, shape (3, 3): from their Cartesian axes to the laboratory's."""
        return self.ub @ np.linalg.inv(busing_levy_b(self.reciprocal_cell))

    def laboratory(self, Q: np.ndarray, psi: float = 0.0) -> np.ndarray:
        """Return Q in the laboratory with the crystal turned by ψ in degrees, shape (..., 3)."""
        return np.asarray(Q, dtype=float) @ (vertical_rotation(psi) @ self.rotation).T

    def crystal(self, Q_laboratory: np.ndarray, psi: float = 0.0) -> np.ndarray:
        """Return Q in the crystal's Cartesian axes: the inverse of :meth:`laboratory`."""
        return np.asarray(Q_laboratory, dtype=float) @ (vertical_rotation(psi) @ self.rotation)

    def describe(self) -> dict[str, Any]:
        """Return plain values for provenance."""
        return {"ub": self.ub.tolist()}


@dataclass(frozen=True)
class RotationScan:
    """A crystal turned about the vertical axis, and on which side there are detectors.

    Parameters
    ----------
    orientation
        How it is mounted.
    psi
        From and to, in degrees; 360° and more is the full turn.
    horizontal
        Ranges of the horizontal angle of detectors in degrees, positive to the side of +x; None:
        both sides of the beam alike.
    elevation
        Lowest and highest angle of detectors above the horizontal plane, in degrees.
    """

    orientation: Orientation
    psi: tuple[float, float] = (0.0, 360.0)
    horizontal: tuple[tuple[float, float], ...] | None = None
    elevation: tuple[float, float] = (-90.0, 90.0)

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("psi", "elevation"):
            if not _is_range(getattr(self, name)):
                what = f"{name}={getattr(self, name)!r} is no range"
                why = "it goes from one angle in degrees to a larger one"
                raise InputError(explain(what, why, f"Give e.g. {name}=(-30, 60)"))
        sides = self.horizontal
        if sides is not None and not (np.ndim(sides) == 2 and all(map(_is_range, sides))):
            what = f"horizontal={sides!r} are no ranges"
            why = "each goes from one angle in degrees to a larger one"
            raise InputError(explain(what, why, "Give e.g. horizontal=((-60, -5), (5, 60))"))

    def reached(
        self, Q: np.ndarray, energy_transfer: np.ndarray, fixed_energy: float, geometry: Geometry
    ) -> np.ndarray:
        """Say which (Q, E) some angle ψ of the scan brings in front of detectors.

        |Q| and E fix the angle between Q and the beam, cos = (k_i² + Q² − k_f²)/(2 k_i Q); the
        two ψ (if any) at which Q has this angle send the neutron to either side of the beam. Which
        scattering angles 2θ have detectors is not asked here, see
        :func:`scatterml_ase.physics.kinematics.measured`.

        Parameters
        ----------
        Q
            In the crystal's Cartesian axes, Å⁻¹, shape (points, 3).
        energy_transfer
            In meV, shape (energy,).
        fixed_energy, geometry
            E_i (direct) or E_f (indirect) in meV.

        Returns
        -------
        np.ndarray
            Shape (points, energy).
        """
        incident, final = incident_and_final(energy_transfer, fixed_energy, geometry)
        possible = (incident > 0) & (final > 0)
        ki, kf = wavenumber(incident), wavenumber(final)
        x, y, z = self.orientation.laboratory(Q).T[:, :, None]  # [points, 1]
        across = np.hypot(x, z)
        with np.errstate(invalid="ignore", divide="ignore"):
            along = (ki**2 + x**2 + y**2 + z**2 - kf**2) / (2 * ki)  # Q along the beam
            angle = np.degrees(np.arccos(along / across))
        start = np.degrees(np.arctan2(x, z))
        seen = np.zeros(along.shape, dtype=bool)
        for side in (1.0, -1.0):  # Q turned to +x or to −x of the beam
            turned = side * np.sqrt(np.maximum(across**2 - along**2, 0.0))
            seen |= self._in_psi(side * angle - start) & self._detector(-turned, -y, ki - along)
        return seen & possible & np.isfinite(angle)

    def _in_psi(self, psi: np.ndarray) -> np.ndarray:
        """Say which angles lie in the range, up to full turns."""
        first, last = self.psi
        with np.errstate(invalid="ignore"):
            return np.mod(psi - first + 1e-9, 360.0) <= last - first + 2e-9

    def _detector(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Say whether there are detectors where k_f points."""
        level = np.degrees(np.arctan2(y, np.hypot(x, z)))
        low, high = self.elevation
        found = (level >= low - 1e-9) & (level <= high + 1e-9)
        if self.horizontal is None:
            return found
        angle = np.degrees(np.arctan2(x, z))
        return found & np.any([(angle >= a) & (angle <= b) for a, b in self.horizontal], axis=0)


def _is_range(given: Any) -> bool:
    """Say whether something goes from one finite number to one that is not smaller."""
    try:
        value = np.array(given, dtype=float)
    except (TypeError, ValueError):
        return False
    return value.shape == (2,) and bool(np.isfinite(value).all()) and bool(value[0] <= value[1])


def vertical_rotation(psi: float) -> np.ndarray:
    """Return R(ψ) about y, counter-clockwise seen from above, ψ in degrees, shape (3, 3)."""
    c, s = np.cos(np.radians(psi)), np.sin(np.radians(psi))
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def busing_levy_b(reciprocal_cell: np.ndarray) -> np.ndarray:
    """Return B in Å⁻¹ without 2π, shape (3, 3), upper triangular (Busing and Levy, eq. 3).

    Parameters
    ----------
    reciprocal_cell
        Rows in Å⁻¹ with 2π. Of a left-handed cell the last element is negative.
    """
    rows = np.asarray(reciprocal_cell, dtype=float) / (2 * np.pi)
    x = rows[0] / np.linalg.norm(rows[0])
    z = np.cross(rows[0], rows[1])
    z /= np.linalg.norm(z)
    return np.array([x, np.cross(z, x), z]) @ rows.T
