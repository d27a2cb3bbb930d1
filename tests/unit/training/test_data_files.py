"""Any file ASE reads is a data file: extended XYZ, trajectories, databases."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io import write

from scatterml_ase.errors import InputError
from scatterml_ase.training.checks import check_data
from scatterml_ase.training.config import DataConfig
from scatterml_ase.training.data import read_frames, read_structures, scan_frames

KEYS = DataConfig(train=())


@pytest.fixture
def database(copper, tmp_path):
    with connect(tmp_path / "copper.db") as rows:
        for number, atoms in enumerate(copper[:6]):
            rows.write(atoms, group="hot" if number < 2 else "cold", run=number // 2)
    return tmp_path / "copper.db"


@pytest.mark.parametrize("name", ["copper.extxyz", "copper.traj", "copper.db", "copper.json"])
def test_labels_survive_every_format(copper, tmp_path, name):
    write(tmp_path / name, copper[:3])
    frames = read_frames([str(tmp_path / name)], KEYS)
    assert len(frames) == 3
    for frame, atoms in zip(frames, copper, strict=False):
        assert frame.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-7)
        np.testing.assert_allclose(frame.forces, atoms.get_forces(), atol=1e-7)
        np.testing.assert_allclose(frame.stress, atoms.get_stress(voigt=False), atol=1e-7)


def test_the_pairs_of_a_database_are_info(database):
    frames = read_frames([str(database)], KEYS)
    assert [frame.group for frame in frames] == ["hot"] * 2 + ["cold"] * 4
    assert [frame.atoms.info["run"] for frame in frames] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("which", "count"), [("group=cold", 4), ("run>0,group=cold", 4), (":2", 2), ("-1", 1), ("", 6)]
)
def test_a_query_or_a_slice_names_a_part_of_a_database(database, which, count):
    assert len(read_structures(f"{database}@{which}" if which else str(database))) == count


def test_an_at_sign_in_a_path_is_part_of_it(database, tmp_path):
    folder = tmp_path / "me@host"
    folder.mkdir()
    path = database.rename(folder / "run@300K.db")
    assert [atoms.info["group"] for atoms in read_structures(str(path))[1:3]] == ["hot", "cold"]
    assert len(read_structures(f"{path}@group=cold")) == 4
    write(folder / "run@300K.extxyz", read_structures(str(path)))
    assert len(read_structures(str(folder / "run@300K.extxyz"))) == 6
    assert len(read_structures(f"{folder / 'run@300K.extxyz'}@:4")) == 4


def test_a_slice_names_a_part_of_a_trajectory(copper, tmp_path):
    write(tmp_path / "run.traj", copper)
    part = read_structures(f"{tmp_path / 'run.traj'}@2::3")
    assert len(part) == 4
    np.testing.assert_array_equal(part[1].positions, copper[5].positions)


def test_rows_without_forces_are_told(database):
    with connect(database) as rows:
        rows.write(bulk("Cu"))
        atoms = bulk("Cu")
        atoms.calc = SinglePointCalculator(atoms, energy=1.0)
        rows.write(atoms)
    frames, faults = scan_frames([str(database)], KEYS)
    assert len(frames) == 6
    assert [fault.origin for fault in faults] == [f"copper.db, structure {k}" for k in (6, 7)]
    with pytest.raises(InputError, match=r"2 of 8 structures cannot be used.*check-data"):
        read_frames([str(database)], KEYS)
    messages = [finding.message for finding in check_data([database]).findings[:2]]
    assert "no labels at all" in messages[0]
    assert "it has 'energy'" in messages[1]


@pytest.mark.parametrize("name", ["none.db", "none.traj", "none.extxyz", "noise.db", "noise.traj"])
def test_what_cannot_be_read_is_named(tmp_path, name):
    if name.startswith("noise"):
        (tmp_path / name).write_bytes(b"this is no data file\n")
    with pytest.raises(InputError, match=f"Cannot read the data file .*{name}"):
        read_structures(str(tmp_path / name))


def test_an_empty_database_has_nothing_to_teach(tmp_path):
    with connect(tmp_path / "empty.db") as rows:
        rows.count()
    with pytest.raises(InputError, match="no structures"):
        read_structures(str(tmp_path / "empty.db"))
