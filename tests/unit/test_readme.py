"""The README is a program: its Python runs as printed, and its commands exist."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from ase.build import bulk

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    return [line.split("  #")[0].strip() for line in lines if line.startswith("scatterml ")]


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python_block_runs_as_printed(number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    exec(compile(blocks("python")[number], f"README block {number}", "exec"), {})


@pytest.mark.parametrize("command", commands())
def test_command_runs_as_printed(command, tmp_path):
    for name in ("potential.toml", "structure.cif"):
        if name in command:
            shutil.copy(ROOT / "tests" / "data" / name, tmp_path)
    if "my_structures" in command:
        (tmp_path / "my_structures").mkdir()
        bulk("NaCl", "rocksalt", a=5.64).write(tmp_path / "my_structures" / "salt.cif")
    program, *arguments = shlex.split(command)
    assert program == "scatterml"
    done = subprocess.run(
        [sys.executable, "-m", "scatterml_ase", *arguments],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_every_make_target_that_the_readme_names_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)", TEXT))
    assert named and named <= targets


def test_every_file_that_the_readme_links_exists():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", TEXT)
    assert links and all((ROOT / link).exists() for link in links)
