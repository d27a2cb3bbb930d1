"""``scatterml check-data`` and ``scatterml select``, right and wrong."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from scatterml_ase import cli


@pytest.fixture(autouse=True)
def own_messages():
    """Put back how warnings are shown, which the command changes; let them be no errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        yield


def run(*arguments) -> int:
    return cli.main([str(argument) for argument in arguments])


def test_good_data_have_a_table_and_status_0(copper_file, capsys):
    assert run("check-data", copper_file) == 0
    shown = capsys.readouterr().out
    assert "12 (48 atoms)" in shown
    assert "nothing is wrong" in shown


def test_a_training_file_names_data_and_labels(copper, tmp_path, capsys):
    atoms = copper[0].copy()
    atoms.info["dft"] = -3.0
    atoms.arrays["pull"] = np.zeros((4, 3))
    write(tmp_path / "named.extxyz", atoms)
    text = 'name = "x"\n[data]\ntrain = "named.extxyz"\nenergy = "dft"\nforces = "pull"\n'
    (tmp_path / "train.toml").write_text(text)
    assert run("check-data", tmp_path / "train.toml") == 0
    assert run("check-data", tmp_path / "named.extxyz", "--energy", "dft", "--forces", "pull") == 0
    assert run("check-data", tmp_path / "named.extxyz") == 2
    assert "has no 'energy'" in capsys.readouterr().err


def test_the_rules_of_a_training_file_hold_in_the_check_too(copper, tmp_path, capsys):
    """What a file's own rule ignores is not complained about."""
    images = [atoms.copy() for atoms in copper[:2]]
    for atoms, labelled in zip(images, copper, strict=False):
        atoms.calc = labelled.calc
        atoms.info["stress"] = np.full(6, np.nan)
    write(tmp_path / "broken.traj", images)
    text = 'name = "x"\n[data]\ntrain = "broken.traj"\n'
    rule = 'ignore_stress = {"^broken:hot" = "all", "^broken:cold" = "all"}\n'
    (tmp_path / "train.toml").write_text(text + rule)
    assert run("check-data", tmp_path / "train.toml") == 0
    (tmp_path / "train.toml").write_text(text)
    assert run("check-data", tmp_path / "train.toml") == 2
    assert "not finite" in capsys.readouterr().err


def test_what_training_refuses_the_check_refuses(copper, tmp_path, capsys):
    """Two energies of one structure are an error, not only a copy."""
    other = copper[0].copy()
    results = {**copper[0].calc.results, "energy": 3.0}
    other.calc = SinglePointCalculator(other, **results)
    write(tmp_path / "two.traj", [*copper, other])
    assert run("check-data", tmp_path / "two.traj") == 2
    assert "a potential cannot give both" in capsys.readouterr().err


def test_without_a_file_there_is_nothing_to_check(capsys):
    assert run("check-data") == 2
    assert "No data file is named" in capsys.readouterr().err


def test_chosen_structures_are_written_with_their_reason(copper, copper_file, tmp_path, capsys):
    write(tmp_path / "known.extxyz", copper[:2])
    out = tmp_path / "chosen.extxyz"
    status = run(
        "select", copper_file, "-n", 3, "--known", tmp_path / "known.extxyz", "-o", out
    )  # fmt: skip
    assert status == 0
    chosen = read(out, ":")
    assert len(chosen) == 3
    for atoms in chosen:
        origin = copper[atoms.info["pool_index"]]
        np.testing.assert_allclose(atoms.positions, origin.positions, atol=1e-7)
        assert "away from all that is known" in atoms.info["reason"]
        assert atoms.info["group"] == origin.info["group"]
        assert atoms.calc is None
    assert f"3 of 12 structures are in {out}" in capsys.readouterr().out
    assert not {0, 1} & {atoms.info["pool_index"] for atoms in chosen}


def test_a_place_that_cannot_be_written_is_refused_before_the_work(copper_file, tmp_path, capsys):
    assert run("select", copper_file, "-n", 1, "-o", tmp_path / "no" / "x.extxyz") == 2
    assert "Cannot write into" in capsys.readouterr().err


def test_an_unknown_format_is_explained_and_nothing_left(copper_file, tmp_path, capsys):
    assert run("select", copper_file, "-n", 1, "-o", tmp_path / "x.nonsense") == 2
    assert "Cannot write" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copper.extxyz"]


def test_a_model_that_does_not_know_the_species_is_refused(copper_file, tmp_path, capsys):
    assert run("select", copper_file, "-n", 1, "-m", "si", "-o", tmp_path / "x.extxyz") == 2
    assert "does not know Cu" in capsys.readouterr().err
