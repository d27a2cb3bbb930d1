"""Line widths from phono3py: HWHM in THz on the irreducible points of a mesh."""

import h5py
import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase.errors import InputError
from scatterml_ase.physics.brillouin import mesh_points, symmetry_operations
from scatterml_ase.scattering.linewidths import MeshLinewidths, describe, evaluate
from scatterml_ase.units import THZ_TO_MEV

MESH, MODES = (4, 4, 4), 6


@pytest.fixture(scope="module")
def rotations():
    atoms = bulk("Si")
    return symmetry_operations(
        atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers, atoms.get_masses()
    ).rotations


def width(q):
    """Something that has the full symmetry of the lattice, in THz."""
    x, y, z = 2 * np.pi * np.moveaxis(np.asarray(q), -1, 0)
    return (
        3.0
        - (np.cos(x) + np.cos(y) + np.cos(z) + np.cos(x - y) + np.cos(y - z) + np.cos(x - z)) / 6
    )


@pytest.fixture
def kappa(rotations, tmp_path):
    """Write what phono3py writes: at 300 K the widths are twice those at 100 K."""
    points = mesh_points(MESH, rotations=rotations).q_reduced
    gamma = width(points)[:, None] * np.arange(1, MODES + 1)
    path = tmp_path / "kappa-m444.hdf5"
    with h5py.File(path, "w") as file:
        file["mesh"], file["qpoint"] = np.array(MESH), points
        file["temperature"] = np.array([100.0, 300.0])
        file["gamma"] = np.stack([gamma, 2 * gamma])
    return path


@pytest.mark.parametrize(("temperature", "factor"), [(100.0, 1.0), (200.0, 1.5), (300.0, 2.0)])
def test_every_point_of_the_mesh_has_the_full_width_of_its_star(
    kappa, rotations, temperature, factor
):
    found = MeshLinewidths.from_phono3py(kappa, temperature, rotations)
    q = np.stack(np.meshgrid(*[np.arange(-2, 2) / 4] * 3), axis=-1).reshape(-1, 3)
    frequencies = np.ones((len(q), MODES))
    expected = 2 * THZ_TO_MEV * factor * width(q)[:, None] * np.arange(1, MODES + 1)
    np.testing.assert_allclose(found(q, frequencies), expected, rtol=1e-12)
    near = q + 0.1 * np.array([1, -1, 1])  # less than half a step
    np.testing.assert_allclose(evaluate(found, near + 3, frequencies), expected, rtol=1e-12)


def test_scattering_by_isotopes_is_added(kappa, rotations):
    """Phono3py keeps it apart, without temperature: both shorten the life of a phonon."""
    before = MeshLinewidths.from_phono3py(kappa, 300.0, rotations)
    with h5py.File(kappa, "a") as file:
        file["gamma_isotope"] = np.full(file["gamma"].shape[1:], 0.1)
    after = MeshLinewidths.from_phono3py(kappa, 300.0, rotations)
    np.testing.assert_allclose(after.fwhm - before.fwhm, 0.2 * THZ_TO_MEV, rtol=1e-12)


def test_one_width_and_one_for_each_branch():
    frequencies = np.ones((3, 2))
    np.testing.assert_array_equal(evaluate(0.5, np.zeros((3, 3)), frequencies), 0.5)
    np.testing.assert_array_equal(evaluate([1, 2], np.zeros((3, 3)), frequencies), [[1, 2]] * 3)


def test_widths_are_named_in_provenance():
    assert describe(None) is None
    assert describe(np.array([1.0, 2.0])) == [1.0, 2.0]
    assert describe(evaluate) == "evaluate"
    assert describe(MeshLinewidths(np.ones((1, 3)), np.zeros((1, 1, 1), int))) == "MeshLinewidths"


def test_what_does_not_fit_is_explained(kappa, rotations, tmp_path):
    with pytest.raises(InputError, match="temperatures are 100 to 300 K"):
        MeshLinewidths.from_phono3py(kappa, 400.0, rotations)
    with pytest.raises(InputError, match=r"lacks line widths for \d+ of 64 mesh points"):
        MeshLinewidths.from_phono3py(kappa, 100.0, np.eye(3, dtype=int)[None])
    with pytest.raises(InputError, match="Cannot read line widths"):
        MeshLinewidths.from_phono3py(tmp_path / "none.hdf5", 100.0, rotations)
    found = MeshLinewidths.from_phono3py(kappa, 100.0, rotations)
    with pytest.raises(InputError, match="the crystal has 9"):
        evaluate(found, np.zeros((1, 3)), np.ones((1, 9)))
    with h5py.File(kappa, "a") as file:
        del file["mesh"]
        file["mesh"] = np.eye(3)
    with pytest.raises(InputError, match="not on a regular mesh"):
        MeshLinewidths.from_phono3py(kappa, 100.0, rotations)
