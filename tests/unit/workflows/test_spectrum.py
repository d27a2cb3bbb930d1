import json
from dataclasses import replace

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

import scatterml_ase
from scatterml_ase import FiniteDisplacementPhonons, load_result, spectrum
from scatterml_ase.errors import InputError, StabilityWarning
from scatterml_ase.workflows.banks import spectra_of
from scatterml_ase.workflows.options import SpectrumOptions
from scatterml_ase.workflows.table import summary_table

COARSE = SpectrumOptions(
    temperature=(0.0, 300.0), minimum_length=7.0, mesh_spacing=0.25, q_max=3.0, tolerance=0.3
)


@pytest.fixture(scope="module")
def copper():
    return spectrum(bulk("Cu", "fcc", a=3.65), EMT(), COARSE)


def test_the_summary_has_every_number_a_user_looks_for(copper):
    summary = copper.summary
    assert summary["structure"]["formula"] == "Cu"
    assert summary["structure"]["space_group"] == "Fm-3m (225)"
    np.testing.assert_allclose(summary["structure"]["conventional_lengths"], 3.59, atol=0.01)
    assert summary["energy_per_atom"] == pytest.approx(-0.007, abs=1e-3)
    assert np.abs(summary["stress"]).max() < 2e-3
    assert summary["stability"]["stable"]
    assert summary["stability"]["lowest_frequency"] > 0
    assert summary["acoustic_residual"] < 1e-3
    assert summary["thermal"]["temperatures"] == [0.0, 300.0]
    # Copper: C_V approaches 3R = 24.94 J/(K mol), the Debye temperature is about 340 K.
    assert summary["thermal"]["heat_capacity"][0] == 0
    assert summary["thermal"]["heat_capacity"][1] == pytest.approx(23.4, abs=0.3)
    assert summary["thermal"]["debye_temperature"] == pytest.approx(345, abs=15)
    assert summary["thermal"]["mean_square_displacement"]["Cu"][1] == pytest.approx(0.018, abs=3e-3)
    assert len(summary["sound_velocities"]["[111]"]) == 3
    assert summary["calculator"]["class"] == "EMT"
    assert summary["options"]["temperature"] == (0.0, 300.0)
    assert summary["wall_time"]["total"] == pytest.approx(
        sum(v for k, v in summary["wall_time"].items() if k != "total"), abs=0.01
    )


def test_magnetism_that_is_left_out_is_told_where_it_may_be(copper):
    options = SpectrumOptions(mesh_spacing=0.6, q_max=2.0, tolerance=0.8)
    nickel = bulk("Ni", a=3.48)
    nickel.set_initial_magnetic_moments(None)
    result = spectrum(nickel, EMT(), options)
    assert result.summary["magnetism"] == "magnetic scattering not included"
    assert "magnetic scattering not included" in summary_table(result.summary)
    assert "magnetism" not in copper.summary
    assert "magnet" not in summary_table(copper.summary)


def test_there_is_one_map_per_temperature(copper):
    assert [sqw.temperature for sqw in copper.sqw] == [0.0, 300.0]
    assert copper.sqw[0].q[-1] == 3.0


def test_the_table_shows_all_temperatures_and_no_negative_zero(copper):
    table = summary_table(copper.summary)
    assert "0  300 K" in table
    assert "Fm-3m (225), 1 atom in the cell" in table
    assert "-0.0000" not in table
    assert max(map(len, table.splitlines())) <= 90


def test_saving_writes_one_file_per_result_and_pictures(copper, tmp_path):
    paths = copper.save(tmp_path / "new" / "folder")
    names = {path.name for path in (tmp_path / "new" / "folder").iterdir()}
    assert names == {path.name for path in paths.values()}
    assert {"bands.nxs", "dos.nxs", "force_constants.nxs", "thermal.nxs", "sqw_0K.nxs",
            "sqw_300K.nxs", "relaxed.extxyz", "spectrum.png", "spectrum.pdf",
            "summary.json"} == names  # fmt: skip
    again = load_result(paths["dos"])
    np.testing.assert_array_equal(again.total, copper.dos.total)
    assert json.loads(paths["summary"].read_text())["structure"]["formula"] == "Cu"


def test_the_relaxed_crystal_is_written_with_its_own_energy(copper, tmp_path):
    """Whatever else its calculator computed meanwhile; ASE writes what a calculator last held."""
    other = bulk("Cu", "fcc", a=4.0).repeat(2)
    other.calc = copper.atoms.calc
    other.get_forces()
    relaxed = ase.io.read(copper.save(tmp_path)["relaxed"])
    expected = copper.summary["energy_per_atom"]
    assert relaxed.get_potential_energy() == pytest.approx(expected, abs=1e-9)
    assert relaxed.get_forces().shape == (1, 3)


def test_a_failing_write_leaves_no_half_written_file(copper, tmp_path, monkeypatch):
    """The picture fails halfway through: what is in the folder is complete, nothing is partial."""
    from matplotlib.figure import Figure

    def half(self, path, **_):
        path.write_bytes(b"half a picture")
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", half)
    with pytest.raises(KeyboardInterrupt):
        copper.save(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert "spectrum.png" not in names
    assert "summary.json" not in names
    assert not [name for name in names if name.startswith(".")]
    load_result(tmp_path / "bands.nxs")


def test_the_picture_has_labelled_axes_that_share_their_energies(copper):
    figure = copper.plot(temperature=290)
    dispersion, density, powder, bar = figure.axes
    assert "Energy" in dispersion.get_ylabel()
    assert "meV" in dispersion.get_ylabel()
    assert "states" in density.get_xlabel()
    assert "Å" in powder.get_xlabel()
    assert "mbarn" in bar.get_ylabel()
    assert dispersion.get_ylim() == density.get_ylim() == powder.get_ylim()
    assert "300 K" in powder.get_title(loc="left")


def test_it_is_relaxed_unless_told_otherwise(copper):
    assert copper.atoms.get_volume() == pytest.approx(3.5898**3 / 4, rel=1e-3)
    kept = bulk("Cu", "fcc", a=3.6)
    options = SpectrumOptions(
        relax=False, minimum_length=7.0, mesh_spacing=0.5, q_max=2.0, tolerance=0.5
    )
    with pytest.warns(StabilityWarning, match="stress"):
        result = spectrum(kept, EMT(), options)
    assert result.atoms.get_volume() == pytest.approx(kept.get_volume())


def test_force_constants_made_elsewhere_need_no_calculator(tmp_path):
    atoms = bulk("Cu", "fcc", a=3.5898)
    atoms.calc = EMT()
    FiniteDisplacementPhonons(supercell=(3, 3, 3)).phonopy(atoms).save(
        tmp_path / "phonopy_params.yaml", settings={"force_constants": True}
    )
    result = spectrum(tmp_path / "phonopy_params.yaml", options=COARSE)
    assert "energy_per_atom" not in result.summary
    assert "force constants were given" in summary_table(result.summary)
    result.save(tmp_path / "out")


def test_an_unstable_crystal_says_so_and_what_to_do():
    """EMT copper is not stable as bcc: imaginary modes, reported and drawn below zero."""
    options = SpectrumOptions(
        relax=True, minimum_length=8.0, mesh_spacing=0.25, q_max=2.0, tolerance=0.5
    )
    with pytest.warns(StabilityWarning):
        result = spectrum(bulk("Cu", "bcc", a=2.87), EMT(), options)
    stability = result.summary["stability"]
    assert not stability["stable"]
    assert stability["lowest_frequency"] < -1
    assert "displace it along the mode" in stability["verdict"]
    assert result.plot().axes[0].get_ylim()[0] < 0


class Broken(EMT):
    """A calculator that diverges."""

    def calculate(self, *arguments, **options):
        super().calculate(*arguments, **options)
        self.results["forces"] = self.results["forces"] * np.nan


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("structure", "calculator", "reason"),
    [
        ("nowhere.cif", "emt", "There is no file"),
        ("Si", "emt", "EMT cannot compute Si2"),
        ("Cu", "vaps", "No calculator 'vaps'"),
        (molecule("N2"), "emt", "not periodic"),
        (Atoms(cell=[3, 3, 3], pbc=True), "emt", "no atoms"),
        (bulk("Pu", "fcc", a=4.6), None, "No shipped potential covers Pu"),
        ([bulk("Cu")], "emt", "list is no structure"),
        (bulk("Cu"), Broken(), "Broken gives NaN or infinity for Cu"),
    ],
    ids=[
        "no file",
        "element unknown",
        "no such calculator",
        "molecule",
        "empty",
        "no potential",
        "a list",
        "NaN from the calculator",
    ],
)
def test_what_cannot_be_computed_is_refused_with_the_reason(structure, calculator, reason):
    with pytest.raises(InputError, match=reason):
        spectrum(structure, calculator)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"temperature": ()}, "temperature"),
        ({"temperature": (-5.0,)}, "temperature"),
        ({"temperature": (float("nan"),)}, "temperature"),
        ({"temperature": (float("inf"),)}, "temperature"),
        ({"supercell": (0, 1, 1)}, "Supercell"),
        ({"minimum_length": -1.0}, "minimum_length"),
        ({"minimum_length": 1e3}, "minimum_length=1000.0 cannot be used.*less than 100"),
        ({"tolerance": 0.0}, "tolerance=0.0 cannot be used"),
        ({"energy_fwhm": -1.0}, "energy_fwhm=-1.0"),
        ({"energy_fwhm": 2.0, "instrument": "TOSCA"}, "TOSCA has a resolution of its own"),
        ({"method": "guess"}, "method='guess' cannot be used.*'hessian'"),
        ({"mesh_spacing": 0.0}, "mesh_spacing"),
        ({"q_max": -1.0}, "q_max"),
        ({"instrument": "HUBBLE", "incident_energy": 100.0}, "HUBBLE"),
        ({"instrument": "ARCS"}, "incident_energy|E_i|incident"),
        ({"instrument": "TOSCA", "incident_energy": 100.0}, "final energy is fixed"),
        ({"instrument": "TOSCA", "chopper_frequency": 300.0}, "crystals select the final energy"),
        ({"chopper_frequency": 300.0}, "chopper_frequency=300.0 was given without an instrument"),
        ({"probe": "muon"}, "probe='muon' is not known"),
        ({"probe": "xray", "instrument": "TOSCA"}, "instrument='TOSCA' was given with"),
        ({"probe": "xray", "order": 2}, "order=2 was given with"),
        ({"probe": "xray", "ions": ("Cu+", "Cu2+")}, "ions=.'Cu.', 'Cu2.'. cannot be used"),
        ({"ions": ("Cu+",)}, "ions=.'Cu.',. cannot be used with probe='neutron'"),
    ],
)
def test_impossible_options_are_refused_before_any_work(options, reason, monkeypatch):
    monkeypatch.setattr(EMT, "calculate", lambda *_, **__: pytest.fail("something was computed"))
    with pytest.raises(InputError, match=reason):
        spectrum(bulk("Cu"), EMT(), SpectrumOptions(**options))


def test_x_rays_see_ions(copper):
    """Coherent scattering by one phonon alone, with the form factor of the ion."""
    options = SpectrumOptions(mesh_spacing=0.5, q_max=3, tolerance=0.4, probe="xray", ions=["Cu+"])
    result = spectrum(copper.force_constants, options=options)
    (sqw,) = result.sqw
    assert result.plot().axes[2].get_title(loc="left").endswith("K, x-rays")
    assert sqw.provenance["form_factors"] == ("Cu1+",)
    assert sqw.parts is None
    assert np.nansum(sqw.intensity) > 0


def test_indirect_geometry_shows_the_spectra_of_its_banks(copper, tmp_path):
    """TOSCA needs no incident energy: a fourth panel and a file for each bank of detectors."""
    options = SpectrumOptions(temperature=20, mesh_spacing=0.5, instrument="TOSCA", tolerance=0.4)
    result = spectrum(copper.force_constants, options=options)
    assert result.sqw[0].kinematics["fixed_energy"] == 3.97
    figure = result.plot()
    dispersion, _, powder, _, banks = figure.axes
    assert banks.get_ylim() == dispersion.get_ylim()
    assert powder.get_title(loc="left") == "(c)  20 K, TOSCA"
    told = [text.get_text() for text in banks.get_legend().get_texts()]
    assert told == ["forward, 39°–53°", "backward, 127°–141°", "one phonon alone"]
    forward = spectra_of(result.sqw[0])["forward"]
    area = banks.collections[0].get_datalim(banks.transData)
    once = np.nanmax(forward.parts[:2].sum(axis=0))
    assert area.xmax == pytest.approx(once)
    assert once < np.nanmax(forward.intensity)
    assert len(powder.get_lines()) == 4  # both borders of both banks
    paths = result.save(tmp_path)
    backward = load_result(paths["backward_20K"])
    assert np.nanmax(backward.intensity) > 0
    assert paths["forward_20K"].is_file()
    assert not spectra_of(copper.sqw[0])


def test_a_chopper_frequency_reaches_the_resolution(copper):
    options = SpectrumOptions(
        mesh_spacing=0.5, instrument="ARCS", incident_energy=60, chopper_frequency=600,
        q_max=3.0, tolerance=0.5,
    )  # fmt: skip
    result = spectrum(copper.force_constants, options=options)
    told = result.sqw[0].provenance["powder"]["instrument"]["resolution"]
    assert told["chopper"]["frequency"] == 600


def test_force_constants_may_come_from_the_hessian():
    options = SpectrumOptions(
        method="hessian", temperature=0, relax=False, mesh_spacing=0.4, q_max=1.0, energy_fwhm=20.0
    )
    result = spectrum(bulk("Si", a=5.469), "si", options)
    assert result.summary["stability"]["stable"]
    assert result.summary["supercell_atoms"] is None
    assert result.summary["options"]["method"] == "hessian"
    assert "HessianPhonons" in result.force_constants.provenance
    assert "supercell" not in summary_table(result.summary)
    with pytest.raises(InputError, match="EMT has no Hessian"):
        spectrum(bulk("Cu"), EMT(), replace(COARSE, method="hessian"))


@pytest.mark.parametrize("given", [300, [300], np.array([300])])
def test_temperatures_may_be_a_number_or_any_sequence(given):
    assert SpectrumOptions(temperature=given).temperature == (300.0,)


def test_the_version_is_in_the_summary(copper):
    assert copper.summary["version"] == f"scatterml_ase {scatterml_ase.__version__}"
