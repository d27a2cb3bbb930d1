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
    rotations = sampling.laue_rotations(operations(atoms), atoms.cell.array)
    assert len(rotations) == {"Si2": 48, "Zn2": 24, "NaCl": 48}[str(atoms.symbols)]
    assert any(np.allclose(r, -np.eye(3)) for r in rotations)


@pytest.mark.parametrize("atoms", STRUCTURES, ids=lambda a: str(a.symbols))
def test_wedge_and_its_images_cover_the_sphere(atoms):
    """The images of the wedge's directions have no dipole and no quadrupole: they are even."""
    rotations = sampling.laue_rotations(operations(atoms), atoms.cell.array)
    wedge = sampling.Wedge.of(rotations)
    directions = wedge.directions(500, 0.3)
    assert len(directions) == pytest.approx(500, rel=0.05)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0)
    images = np.einsum("gab,nb->gna", rotations, directions).reshape(-1, 3)
    np.testing.assert_allclose(images.T @ images / len(images), np.eye(3) / 3, atol=5e-3)
    fourth = np.mean(images[:, 2] ** 4)
    assert fourth == pytest.approx(1 / 5, abs=5e-3)


def test_without_symmetry_only_opposite_directions_are_one():
    wedge = sampling.Wedge.of(sampling.laue_rotations(None, np.eye(3)))
    assert len(wedge.rotations) == 2
    directions = wedge.directions(1000, 0.0)
    assert (directions @ wedge.frame[2] >= 0).all()


def test_vectors_fill_the_shell():
    wedge = sampling.Wedge.of(sampling.laue_rotations(None, np.eye(3)))
    vectors = sampling.shell_vectors(2.0, 3.0, 2000, wedge, np.random.default_rng(0))
    length = np.linalg.norm(vectors, axis=1)
    counts, _ = np.histogram(length, np.linspace(2, 3, 11))
    assert counts.sum() == len(vectors)
    np.testing.assert_allclose(counts, len(vectors) / 10, rtol=0.05)


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
    plan = sampling.plan(edges, reciprocal, 48, 1000, odd=False)
    assert plan.direct[0]
    assert not plan.direct[-1]
    points = np.prod(plan.mesh) / abs(np.linalg.det(reciprocal)) / 48
    volumes = 4 / 3 * np.pi * np.diff(edges**3)
    expected = np.where(plan.direct, plan.wanted, volumes * points * plan.share)
    assert expected.min() >= 1000
    assert expected.max() <= 2001
    other = sampling.plan(edges, reciprocal, 48, 1000, odd=True)
    assert np.gcd.reduce([plan.mesh[0], other.mesh[0]]) == 1


def test_reciprocal_lattice_within_a_sphere():
    triples = sampling.reciprocal_lattice(np.diag([1.0, 2.0, 3.0]), 3.0)
    lengths = np.linalg.norm(triples * [1, 2, 3], axis=1)
    assert lengths.max() <= 3.0
    assert len(triples) == 19
