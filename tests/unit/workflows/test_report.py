"""The report of a potential, and the values it compares with."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from scatterml_ase import cli, report
from scatterml_ase.calculator import TorchCalculator
from scatterml_ase.errors import InputError
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.elastic import ElasticConstants
from scatterml_ase.results.thermal_expansion import ThermalExpansion
from scatterml_ase.workflows import report_rows
from scatterml_ase.workflows.properties import reference
from scatterml_ase.workflows.properties.elastic import elastic_constants
from scatterml_ase.workflows.report_options import ReportOptions
from scatterml_ase.workflows.report_rows import ReportRow, make_row

ELEMENTS = ("Ni", "Cu", "Li", "Mo", "Si", "Ge")
QUICK = ReportOptions(quick=True, minimum_length=7.0)


@pytest.fixture(scope="module")
def copper():
    return report(EMT(), "Cu", QUICK)


# -- the report -----------------------------------------------------------------------------------


def test_every_static_property_is_there_with_its_unit(copper):
    found = {row.key: row.unit for row in copper.rows}
    assert found == {
        "lattice_constant": "angstrom",
        "bulk_modulus": "GPa",
        "bulk_modulus_derivative": "",
        "c11": "GPa",
        "c12": "GPa",
        "c44": "GPa",
        "phonon_X_1": "THz",
        "phonon_X_3": "THz",
        "phonon_L_1": "THz",
        "phonon_L_3": "THz",
        "vacancy_energy": "eV",
        "surface_energy_111": "J/m^2",
        "surface_energy_100": "J/m^2",
    }
    assert copper.expansion is None and copper.melt is None


def test_rows_carry_their_references_and_the_deviation_from_the_first(copper):
    row = next(row for row in copper.rows if row.key == "c11")
    assert [r.method for r in row.references] == ["dft-pbe", "experiment"]
    assert row.deviation == pytest.approx(row.value / row.references[0].value - 1)
    assert f"{100 * row.deviation:+.1f} %" in copper.table


def test_everything_is_written(copper, tmp_path):
    paths = copper.save(tmp_path / "out")
    assert paths["report.png"].read_bytes().startswith(b"\x89PNG")
    assert paths["report.pdf"].read_bytes().startswith(b"%PDF")
    with paths["report.csv"].open() as file:
        rows = list(csv.DictReader(file))
    assert {row["property"] for row in rows} == {row.key for row in copper.rows}
    record = json.loads(paths["report.json"].read_text())
    assert record["provenance"]["calculator"]["class"] == "EMT"
    assert record["options"]["quick"] is True
    assert record["rows"][0]["references"][0]["source"]["doi"] == "10.1021/acs.jpca.9b08723"
    assert ElasticConstants.load(paths["elastic.nxs"]).cubic == pytest.approx(copper.elastic.cubic)
    text = paths["report.md"].read_text()
    assert "Zuo et al." in text and "| lattice constant a |" in text


def test_a_value_that_nobody_checked_says_so(copper):
    line = next(line for line in copper.table.splitlines() if line.startswith("vacancy"))
    assert "zuo2020, unchecked" in line
    assert "lysogorskiy2021)" in line


def test_dynamics_adds_expansion_and_melt(copper, morse_model, tmp_path, monkeypatch):
    """The static part, which takes longest, is borrowed."""
    static = ("elastic", "elastic_clamped", "energy_volume", "bands", "frequencies", "vacancy",
              "surfaces")  # fmt: skip
    borrowed = {name: getattr(copper, name) for name in static}
    monkeypatch.setattr("scatterml_ase.workflows.report._static", lambda *_, **__: dict(borrowed))
    options = ReportOptions(
        expansion_time=0.1, melt_time=0.1, melting_temperature=300.0, minimum_length=6.0
    )
    crystal = bulk("Si", "fcc", a=2.9532)
    result = report(TorchCalculator(morse_model), options=options, structure=crystal)
    rows = {row.key: row for row in result.rows}
    row = rows["linear_expansion"]
    assert row.error > 0 and row.label == "linear expansion 90-180 K"
    assert row.references == () and row.deviation is None  # of silicon, but not in this phase
    assert rows["melt_position"].references[0].method == "dft-pbe"
    assert result.melt.density == pytest.approx(result.melt_reference.density)
    assert result.save(tmp_path)["melt.nxs"].is_file()


def test_the_command_prints_the_table_and_names_the_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    status = cli.main(["report", "emt", "-e", "Cu", "--quick", "--minimum-length", "7"])
    shown = capsys.readouterr()
    assert status == 0
    assert "lattice constant a" in shown.out
    assert (tmp_path / "emt_Cu_report" / "report.png").is_file()


def test_impossible_reports_are_refused_before_anything_runs():
    with pytest.raises(InputError, match=r"No element was chosen.*--element"):
        report(EMT())
    with pytest.raises(InputError, match="no crystal of one element"):
        report(EMT(), structure=bulk("CuAu", "rocksalt", a=5.0))
    with pytest.raises(InputError, match="melting temperature of Au is not in the table"):
        report(EMT(), "Au")


@pytest.mark.parametrize(
    ("name", "value"),
    [("melt_time", -1), ("melting_temperature", math.nan), ("minimum_length", 1e4), ("seed", -1)],
)
def test_impossible_options_are_refused(name, value):
    with pytest.raises(InputError, match=f"{name}={value}"):
        ReportOptions(**{name: value})


# -- references -----------------------------------------------------------------------------------


@pytest.mark.parametrize("element", ELEMENTS)
def test_every_value_names_a_source_that_exists_and_says_how_it_was_checked(element):
    rows = reference.references(element)
    assert {"lattice_constant", "c11", "c12", "vacancy_energy"} <= {row.name for row in rows}
    for row in rows:
        assert {"title", "checked"} <= set(reference.source(row.source))
        assert math.isfinite(row.value) and row.value > 0
        assert row.method in ("dft-pbe", "dft-gga", "dft-pbesol", "experiment")


@pytest.mark.parametrize("element", ELEMENTS)
def test_derived_elastic_constants_agree_among_themselves(element):
    """The bulk modulus is the mean of its parts, and a stable crystal has C11 > C12."""
    derived = {r.name: r.value for r in reference.references(element) if r.source == "mlearn"}
    assert derived["bulk_modulus"] == pytest.approx(
        (derived["c11"] + 2 * derived["c12"]) / 3, abs=1
    )
    assert derived["c11"] > derived["c12"]


@pytest.mark.parametrize("element", ELEMENTS)
def test_liquids_are_structureless_far_out_and_empty_near_the_core(element):
    curve = reference.liquid(element)
    assert curve.g[curve.r < 1.3].max() == 0
    assert abs(curve.g[-5:].mean() - 1) < 0.25
    assert curve.temperature > 1.4 * reference.melting_temperature(element)


@pytest.mark.parametrize("element", ELEMENTS)
def test_strained_cells_curve_as_their_elastic_constant_says(element):
    """d²E/dε² = V C11 to the accuracy of a parabola through small strains."""
    edge, points = reference.uniaxial_strain(element)
    small = points[np.abs(points[:, 0]) < 0.05]
    c11 = next(r.value for r in reference.references(element, "c11") if r.source == "mlearn")
    per_atom = edge**3 / {"Ni": 4, "Cu": 4, "Li": 2, "Mo": 2, "Si": 8, "Ge": 8}[element]
    curvature = 2 * np.polyfit(small[:, 0], small[:, 1], 3 if len(small) > 4 else 2)[-3]
    assert curvature / per_atom * 160.2177 == pytest.approx(c11, rel=0.2)


def test_what_is_not_in_the_tables_is_none_or_explained():
    assert reference.references("Pu") == ()
    assert reference.liquid("Pu") is None
    assert reference.uniaxial_strain("Pu") is None
    with pytest.raises(InputError, match=r"melting temperature of Pu.*it has Cu, Ge"):
        reference.melting_temperature("Pu")


def test_a_row_without_reference_has_no_deviation():
    assert make_row("Pu", "c11", "C11", 1.0, "GPa").deviation is None
    assert ReportRow("x", "x", 1.23456, "", 0.0123).text == "1.235 ± 0.01"


def test_the_structure_may_be_given():
    atoms = Atoms("Cu", cell=3.6 * (np.ones((3, 3)) - np.eye(3)) / 2, pbc=True)
    result = report(EMT(), options=QUICK, structure=atoms)
    assert result.element == "Cu"
    assert atoms.calc is None


# -- what is compared with what --------------------------------------------------------------------


def expansion_of(element, temperatures):
    """Return an expansion of about 1e-5 per K."""
    atoms = bulk(element)
    temperatures = np.array(temperatures, dtype=float)
    return ThermalExpansion(
        crystal=Crystal.from_atoms(atoms),
        temperatures=temperatures,
        volumes=atoms.get_volume() / len(atoms) * (1.01 + 1e-5 * temperatures) ** 3,
        volume_errors=np.full(len(temperatures), 0.01),
    )


def test_expansion_is_compared_between_the_same_temperatures():
    """The mean of Okada and Tokumaru's formula, here by the trapezoidal rule."""
    row = report_rows._expansion_row("Si", expansion_of("Si", [506, 1012]))
    t = np.linspace(506, 1012, 2001)
    alpha = 3.725 * (1 - np.exp(-5.88e-3 * (t - 124))) + 5.548e-4 * t
    assert row.label == "linear expansion 506-1012 K"
    assert row.value == pytest.approx(1e6 * (1.02012 / 1.01506 - 1) / 506, rel=1e-6)
    assert row.references[0].value == pytest.approx(alpha.mean(), rel=1e-3)
    assert row.deviation == pytest.approx(row.value / row.references[0].value - 1)


@pytest.mark.parametrize(("element", "temperatures"), [("Cu", [407, 815]), ("Si", [50, 1012])])
def test_an_expansion_at_another_temperature_is_shown_but_not_compared(element, temperatures):
    row = report_rows._expansion_row(element, expansion_of(element, temperatures))
    assert row.references[0].temperature == 298
    assert row.deviation is None
    assert "exp. 298 K (crc-expansion), not alike" in report_rows.table([row])


def test_a_slope_between_temperatures_needs_two():
    with pytest.raises(InputError, match="one temperature"):
        _ = expansion_of("Si", [300]).between_extremes


def in_other_phase(result, phase, **parts):
    """Return a report whose crystal is another one, otherwise the same."""
    phase.calc = EMT()
    names = ("energy_volume", "elastic", "elastic_clamped", "frequencies", "vacancy", "surfaces",
             "expansion", "melt", "melt_reference")  # fmt: skip
    parts = {name: getattr(result, name) for name in names} | parts
    rows = tuple(report_rows.rows_of("Cu", phase, parts))
    return replace(result, atoms=phase, rows=rows, **parts)


def test_another_phase_is_not_compared_with_the_ground_state(copper):
    result = in_other_phase(copper, bulk("Cu", "bcc", a=2.9))
    assert len(result.rows) == len(copper.rows)
    assert all(row.references == () for row in result.rows)
    axes = result.plot().axes
    labels = [text for ax in axes for text in ax.get_legend_handles_labels()[1]]
    assert labels and not any("DFT" in label or "exp" in label for label in labels)


def test_a_hexagonal_crystal_has_all_its_constants(copper):
    crystal = bulk("Cu", "hcp", a=2.56, c=4.18)
    crystal.calc = EMT()
    elastic = elastic_constants(crystal, relax_ions=False)
    result = in_other_phase(copper, crystal, elastic=elastic)
    found = {row.key: row.value for row in result.rows}
    constants = {key for key in found if key[0] == "c" and key[1:].isdigit()}
    assert constants == {"c11", "c12", "c13", "c22", "c23", "c33", "c44", "c55", "c66"}
    assert found["c66"] == pytest.approx((found["c11"] - found["c12"]) / 2, rel=1e-3)
    assert found["atomic_volume"] == pytest.approx(crystal.get_volume() / 2)
    assert "lattice_constant" not in found


@pytest.mark.parametrize(("element", "why"), [("Xx", "not the symbol"), ("O", "cannot build")])
def test_elements_without_a_crystal_are_explained(element, why):
    with pytest.raises(InputError, match=why):
        report(EMT(), element, QUICK)


def test_the_command_leaves_no_folder_where_nothing_could_be_computed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report", "emt", "-e", "Si", "--quick", "-o", "out"]) == 2
    assert list(tmp_path.iterdir()) == []


def test_the_command_refuses_a_folder_it_cannot_write_before_the_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "emt_Cu_report").write_text("a file")
    monkeypatch.setattr("scatterml_ase.workflows.report._static", None)
    assert cli.main(["report", "emt", "-e", "Cu", "--quick"]) == 2


def test_the_folder_of_a_model_of_ones_own_has_its_name(tmp_path):
    from scatterml_ase.cli.terminal import folder_stem

    assert folder_stem(f"model:{tmp_path / 'mine'}/") == "mine"
