"""Where to sample a powder: shells of |Q|, filled from meshes and from single directions.

Shells far out hold many points of a regular mesh Q = q + G, and all points with one q share the
solution at q; symmetry leaves one q of each star. Shells close to the origin hold few such points
and are sampled directly, by directions within one asymmetric wedge of the sphere. Both are exact:
no mode is interpolated.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Self

import numpy as np

from scatterml_ase.physics.brillouin import SymmetryOperations

_GOLDEN = (np.sqrt(5) - 1) / 2
_SILVER = np.sqrt(2) - 1
_SURPLUS = 2.0
"""Mesh points beyond this multiple of the wanted number per shell are thinned out."""


def laue_rotations(operations: SymmetryOperations | None, cell: np.ndarray) -> np.ndarray:
    """Return Cartesian rotations under which S(Q) is invariant, inversion included, (g, 3, 3).

    Time reversal gives S(−Q) = S(Q) for real scattering lengths, and the mean over a powder has
    both in any case. None for no operations but these.
    """
    rotations = np.eye(3)[None] if operations is None else operations.cartesian(cell)
    both = np.concatenate([rotations, -rotations])
    return np.unique(np.round(both, 8), axis=0)


@dataclass(frozen=True, eq=False)
class Wedge:
    """One asymmetric unit of the sphere: the directions closer to ``axis`` than to its images.

    Parameters
    ----------
    rotations
        Cartesian, shape (g, 3, 3).
    frame
        Orthonormal rows; the last is the axis, a general direction.
    cap
        1 − cos of the largest angle between the axis and the wedge.
    """

    rotations: np.ndarray
    frame: np.ndarray
    cap: float

    @classmethod
    def of(cls, rotations: np.ndarray) -> Self:
        """Measure the wedge of a group."""
        axis = np.array([0.8519, 0.4713, 0.2283])
        axis /= np.linalg.norm(axis)
        side = np.cross(axis, [0.0, 0.0, 1.0])
        side /= np.linalg.norm(side)
        frame = np.stack([side, np.cross(axis, side), axis])
        whole = cls(rotations, frame, 2.0)
        cosine = whole.directions(20000 // len(rotations), 0.0) @ axis
        return cls(rotations, frame, float(min(2.0, 1.02 * (1 - cosine.min()) + 1e-3)))

    def directions(self, count: int, turn: float) -> np.ndarray:
        """Return about ``count`` even directions within the wedge, shape (k, 3).

        A golden spiral around the axis (doi 10.1007/s11004-009-9257-x), turned by ``turn`` radian,
        cut at the wedge's borders.
        """
        total = count * len(self.rotations)
        index = np.arange(int(np.ceil(total * self.cap / 2))) + 0.5
        height = 1 - 2 * index / total
        angle = 2 * np.pi * _GOLDEN * index + turn
        radius = np.sqrt(np.maximum(1 - height**2, 0))
        points = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)
        points = points @ self.frame
        axis = self.frame[2]
        for rotation in self.rotations:
            points = points[points @ (axis - axis @ rotation) >= 0]  # d·v ≥ (Rd)·v
        return points


def shell_vectors(
    inner: float, outer: float, count: int, wedge: Wedge, generator: np.random.Generator
) -> np.ndarray:
    """Return about ``count`` vectors Q, uniform in direction and in |Q|, shape (k, 3)."""
    directions = wedge.directions(count, 2 * np.pi * generator.random())
    fractions = (np.arange(len(directions)) * _SILVER + generator.random()) % 1.0
    return directions * (inner + fractions * (outer - inner))[:, None]


@dataclass(frozen=True, eq=False)
class Plan:
    """How to give every shell about ``wanted`` symmetry-inequivalent points.

    Parameters
    ----------
    mesh
        Divisions of the mesh of q.
    wanted
        Points per shell.
    direct
        True for shells to be sampled by single directions, shape (shells,).
    share
        Which share of a shell's mesh points is used, shape (shells,).
    """

    mesh: tuple[int, int, int]
    wanted: int
    direct: np.ndarray
    share: np.ndarray

    @property
    def wavevectors(self) -> int:
        """Upper bound of the points to diagonalise at, were there no symmetry in the mesh."""
        return int(np.prod(self.mesh)) + self.wanted * int(self.direct.sum())


def plan(
    edges: np.ndarray, reciprocal_cell: np.ndarray, rotations: int, wanted: int, *, odd: bool
) -> Plan:
    """Choose the mesh that makes the number of diagonalisations smallest.

    With x mesh points per volume and symmetry element, V_BZ x of them are solved for the mesh and
    ``wanted`` for each shell below the Q at which 4πQ²ΔQ x = wanted; the sum is smallest at
    x = wanted / (ΔQ (4√π V_BZ)^⅔).

    Parameters
    ----------
    edges
        Of the shells, in Å⁻¹.
    reciprocal_cell
        Rows, in Å⁻¹ with 2π.
    rotations
        Number of symmetry elements.
    wanted
        Points per shell.
    odd
        Whether to add one division to each direction: an independent mesh.
    """
    zone = abs(np.linalg.det(reciprocal_cell))
    step = float(np.mean(np.diff(edges)))
    density = wanted / (step * (4 * np.sqrt(np.pi) * zone) ** (2 / 3))
    norms = np.linalg.norm(reciprocal_cell, axis=1)
    divisions = norms * (density * rotations * zone / norms.prod()) ** (1 / 3)
    n1, n2, n3 = (max(1, round(float(value))) + int(odd) for value in divisions)
    actual = n1 * n2 * n3 / zone / rotations
    volumes = 4 / 3 * np.pi * np.diff(edges**3)
    points = volumes * actual
    direct = points < wanted
    share = np.where(direct, 0.0, np.minimum(1.0, _SURPLUS * wanted / np.maximum(points, 1e-300)))
    return Plan((n1, n2, n3), wanted, direct, share)


def irreducible_mesh(
    mesh: tuple[int, int, int], rotations: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return one q of each star of a mesh that holds Γ, and how large its star is, 1 at most.

    Meshes of a million points are common here, so that spglib does the search.

    Parameters
    ----------
    mesh
        Divisions.
    rotations
        Of the crystal on fractional coordinates, integers, shape (g, 3, 3); None: identity.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        q in reciprocal-lattice units within ±½, shape (q, 3), and relative weights, shape (q,).
    """
    import spglib

    divisions = np.array(mesh)
    rotations = np.eye(3, dtype=int)[None] if rotations is None else rotations
    # On numbers of steps W acts as W n_i/n_j: uneven meshes obey some operations only.
    steps = rotations.swapaxes(1, 2) * divisions[:, None] / divisions[None, :]
    obeyed = np.abs(steps - np.rint(steps)).max(axis=(1, 2)) < 1e-9
    with warnings.catch_warnings():  # versions 2.7 and 2.8 announce a change on every call
        warnings.filterwarnings("ignore", "Set OLD_ERROR_HANDLING", DeprecationWarning)
        found = spglib.get_stabilized_reciprocal_mesh(
            divisions, rotations[obeyed].astype("intc"), is_shift=[0, 0, 0]
        )
    assert found is not None
    mapping, addresses = found
    first = np.flatnonzero(mapping == np.arange(len(mapping)))
    counts = np.bincount(mapping)[first]
    return addresses[first] / divisions, counts / counts.max()


def reciprocal_lattice(reciprocal_cell: np.ndarray, radius: float) -> np.ndarray:
    """Return all integer triples whose lattice vectors are within ``radius`` (Å⁻¹), (k, 3)."""
    cell = 2 * np.pi * np.linalg.inv(reciprocal_cell).T
    limits = np.ceil(radius * np.linalg.norm(cell, axis=1) / (2 * np.pi)).astype(int)
    axes = [np.arange(-limit, limit + 1) for limit in limits]
    triples = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return triples[np.linalg.norm(triples @ reciprocal_cell, axis=1) <= radius]
