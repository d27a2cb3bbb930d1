"""Force constants of phonopy's files, of ASE, and to Euphonic: the same phonons."""

import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.phonons import Phonons
from ase.vibrations import Vibrations
from ase.vibrations.data import VibrationsData
from phonopy.file_IO import write_FORCE_CONSTANTS, write_force_constants_to_hdf5

from scatterml_ase import FiniteDisplacementPhonons, ForceConstants, read_force_constants
from scatterml_ase.errors import InputError
from scatterml_ase.phonons.to_euphonic import to_euphonic

Q = [[0.5, 0.5, 0.0], [0.1, 0.2, 0.3]]
COMMENSURATE = [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.0], [0.5, 0.5, 0.5]]
BORN = "14.4\n2.5 0 0 0 2.5 0 0 0 2.5\n1.1 0 0 0 1.1 0 0 0 1.1\n-1.1 0 0 0 -1.1 0 0 0 -1.1\n"


def alloy(a=3.75):
    atoms = bulk("CuAu", "rocksalt", a=a * np.sqrt(2))
    atoms.calc = EMT()
    return atoms


def copper():
    atoms = bulk("Cu", "fcc", a=3.5897)
    atoms.calc = EMT()
    return atoms


@pytest.fixture(scope="module")
def phonopy():
    return FiniteDisplacementPhonons(supercell=(2, 2, 2)).phonopy(copper())


@pytest.fixture(scope="module")
def frequencies(phonopy):
    return ForceConstants.from_phonopy(phonopy).modes(Q).frequencies


@pytest.fixture
def folder(phonopy, tmp_path):
    """Write the cells alone."""
    phonopy.save(tmp_path / "phonopy.yaml", settings={"force_sets": False, "displacements": False})
    return tmp_path


@pytest.mark.parametrize("name", ["FORCE_CONSTANTS", "force_constants.hdf5"])
def test_the_file_of_constants_itself(name, phonopy, frequencies, folder):
    constants = phonopy.force_constants
    if name == "FORCE_CONSTANTS":
        write_FORCE_CONSTANTS(constants, folder / name)
    else:
        p2s = phonopy.primitive.p2s_map
        write_force_constants_to_hdf5(constants, folder / name, p2s_map=p2s)
    found = read_force_constants(folder / name)
    np.testing.assert_allclose(found.modes(Q).frequencies, frequencies, rtol=1e-6)
    assert found.provenance["source"] == name

    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    moved = (folder / name).rename(elsewhere / name)
    with pytest.raises(InputError, match=r"what crystal.*cells='phonopy.yaml'"):
        read_force_constants(moved)
    found = read_force_constants(moved, cells=folder / "phonopy.yaml")
    np.testing.assert_allclose(found.modes(Q).frequencies, frequencies, rtol=1e-6)


def test_constants_that_are_named_win_over_those_inside(phonopy, frequencies, tmp_path):
    phonopy.save(tmp_path / "phonopy.yaml", settings={"force_constants": True})
    write_FORCE_CONSTANTS(4 * phonopy.force_constants, tmp_path / "FORCE_CONSTANTS")
    found = read_force_constants(tmp_path / "FORCE_CONSTANTS")
    np.testing.assert_allclose(found.modes(Q).frequencies, 2 * frequencies, rtol=1e-6)


@pytest.fixture(scope="module")
def polar():
    analyzer = FiniteDisplacementPhonons(supercell=(2, 2, 2), stress_tolerance=10)
    return analyzer.phonopy(alloy())


def test_a_born_file_brings_charges_and_replaces_those_there_are(polar, tmp_path):
    polar.save(tmp_path / "phonopy_params.yaml", settings={"force_constants": True})
    born = tmp_path / "charges"
    born.write_text(BORN)
    plain = read_force_constants(tmp_path / "phonopy_params.yaml")
    assert plain.born_charges is None
    found = read_force_constants(tmp_path / "phonopy_params.yaml", born=born)
    np.testing.assert_allclose(found.born_charges[0], 1.1 * np.eye(3), atol=1e-9)
    np.testing.assert_allclose(found.dielectric, 2.5 * np.eye(3), atol=1e-9)
    assert found.provenance["born"] == "charges"

    (tmp_path / "BORN").write_text(BORN.replace("1.1", "0.7"))
    beside = read_force_constants(tmp_path / "phonopy_params.yaml")
    np.testing.assert_allclose(beside.born_charges[0], 0.7 * np.eye(3), atol=1e-9)
    chosen = read_force_constants(tmp_path / "phonopy_params.yaml", born=born)
    np.testing.assert_allclose(chosen.born_charges[0], 1.1 * np.eye(3), atol=1e-9)


@pytest.mark.parametrize("text", ["", "nonsense\n", "14.4\n2.5 0 0\n"])
def test_a_broken_born_file_is_named(text, polar, tmp_path):
    polar.save(tmp_path / "phonopy_params.yaml", settings={"force_constants": True})
    (tmp_path / "charges").write_text(text)
    with pytest.raises(InputError, match=r"charges'.*damaged"):
        read_force_constants(tmp_path / "phonopy_params.yaml", born=tmp_path / "charges")
    with pytest.raises(InputError, match="no file"):
        read_force_constants(tmp_path / "phonopy_params.yaml", born=tmp_path / "missing")


@pytest.mark.parametrize("name", ["FORCE_CONSTANTS", "force_constants.hdf5"])
def test_constants_cut_short_are_explained(name, phonopy, folder):
    path = folder / name
    if name == "FORCE_CONSTANTS":
        write_FORCE_CONSTANTS(phonopy.force_constants, path)
    else:
        write_force_constants_to_hdf5(phonopy.force_constants, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="Cannot read"):
        read_force_constants(path)
    if name.endswith("hdf5"):  # whatever else is asked for
        with pytest.raises(InputError, match="damaged or was cut short"):
            read_force_constants(path, born=folder / "BORN")


def test_constants_of_another_crystal_are_refused(polar, folder):
    write_FORCE_CONSTANTS(polar.force_constants, folder / "FORCE_CONSTANTS")
    with pytest.raises(InputError):
        read_force_constants(folder / "FORCE_CONSTANTS")


def test_what_does_not_belong_together_is_said(phonopy, folder):
    with pytest.raises(InputError, match="do not belong to Phonopy"):
        read_force_constants(phonopy, born="BORN")
    with pytest.raises(InputError, match="cells= does not belong"):
        read_force_constants(folder / "phonopy.yaml", cells=folder / "phonopy.yaml")
    with pytest.raises(InputError, match="is a folder"):
        read_force_constants(folder)
    with h5py.File(folder / "other.h5", "w") as file:
        file["numbers"] = [1, 2]
    with pytest.raises(InputError, match="not a result file"):
        read_force_constants(folder / "other.h5")


def test_the_object_of_phonopy(phonopy, frequencies):
    found = read_force_constants(phonopy).modes(Q).frequencies
    np.testing.assert_allclose(found, frequencies)


def test_the_command_line_takes_a_born_file(polar, tmp_path, monkeypatch):
    from scatterml_ase.cli import main
    from scatterml_ase.workflows import spectrum

    polar.save(tmp_path / "phonopy_params.yaml", settings={"force_constants": True})
    (tmp_path / "charges").write_text(BORN)
    seen = []

    def stop(structure, *rest, **options):
        seen.append(structure)
        raise InputError("far enough")

    monkeypatch.setattr(spectrum, "spectrum", stop)
    monkeypatch.chdir(tmp_path)
    assert main(["spectrum", "phonopy_params.yaml", "--born", "charges", "--quiet"]) == 2
    np.testing.assert_allclose(seen[0].born_charges[0], 1.1 * np.eye(3), atol=1e-9)
    assert main(["spectrum", "Si", "--born", "charges", "--quiet"]) == 2
    assert len(seen) == 1


# -- ASE ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["copper", "alloy"])
def phonons(request, tmp_path_factory):
    atoms = {"copper": copper, "alloy": alloy}[request.param]()
    result = Phonons(
        atoms,
        EMT(),
        supercell=(2, 2, 2),
        delta=0.01,
        name=str(tmp_path_factory.mktemp("ase") / "p"),
    )
    result.run()
    return result


def test_ase_phonons_have_the_frequencies_of_ase_where_waves_fit(phonons):
    found = read_force_constants(phonons)
    own = Phonons(phonons.atoms, EMT(), supercell=(2, 2, 2), name=phonons.name)
    own.read()
    expected = 1e3 * own.band_structure(np.array(COMMENSURATE), verbose=False)
    np.testing.assert_allclose(found.modes(COMMENSURATE).frequencies, expected, rtol=1e-4)
    assert getattr(phonons, "C_N", None) is None  # the object given is as it was


def test_a_centred_reference_cell_of_ase_is_the_same_crystal(tmp_path):
    results = []
    for centred in (False, True):
        phonons = Phonons(
            copper(),
            EMT(),
            supercell=(3, 3, 3),
            delta=0.01,
            name=str(tmp_path / f"c{centred}"),
            center_refcell=centred,
        )
        phonons.run()
        results.append(read_force_constants(phonons).modes(Q).frequencies)
    np.testing.assert_allclose(*results, rtol=1e-6)


def test_displacements_that_are_missing_are_named(tmp_path):
    phonons = Phonons(copper(), EMT(), supercell=(2, 2, 2), name=str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"lacks the displacement.*run\(\)"):
        read_force_constants(phonons)


@pytest.fixture(scope="module")
def vibrations(tmp_path_factory):
    atoms = copper().repeat((2, 2, 2))
    atoms.calc = EMT()
    run = Vibrations(atoms, name=str(tmp_path_factory.mktemp("vib") / "v"), delta=0.005)
    run.run()
    return run.get_vibrations()


def test_vibrations_of_a_crystal_are_its_waves_at_gamma(vibrations, tmp_path):
    found = read_force_constants(vibrations)
    energies = np.sort(found.modes([0, 0, 0]).frequencies[0])
    expected = 1e3 * np.asarray(vibrations.get_energies())
    signed = np.sort(np.where(expected.imag > 0, -expected.imag, expected.real))
    np.testing.assert_allclose(energies[3:], signed[3:], rtol=1e-6)
    vibrations.write(tmp_path / "vibrations.json")
    again = read_force_constants(tmp_path / "vibrations.json")
    np.testing.assert_allclose(again.blocks, found.blocks)


def test_vibrations_that_make_no_phonons_are_refused(tmp_path):
    water = molecule("H2O")
    with pytest.raises(InputError, match=r"is no crystal.*center\(vacuum"):
        read_force_constants(VibrationsData(water, np.zeros((3, 3, 3, 3))))
    cell = Atoms("Cu2", positions=[[0, 0, 0], [1.8, 1.8, 0]], cell=[4, 4, 4], pbc=True)
    with pytest.raises(InputError, match="Only 1 of 2"):
        read_force_constants(VibrationsData(cell, np.zeros((1, 3, 1, 3)), indices=[0]))
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(InputError, match="holds no vibrations"):
        read_force_constants(tmp_path / "other.json")


# -- Euphonic -------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
@pytest.mark.parametrize("charged", [False, True])
def test_euphonic_finds_the_same_modes(polar, charged):
    pytest.importorskip("euphonic")
    ours = ForceConstants.from_phonopy(polar)
    if charged:
        born = np.array([1.1, -1.1])[:, None, None] * np.eye(3)
        ours = replace(ours, born_charges=born, dielectric=2.5 * np.eye(3))
    theirs = to_euphonic(ours).calculate_qpoint_phonon_modes(np.array(Q), asr=None, use_c=False)
    found = theirs.frequencies.to("meV").magnitude
    np.testing.assert_allclose(found, ours.modes(Q).frequencies, rtol=2e-4)


def test_euphonic_gets_supercells_whose_first_cell_is_not_the_origin():
    """The conventional cell of a face-centred crystal has sides (-1, 1, 1) … of the primitive."""
    pytest.importorskip("euphonic")
    sides = 2 * (np.ones((3, 3), dtype=int) - 2 * np.eye(3, dtype=int))
    ours = FiniteDisplacementPhonons(supercell=sides, stress_tolerance=20)(alloy())
    theirs = to_euphonic(ours).calculate_qpoint_phonon_modes(np.array(Q), asr=None, use_c=False)
    found = theirs.frequencies.to("meV").magnitude
    np.testing.assert_allclose(found, ours.modes(Q).frequencies, rtol=1e-6)


def test_without_euphonic_it_says_so(polar, monkeypatch):
    monkeypatch.setitem(sys.modules, "euphonic", None)
    with pytest.raises(InputError, match="pip install euphonic"):
        to_euphonic(ForceConstants.from_phonopy(polar))
