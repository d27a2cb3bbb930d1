"""Phonon modes as an object."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase.errors import InputError
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.modes import PhononModes


@pytest.fixture
def modes() -> PhononModes:
    rng = np.random.default_rng(0)
    vectors = np.linalg.qr(rng.normal(size=(3, 6, 6)) + 1j * rng.normal(size=(3, 6, 6)))[0]
    return PhononModes(
        crystal=Crystal.from_atoms(bulk("Si")),
        q_reduced=rng.uniform(-2, 2, (3, 3)),
        weights=np.full(3, 1 / 3),
        frequencies=np.sort(rng.uniform(-5, 60, (3, 6)), axis=1),
        eigenvectors=vectors.reshape(3, 6, 2, 3),
        mesh=(1, 1, 3),
    )


def test_saved_modes_come_back(modes, tmp_path):
    loaded = PhononModes.load(modes.save(tmp_path / "modes.nxs"))
    np.testing.assert_array_equal(loaded.eigenvectors, modes.eigenvectors)
    assert loaded.mesh == (1, 1, 3)
    assert loaded.group_velocities is None
    assert not loaded.reduced


def test_energies_convert_and_vectors_do_not(modes):
    terahertz = modes.to("THz")
    np.testing.assert_allclose(terahertz.frequencies * 4.135667696, modes.frequencies)
    np.testing.assert_array_equal(terahertz.eigenvectors, modes.eigenvectors)


def test_points_of_a_full_mesh_need_no_averaging(modes):
    shares = np.array([0.3, 0.7])
    assert modes.site_average(shares) is shares


def test_equivalent_atoms_share_alike_on_irreducible_points(modes):
    irreducible = replace(modes, reduced=True)
    np.testing.assert_allclose(irreducible.site_average(np.array([0.3, 0.7])), 0.5)
    tensors = np.random.default_rng(1).normal(size=(2, 3, 3))
    mean = np.trace(tensors, axis1=1, axis2=2).mean() / 3
    expected = mean * np.broadcast_to(np.eye(3), (2, 3, 3))
    np.testing.assert_allclose(irreducible.site_average_tensors(tensors), expected, atol=1e-12)


def test_a_picture_folds_wavevectors_into_the_first_zone(modes):
    ax = modes.to("cm^-1").plot()
    q = ax.lines[0].get_xdata()
    assert q.max() < 2 * np.pi / 5.43 * np.sqrt(5) / 2 + 1e-9  # the corner W of the zone
    assert "Å" in ax.get_xlabel()
    assert "cm" in ax.get_ylabel()


def test_shapes_must_fit(modes):
    with pytest.raises(InputError, match="weights"):
        PhononModes(
            crystal=modes.crystal,
            q_reduced=modes.q_reduced,
            weights=np.ones(2),
            frequencies=modes.frequencies,
        )
