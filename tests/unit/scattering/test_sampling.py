"""Sampling of powders covers the sphere and the reciprocal lattice evenly."""

import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase.physics.brillouin import mesh_points, symmetry_operations
from scatterml_ase.scattering import sampling


def operations(atoms):
    return symmetry_operations(
        atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers, atoms.get_masses()
    )


STRUCTURES = [bulk("Si"), bulk("Zn"), bulk("NaCl", "zincblende", a=5.0)]


@pytest.mark.parametrize("atoms", STRUCTURES, ids=lambda a: str(a.symbols))
def test_laue_groups_have_inversion(atoms):
    """Diamond and zincblende share m-3m; hcp has 6/mmm."""
    elements = sampling.symmetry_elements(operations(atoms).rotations)
    assert elements == {"Si2": 48, "Zn2": 24, "NaCl": 48}[str(atoms.symbols)]
    assert sampling.symmetry_elements(None) == 2


def test_vectors_fill_the_shell_evenly():
    """Uniform in |Q|; with −Q, directions have no quadrupole and the fourth moment of a sphere."""
    vectors = sampling.shell_vectors(2.0, 3.0, 2000, np.random.default_rng(0))
    length = np.linalg.norm(vectors, axis=1)
    counts, _ = np.histogram(length, np.linspace(2, 3, 11))
    assert counts.sum() == 2000
    np.testing.assert_allclose(counts, 200, rtol=0.05)
    directions = vectors / length[:, None]
    np.testing.assert_allclose(directions.T @ directions / 2000, np.eye(3) / 3, atol=2e-3)
    assert np.mean(directions[:, 2] ** 4) == pytest.approx(1 / 5, abs=2e-3)


@pytest.mark.parametrize("atoms", STRUCTURES, ids=lambda a: str(a.symbols))
@pytest.mark.parametrize("mesh", [(6, 6, 6), (5, 5, 5), (4, 6, 3)])
def test_irreducible_mesh_equals_the_slow_search(atoms, mesh):
    """The stars found by spglib are those found by rotating every point."""
    rotations = operations(atoms).rotations
    q, weights = sampling.irreducible_mesh(mesh, rotations)
    slow = mesh_points(mesh, rotations=rotations)
    assert len(q) == len(slow.q_reduced)
    np.testing.assert_allclose(np.sort(weights / weights.sum()), np.sort(slow.weights))


def test_plan_fills_every_shell_one_way_or_the_other():
    edges = np.linspace(0, 8, 161)
    reciprocal = 2 * np.pi * np.linalg.inv(bulk("Si").cell.array).T
    plan = sampling.plan(edges, reciprocal, 48, 1000, second=False)
    assert plan.direct[0]
    assert not plan.direct[-1]
    points = np.prod(plan.mesh) / abs(np.linalg.det(reciprocal)) / 48
    expected = 4 / 3 * np.pi * np.diff(edges**3) * points * plan.share
    assert expected[~plan.direct].min() >= 1000 / 3
    assert expected.max() <= 16001
    other = sampling.plan(edges, reciprocal, 48, 1000, second=True)
    assert other.mesh[0] > plan.mesh[0]


def test_reciprocal_lattice_within_a_sphere():
    triples = sampling.reciprocal_lattice(np.diag([1.0, 2.0, 3.0]), 3.0)
    lengths = np.linalg.norm(triples * [1, 2, 3], axis=1)
    assert lengths.max() <= 3.0
    assert len(triples) == 19
