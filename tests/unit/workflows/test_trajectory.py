"""The command for trajectories: from a file to a folder of results and a picture."""

import ase.io
import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase import cli, load_result
from scatterml_ase.errors import InputError
from scatterml_ase.workflows.trajectory import scatter_trajectory
from scatterml_ase.workflows.trajectory_options import TrajectoryOptions

FAST = ["--timestep", "5", "--energy-fwhm", "100", "--longest-time", "50"]


@pytest.fixture(scope="module")
def frames():
    """Oscillators of 20 meV on the sites of copper at rest, without velocities."""
    atoms = bulk("Cu").repeat(2)
    generator = np.random.default_rng(0)
    phases = generator.uniform(0, 2 * np.pi, size=(len(atoms), 3))
    times = 2 * np.pi * 20 / 4135.667 * 5.0 * np.arange(60)
    found = []
    for time in times:
        frame = atoms.copy()
        frame.positions += 0.05 * np.sin(time + phases)
        found.append(frame)
    return found


@pytest.fixture(scope="module")
def file(frames, tmp_path_factory):
    path = tmp_path_factory.mktemp("md") / "md.extxyz"
    ase.io.write(path, frames)
    return path


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def test_the_command_writes_its_folder(file, tmp_path, capsys):
    folder = tmp_path / "out"
    where = ["--path", "GX", "--zone", "1", "1", "1", "--repeats", "2", "2", "2"]
    assert run("trajectory", file, "--temperature", 200, "-o", folder, *FAST, *where) == 0
    shown = capsys.readouterr()
    assert "60 frames of 8 atoms, 5 fs apart" in shown.out
    assert "Trajectory:" in shown.err  # a progress bar
    names = {path.name for path in folder.iterdir()}
    assert names == {"sqw.nxs", "intermediate.nxs", "dos.nxs", "trajectory.png", "trajectory.pdf"}
    assert (folder / "trajectory.png").read_bytes().startswith(b"\x89PNG")
    assert load_result(folder / "sqw.nxs").temperature == 200
    assert load_result(folder / "dos.nxs").total.sum() > 0


def test_what_is_missing_is_asked_for_before_a_folder_is_made(file, tmp_path, capsys):
    folder = tmp_path / "out"
    assert run("trajectory", file, *FAST, "-o", folder) == 2
    assert "There is no temperature" in capsys.readouterr().err
    assert run("trajectory", file, "--temperature", 200, "-o", folder) == 2
    assert "Give timestep= in fs" in capsys.readouterr().err
    assert not folder.exists()


def test_x_rays_and_a_named_unit_cell(frames):
    options = TrajectoryOptions(
        timestep=5.0,
        energy_fwhm=100.0,
        longest_time=50.0,
        quantum_correction="none",
        probe="xray",
        path="GX",
        zone=(1, 1, 1),
        unit_cell="Cu",
    )
    result = scatter_trajectory(frames, options, progress=False)
    assert result.sqw.crystal.formula == "Cu"
    assert result.sqw.provenance["probe"] == "xray"
    with pytest.raises(InputError, match="Both unit_cell and repeats"):
        scatter_trajectory(frames, TrajectoryOptions(unit_cell="Cu", repeats=(2, 2, 2)))
    with pytest.raises(InputError, match="q_max=0 is no wavevector"):
        scatter_trajectory(frames, TrajectoryOptions(q_max=0))
