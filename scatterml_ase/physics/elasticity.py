"""Linear elasticity: Voigt notation, crystal symmetry and averages over orientations."""

from __future__ import annotations

import numpy as np

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""Pairs of Cartesian axes in Voigt order xx yy zz yz xz xy."""
_INDEX = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])


def strain_matrix(component: int, size: float) -> np.ndarray:
    """Return the symmetric strain (3, 3) of one Voigt component; shears are engineering ones."""
    strain = np.zeros((3, 3))
    i, j = VOIGT[component]
    strain[i, j] = strain[j, i] = size if i == j else size / 2
    return strain


def symmetrized(stiffness: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Average a stiffness (6, 6) over the rotations (r, 3, 3) of a crystal, Cartesian.

    The result also has C_ij = C_ji. The factors of engineering shear strains cancel: stiffness
    in Voigt notation has the components of the tensor, C_44 = C_yzyz.
    """
    tensor = stiffness[_INDEX[:, :, None, None], _INDEX[None, None, :, :]]
    rotated = np.einsum(
        "rai,rbj,rck,rdl,ijkl->abcd", *([rotations] * 4), tensor, optimize=True
    ) / len(rotations)
    rows, columns = np.array(VOIGT).T
    averaged = rotated[rows[:, None], columns[:, None], rows[None], columns[None]]
    return (averaged + averaged.T) / 2


def hill_averages(stiffness: np.ndarray) -> tuple[float, float]:
    """Return bulk and shear modulus of a polycrystal in the unit of the stiffness (6, 6).

    The mean of Voigt's and Reuss's bounds: Hill, 10.1088/0370-1298/65/5/307.
    """
    compliance = np.linalg.inv(stiffness)
    return _mean_moduli(stiffness, compliance)


def _mean_moduli(c: np.ndarray, s: np.ndarray) -> tuple[float, float]:
    normal, mixed, shear = _sums(c)
    bulk_voigt = (normal + 2 * mixed) / 9
    shear_voigt = (normal - mixed + 3 * shear) / 15
    normal, mixed, shear = _sums(s)
    bulk_reuss = 1 / (normal + 2 * mixed)
    shear_reuss = 15 / (4 * (normal - mixed) + 3 * shear)
    return float(bulk_voigt + bulk_reuss) / 2, float(shear_voigt + shear_reuss) / 2


def _sums(m: np.ndarray) -> tuple[float, float, float]:
    """Return the sums over 11 22 33, over 12 13 23, and over 44 55 66."""
    diagonal = np.diag(m)
    return diagonal[:3].sum(), m[0, 1] + m[0, 2] + m[1, 2], diagonal[3:].sum()
