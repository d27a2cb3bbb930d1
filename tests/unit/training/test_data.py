"""Faults of the data are found and named before any training."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.stress import full_3x3_to_voigt_6_stress

from scatterml_ase.errors import InputError
from scatterml_ase.training.config import DataConfig
from scatterml_ase.training.data import (
    data_hash,
    label_frame,
    read_frames,
    reference_energies,
    require_species,
    scan_frames,
    species_of,
)

KEYS = DataConfig(train=())


def with_labels(atoms: Atoms, **labels) -> Atoms:
    copy = atoms.copy()
    labels = {"energy": -1.0, "forces": np.zeros((len(atoms), 3)), **labels}
    copy.calc = SinglePointCalculator(copy, **{k: v for k, v in labels.items() if v is not None})
    return copy


def test_labels_survive_the_way_through_a_file(copper, copper_file):
    frames = read_frames([str(copper_file)], KEYS)
    for frame, atoms in zip(frames, copper, strict=True):
        assert frame.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-7)
        np.testing.assert_allclose(frame.forces, atoms.get_forces(), atol=1e-7)
        np.testing.assert_allclose(frame.stress, atoms.get_stress(voigt=False), atol=1e-7)
        assert frame.stress_mask.all()
        assert frame.atoms.calc is None


def test_labels_may_have_any_name(copper, tmp_path):
    atoms = copper[0].copy()
    atoms.info |= {"dft_energy": -3.0, "dft_stress": np.diag([1.0, 2.0, 3.0])}
    atoms.arrays["dft_forces"] = np.full((4, 3), 0.5)
    write(tmp_path / "named.extxyz", atoms)
    keys = DataConfig(train=(), energy="dft_energy", forces="dft_forces", stress="dft_stress")
    (frame,) = read_frames([str(tmp_path / "named.extxyz")], keys)
    assert frame.energy == -3.0
    assert (frame.forces == 0.5).all()
    np.testing.assert_array_equal(frame.stress, np.diag([1.0, 2.0, 3.0]))


def test_voigt_and_matrix_stress_are_the_same_stress():
    matrix = np.array([[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]])
    shapes = [matrix, matrix.ravel(), full_3x3_to_voigt_6_stress(matrix)]
    for stress in shapes:
        atoms = with_labels(bulk("Si"), stress=None)
        atoms.info["stress"] = stress
        np.testing.assert_array_equal(label_frame(atoms, KEYS).stress, matrix)


def test_distrusted_stress_components_are_masked_in_their_group_only():
    keys = DataConfig(train=(), ignore_stress={"Surface": ("yz", "xz")})
    stress = np.arange(1.0, 7.0)
    for group, known in (("Surface", 5), ("Bulk", 9)):
        atoms = with_labels(bulk("Si"), stress=stress)
        atoms.info["group"] = group
        frame = label_frame(atoms, keys)
        assert frame.stress_mask.sum() == known
        assert frame.stress_mask[0, 1]  # xy is trusted in both


def test_a_molecule_has_no_stress():
    atoms = with_labels(Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]), stress=np.zeros(6))
    assert not label_frame(atoms, KEYS).stress_mask.any()


def nan_forces() -> Atoms:
    return with_labels(bulk("Si"), forces=np.full((2, 3), np.nan))


def nan_energy() -> Atoms:
    return with_labels(bulk("Si"), energy=np.nan)


def nan_position() -> Atoms:
    atoms = with_labels(bulk("Si"))
    atoms.positions[1, 2] = np.nan
    return atoms


def no_forces() -> Atoms:
    return with_labels(bulk("Si"), forces=None)


def wrong_forces() -> Atoms:
    atoms = with_labels(bulk("Si"), forces=None)
    atoms.arrays["forces"] = np.zeros((2, 2))
    return atoms


def wrong_stress() -> Atoms:
    atoms = with_labels(bulk("Si"))
    atoms.info["stress"] = np.zeros(5)
    return atoms


def no_atoms() -> Atoms:
    return Atoms()


def flat_cell() -> Atoms:
    atoms = with_labels(bulk("Si"))
    atoms.set_cell(np.zeros((3, 3)))
    return atoms


def no_vector_along_a_periodic_axis() -> Atoms:
    return with_labels(Atoms("Si", cell=[4, 0, 9], pbc=(True, True, False)))


def dummies() -> Atoms:
    return with_labels(Atoms("SiX2", positions=[[0, 0, 0], [2, 0, 0], [4, 0, 0]]))


def words_for_numbers() -> Atoms:
    atoms = with_labels(bulk("Si"))
    atoms.info["energy"] = "not converged"
    return atoms


def words_for_stress() -> Atoms:
    atoms = with_labels(bulk("Si"))
    atoms.info["stress"] = "see OUTCAR"
    return atoms


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (nan_forces, ["6 values", "forces"]),
        (nan_energy, ["energy", "not finite"]),
        (nan_position, ["positions", "not finite"]),
        (no_forces, ["no 'forces'", "'energy'"]),
        (wrong_forces, ["(2, 2)", "(2, 3)"]),
        (wrong_stress, ["(5,)", "Voigt"]),
        (no_atoms, ["no atoms"]),
        (flat_cell, ["volume"]),
        (no_vector_along_a_periodic_axis, ["volume"]),
        (dummies, ["2 atoms of no species"]),
        (words_for_numbers, ["'not converged'", "'energy'", "no numbers"]),
        (words_for_stress, ["'see OUTCAR'", "'stress'", "no numbers"]),
    ],
)
def test_a_faulty_structure_is_named_with_its_fault(make, words):
    with pytest.raises(InputError) as caught:
        label_frame(make(), KEYS, origin="x.extxyz, structure 7")
    for word in ["x.extxyz, structure 7", *words]:
        assert word in str(caught.value)


def test_an_unknown_stress_component_is_refused():
    atoms = with_labels(bulk("Si"), stress=np.zeros(6))
    atoms.info["group"] = "Surface"
    with pytest.raises(InputError, match="'zx'"):
        label_frame(atoms, DataConfig(train=(), ignore_stress={"Surface": ("zx",)}))


def test_a_wrong_component_is_a_fault_of_the_rules_and_not_of_the_structures(copper_file):
    with pytest.raises(InputError, match="'zx'"):
        scan_frames([str(copper_file)], DataConfig(train=(), ignore_stress={"hot": ("zx",)}))


def test_stress_that_is_ignored_may_be_anything():
    atoms = with_labels(bulk("Si"), stress=np.array([np.nan, 1, 1, 1, 1, 1]))
    atoms.info["group"] = "slab"
    frame = label_frame(atoms, DataConfig(train=(), ignore_stress={"slab": ("xx",)}))
    assert (~frame.stress_mask).sum() == 1
    assert np.isfinite(frame.stress).all()
    with pytest.raises(InputError, match="1 values in its stress"):
        label_frame(atoms, KEYS)


def test_an_unreadable_file_is_named(tmp_path):
    path = tmp_path / "noise.extxyz"
    path.write_text("this is not a structure\n")
    for name in (str(path), str(tmp_path / "missing.extxyz")):
        with pytest.raises(InputError, match=name):
            read_frames([name], KEYS)


def test_unknown_species_are_named():
    frames = [
        label_frame(with_labels(bulk("Si")), KEYS),
        label_frame(with_labels(bulk("Cu")), KEYS),
    ]
    assert species_of(frames) == (14, 29)
    with pytest.raises(InputError, match=r"contains Cu.*knows Si only"):
        require_species(frames, [14], who="The model")


def test_reference_energies_are_found_exactly_where_energies_are_sums():
    truth = {14: -5.0, 6: -9.0}
    cells = [bulk("Si"), bulk("SiC", "zincblende", a=4.4), bulk("C")]
    frames = [
        label_frame(with_labels(atoms, energy=sum(truth[z] for z in atoms.numbers)), KEYS)
        for atoms in cells
    ]
    np.testing.assert_allclose(reference_energies(frames, (6, 14)), [-9.0, -5.0], rtol=1e-12)


def test_the_hash_of_the_data_sees_every_label():
    one = label_frame(with_labels(bulk("Si")), KEYS)
    other = label_frame(with_labels(bulk("Si"), forces=np.full((2, 3), 1e-9)), KEYS)
    assert data_hash([one]) == data_hash([label_frame(with_labels(bulk("Si")), KEYS)])
    assert data_hash([one]) != data_hash([other])
