"""Stability runs go on where they were stopped, and their table says what is missing."""

import json

import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase import PotentialCalculator
from scatterml_ase.phonons.provenance import describe_calculator


@pytest.fixture
def copper():
    atoms = bulk("Cu")
    atoms.calc = PotentialCalculator("cu")
    return atoms


@pytest.fixture
def common(copper):
    calculator = describe_calculator(copper.calc)
    return {"calculator": calculator, "element": "Cu", "melting_temperature": 1358.0, "seed": 0}


@pytest.fixture
def simulate(benchmark, monkeypatch, copper, common, tmp_path):
    """Run some "picoseconds" of 300 fs of copper."""
    module = benchmark("stability_dynamics")
    monkeypatch.setattr(module, "PICOSECOND", 300.0)
    monkeypatch.setattr(module, "EQUILIBRATION", 40.0)

    def run(part, duration, file="run.json"):
        record = {**common, "part": part}
        module.dynamics(part, copper, "cu", duration, 4.0, record, tmp_path / file)
        return json.loads((tmp_path / file).read_text())

    return run


@pytest.mark.parametrize("part", ["cold", "nve"])
def test_a_stopped_run_goes_on_to_the_same_numbers(simulate, part):
    whole = simulate(part, 3, "whole.json")
    simulate(part, 1)
    resumed = simulate(part, 3)
    assert resumed["done_ps"] == 3
    energies = [np.concatenate([b["total_energy"] for b in r["blocks"]]) for r in (whole, resumed)]
    np.testing.assert_allclose(*energies, rtol=0, atol=1e-9 if part == "nve" else 1e-5)


def test_what_is_done_is_not_run_again(simulate, benchmark, monkeypatch):
    before = simulate("hot", 2)
    monkeypatch.setattr(benchmark("stability_dynamics"), "block", None)
    monkeypatch.setattr(benchmark("stability_dynamics"), "equilibrate", None)
    assert simulate("hot", 2) == before
    assert simulate("hot", 1) == before


@pytest.mark.parametrize("part", ["hot", "nve"])
def test_a_blow_up_at_the_start_is_in_the_table(simulate, benchmark, monkeypatch, tmp_path, part):
    monkeypatch.setattr(benchmark("stability_dynamics"), "timestep_for", lambda _: 200.0)
    record = simulate(part, 2)
    assert record["done_ps"] == 0
    page = benchmark("stability_table").table(tmp_path)
    assert "**blew up** after 0 ps" in page
    assert "no, after 0 whole ps: The simulation of Cu" in page
    monkeypatch.setattr(benchmark("stability_dynamics"), "equilibrate", None)
    assert simulate(part, 2) == record


def test_the_table_of_some_parts_names_the_others(simulate, benchmark, tmp_path):
    simulate("squeezed", 1)
    (tmp_path / ".cu_Cu_hot-1234abcd.json").write_text('{"half": ')
    (tmp_path / "notes.json").write_text("[]")
    page = benchmark("stability_table").table(tmp_path)
    short = next(line for line in page.splitlines() if line.startswith("| cu | Cu |"))
    assert short == "| cu | Cu | not run | not run | alive (1 ps) | not run | not run |"
    assert page.endswith("Left out: notes.json.")


def test_results_of_other_weights_are_left_out(simulate, benchmark, tmp_path):
    record = simulate("cold", 1)
    record["calculator"]["sha256"] = "0" * 64
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert "cu | Cu cold (other weights)" in benchmark("stability_table").table(tmp_path)
    assert simulate("cold", 1)["calculator"]["sha256"] != "0" * 64


def test_an_empty_folder_has_no_table(benchmark, tmp_path):
    with pytest.raises(SystemExit, match="No results in"):
        benchmark("stability_table").table(tmp_path)


@pytest.mark.parametrize(
    ("slope", "said"),
    [((0.1, 0.2), "below 1"), ((0.9, 0.2), "undecided"), ((-1.5, 0.2), r"\*\*drifts\*\*")],
)
def test_the_verdict_on_a_slope_takes_its_error_into_account(benchmark, slope, said):
    record = {"drift_mev_per_atom_per_ns": slope}
    text = benchmark("stability_table").drift_verdict(record)
    assert text.startswith(said.replace("\\", ""))


def test_a_model_in_a_folder_is_called_by_its_name(benchmark, tmp_path):
    place = benchmark("stability_records").place
    assert place(tmp_path / "out", str(tmp_path / "mine"), "Cu", "hot").parent == tmp_path / "out"


def test_the_closest_pair_is_found_however_far_apart(benchmark):
    stretched = bulk("Cu", a=12.0)
    closest = benchmark("stability_dynamics").closest_pair(stretched)
    assert closest == pytest.approx(12 / np.sqrt(2))
