"""Every data file may have rules of its own, and its structures know where they stand."""

from __future__ import annotations

import numpy as np
import pytest
from ase.io import write

from scatterml_ase.errors import AccuracyWarning, InputError
from scatterml_ase.training.config import DataConfig
from scatterml_ase.training.files import read_files, read_parts, scan_files


@pytest.fixture
def two_files(copper, tmp_path) -> list[str]:
    """Write the same structures to two files; groups are 'hot' and 'cold' in turn."""
    paths = [str(tmp_path / f"{name}_train.extxyz") for name in ("Cu", "Li")]
    for path in paths:
        write(path, copper[:4])
    return paths


def test_structures_know_their_file_and_their_place_in_it(two_files):
    frames = read_files(two_files, DataConfig(train=()))
    places = [(frame.atoms.info["file"], frame.atoms.info["index"]) for frame in frames]
    assert places == [(f"{name}_train.extxyz", k) for name in ("Cu", "Li") for k in range(4)]


def test_stress_is_distrusted_in_one_file_and_trusted_in_the_other(two_files):
    keys = DataConfig(train=(), ignore_stress={"^Li:hot": ("xy", "xz"), "cold": ("yz",)})
    unknown = {
        (f.atoms.info["file"][:2], f.group): int((~f.stress_mask).sum())
        for f in read_files(two_files, keys)
    }
    assert unknown == {("Cu", "hot"): 0, ("Li", "hot"): 4, ("Cu", "cold"): 2, ("Li", "cold"): 2}


def test_the_rule_of_a_file_goes_before_the_rule_of_all(two_files):
    keys = DataConfig(train=(), ignore_stress={"Li_:hot": (), "hot": ("all",)})
    known = {f.atoms.info["file"][:2]: f.stress_mask for f in read_files(two_files, keys)[::2]}
    assert not known["Cu"].any()
    assert known["Li"].all()


@pytest.mark.parametrize("key", ["warm", "Ni:hot", "Li:warm"])
def test_a_rule_for_stress_that_concerns_nothing_is_named(two_files, key):
    keys = DataConfig(train=(), ignore_stress={key: ("all",)})
    with pytest.warns(AccuracyWarning, match=f"'{key}'"):
        frames = read_files(two_files, keys)
    assert np.all([frame.stress_mask for frame in frames])


def test_a_file_expression_that_is_none_is_named(two_files):
    with pytest.raises(InputError, match=r"ignore_stress: '\(' is no regular expression"):
        read_files(two_files, DataConfig(train=(), ignore_stress={"(:hot": ("xy",)}))


def test_files_of_the_same_name_are_two(copper, tmp_path):
    paths = [tmp_path / folder / "train.extxyz" for folder in ("first", "second")]
    for path, images in zip(paths, (copper[:2], copper[2:5]), strict=True):
        path.parent.mkdir()
        write(path, images)
    frames = read_files([str(path) for path in paths], DataConfig(train=()))
    assert [f.atoms.info["file"] for f in frames] == [
        str(p) for p, n in zip(paths, (2, 3), strict=True) for _ in range(n)
    ]
    assert len({frame.file for frame in frames}) == 2


def test_a_rule_for_stress_may_concern_one_part_only(copper, tmp_path):
    """No false alarm, whichever part has the group."""
    write(tmp_path / "hot.extxyz", copper[0:8:2])
    write(tmp_path / "cold.extxyz", copper[1:8:2])
    names = [(str(tmp_path / "hot.extxyz"),), (str(tmp_path / "cold.extxyz"),)]
    for train, validation in (names, names[::-1]):
        keys = DataConfig(train, validation=validation, ignore_stress={"hot": ("all",)})
        parts = read_parts(keys)  # warnings are errors
        assert [len(part) for part in parts] == [4, 4]
        assert sum(frame.stress_mask.any() for part in parts for frame in part) == 4


def test_a_file_may_be_in_both_parts(two_files):
    parts = read_parts(DataConfig(train=tuple(two_files), validation=(two_files[0],)))
    assert [len(part) for part in parts] == [8, 4]


def test_faults_keep_their_place_in_the_file(copper, two_files):
    broken = copper[1].copy()
    write(two_files[0], [copper[0], broken, copper[2]])
    frames, faults = scan_files(two_files, DataConfig(train=()))
    assert [frame.atoms.info["index"] for frame in frames] == [0, 2, 0, 1, 2, 3]
    assert [fault.origin for fault in faults] == ["Cu_train.extxyz, structure 1"]


def test_no_file_at_all_is_refused():
    with pytest.raises(InputError, match="names no file"):
        read_parts(DataConfig(train=()))
