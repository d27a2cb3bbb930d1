"""The command ``scatterml plane``: from a file of force constants to a folder."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from scatterml_ase import PlaneScattering, cli, load_result
from scatterml_ase.phonons.finite_displacement import FiniteDisplacementPhonons
from scatterml_ase.workflows.plane import PlaneOptions, save_plane, scatter_plane


@pytest.fixture(scope="module")
def force_constants():
    atoms = bulk("Cu", a=3.5898)
    atoms.calc = EMT()
    return FiniteDisplacementPhonons(supercell=(2, 2, 2))(atoms)


def test_the_command_writes_what_the_analyzer_finds(force_constants, tmp_path, capsys):
    path = force_constants.save(tmp_path / "cu.nxs")
    arguments = [
        "--energy",
        "14",
        "16",
        "--u",
        "1",
        "1",
        "0",
        "--v",
        "0",
        "0",
        "1",
        "--bins",
        "12",
        "14",
    ]
    status = cli.main(["plane", str(path), "-o", str(tmp_path / "out"), *arguments])
    shown = capsys.readouterr()
    assert status == 0
    assert "168 scattering vectors from" in shown.out
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "plane.nxs",
        "plane.pdf",
        "plane.png",
    }
    found = load_result(tmp_path / "out" / "plane.nxs")
    expected = PlaneScattering(
        300.0,
        axes=((1, 1, 0), (0, 0, 1)),
        ranges=((-3, 3), (-3, 3)),
        bins=(12, 14),
        energy=(14, 16),
        progress=False,
    )(force_constants)
    np.testing.assert_allclose(found.intensity, expected.intensity, rtol=1e-9)


def test_the_command_explains_what_it_refuses(force_constants, tmp_path, capsys):
    path = force_constants.save(tmp_path / "cu.nxs")
    assert cli.main(["plane", str(path), "--psi", "0", "90", "-o", str(tmp_path / "out")]) == 2
    assert "without an instrument" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_every_option_reaches_the_analyzer(force_constants):
    options = PlaneOptions(
        energy=(14.0, 16.0), bins=(4, 4), thickness=0.1, linewidths=1.0, cell="primitive",
        instrument="ARCS", incident_energy=50.0, psi=(0.0, 90.0),
    )  # fmt: skip
    plane = scatter_plane(force_constants, options)
    told = plane.provenance["plane"]
    assert (told["linewidths"], told["cell"], told["psi"]) == (1.0, "primitive", (0.0, 90.0))
    assert told["instrument"]["name"] == "ARCS"
    assert plane.thickness == 0.1


def test_x_rays_and_the_blur_in_q_are_those_of_the_analyzer(force_constants, tmp_path):
    options = PlaneOptions(energy=(14.0, 16.0), bins=(4, 4), probe="xray", q_fwhm=0.1)
    plane = scatter_plane(force_constants, options)
    expected = PlaneScattering(
        energy=(14.0, 16.0),
        ranges=((-3, 3), (-3, 3)),
        bins=(4, 4),
        probe="xray",
        q_fwhm=0.1,
        progress=False,
    )(force_constants)
    np.testing.assert_allclose(plane.intensity, expected.intensity, rtol=1e-12)
    assert (save_plane(plane, tmp_path / "out") / "plane.png").is_file()
