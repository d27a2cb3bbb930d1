"""Many structures become a table; what cannot be predicted has a row that says why."""

import csv
import json

import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule

from scatterml_ase import PhononDOSPredictor, screen
from scatterml_ase.errors import InputError
from scatterml_ase.phonons.dos_model import PhononDOSConfig, PhononDOSModel
from scatterml_ase.store import save_model

SMALL = {
    "channels": 4, "l_max": 2, "layers": 1, "senders": 4, "width": 16, "equivariants": 2,
    "hidden": 16, "responses": (2, 1, 1), "charge_channels": 4, "cutoff": 5.0,
    "encoder_cutoff": 4.5, "response_cutoff": 4.0, "head_width": 16, "components": 6, "members": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("models") / "densities"
    model = PhononDOSModel(PhononDOSConfig(species=(3, 9, 11, 17), **SMALL))
    save_model(model, folder, {"task": "phonon-dos"})
    return PhononDOSPredictor(model=folder)


@pytest.fixture
def folder(tmp_path):
    bulk("NaCl", "rocksalt", a=5.64).write(tmp_path / "b.cif")
    bulk("LiF", "rocksalt", a=4.03, cubic=True).write(tmp_path / "a.extxyz")
    bulk("Cu").write(tmp_path / "POSCAR_copper", format="vasp")
    (tmp_path / "broken.cif").write_text("no structure", encoding="utf-8")
    (tmp_path / "notes.md").write_text("not a structure at all", encoding="utf-8")
    return tmp_path


def test_a_folder_becomes_a_table_in_the_order_of_names(predictor, folder):
    table = screen(folder, predictor=predictor)
    names = [row.structure.rsplit("/", 1)[-1] for row in table.rows]
    assert names == ["POSCAR_copper", "a.extxyz", "b.cif", "broken.cif"]
    assert [row.formula for row in table.rows] == ["", "LiF", "NaCl", ""]
    copper, lithium, *_, broken = table.rows
    assert "Cu is not in model" in copper.remark and copper.heat_capacity is None
    assert broken.remark and table.failed == (copper, broken)
    assert lithium.atoms == 2 and 0 < lithium.heat_capacity < 49.9, "below 6R"
    assert lithium.heat_capacity_error > 0


def test_the_heat_capacity_of_a_formula_unit_does_not_depend_on_the_cell(predictor):
    cells = [bulk("NaCl", "rocksalt", a=5.64), bulk("NaCl", "rocksalt", a=5.64, cubic=True)]
    small, large = screen(cells, predictor=predictor).rows
    assert small.heat_capacity == pytest.approx(large.heat_capacity, rel=1e-5)


def test_the_table_is_written_as_csv_and_json(predictor, folder):
    table = screen(folder, predictor=predictor, temperature=100)
    table.save(folder / "table.csv")
    lines = (folder / "table.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# temperature 100 K")
    rows = list(csv.DictReader(lines[1:]))
    assert float(rows[1]["heat_capacity"]) == pytest.approx(table.rows[1].heat_capacity, rel=1e-5)
    table.save(folder / "table.json")
    content = json.loads((folder / "table.json").read_text(encoding="utf-8"))
    assert "entropy J/(K mol)" in lines[0] and content["units"]["entropy"] == "J/(K mol)"
    assert set(content["units"]) < set(rows[0]), "units are those of columns"
    assert content["rows"][2]["entropy"] == table.rows[2].entropy
    with pytest.raises(InputError, match=r"Use \.csv or \.json"):
        table.save(folder / "table.txt")


def test_molecules_and_slabs_are_told_what_the_model_was_never_shown(predictor):
    slab = bulk("NaCl", "rocksalt", a=5.64)
    slab.pbc = (True, True, False)
    for atoms in (molecule("LiF"), slab, Atoms("Na")):
        (row,) = screen([atoms], predictor=predictor).rows
        assert "no molecules and no slabs" in row.remark


def test_a_disordered_crystal_is_told_how_to_be_expressed(predictor):
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    atoms.info["occupancy"] = {"0": {"Na": 0.6, "Li": 0.4}, "1": {"Cl": 1.0}}
    (row,) = screen([atoms], predictor=predictor).rows
    assert "shared (Na 0.6, Li 0.4)" in row.remark and "ordered supercell" in row.remark


def lying_on_each_other(salt):
    salt.positions[1] = salt.positions[0] + [0.2, 0, 0]


def lying_on_each_other_exactly(salt):
    salt.positions[1] = salt.positions[0]


def far_apart(salt):
    salt.set_cell(salt.cell * 6, scale_atoms=True)


def left_handed(salt):
    salt.set_cell(salt.cell[[1, 0, 2]])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lying_on_each_other, "less than 0.5 Å apart"),
        (lying_on_each_other_exactly, "less than 0.5 Å apart"),
        (far_apart, "has no neighbour within 5 Å"),
        (left_handed, "left-handed"),
    ],
)
def test_what_networks_and_phonopy_would_stumble_over_is_a_row_with_a_reason(
    predictor, damage, reason
):
    good, bad = bulk("NaCl", "rocksalt", a=5.64), bulk("NaCl", "rocksalt", a=5.64)
    damage(bad)
    first, second = screen([bad, good], predictor=predictor).rows
    assert reason in first.remark and first.heat_capacity is None
    assert second.heat_capacity is not None


def test_nothing_to_screen_is_refused(tmp_path, predictor):
    for given in ([], tmp_path):
        with pytest.raises(InputError, match="structures"):
            screen(given, predictor=predictor)
    with pytest.raises(InputError, match="temperature=-1"):
        screen([bulk("NaCl", "rocksalt", a=5.64)], predictor=predictor, temperature=-1)
