"""The command line as a new user meets it, right and wrong."""

import json
import os
import signal
import subprocess
import sys

import ase.io
import numpy as np
import pytest
from ase.build import bulk

import scatterml_ase
from scatterml_ase import cli
from scatterml_ase.cli.terminal import folder_stem

FAST = ["--minimum-length", "7", "--mesh-spacing", "0.3", "--q-max", "2", "--tolerance", "0.5"]


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def own_messages(monkeypatch):
    """Put back how warnings are shown, which the command changes; let them be no errors."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        yield


def test_the_main_job_writes_its_folder_and_prints_a_table(tmp_path, capsys):
    folder = tmp_path / "out"
    status = run(
        "spectrum", "Cu", "--calculator", "emt", "--temperature", 100, 300, "-o", folder, *FAST
    )
    shown = capsys.readouterr()
    assert status == 0
    assert "heat capacity" in shown.out
    assert str(folder) in shown.out
    for stage in ("setting up", "relaxing", "displacements", "modes", "Powder average", "writing"):
        assert f"{stage}:" in shown.err  # a progress bar
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["thermal"]["temperatures"] == [100.0, 300.0]
    assert (folder / "spectrum.png").read_bytes().startswith(b"\x89PNG")


def test_quiet_shows_nothing_not_even_what_a_calculator_prints(tmp_path, capfd, monkeypatch):
    folder = tmp_path / "out"
    (tmp_path / "chatty.py").write_text(
        "from ase.calculators.emt import EMT\n\ndef make():\n    print('hello')\n    return EMT()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert run("spectrum", "Cu", "-c", "chatty:make", "-o", folder, "--quiet", *FAST) == 0
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err == ""


def test_the_folder_is_named_after_the_structure(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ase.io.write("copper oxide.vasp", bulk("Cu"))
    assert run("spectrum", "copper oxide.vasp", "-c", "emt", "--quiet", *FAST) == 0
    assert (tmp_path / "copper_oxide_spectrum" / "summary.json").is_file()
    assert folder_stem("NaCl:rocksalt:5.64") == "NaCl"
    (tmp_path / "MgO.cif.gz").touch()
    assert folder_stem("MgO.cif.gz") == "MgO"


def damaged_model(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "card.json").write_text("{}")
    return ["Si", "-c", f"model:{tmp_path / 'model'}"]


def written(tmp_path, name, atoms):
    ase.io.write(tmp_path / name, atoms)
    return [str(tmp_path / name), "-c", "emt"]


def unreadable(tmp_path):
    (tmp_path / "broken.cif").write_text("this is no CIF\n")
    return [str(tmp_path / "broken.cif"), "-c", "emt"]


def overlapping(tmp_path):
    atoms = bulk("Cu").repeat((2, 1, 1))
    atoms.positions[1] = atoms.positions[0] + [0.1, 0, 0]
    return written(tmp_path, "double.vasp", atoms)


def with_nan(tmp_path):
    atoms = bulk("Cu")
    atoms.positions[0, 0] = np.nan
    return written(tmp_path, "nan.traj", atoms)


def empty(tmp_path):
    (tmp_path / "empty.extxyz").write_text('0\nLattice="3 0 0 0 3 0 0 0 3" pbc="T T T"\n')
    return [str(tmp_path / "empty.extxyz"), "-c", "emt"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (unreadable, "Cannot read a structure"),
        (empty, "no atoms|no structure"),
        (with_nan, "NaN"),
        (overlapping, "Å apart"),
        (lambda _: ["Pu:fcc:4.6"], "No shipped potential covers Pu"),
        (lambda _: ["Si", "-c", "emt"], "EMT cannot compute"),
        (lambda _: ["Cu", "-c", "emt", "--supercell", "2", "0", "2"], "Supercell"),
        (lambda _: ["Cu", "-c", "nothing.like:this"], "importing 'nothing.like' fails"),
        (lambda _: ["nowhere.cif"], "There is no file 'nowhere.cif'"),
        (damaged_model, "card.json"),
    ],
    ids=["unreadable", "empty", "nan", "overlap", "unknown species", "not in calculator",
         "supercell", "missing calculator", "no file", "damaged model"],
)  # fmt: skip
def test_bad_input_ends_in_one_message_and_status_2(tmp_path, capsys, arguments, reason):
    folder = tmp_path / "out"
    status = run("spectrum", *arguments(tmp_path), "-o", folder, "--quiet")
    shown = capsys.readouterr()
    assert status == 2
    assert shown.out == ""
    assert len(shown.err.strip().splitlines()) == 1
    assert shown.err.startswith("scatterml: ")
    import re

    assert re.search(reason, shown.err)
    assert "Traceback" not in shown.err
    assert not folder.exists()  # nothing was written, so nothing is left


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    status = run("spectrum", "Cu", "-c", "emt", "-o", tmp_path / "file", "--quiet")
    assert status == 2
    assert "Cannot write into" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(tmp_path, capsys):
    tmp_path.chmod(0o555)
    assert run("spectrum", "Cu", "-c", "emt", "-o", tmp_path / "out", "--quiet") == 2
    assert "Cannot write into" in capsys.readouterr().err


def test_debug_shows_where_it_happened():
    with pytest.raises(scatterml_ase.errors.InputError):
        run("spectrum", "nowhere.cif", "--debug")


def test_an_interrupted_run_says_so(monkeypatch, tmp_path, capsys):
    import scatterml_ase.workflows.spectrum as module

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "spectrum", interrupt)
    assert run("spectrum", "Cu", "-c", "emt", "-o", tmp_path / "out") == 130
    assert "interrupted" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_terminated_run_leaves_no_temporary_file(monkeypatch, tmp_path, capsys):
    """SIGTERM while a picture is being written: what is there is complete, nothing is hidden."""
    from matplotlib.figure import Figure

    def half(self, path, **_):
        path.write_bytes(b"half a picture")
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Figure, "savefig", half)
    before = signal.getsignal(signal.SIGTERM)
    assert run("spectrum", "Cu", "-c", "emt", "-o", tmp_path / "out", "--quiet", *FAST) == 130
    assert signal.getsignal(signal.SIGTERM) is before
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert "bands.nxs" in names
    assert "summary.json" not in names
    assert not [name for name in names if name.startswith(".")]


@pytest.mark.parametrize(
    "arguments", [["bogus"], ["spectrum"], ["spectrum", "Si", "--supercell", "2"], ["train"]]
)
def test_wrong_usage_exits_with_2_and_shows_what_is_missing(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 2
    assert "scatterml" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["spectrum", "--help"], []])
def test_help_documents_every_option_from_the_dataclass(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "scatterml" in shown
    if "spectrum" in arguments:
        for option in ("--temperature", "--supercell", "--instrument", "--no-relax", "--quiet"):
            assert option in shown
        assert "Full width at half maximum" in shown


def test_the_version_is_told(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"scatterml {scatterml_ase.__version__}\n"


def test_the_models_at_hand_are_listed(capsys):
    assert run("models") == 0
    assert "potential" in capsys.readouterr().out
    assert run("models", "no such model") == 2


def test_a_missing_training_file_is_an_explained_error(tmp_path, capsys):
    assert run("train", tmp_path / "nothing.toml") == 2
    assert "nothing.toml" in capsys.readouterr().err


@pytest.mark.parametrize("asked", ["--version", "--help"])
def test_a_word_of_help_loads_nothing_large(asked):
    """No torch, no phonopy: a help text is there at once."""
    code = f"""
import sys
from scatterml_ase.cli import main
try:
    main(['{asked}'])
except SystemExit:
    pass
loaded = {{'torch', 'phonopy', 'e3nn', 'matplotlib.pyplot'}} & set(sys.modules)
sys.exit(f"loaded {{loaded}}" if loaded else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_the_module_runs():
    shown = subprocess.run(
        [sys.executable, "-m", "scatterml_ase", "--help"], check=True, capture_output=True
    )
    assert b"spectrum" in shown.stdout


def test_a_reader_that_has_seen_enough_gets_no_traceback():
    command = [sys.executable, "-m", "scatterml_ase", "report", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()  # before anything is written
        errors = process.stderr.read().decode()
        assert process.wait() == 0
    assert errors == ""
