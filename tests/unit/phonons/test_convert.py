import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from scatterml_ase import FiniteDisplacementPhonons
from scatterml_ase.errors import InputError
from scatterml_ase.phonons.convert import read_force_constants

Q = [[0.5, 0.5, 0.0], [0.1, 0.2, 0.3]]


@pytest.fixture(scope="module")
def phonopy():
    atoms = bulk("Cu", "fcc", a=3.5897)
    atoms.calc = EMT()
    return FiniteDisplacementPhonons(supercell=(2, 2, 2)).phonopy(atoms)


@pytest.fixture(scope="module")
def frequencies():
    atoms = bulk("Cu", "fcc", a=3.5897)
    atoms.calc = EMT()
    return FiniteDisplacementPhonons(supercell=(2, 2, 2))(atoms).modes(Q).frequencies


@pytest.mark.parametrize("what", ["force_constants", "force_sets"])
def test_phonopy_params_yaml_holds_everything(phonopy, frequencies, tmp_path, what):
    path = tmp_path / "phonopy_params.yaml"
    settings = {"force_sets": True, "force_constants": what == "force_constants"}
    phonopy.save(path, settings=settings)
    found = read_force_constants(path)
    np.testing.assert_allclose(found.modes(Q).frequencies, frequencies, rtol=1e-6)
    assert found.provenance["source"] == "phonopy_params.yaml"


def test_companion_files_come_from_the_folder_of_the_file(
    phonopy, frequencies, tmp_path, monkeypatch
):
    from phonopy.file_IO import write_FORCE_CONSTANTS

    folder, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    phonopy.save(folder / "phonopy.yaml", settings={"force_sets": False, "displacements": False})
    write_FORCE_CONSTANTS(phonopy.force_constants, folder / "FORCE_CONSTANTS")
    (elsewhere / "FORCE_CONSTANTS").write_text("1 1\nnonsense\n")
    monkeypatch.chdir(elsewhere)
    found = read_force_constants(folder / "phonopy.yaml")
    np.testing.assert_allclose(found.modes(Q).frequencies, frequencies, rtol=1e-6)


def test_a_file_of_ours_is_read_too(phonopy, frequencies, tmp_path):
    from scatterml_ase import ForceConstants

    path = ForceConstants.from_phonopy(phonopy).save(tmp_path / "force_constants.nxs")
    np.testing.assert_allclose(read_force_constants(path).modes(Q).frequencies, frequencies)


def test_missing_foreign_and_bare_files_say_what_to_give(phonopy, tmp_path):
    with pytest.raises(InputError, match=r"no file.*phonopy_params\.yaml"):
        read_force_constants(tmp_path / "nothing.yaml")
    (tmp_path / "foreign.yaml").write_text("colour: blue\n")
    with pytest.raises(InputError, match=r"Cannot read.*phonopy_params\.yaml"):
        read_force_constants(tmp_path / "foreign.yaml")
    phonopy.save(tmp_path / "bare.yaml", settings={"force_sets": False, "displacements": False})
    with pytest.raises(InputError, match="gives no force constants"):
        read_force_constants(tmp_path / "bare.yaml")
