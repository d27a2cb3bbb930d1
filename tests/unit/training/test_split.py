"""Validation structures are blocks: the snapshots next to them in time are not trained on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ase import Atoms

from scatterml_ase.errors import InputError
from scatterml_ase.training.config import SplitConfig, SplitRule
from scatterml_ase.training.data import Frame
from scatterml_ase.training.split import split_frames, subset


def snapshots(*names: str) -> list[Frame]:
    known = np.ones((3, 3), dtype=bool)
    return [
        Frame(
            Atoms("H", info={"description": name}),
            0.0,
            np.zeros((1, 3)),
            np.zeros((3, 3)),
            known,
            "",
            name,
        )
        for name in names
    ]


def names(frames: list[Frame]) -> list[str]:
    return [frame.origin for frame in frames]


RUNS = [f"step {k} of run {run}" for k in range(10) for run in "AB"]


def test_the_last_block_of_every_trajectory_is_for_validation():
    rule = SplitConfig(fraction=0.2, gap=1, key="description", trajectory=r"run (\w)$")
    train, validation, unused = split_frames(snapshots(*RUNS), rule)
    assert names(validation) == [f"step {k} of run {run}" for k in (8, 9) for run in "AB"]
    assert names(unused) == ["step 7 of run A", "step 7 of run B"]
    assert len(train) == 14


def test_what_is_held_out_is_in_no_trajectory():
    frames = snapshots(*RUNS, "strain 0.06", "strain 0.08")
    rule = SplitConfig(
        fraction=0.1, key="description", trajectory=r"run (\w)$", hold_out=("0.06$", "^step 0 ")
    )
    train, validation, _ = split_frames(frames, rule)
    assert set(names(validation)) == {
        "step 0 of run A",
        "step 0 of run B",
        "step 9 of run A",
        "step 9 of run B",
        "strain 0.06",
    }
    assert "strain 0.08" in names(train)


def test_without_a_rule_the_file_is_one_trajectory():
    train, validation, _ = split_frames(snapshots(*RUNS), SplitConfig(fraction=0.1))
    assert names(validation) == RUNS[-2:]
    assert names(train) == RUNS[:-2]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (SplitConfig(key="description", trajectory="("), "no regular expression"),
        (SplitConfig(key="description", trajectory="walk"), "matches no structure"),
        (SplitConfig(key="description", hold_out=("walk",)), "matches no structure"),
        (SplitConfig(key="description", hold_out=("step",)), "left for training"),
        (SplitConfig(fraction=0.0), "left for validation"),
    ],
)
def test_a_rule_that_leaves_nothing_is_refused(rule, words):
    with pytest.raises(InputError, match=words):
        split_frames(snapshots(*RUNS), rule)


def of_file(name: str, count: int, group: str = "") -> list[Frame]:
    """Return structures as they come out of a file, without any description."""
    frames = snapshots(*(f"{name}{k}" for k in range(count)))
    for index, frame in enumerate(frames):
        frame.atoms.info |= {"file": f"{name}_train.extxyz", "index": index}
    return [dataclasses.replace(frame, group=group) for frame in frames]


def test_structures_without_any_text_are_named_by_their_place_in_the_file():
    rule = SplitConfig(
        fraction=0.3, gap=1, key="index", trajectory=r"^(\d*)\d$", hold_out=(r"^1[2-4]$", "^17$")
    )
    train, validation, unused = split_frames(of_file("Ni", 20), rule)
    assert names(validation) == [f"Ni{k}" for k in (7, 8, 9, 12, 13, 14, 17, 18, 19)]
    assert names(unused) == ["Ni6", "Ni16"]
    assert len(train) == 9


def test_every_file_may_have_rules_of_its_own():
    frames = [*of_file("Ni", 10), *of_file("Si", 10), *of_file("Li", 5)]
    config = SplitConfig(
        fraction=0.2,
        key="index",
        rules=(SplitRule("^Ni", hold_out=("^0$",)), SplitRule("N|S", fraction=0.3, gap=1)),
    )
    train, validation, unused = split_frames(frames, config)
    assert names(validation) == ["Ni0", "Si7", "Si8", "Si9", "Li4"]
    assert names(unused) == ["Si6"]
    assert len(train) == 9 + 6 + 4


def test_trajectories_of_the_same_name_in_two_files_are_two():
    frames = [*of_file("Ni", 10), *of_file("Si", 10)]
    rule = SplitConfig(fraction=0.1, key="index", trajectory=r"^()\d")  # () is always ""
    _, validation, _ = split_frames(frames, rule)
    assert names(validation) == ["Ni9", "Si9"]


def test_a_rule_for_no_file_is_refused_with_the_names_of_the_files():
    with pytest.raises(InputError, match=r"'Cu' matches no data file.*Ni_train\.extxyz"):
        split_frames(of_file("Ni", 10), SplitConfig(rules=(SplitRule("Cu"),)))


def test_a_part_of_the_data_is_in_every_larger_part_and_has_the_same_mixture():
    frames = [*of_file("Ni", 60, "melt"), *of_file("Ni", 20, "crystal"), *of_file("Li", 20)]
    parts = [names(subset(frames, share, seed=3)) for share in (0.1, 0.3, 1.0)]
    assert [len(part) for part in parts] == [10, 30, 100]
    assert set(parts[0]) < set(parts[1]) < set(parts[2])
    assert parts[2] == names(frames)
    groups = [(f.atoms.info["file"][:2], f.group) for f in subset(frames, 0.3, seed=3)]
    assert [groups.count(g) for g in (("Ni", "melt"), ("Ni", "crystal"), ("Li", ""))] == [18, 6, 6]
    assert groups == sorted(groups, key=[("Ni", "melt"), ("Ni", "crystal"), ("Li", "")].index)
    assert names(subset(frames, 0.1, seed=4)) != parts[0] == names(subset(frames, 0.1, seed=3))
    assert len(subset(frames, 1e-9, seed=0)) == 1
