"""Every data file may have rules of its own, and its structures know where they stand."""

from __future__ import annotations

import numpy as np
import pytest
from ase.io import write

from scatterml_ase.errors import AccuracyWarning, InputError
from scatterml_ase.training.config import DataConfig
from scatterml_ase.training.files import read_files


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
