"""Validation structures are blocks: the snapshots next to them in time are not trained on."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from scatterml_ase.errors import InputError
from scatterml_ase.training.config import SplitConfig
from scatterml_ase.training.data import Frame
from scatterml_ase.training.split import split_frames


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
