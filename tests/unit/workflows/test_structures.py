import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from scatterml_ase.errors import InputError
from scatterml_ase.workflows.structures import read_structure

CIF = """data_x
_cell_length_a 5.0
_cell_length_b 5.0
_cell_length_c 5.0
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
"""


def test_an_element_has_the_structure_ase_knows():
    assert read_structure("Si") == bulk("Si")
    assert len(read_structure("Mg")) == 2


def test_a_prototype_takes_lattice_constants():
    assert read_structure("NaCl:rocksalt:5.64") == bulk("NaCl", "rocksalt", a=5.64)
    assert read_structure("ZnO:wurtzite:3.25:5.2") == bulk("ZnO", "wurtzite", a=3.25, c=5.2)


@pytest.mark.parametrize("name", ["x.cif", "POSCAR", "x.vasp", "x.extxyz", "x.traj"])
def test_files_give_the_crystal_they_hold(tmp_path, name):
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    ase.io.write(tmp_path / name, atoms)
    found = read_structure(tmp_path / name)
    assert found.get_chemical_formula() == "ClNa"
    assert found.get_volume() == pytest.approx(atoms.get_volume(), rel=1e-6)
    assert found.calc is None
    assert found.info == {}


def test_of_several_structures_the_last_is_taken_and_said_so(tmp_path):
    frames = [bulk("Si", a=5.4), bulk("Si", a=5.5)]
    ase.io.write(tmp_path / "two.extxyz", frames)
    with pytest.warns(UserWarning, match="holds 2 structures.*the last"):
        atoms = read_structure(tmp_path / "two.extxyz")
    assert atoms.get_volume() == pytest.approx(5.5**3 / 4)


@pytest.mark.parametrize("text", ["nowhere.cif", "./nowhere", "folder/POSCAR"])
def test_a_missing_file_is_named(text):
    with pytest.raises(InputError, match=r"There is no file .*CIF"):
        read_structure(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Sillicon", "not an element"),
        ("NaCl", "not an element"),
        ("NaCl:halite:5.64", "not a known prototype"),
        ("NaCl:rocksalt", "takes a in Å"),
        ("NaCl:rocksalt:big", "numbers in Å"),
        ("NaCl:rocksalt:-5", "takes a in Å"),
        ("NaCl:rocksalt:5.64:3", "takes a in Å"),
        ("Xy:fcc:4", "cannot build"),
        ("O", "cannot build"),
    ],
)
def test_what_is_no_structure_says_what_to_give(text, reason):
    with pytest.raises(InputError, match=rf"{reason}.*NaCl:rocksalt:5\.64"):
        read_structure(text)


def test_a_folder_of_the_same_name_does_not_hide_an_element(tmp_path, monkeypatch):
    (tmp_path / "Si").mkdir()
    monkeypatch.chdir(tmp_path)
    assert read_structure("Si") == bulk("Si")


def test_a_folder_is_no_structure(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        read_structure(tmp_path)


@pytest.mark.parametrize("name", ["garbage.cif", "garbage.vasp", "garbage", "garbage.extxyz"])
@pytest.mark.parametrize("content", ["", "this is no structure\n\x00\n"])
def test_an_unreadable_file_says_which_and_why(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=rf"{name}"):
        read_structure(tmp_path / name)


def test_an_empty_structure_is_refused(tmp_path):
    (tmp_path / "empty.extxyz").write_text('0\nLattice="3 0 0 0 3 0 0 0 3" pbc="T T T"\n')
    with pytest.raises(InputError, match=r"no atoms|no structure"):
        read_structure(tmp_path / "empty.extxyz")


def test_nan_positions_are_refused(tmp_path):
    atoms = bulk("Si")
    atoms.positions[1, 2] = np.nan
    ase.io.write(tmp_path / "nan.traj", atoms)
    with pytest.raises(InputError, match=r"NaN.*atom 1 \(Si\)"):
        read_structure(tmp_path / "nan.traj")


def test_overlapping_atoms_are_named_with_their_distance(tmp_path):
    """A double atom on both sides of the cell is the usual mistake."""
    atoms = Atoms("SiGeSi", scaled_positions=[[0, 0, 0], [0.5] * 3, [0.999, 0, 0]], cell=[5.0] * 3)
    atoms.pbc = True
    ase.io.write(tmp_path / "double.extxyz", atoms)
    with pytest.raises(InputError, match=r"Atoms 0 \(Si\) and 2 \(Si\).*0\.005 Å apart"):
        read_structure(tmp_path / "double.extxyz")


def test_a_compressed_crystal_is_no_overlap(tmp_path):
    """Silicon at two thirds of its volume has bonds of 2.05 Å: unusual, but no mistake."""
    ase.io.write(tmp_path / "dense.vasp", bulk("Si", a=4.75))
    assert len(read_structure(tmp_path / "dense.vasp")) == 2


def test_a_cell_without_volume_is_refused(tmp_path):
    atoms = Atoms("Si", cell=[[3, 0, 0], [3, 0, 0], [0, 0, 3]], pbc=True)
    ase.io.write(tmp_path / "flat.traj", atoms)
    with pytest.raises(InputError, match="no volume"):
        read_structure(tmp_path / "flat.traj")


def test_a_molecule_is_no_crystal(tmp_path):
    ase.io.write(tmp_path / "water.xyz", molecule("H2O"))
    with pytest.raises(InputError, match="not periodic"):
        read_structure(tmp_path / "water.xyz")


def test_unknown_elements_are_refused(tmp_path):
    ase.io.write(tmp_path / "x.traj", Atoms("X", cell=[3, 3, 3], pbc=True))
    with pytest.raises(InputError, match="no element"):
        read_structure(tmp_path / "x.traj")


def test_a_disordered_crystal_is_refused_and_full_occupancy_is_fine(tmp_path):
    (tmp_path / "full.cif").write_text(CIF + "Na1 Na 0 0 0 1.0\nCl1 Cl 0.5 0.5 0.5 1.0\n")
    assert len(read_structure(tmp_path / "full.cif")) == 2
    (tmp_path / "mixed.cif").write_text(CIF + "Na1 Na 0 0 0 0.5\nK1 K 0 0 0 0.5\n")
    with pytest.raises(InputError, match=r"disordered.*Na 0\.5, K 0\.5"):
        read_structure(tmp_path / "mixed.cif")
