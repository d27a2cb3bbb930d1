"""Spectra from structure alone: what is written, what the summary names, what is refused."""

import json

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators.emt import EMT

from scatterml_ase import ForceConstantsPredictor, cli, load_result, spectrum
from scatterml_ase.errors import InputError
from scatterml_ase.phonons.force_constants_model import ForceConstantsConfig, ForceConstantsModel
from scatterml_ase.store import save_model
from scatterml_ase.workflows.options import SpectrumOptions
from scatterml_ase.workflows.table import summary_table

SMALL = {
    "channels": 4, "l_max": 2, "layers": 1, "senders": 4, "width": 16, "equivariants": 2,
    "hidden": 16, "responses": (2, 1, 1), "charge_channels": 4, "cutoff": 5.0,
    "encoder_cutoff": 4.5, "response_cutoff": 4.0,
}  # fmt: skip
COARSE = {"mesh_spacing": 0.5, "q_max": 2.0, "tolerance": 0.5}
FLAGS = ["--mesh-spacing", "0.5", "--q-max", "2", "--tolerance", "0.5", "--quiet"]

# Weights at random make crystals that may be unstable, which is warned of.
pytestmark = pytest.mark.filterwarnings("ignore::scatterml_ase.errors.StabilityWarning")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("models") / "springs"
    model = ForceConstantsModel(ForceConstantsConfig(species=(11, 17), **SMALL))
    save_model(model, folder, {"task": "force-constants"})
    return folder


@pytest.fixture(autouse=True)
def shipped(small, monkeypatch):
    """Let small weights stand in for the shipped ones: what is tested does not depend on them."""
    load = ForceConstantsPredictor.__init__.__defaults__
    assert load is not None and load[0] == "force-constants"
    monkeypatch.setattr(ForceConstantsPredictor.__init__, "__defaults__", (small, *load[1:]))


@pytest.fixture
def salt():
    return bulk("NaCl", "rocksalt", a=5.64)


def test_it_is_what_the_predictor_gives_without_relaxation_and_calculator(salt, small):
    result = spectrum(salt, options=SpectrumOptions(method="direct", **COARSE))
    expected = ForceConstantsPredictor()(salt)
    q = np.array([[0.1, 0.2, 0.3]])
    np.testing.assert_allclose(
        result.force_constants.modes(q).frequencies, expected.modes(q).frequencies, atol=1e-8
    )
    np.testing.assert_allclose(result.atoms.cell.array, salt.cell.array, atol=1e-10)
    assert result.atoms.calc is None
    assert result.summary["model"] == "springs"
    assert result.summary["options"]["method"] == "direct"
    assert "energy_per_atom" not in result.summary
    assert "springs" in summary_table(result.summary)
    assert {"force constants", "phonons", "scattering"} < set(result.summary["wall_time"])


def test_the_command_writes_everything(salt, tmp_path):
    salt.write(tmp_path / "salt.cif")
    folder = tmp_path / "out"
    asked = ["spectrum", str(tmp_path / "salt.cif"), "--direct", "-o", str(folder), *FLAGS]
    assert cli.main(asked) == 0
    assert {path.name for path in folder.iterdir()} == {
        "bands.nxs", "dos.nxs", "force_constants.nxs", "relaxed.extxyz", "spectrum.pdf",
        "spectrum.png", "sqw_300K.nxs", "summary.json", "thermal.nxs",
    }  # fmt: skip
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["model"] == "springs"
    assert load_result(folder / "force_constants.nxs").born_charges is not None


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--direct", "-c", "emt"], "A calculator was given together with method='direct'"),
        (["--method", "direct", "-c", "emt"], "A calculator was given"),
        (["--direct", "--supercell", "2", "2", "2"], "A supercell was asked for together with"),
        (["--direct", "--minimum-length", "9"], "A supercell was asked for together with"),
        (["--direct", "--method", "hessian"], "--direct was given together with --method hessian"),
    ],
)
def test_contradictory_flags_are_refused_in_one_line(salt, tmp_path, capsys, flags, reason):
    salt.write(tmp_path / "salt.cif")
    folder = tmp_path / "out"
    asked = ["spectrum", str(tmp_path / "salt.cif"), *flags, "-o", str(folder), *FLAGS]
    assert cli.main(asked) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("scatterml: ") and reason in shown.err
    assert len(shown.err.strip().splitlines()) == 1
    assert not folder.exists()


def test_given_force_constants_leave_nothing_to_predict(salt):
    given = ForceConstantsPredictor()(salt)
    with pytest.raises(InputError, match="nothing is left to predict"):
        spectrum(given, options=SpectrumOptions(method="direct", **COARSE))


def test_a_calculator_in_python_is_refused_too(salt):
    options = SpectrumOptions(method="direct", **COARSE)
    with pytest.raises(InputError, match="Leave out one of the two"):
        spectrum(salt, EMT(), options)


def test_an_element_the_model_was_never_shown_is_named():
    with pytest.raises(InputError, match="Cu is not in model 'springs'"):
        spectrum(bulk("Cu"), options=SpectrumOptions(method="direct", **COARSE))
