"""Paths through the Brillouin zone and their pictures."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell

from scatterml_ase.errors import InputError
from scatterml_ase.physics import paths
from scatterml_ase.results.bands import PhononBands
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.force_constants import ForceConstants


def bound_to_sites(atoms, spring=2.0) -> ForceConstants:
    """Each atom on its own spring, one along the first bond: enough for a path."""
    count = len(atoms)
    each = np.arange(count)
    return ForceConstants(
        crystal=Crystal.from_atoms(atoms),
        pairs=np.stack([each, each], axis=1),
        cell_shifts=np.zeros((count, 3), dtype=int),
        blocks=np.tile(spring * np.eye(3), (count, 1, 1)),
        supercell_matrix=np.eye(3, dtype=int),
    )


@pytest.fixture
def silicon() -> ForceConstants:
    return bound_to_sites(bulk("Si"))


def test_the_standard_path_of_a_face_centred_crystal(silicon):
    """Γ–X–U|K–Γ–L–W–X (Hinuma et al.): the break between U and K costs no length."""
    bands = silicon.bands(points=120)
    places, names = bands.ticks()
    assert names == ["Γ", "X", "U|K", "Γ", "L", "W", "X"]
    assert len(bands.segments) == 6
    x = 2 * np.pi / 5.43
    np.testing.assert_allclose(places[1], x, rtol=1e-6)
    np.testing.assert_allclose(places[3] - places[2], x * np.sqrt(2) * 0.75, rtol=1e-6)
    assert len(bands.distance) == pytest.approx(120, abs=6)
    assert np.all(np.diff(bands.distance) >= 0)


def test_the_path_is_given_in_the_basis_of_the_cell_as_it_is():
    """Another choice of primitive vectors: the same points of space, other numbers."""
    skewed = make_supercell(bulk("Si"), [[1, 0, 0], [1, 1, 0], [0, -1, 1]])
    one, other = (
        bound_to_sites(bulk("Si")).bands(points=60),
        bound_to_sites(skewed).bands(points=60),
    )
    cartesian = [
        np.sort(np.linalg.norm(b.q_reduced @ b.crystal.reciprocal_cell, axis=1))
        for b in (one, other)
    ]
    np.testing.assert_allclose(*cartesian, atol=1e-9)
    assert np.abs(one.q_reduced - other.q_reduced).max() > 0.1


def test_a_path_by_name(silicon):
    bands = silicon.bands("GXU,KGL", points=50)
    assert bands.ticks()[1] == ["Γ", "X", "U|K", "Γ", "L"]
    assert silicon.bands("ΓX|KΓ", points=50).ticks()[1] == ["Γ", "X|K", "Γ"]


def test_a_path_by_corners(silicon):
    bands = silicon.bands([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0.5, 0.5]], points=11)
    np.testing.assert_allclose(bands.q_reduced[0], 0)
    np.testing.assert_allclose(bands.q_reduced[-1], 0.5)
    assert bands.ticks()[1] == ["Γ", "0.5 0.5 0", "0.5 0.5 0.5"]


@pytest.mark.parametrize("path", ["GQ", "G", "", [[0, 0, 0]], [[0, 0]], [[0, 0, 0], [np.nan, 0, 0]],
                                  [[0, 0, 0], [0, 0, 0]]])  # fmt: skip
def test_a_path_that_cannot_be_walked_is_refused(silicon, path):
    with pytest.raises(InputError, match=r"[Pp]ath"):
        silicon.bands(path)


@pytest.mark.parametrize("points", [0, -5, 2.5])
def test_the_number_of_points_is_a_number_of_points(silicon, points):
    with pytest.raises(InputError, match="points"):
        silicon.bands(points=points)


def test_low_symmetry_has_a_path_too():
    atoms = Atoms("SiC", cell=[[3, 0, 0], [0.4, 3.5, 0], [-0.3, 0.5, 4.1]], pbc=True,
                  scaled_positions=[[0, 0, 0], [0.4, 0.6, 0.3]])  # fmt: skip
    assert bound_to_sites(atoms).bands(points=40).ticks()[1][0] == "Γ"


@pytest.mark.parametrize(
    ("name", "pretty"),
    [("GAMMA", "Γ"), ("G", "Γ"), ("X_1", "X₁"), ("H2", "H₂"), ("SIGMA_0", "Σ₀"), ("K", "K")],
)
def test_labels_are_written_as_in_papers(name, pretty):
    assert paths.pretty_label(name) == pretty


def test_at_gamma_each_branch_comes_from_its_own_side():
    """Polar: the field at Γ follows the line, so that branches join their neighbours smoothly."""
    polar = replace(
        bound_to_sites(bulk("ZnO", "wurtzite", a=3.25, c=5.2)),
        born_charges=np.array([2.0, 2, -2, -2])[:, None, None] * np.eye(3),
        dielectric=np.diag([4.0, 4.0, 5.0]),
        supercell_matrix=2 * np.eye(3, dtype=int),
    )
    bands = polar.bands([[0.3, 0, 0], [0, 0, 0], [0, 0, 0.3]], points=400)
    left, right = (k for k, name in bands.labels if name == "Γ")
    np.testing.assert_allclose(bands.frequencies[left], bands.frequencies[left - 1], atol=0.1)
    np.testing.assert_allclose(bands.frequencies[right], bands.frequencies[right + 1], atol=0.1)
    assert np.abs(bands.frequencies[left] - bands.frequencies[right]).max() > 0.2


def test_a_picture_has_named_points_and_separators(silicon):
    bands = silicon.bands(points=60)
    ax = bands.plot()
    assert [t.get_text() for t in ax.get_xticklabels()] == bands.ticks()[1]
    assert ax.get_ylabel() == "Energy (meV)"
    assert ax.get_ylim()[0] == 0
    lines = 6 * bands.frequencies.shape[1] + 5  # branches of six segments, five separators
    assert len(ax.lines) == lines


def test_imaginary_modes_are_drawn_below_a_line_at_zero(silicon):
    bands = replace(silicon, blocks=-silicon.blocks).bands(points=60).to("THz")
    ax = bands.plot()
    assert ax.get_ylim()[0] < 0
    assert ax.get_ylabel() == "Energy (THz)"
    assert any(np.array_equal(line.get_ydata(), [0, 0]) for line in ax.lines)


def test_saved_bands_come_back(silicon, tmp_path):
    bands = silicon.bands(points=60)
    loaded = PhononBands.load(bands.save(tmp_path / "bands.nxs"))
    assert loaded.labels == bands.labels
    assert loaded.segments == bands.segments
    np.testing.assert_array_equal(loaded.frequencies, bands.frequencies)
