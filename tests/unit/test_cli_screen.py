"""``scatterml screen`` as a new user meets it."""

import csv
import json

import pytest
import torch
from ase.build import bulk

from scatterml_ase import PhononDOSPredictor, cli
from scatterml_ase.phonons.dos_model import PhononDOSConfig, PhononDOSModel
from scatterml_ase.store import save_model

SMALL = {
    "channels": 4, "l_max": 2, "layers": 1, "senders": 4, "width": 16, "equivariants": 2,
    "hidden": 16, "responses": (2, 1, 1), "charge_channels": 4, "cutoff": 5.0,
    "encoder_cutoff": 4.5, "response_cutoff": 4.0, "head_width": 16, "components": 6, "members": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("models") / "densities"
    model = PhononDOSModel(PhononDOSConfig(species=(3, 9, 11, 17), **SMALL))
    save_model(model, folder, {"task": "phonon-dos"})
    return folder


@pytest.fixture(autouse=True)
def shipped(small, monkeypatch):
    """Let small weights stand in for the shipped ones: what is tested does not depend on them."""
    defaults = PhononDOSPredictor.__init__.__defaults__
    assert defaults is not None and defaults[:2] == ("fast", "phonon-dos")
    changed = ("fast", small, *defaults[2:])
    monkeypatch.setattr(PhononDOSPredictor.__init__, "__defaults__", changed)


@pytest.fixture
def folder(tmp_path):
    bulk("NaCl", "rocksalt", a=5.64).write(tmp_path / "salt.cif")
    bulk("LiF", "rocksalt", a=4.03).write(tmp_path / "fluoride.cif")
    (tmp_path / "broken.cif").write_text("no structure", encoding="utf-8")
    return tmp_path


def run(*arguments):
    return cli.main(["screen", *(str(argument) for argument in arguments)])


def test_a_folder_becomes_a_table_and_a_line_each(folder, capsys):
    assert run(folder, "-o", folder / "table.csv", "--temperature", 100) == 0
    shown = capsys.readouterr()
    assert "structures:" in shown.err  # a progress bar
    broken, fluoride, salt, last = shown.out.splitlines()
    assert "broken.cif" in broken and "Cannot read a structure" in broken
    assert "LiF" in fluoride and "±" in fluoride and "J/(K mol)" in fluoride and "θ_D" in salt
    assert last == f"3 structures, 1 of them without prediction: the table is {folder}/table.csv"
    lines = (folder / "table.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# temperature 100 K")
    assert [row["formula"] for row in csv.DictReader(lines[1:])] == ["", "LiF", "NaCl"]


def test_files_and_names_are_taken_in_their_order_and_json_is_written(folder, capsys):
    table = folder / "table.json"
    assert run(folder / "salt.cif", "LiF:rocksalt:4.03", "-o", table, "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    rows = json.loads(table.read_text(encoding="utf-8"))["rows"]
    assert [row["formula"] for row in rows] == ["NaCl", "LiF"]


@pytest.mark.parametrize(
    ("output", "reason"), [("table.txt", "Use .csv or .json"), ("no/table.csv", "Cannot write")]
)
def test_a_table_that_cannot_be_written_is_refused_before_the_work(
    folder, capsys, monkeypatch, output, reason
):
    def work(*_):
        pytest.fail("structures are predicted for nothing")

    monkeypatch.setattr(PhononDOSPredictor, "__call__", work)
    assert run(folder, "-o", folder / output) == 2
    shown = capsys.readouterr()
    assert reason in shown.err and shown.out == ""


def test_no_structures_and_impossible_temperatures_are_one_message(folder, capsys):
    assert run("-o", folder / "table.csv") == 2
    assert "There are no structures" in capsys.readouterr().err
    assert run(folder, "--temperature", -5, "-o", folder / "table.csv") == 2
    assert "temperature=-5" in capsys.readouterr().err
    assert not (folder / "table.csv").exists()
