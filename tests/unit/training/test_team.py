"""Two processes train the model that one process trains."""

from __future__ import annotations

import csv
import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from scatterml_ase.card import read_card
from scatterml_ase.errors import InputError
from scatterml_ase.training import train
from scatterml_ase.training.team import Team, team

# Batches of seven and of one structure: in the latter a process has nothing to do.
TRAINING = """
name = "pair"
[data]
train = "copper.extxyz"
[split]
fraction = 0.25
[model.options]
cutoff = 3.5
channels = 2
l_max = 1
correlation = 2
n_basis = 3
readout_hidden = []
[optimizer]
learning_rate = 0.02
warmup_steps = 1
clip_gradient = 0.5
[run]
epochs = 3
batch_structures = 7
dtype = "float64"
threads = 1
device = "cpu"
"""


def table(folder: Path) -> np.ndarray:
    """Return the log without times."""
    with (folder / "log.csv").open(encoding="utf-8") as file:
        rows = [{k: float(v) for k, v in row.items() if k != "seconds"}
                for row in csv.DictReader(file)]  # fmt: skip
    return np.array([list(row.values()) for row in rows])


def test_two_processes_are_one_up_to_rounding(copper_file):
    folder = copper_file.parent
    (folder / "pair.toml").write_text(TRAINING, encoding="utf-8")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    scatterml = Path(sys.executable).with_name("scatterml")
    command = [*torchrun, "--nproc-per-node", "2", "--no-python", str(scatterml), "train"]
    done = subprocess.run(
        [*command, "pair.toml", "-o", "two"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("The model is in") == 1  # one process talks
    assert done.stderr.count("epoch    2") == 1
    one = train(folder / "pair.toml", output=folder / "one", progress=False)
    both = [load_file(folder / n / "model/weights.safetensors") for n in ("one", "two")]
    for name, weight in both[0].items():
        torch.testing.assert_close(weight, both[1][name], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(table(folder / "one"), table(folder / "two"), rtol=1e-9)
    assert read_card(folder / "two" / "model").training["processes"] == 2
    assert read_card(one).metrics == read_card(folder / "two" / "model").metrics
    # A run goes on from a checkpoint of two processes in one.
    longer = TRAINING.replace("epochs = 3", "epochs = 4")
    (folder / "pair.toml").write_text(longer, encoding="utf-8")
    train(folder / "pair.toml", output=folder / "two", progress=False)
    assert len(table(folder / "two")) == 4


@pytest.mark.parametrize("size", [1, 2, 3])
def test_shares_are_all_and_cost_about_the_same(size):
    costs = [50, 3, 4, 5, 6, 30, 8, 9, 40]
    crew = [Team(rank, size) for rank in range(size)]
    shares = [one.share(range(9), costs) for one in crew]
    assert sorted(index for share in shares for index in share) == list(range(9))
    assert all(share == sorted(share) for share in shares)
    loads = [sum(costs[i] for i in share) for share in shares]
    assert max(loads) - min(loads) <= 10
    assert Team(1, 2).share([4], [7]) == []


def test_a_run_without_torchrun_is_a_team_of_one():
    with team("cpu") as crew:
        assert crew == Team()
        assert crew.leads
        assert crew.agree(3.0, stop=True) == (3.0, True)
        crew.require_same("checkpoint", 5)
        crew.wait()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused_before_anything_else(config, tmp_path):
    run = dataclasses.replace(config.run, device="cuda")
    with pytest.raises(InputError, match=r'run\.device = "cuda".*no CUDA device'):
        train(dataclasses.replace(config, run=run), output=tmp_path / "run", progress=False)
