"""The page about files is a program: its Python runs as printed."""

import re
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.phonons import Phonons

from scatterml_ase import FiniteDisplacementPhonons, SqwMap, write_sqw

PAGE = (Path(__file__).parents[3] / "docs" / "files.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def simulated():
    q, energy = np.linspace(0, 8, 81), np.linspace(-20, 60, 81)
    x, y = np.meshgrid((q[1:] + q[:-1]) / 2, (energy[1:] + energy[:-1]) / 2, indexing="ij")
    return SqwMap(
        q=q,
        energy_transfer=energy,
        intensity=x**2 * np.exp(-((y - 20 - 5 * np.sin(x)) ** 2) / 30),
        kinematics={"geometry": "direct", "fixed_energy": 80.0, "two_theta": ((3, 130),)},
    )


def write_files():
    sqw = simulated()
    error = 0.02 + 0.05 * np.sqrt(sqw.intensity)
    noise = np.random.default_rng(0).normal(size=error.shape) * error
    measured = replace(sqw, intensity=3 * sqw.intensity + 0.2 + noise, error=error)
    write_sqw(replace(measured, scale="arbitrary"), "Al-iqe.h5", "iqe")
    write_sqw(measured, "run.nxspe")


def write_force_constants():
    from phonopy.file_IO import write_FORCE_CONSTANTS, write_force_constants_to_hdf5

    atoms = bulk("Cu", a=3.5897)
    atoms.calc = EMT()
    phonopy = FiniteDisplacementPhonons(supercell=(2, 2, 2)).phonopy(atoms)
    phonopy.save("phonopy_params.yaml", settings={"force_constants": True})
    write_FORCE_CONSTANTS(phonopy.force_constants, "FORCE_CONSTANTS")
    write_force_constants_to_hdf5(phonopy.force_constants, "force_constants.hdf5")
    Path("BORN").write_text("14.4\n2 0 0 0 2 0 0 0 2\n0 0 0 0 0 0 0 0 0\n")
    phonons = Phonons(atoms, EMT(), supercell=(2, 2, 2), name="phonons")
    phonons.run()
    return phonons


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block_runs_as_printed(number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"simulated": simulated()}
    if "read_force_constants" in BLOCKS[number]:
        names["phonons"] = write_force_constants()
    else:
        write_files()
    exec(compile(BLOCKS[number], f"docs/files.md block {number}", "exec"), names)
    plt.close("all")
    if "fit" in names:
        assert abs(names["fit"].scale - 3) < 5 * names["fit"].scale_error
    assert len(BLOCKS) == 3
