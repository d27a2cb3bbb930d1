"""Where to sample a powder: shells of |Q|, filled from meshes and from single directions.

Shells far out hold many points of a regular mesh Q = q + G, and all points with one q share the
solution at q; symmetry leaves one q of each star. Shells close to the origin hold few such points
and are sampled directly. Both are exact: no mode is interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scatterml_ase.physics.brillouin import quiet_spglib

_GOLDEN = (np.sqrt(5) - 1) / 2
_SILVER = np.sqrt(2) - 1
# The four numbers below were tuned for the smallest error per second on Cu and Si.
_SURPLUS = 16.0
"""Mesh points beyond this multiple of the wanted number per shell are thinned out."""
_ADVANTAGE = 3.0
"""How many single directions a point of a mesh, with its equivalents, is worth."""
_DENSER = 1.5
"""How much denser the mesh is than what solves fewest wavevectors."""
_SECOND = 1.3
"""How much finer the second mesh is: meshes too much alike agree on their common error."""


def symmetry_elements(rotations: np.ndarray | None) -> int:
    """Return the order of the Laue group: of the crystal's rotations, inversion included.

    Time reversal gives S(−Q) = S(Q) for real scattering lengths, and the mean over a powder has
    both in any case. None: no rotations but these.
    """
    if rotations is None:
        return 2
    return len(np.unique(np.concatenate([rotations, -rotations]), axis=0))


def shell_vectors(
    inner: float, outer: float, count: int, generator: np.random.Generator
) -> np.ndarray:
    """Return vectors Q, even in direction over half the sphere and in |Q|, shape (count, 3).

    A golden spiral (doi 10.1007/s11004-009-9257-x), randomly turned, with lengths that step by an
    irrational share of the shell. The other half, −Q, scatters alike.
    """
    index = np.arange(count) + 0.5
    height = 1 - index / count
    angle = 2 * np.pi * _GOLDEN * index
    radius = np.sqrt(1 - height**2)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)
    turned = points @ random_rotation(generator).T
    fractions = (np.arange(count) * _SILVER + generator.random()) % 1.0
    return turned * (inner + fractions * (outer - inner))[:, None]


def random_rotation(generator: np.random.Generator) -> np.ndarray:
    """Return a uniformly distributed proper rotation matrix."""
    matrix, upper = np.linalg.qr(generator.normal(size=(3, 3)))
    matrix = matrix * np.sign(np.diag(upper))
    return matrix * np.sign(np.linalg.det(matrix))


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
    edges: np.ndarray, reciprocal_cell: np.ndarray, elements: int, wanted: int, *, second: bool
) -> Plan:
    """Choose a mesh so that few wavevectors need solving.

    With x mesh points per volume and symmetry element, V_BZ x wavevectors are solved for the mesh,
    and ``wanted`` for each shell below the Q at which 4πQ²ΔQ x = wanted/3. The sum is smallest at
    x = wanted / (ΔQ (4√(3π) V_BZ)^⅔); the mesh is made denser than that, for it fills all shells.

    Parameters
    ----------
    edges
        Of the shells, in Å⁻¹.
    reciprocal_cell
        Rows, in Å⁻¹ with 2π.
    elements
        Number of symmetry elements, see :func:`symmetry_elements`.
    wanted
        Points per shell.
    second
        Whether to make the second of two independent meshes.
    """
    zone = abs(np.linalg.det(reciprocal_cell))
    step = float(np.mean(np.diff(edges)))
    density = _DENSER * wanted / (step * (4 * np.sqrt(3 * np.pi) * zone) ** (2 / 3))
    norms = np.linalg.norm(reciprocal_cell, axis=1)
    divisions = norms * (density * elements * zone / norms.prod()) ** (1 / 3)
    scale = _SECOND if second else 1.0
    n1, n2, n3 = (max(1, round(float(value) * scale)) + int(second) for value in divisions)
    actual = n1 * n2 * n3 / zone / elements
    points = 4 / 3 * np.pi * np.diff(edges**3) * actual * _evenness(edges)
    direct = points < wanted / _ADVANTAGE
    share = np.where(direct, 0.0, np.minimum(1.0, _SURPLUS * wanted / np.maximum(points, 1e-300)))
    return Plan((n1, n2, n3), wanted, direct, share)


def _evenness(edges: np.ndarray) -> np.ndarray:
    """Return how many of a shell's mesh points count, for their weights go as 1/Q²: 0 to 1.

    Points even in volume with weights w stand for (Σw)²/Σw² even ones, a share 3ab/(a² + ab + b²)
    between radii a and b. It is 0 for the ball around the origin, which single directions fill.
    """
    inner, outer = edges[:-1], edges[1:]
    return 3 * inner * outer / (inner**2 + inner * outer + outer**2)


def irreducible_mesh(
    mesh: tuple[int, int, int], rotations: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return one q of each star of a mesh that holds Γ, and how large its star is, 1 at most.

    Meshes of a million points are common here, so that spglib does the search, five times faster
    than :func:`scatterml_ase.physics.brillouin.mesh_points`, which takes any shift.

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
    with quiet_spglib():
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
