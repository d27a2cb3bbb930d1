"""Force constants as an object: what it refuses, what it warns of, and its files."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from phonopy import Phonopy
from phonopy.file_IO import write_FORCE_CONSTANTS
from phonopy.structure.atoms import PhonopyAtoms

from scatterml_ase.errors import AccuracyWarning, InputError
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.force_constants import ForceConstants

Q = np.random.default_rng(0).uniform(-0.5, 0.5, (4, 3))
AXES = np.concatenate([np.eye(3, dtype=int), -np.eye(3, dtype=int)])
CHARGES = {
    "born_charges": np.array([1.0, -1.0])[:, None, None] * np.eye(3),
    "dielectric": 3.0 * np.eye(3),
}


@pytest.fixture
def chloride() -> ForceConstants:
    """Caesium chloride's structure: springs to the eight neighbours and along the cube's edges."""
    atoms = Atoms("CsCl", scaled_positions=[[0, 0, 0], [0.5] * 3], cell=[4.1] * 3, pbc=True)
    corners = np.array(list(np.ndindex(2, 2, 2)))
    pairs, shifts, blocks = [], [], []
    for s in corners:
        bond = (0.5 - s) / np.sqrt(0.75)
        block = -(1.5 * np.outer(bond, bond) + 0.1 * np.eye(3))
        pairs += [(0, 1), (1, 0)]
        shifts += [-s, s]
        blocks += [block, block]
    for k in range(2):
        pairs += [(k, k)] * 6
        shifts += list(AXES)
        blocks += [-0.3 * np.diag(np.abs(s)) - 0.05 * np.eye(3) for s in AXES]
    for k in range(2):
        own = sum(b for (i, _), b in zip(pairs, blocks, strict=True) if i == k)
        pairs.append((k, k))
        shifts.append(np.zeros(3, int))
        blocks.append(-own)
    return ForceConstants(
        crystal=Crystal.from_atoms(atoms),
        pairs=np.array(pairs),
        cell_shifts=np.array(shifts),
        blocks=np.array(blocks),
        supercell_matrix=3 * np.eye(3, dtype=int),
    )


# -- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pairs": np.full((1, 2), 2)}, "atoms 0 to 1"),
        ({"pairs": np.full((1, 2), 0.5)}, "integers"),
        ({"cell_shifts": np.full((1, 3), 0.5)}, "integers"),
        ({"blocks": np.full((1, 3, 3), np.nan)}, "NaN"),
        ({"blocks": np.zeros((2, 3, 3))}, "pair"),
        ({"supercell_matrix": np.ones((3, 3), int)}, "determinant 0"),
        ({"born_charges": CHARGES["born_charges"]}, "without dielectric"),
        ({"dielectric": CHARGES["dielectric"]}, "without born_charges"),
        ({**CHARGES, "dielectric": np.diag([1.0, 1.0, -1.0])}, "positive"),
    ],
)
def test_impossible_constants_are_refused(chloride, change, words):
    single = {
        "pairs": np.zeros((1, 2), int),
        "cell_shifts": np.zeros((1, 3), int),
        "blocks": np.eye(3)[None],
    }
    with pytest.raises(InputError, match=words):
        replace(chloride, **{**single, **change})


def test_masses_must_be_positive(chloride):
    with pytest.raises(InputError, match="masses"):
        replace(chloride, crystal=replace(chloride.crystal, masses=np.array([0.0, 35.0])))


@pytest.mark.parametrize(
    ("q", "words"),
    [
        ([0.1, 0.2], "shape"),
        (np.zeros((0, 3)), "shape"),
        ([[0, 0, np.nan]], "NaN"),
        ("Gamma", "numbers"),
    ],
)
def test_wrong_wavevectors_are_refused(chloride, q, words):
    with pytest.raises(InputError, match=words):
        chloride.modes(q)


@pytest.mark.parametrize("mesh", [(4, 4), (4, 0, 4), -3, 2.5, (np.nan, 2, 2), "dense"])
def test_wrong_meshes_are_refused(chloride, mesh):
    with pytest.raises(InputError, match=r"[Mm]esh"):
        chloride.mesh_modes(mesh)


def test_wrong_weights_and_directions_are_refused(chloride):
    with pytest.raises(InputError, match="weights"):
        chloride.modes(Q, weights=[1.0])
    with pytest.raises(InputError, match="weights"):
        chloride.modes(Q, weights=[1.0, 1.0, 1.0, -1.0])
    with pytest.raises(InputError, match="q_direction"):
        chloride.modes(Q, q_direction=[1.0, 0.0])
    with pytest.raises(InputError, match="points nowhere"):
        chloride.sound_velocities([0, 0, 0])
    with pytest.raises(InputError, match="three components"):
        chloride.sound_velocities([[1, 0]])


# -- sum rules ----------------------------------------------------------------------------------


def test_one_sided_pairs_are_told(chloride):
    """Half of the pairs: the missing halves count as zero, and the user hears of it."""
    half = chloride.pairs[:, 0] <= chloride.pairs[:, 1]
    lopsided = replace(
        chloride,
        pairs=chloride.pairs[half],
        cell_shifts=chloride.cell_shifts[half],
        blocks=chloride.blocks[half],
    )
    with pytest.warns(AccuracyWarning, match="symmetrized"):
        lopsided.modes(Q)


def test_symmetrized_constants_obey_both_rules_with_little_change(chloride):
    noise = np.random.default_rng(1).normal(scale=1e-3, size=chloride.blocks.shape)
    noisy = replace(chloride, blocks=chloride.blocks + noise)
    assert noisy.acoustic_residual() > 0.1
    clean = noisy.symmetrized()
    assert clean.acoustic_residual() < 1e-5
    lookup = {(*p, *s): b for p, s, b in zip(
        clean.pairs.tolist(), clean.cell_shifts.tolist(), clean.blocks, strict=True)}  # fmt: skip
    for (i, j, a, b, c), block in lookup.items():
        np.testing.assert_allclose(lookup[j, i, -a, -b, -c], block.T, atol=1e-14)
    difference = clean.modes(Q).frequencies - chloride.modes(Q).frequencies
    assert np.abs(difference).max() < 0.1


def test_symmetrizing_what_is_symmetric_changes_nothing(chloride):
    clean = chloride.symmetrized()
    assert len(clean.blocks) == len(chloride.blocks)
    np.testing.assert_allclose(
        clean.modes(Q).frequencies, chloride.modes(Q).frequencies, atol=1e-10
    )


def test_symmetrized_charges_are_neutral(chloride):
    charged = replace(chloride, **CHARGES)
    charged = replace(charged, born_charges=charged.born_charges + 0.1)
    np.testing.assert_allclose(charged.symmetrized().born_charges.sum(axis=0), 0, atol=1e-14)


# -- files and other codes ----------------------------------------------------------------------


def write_constants(phonopy, folder):
    write_FORCE_CONSTANTS(
        phonopy.force_constants, folder / "FORCE_CONSTANTS", p2s_map=phonopy.primitive.p2s_map
    )


def test_a_saved_file_gives_the_same_phonons(chloride, tmp_path):
    polar = replace(chloride, **CHARGES, provenance={"source": "here"})
    loaded = ForceConstants.load(polar.save(tmp_path / "constants.nxs"))
    assert loaded.provenance["source"] == "here"
    np.testing.assert_array_equal(loaded.modes(Q).frequencies, polar.modes(Q).frequencies)


@pytest.mark.parametrize("polar", [False, True])
def test_phonopy_params_are_read(chloride, tmp_path, polar):
    constants = replace(chloride, **CHARGES) if polar else chloride
    path = tmp_path / "phonopy_params.yaml"
    constants.to_phonopy().save(path, settings={"force_constants": True})
    loaded = ForceConstants.from_file(path)
    assert loaded.provenance["source"] == path.name
    assert (loaded.born_charges is not None) == polar
    # phonopy writes 16 digits of force constants, and 8 of charges
    np.testing.assert_allclose(loaded.modes(Q).frequencies, constants.modes(Q).frequencies, 1e-6)


def test_companion_files_are_taken_from_the_same_folder(chloride, tmp_path, monkeypatch):
    """phonopy.yaml with FORCE_CONSTANTS and BORN beside it, read from another folder."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    phonopy = chloride.to_phonopy()
    phonopy.save(folder / "phonopy.yaml", settings={"force_constants": False, "force_sets": False})
    write_constants(phonopy, folder)
    (folder / "BORN").write_text(
        "14.399652\n3 0 0 0 3 0 0 0 3\n1 0 0 0 1 0 0 0 1\n-1 0 0 0 -1 0 0 0 -1\n"
    )
    monkeypatch.chdir(tmp_path)
    expected = replace(chloride, **CHARGES).modes(Q).frequencies
    found = ForceConstants.from_file(folder / "phonopy.yaml").modes(Q).frequencies
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_files_in_the_working_folder_are_not_taken(chloride, tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    phonopy = chloride.to_phonopy()
    phonopy.save(folder / "phonopy.yaml", settings={"force_constants": False, "force_sets": False})
    write_constants(phonopy, tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="gives no force constants"):
        ForceConstants.from_file(folder / "phonopy.yaml")


@pytest.mark.parametrize("content", ["", "{", "hello: world\n", "\x00\x01\x02"])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "phonopy_params.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=r"phonopy_params\.yaml"):
        ForceConstants.from_file(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        ForceConstants.from_file(tmp_path / "phonopy.yaml")


def test_a_phonopy_object_without_constants_is_refused():
    unit = PhonopyAtoms(symbols=["Si"], cell=np.eye(3) * 2.5, scaled_positions=[[0, 0, 0]])
    with pytest.raises(InputError, match="no force constants"):
        ForceConstants.from_phonopy(Phonopy(unit, np.eye(3, dtype=int), primitive_matrix="P"))


def test_other_units_of_phonopy_are_converted(chloride):
    """Quantum ESPRESSO works in bohr and Ry/bohr²."""
    bohr, rydberg = 0.529177210903, 13.605693122994
    vasp = chloride.to_phonopy()
    unit = PhonopyAtoms(
        numbers=vasp.unitcell.numbers,
        cell=vasp.unitcell.cell / bohr,
        scaled_positions=vasp.unitcell.scaled_positions,
        masses=vasp.unitcell.masses,
    )
    theirs = Phonopy(unit, np.diag([3, 3, 3]), primitive_matrix="P", calculator="qe")
    theirs.force_constants = vasp.force_constants * bohr**2 / rydberg
    found = ForceConstants.from_phonopy(theirs)
    np.testing.assert_allclose(found.crystal.cell, chloride.crystal.cell, rtol=1e-6)
    frequencies = found.modes(Q).frequencies
    np.testing.assert_allclose(frequencies, chloride.modes(Q).frequencies, rtol=1e-5)


# -- what follows -------------------------------------------------------------------------------


def test_length_units_change_no_phonon(chloride):
    polar = replace(chloride, **CHARGES)
    found = replace(polar, crystal=polar.crystal.to("nm"))
    np.testing.assert_allclose(found.modes(Q).frequencies, polar.modes(Q).frequencies, rtol=1e-9)
    np.testing.assert_allclose(found.sound_velocities(), polar.sound_velocities(), rtol=1e-6)


def test_lowest_frequency_tells_stable_from_unstable(chloride):
    """The mesh may hold Γ: its acoustic modes are not taken for instabilities."""
    assert chloride.lowest_frequency((4, 4, 4)) > 0
    unstable = replace(chloride, blocks=-chloride.blocks)
    assert unstable.lowest_frequency((4, 4, 4)) < -5
    assert np.all(unstable.sound_velocities((1, 0, 0)) < 0)


def test_density_of_states_and_heat_follow_from_the_mesh(chloride):
    dos = chloride.dos((6, 6, 6))
    np.testing.assert_allclose((dos.total * dos.widths).sum(), 6, rtol=1e-6)
    assert chloride.dos((6, 6, 6), partial=False).partial is None
    thermal = chloride.thermal([0.0, 2000.0], mesh=6)
    np.testing.assert_allclose(thermal.heat_capacity, [0, 6 * 8.314], rtol=5e-3)


def test_a_single_point_may_be_given_bare(chloride):
    assert chloride.modes([0.1, 0.2, 0.3]).q_reduced.shape == (1, 3)
    assert chloride.modes((0.1, 0.2, 0.3), eigenvectors=False).eigenvectors is None


def test_directions_come_one_by_one_or_together(chloride):
    both = chloride.sound_velocities([[1, 0, 0], [1, 1, 0]])
    np.testing.assert_allclose(both[1], chloride.sound_velocities((1, 1, 0)))
    assert np.all(np.diff(both, axis=1) >= -1e-9)


def test_the_picture_shows_every_kind_of_pair(chloride):
    ax = chloride.plot()
    labels = sorted(text.get_text() for text in ax.get_legend().get_texts())
    assert labels == ["Cl–Cl", "Cl–Cs", "Cs–Cs"]
    np.testing.assert_allclose(min(ax.lines[0].get_xdata()), 4.1 * np.sqrt(0.75))


def test_modes_solved_once_serve_the_thermal_properties_too(chloride):
    again = chloride.thermal([100.0], (6, 6, 6))
    given = chloride.thermal([100.0], chloride.mesh_modes((6, 6, 6)))
    for name in ("heat_capacity", "entropy", "displacement_tensors"):
        np.testing.assert_array_equal(getattr(again, name), getattr(given, name))


def test_a_progress_bar_counts_every_q_point(chloride, capsys):
    chloride.modes(np.zeros((50, 3)), progress=True)
    assert "50/50" in capsys.readouterr().err
    chloride.modes(np.zeros((50, 3)))
    assert capsys.readouterr().err == ""


def test_phonopy_is_not_handed_a_left_handed_polar_crystal(chloride):
    """Ours solves it; phonopy's dipole sum would take the root of a negative volume."""
    crystal = chloride.crystal
    turned = replace(
        chloride,
        crystal=replace(
            crystal,
            cell=crystal.cell[[1, 0, 2]],
            scaled_positions=crystal.scaled_positions[:, [1, 0, 2]],
        ),
        cell_shifts=chloride.cell_shifts[:, [1, 0, 2]],
    )
    assert turned.to_phonopy().primitive.volume != 0
    polar = replace(turned, **CHARGES)
    expected = replace(chloride, **CHARGES).modes(Q).frequencies
    np.testing.assert_allclose(polar.modes(Q[:, [1, 0, 2]]).frequencies, expected, rtol=1e-6)
    with pytest.raises(InputError, match="left-handed"):
        polar.to_phonopy()
