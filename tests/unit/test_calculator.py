"""The base calculator: a known potential in torch gives what ASE's own code gives."""

import copy
import gc
import multiprocessing
import pickle
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.morse import MorsePotential
from ase.db import connect
from ase.filters import FrechetCellFilter
from ase.io import read, write
from ase.md.nose_hoover_chain import MTKNPT
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS

import scatterml_ase.calculator
import scatterml_ase.verlet
from scatterml_ase.calculator import TorchCalculator
from scatterml_ase.errors import InputError, ModelError
from scatterml_ase.potential.calculator import PotentialCalculator
from scatterml_ase.protocols import SupportsEvaluate
from scatterml_ase.store import save_model
from scatterml_ase.testing import structure_kinds

KINDS = structure_kinds("Si")
STRESSED = [kind for kind, atoms in KINDS.items() if atoms.pbc.any() and atoms.cell.rank == 3]


@pytest.fixture
def calculator(morse_model):
    return TorchCalculator(morse_model)


@pytest.fixture
def silicon(calculator):
    atoms = KINDS["crystal"].copy()
    atoms.calc = calculator
    return atoms


# -- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_morse_potential_in_torch_is_the_one_of_ase(kind, calculator, morse_parameters):
    ours, theirs = KINDS[kind].copy(), KINDS[kind].copy()
    ours.calc, theirs.calc = calculator, MorsePotential(**morse_parameters)
    assert ours.get_potential_energy() == pytest.approx(theirs.get_potential_energy(), abs=1e-11)
    np.testing.assert_allclose(ours.get_forces(), theirs.get_forces(), atol=1e-11)
    energies = ours.get_potential_energies(), theirs.get_potential_energies()
    np.testing.assert_allclose(*energies, atol=1e-11)
    if kind in STRESSED:
        np.testing.assert_allclose(ours.get_stress(), theirs.get_stress(), atol=1e-12)


def test_a_batch_of_different_sizes_gives_what_each_structure_gives_alone(calculator):
    images = list(KINDS.values())
    assert isinstance(calculator, SupportsEvaluate)
    for atoms, result in zip(images, calculator.evaluate(images), strict=True):
        (alone,) = calculator.evaluate([atoms])
        assert set(result) == set(alone)
        for name, value in result.items():
            np.testing.assert_allclose(value, alone[name], atol=1e-12)


def test_splitting_a_batch_changes_nothing(calculator):
    images = list(KINDS.values())
    whole = calculator.evaluate(images)
    calculator.max_edges = 100
    assert len(list(calculator._batches(images))) > 5
    for split, together in zip(calculator.evaluate(images), whole, strict=True):
        np.testing.assert_allclose(split["forces"], together["forces"], atol=1e-12)


def test_an_empty_list_of_structures_has_no_results(calculator):
    assert calculator.evaluate([]) == []


def test_results_have_names_shapes_and_types_of_ase(silicon):
    silicon.get_forces()
    results = silicon.calc.results
    assert set(results) == {"energy", "free_energy", "energies", "forces", "stress"}
    assert type(results["energy"]) is type(results["free_energy"]) is float
    shapes = {name: results[name].shape for name in ("energies", "forces", "stress")}
    assert shapes == {"energies": (8,), "forces": (8, 3), "stress": (6,)}
    assert all(results[name].dtype == np.float64 for name in shapes)


def test_a_crystal_moved_by_a_kilometre_keeps_its_float32_forces(random_potential):
    """Edge vectors are made in float64: the model never sees large coordinates."""
    calculator = TorchCalculator(random_potential, dtype="float32")
    near, far = KINDS["crystal"].copy(), KINDS["crystal"].copy()
    far.translate([1000.0, -1000.0, 500.0])
    first, second = calculator.evaluate([near, far])
    np.testing.assert_allclose(first["forces"], second["forces"], atol=2e-5)


def test_float32_is_float64_to_single_precision(random_potential):
    atoms = KINDS["crystal"]
    (double,) = TorchCalculator(random_potential).evaluate([atoms])
    (single,) = TorchCalculator(random_potential, dtype="float32").evaluate([atoms])
    assert single["forces"].dtype == np.float64
    difference = np.abs(single["forces"] - double["forces"]).max()
    assert 0 < difference < 1e-4 * np.abs(double["forces"]).max()


# -- life with ASE --------------------------------------------------------------------------------


def test_the_surroundings_of_torch_do_not_matter(silicon, morse_model):
    expected = silicon.get_forces()
    for surroundings in (torch.no_grad(), torch.inference_mode(), torch.enable_grad()):
        with surroundings:
            fresh = TorchCalculator(copy.deepcopy(morse_model))
            np.testing.assert_array_equal(fresh.get_forces(silicon), expected)


def test_no_graph_of_autograd_survives_a_calculation(silicon, morse_model):
    silicon.get_forces()
    assert morse_model.depth.grad is None
    held = vars(silicon.calc).values()
    assert not any(isinstance(value, torch.Tensor) for value in held)


def test_nothing_is_computed_twice_for_the_same_positions(silicon, monkeypatch):
    calls = []
    evaluate = silicon.calc.evaluate
    monkeypatch.setattr(silicon.calc, "evaluate", lambda *a: calls.append(a) or evaluate(*a))
    silicon.get_forces()
    silicon.get_potential_energy()
    silicon.get_stress()
    silicon.get_potential_energies()
    assert len(calls) == 1
    silicon.positions[0, 0] += 1e-6
    silicon.get_forces()
    assert len(calls) == 2


def test_an_error_leaves_no_stale_results(silicon):
    silicon.get_forces()
    good = silicon.positions.copy()
    silicon.positions[0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        silicon.get_forces()
    assert silicon.calc.results == {}
    silicon.positions = good
    assert np.isfinite(silicon.get_forces()).all()


def test_copies_and_pickles_are_independent_calculators_with_the_same_numbers(silicon):
    expected = silicon.get_forces()
    for twin in (copy.deepcopy(silicon.calc), pickle.loads(pickle.dumps(silicon.calc))):
        assert twin.model is not silicon.calc.model
        with torch.no_grad():
            twin.model.depth *= 2
        np.testing.assert_allclose(twin.get_forces(KINDS["crystal"].copy()), expected)  # cached
        twin.reset()
        np.testing.assert_allclose(twin.get_forces(KINDS["crystal"]), 2 * expected)
    silicon.calc.reset()
    np.testing.assert_array_equal(silicon.get_forces(), expected)


def test_two_calculators_share_a_model_and_not_their_results(morse_model):
    first, second = TorchCalculator(morse_model), TorchCalculator(morse_model)
    assert first.model is second.model is morse_model
    one, other = KINDS["crystal"].copy(), KINDS["molecule without a cell"].copy()
    one.calc, other.calc = first, second
    before = one.get_forces()
    other.get_forces()
    np.testing.assert_array_equal(one.get_forces(), before)


def test_a_model_of_another_dtype_or_in_training_is_copied_not_changed(morse_model):
    TorchCalculator(morse_model, dtype="float32")
    assert morse_model.depth.dtype == torch.float64
    morse_model.train()
    calculator = TorchCalculator(morse_model)
    assert morse_model.training and not calculator.model.training


def test_threads_with_calculators_of_their_own_share_a_model(random_potential):
    atoms = KINDS["crystal"]
    expected = TorchCalculator(random_potential).evaluate([atoms])[0]["forces"]
    found = {}

    def work(k):
        found[k] = TorchCalculator(random_potential).evaluate([atoms])[0]["forces"]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for forces in found.values():
        np.testing.assert_allclose(forces, expected, atol=1e-12)


def test_threads_may_share_a_calculator(random_potential):
    """They wait for each other, and each gets the forces of its own structure."""
    kinds = ("crystal", "triclinic", "molecule without a cell")
    expected = {
        kind: TorchCalculator(random_potential).get_forces(KINDS[kind].copy()) for kind in kinds
    }
    shared, wrong = TorchCalculator(random_potential), []

    def work(kind):
        atoms = KINDS[kind].copy()
        atoms.calc = shared
        for _ in range(8):
            forces = atoms.get_forces()
            if forces.shape != (len(atoms), 3) or abs(forces - expected[kind]).max() > 1e-12:
                wrong.append(kind)

    threads = [threading.Thread(target=work, args=(kind,)) for kind in kinds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_nothing_is_left_behind_by_many_calculations(calculator):
    atoms, random = KINDS["crystal"].copy(), np.random.default_rng(1)
    atoms.calc = calculator

    def tensors():
        gc.collect()
        return sum(type(thing) is torch.Tensor for thing in gc.get_objects())

    counts = []
    for _ in range(3):
        for _ in range(100):
            atoms.positions += random.normal(scale=0.01, size=atoms.positions.shape)
            atoms.get_forces()
        counts.append(tensors())
    assert counts[0] == counts[1] == counts[2]


def test_copies_of_atoms_carry_a_calculator_of_their_own(silicon):
    expected = silicon.get_forces()
    for twin in (copy.deepcopy(silicon), pickle.loads(pickle.dumps(silicon))):
        assert twin.calc is not silicon.calc and twin.calc.todict() == silicon.calc.todict()
        twin.positions[0] += 0.1
        assert np.abs(twin.get_forces() - expected).max() > 1e-3
    np.testing.assert_array_equal(silicon.get_forces(), expected)


def test_a_pickle_holds_no_neighbours(calculator):
    before = len(pickle.dumps(calculator))
    calculator.evaluate([bulk("Si").repeat(3)])
    assert len(pickle.dumps(calculator)) == before


def test_worker_processes_compute_with_a_pickled_calculator(random_potential):
    calculator = TorchCalculator(random_potential)
    images = [KINDS["crystal"], KINDS["molecule without a cell"]]
    expected = [calculator.evaluate([atoms])[0]["energy"] for atoms in images]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.map(calculator.get_potential_energy, images)
    assert found == pytest.approx(expected, abs=1e-10)


def test_trajectory_and_database_know_what_made_them(tmp_path, random_potential):
    save_model(random_potential, tmp_path / "sic", {"task": "potential"})
    atoms = KINDS["crystal"].copy()
    atoms.calc = PotentialCalculator(tmp_path / "sic")
    forces = atoms.get_forces()
    options = atoms.calc.todict()
    assert options["model"] == "sic" and len(options["sha256"]) == 64
    assert options["dtype"] == "float64" and options["device"] == "cpu"
    assert options["skin"] == 0.5
    write(tmp_path / "run.traj", atoms)
    np.testing.assert_array_equal(read(tmp_path / "run.traj").get_forces(), forces)
    with connect(tmp_path / "runs.json") as database:
        database.write(atoms)
    assert connect(tmp_path / "runs.json").get(1).calculator_parameters == options


def test_an_optimizer_and_verlet_dynamics_run(calculator):
    atoms = Atoms("Si2", positions=[[0, 0, 0], [2.6, 0, 0]])
    atoms.calc = calculator
    BFGS(atoms, logfile=None).run(fmax=1e-6)
    assert atoms.get_distance(0, 1) == pytest.approx(2.3, abs=1e-5)  # the bond of the model
    atoms.rattle(0.02, seed=1)
    start = atoms.get_total_energy()
    VelocityVerlet(atoms, timestep=0.02).run(50)
    assert atoms.get_total_energy() == pytest.approx(start, abs=1e-5)


def test_the_repr_says_what_the_calculator_holds(calculator, tmp_path, random_potential):
    assert repr(calculator) == "TorchCalculator(MorseModel, cutoff=5.4 Å, 1 parameters)"
    save_model(random_potential, tmp_path / "sic", {"task": "potential"})
    assert repr(PotentialCalculator(tmp_path / "sic")).startswith(
        "PotentialCalculator(sic, cutoff=5.0 Å, "
    )


def test_the_shared_list_of_ase_is_not_extended():
    from ase.calculators.calculator import Calculator

    assert Calculator.implemented_properties == []
    assert "stress" in TorchCalculator.implemented_properties


# -- energies alone -------------------------------------------------------------------------------


@pytest.fixture
def evaluations(monkeypatch):
    """One entry per call of the model: whether it was differentiated."""
    found, evaluate = [], scatterml_ase.calculator.energies_forces_stress

    def listening(model, graph, **options):
        found.append(options["derivatives"])
        return evaluate(model, graph, **options)

    monkeypatch.setattr(scatterml_ase.calculator, "energies_forces_stress", listening)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_energies_alone_are_the_same_and_come_without_derivatives(kind, calculator, evaluations):
    atoms = KINDS[kind]
    (full,) = calculator.evaluate([atoms])
    (alone,) = calculator.evaluate([atoms], ["energy", "energies"])
    assert evaluations == [True, False]
    assert set(alone) == {"energy", "free_energy", "energies"}
    assert alone["energy"] == pytest.approx(full["energy"], abs=1e-12)
    np.testing.assert_allclose(alone["energies"], full["energies"], atol=1e-12)
    assert calculator.evaluate([atoms], "energy")[0]["energy"] == alone["energy"]


def test_forces_after_an_energy_are_computed_and_the_energy_stays(silicon, evaluations):
    energy = silicon.get_potential_energy()
    assert set(silicon.calc.results) == {"energy", "free_energy", "energies"}
    assert silicon.calc.get_property("forces", silicon, allow_calculation=False) is None
    forces, stress = silicon.get_forces(), silicon.get_stress()
    assert evaluations == [False, True]
    assert np.isfinite(forces).all() and np.isfinite(stress).all()
    assert silicon.get_potential_energy() == energy
    assert len(evaluations) == 2


def test_calculate_gives_what_is_asked_for_like_calculators_of_ase(silicon, evaluations):
    silicon.calc.calculate(silicon, ["energy", "forces"])
    assert {"energy", "forces"} <= set(silicon.calc.results)
    silicon.calc.calculate(silicon, ["free_energy"])
    assert "forces" not in silicon.calc.results
    assert silicon.calc.calculate_properties(silicon, ["stress"])["stress"].shape == (6,)
    assert evaluations == [True, False, True]


def test_dynamics_and_optimizers_pay_once_per_step(silicon, evaluations):
    dynamics = VelocityVerlet(silicon, timestep=0.1)
    dynamics.attach(lambda: (silicon.get_total_energy(), silicon.get_stress()), interval=1)
    dynamics.run(5)
    assert evaluations == [True] * 6
    BFGS(FrechetCellFilter(silicon), logfile=None).run(fmax=1e-9, steps=5)
    assert evaluations == [True] * 11  # the start of the optimizer is known


def test_charges_and_moments_are_none_of_its_business(silicon, evaluations):
    silicon.get_forces()
    silicon.set_initial_magnetic_moments(np.ones(len(silicon)))
    silicon.set_initial_charges(np.ones(len(silicon)))
    silicon.get_forces()
    assert len(evaluations) == 1


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in STRESSED])
def test_stress_without_a_periodic_cell_is_refused_and_forces_are_not(kind, calculator):
    atoms = KINDS[kind].copy()
    atoms.calc = calculator
    assert atoms.get_forces().shape == (len(atoms), 3)
    with pytest.raises(PropertyNotImplementedError, match=r"not present|no stress"):
        atoms.get_stress()
    with pytest.raises(PropertyNotImplementedError, match=r"no stress.*Set a cell"):
        calculator.evaluate([atoms], properties=["stress"])


def test_an_unknown_property_is_refused(calculator):
    with pytest.raises(PropertyNotImplementedError, match=r"no property 'dipole'.*energy"):
        calculator.evaluate([bulk("Si")], properties=["dipole"])


def test_unknown_species_are_named_with_the_known_ones(calculator):
    atoms = molecule("CH3OH")
    with pytest.raises(ModelError, match=r"^H, O is not in model 'MorseModel'.*knows C, Si"):
        calculator.get_forces(atoms)


def test_nothing_is_computed_when_one_of_many_structures_is_unknown(calculator, monkeypatch):
    monkeypatch.setattr("scatterml_ase.calculator.energies_forces_stress", pytest.fail)
    with pytest.raises(ModelError, match="Fe is not in"):
        calculator.evaluate([bulk("Si"), bulk("Fe")])


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms("Si", positions=[[np.nan, 0, 0]]), "NaN or infinite"),
        (Atoms("Si", positions=[[0, 0, 0]], pbc=True), "PBC is on, but"),
        (Atoms(), "no atoms"),
        (Atoms("SiC", positions=[[1, 1, 1], [1, 1, 1.001]]), r"Atoms 0 \(Si\) and 1 \(C\)"),
    ],
)
def test_bad_structures_are_refused_before_any_computation(atoms, message, calculator, monkeypatch):
    monkeypatch.setattr("scatterml_ase.calculator.energies_forces_stress", pytest.fail)
    with pytest.raises(InputError, match=message):
        calculator.get_potential_energy(atoms)


def test_a_model_that_overflows_gives_an_error_and_no_nan(morse_model):
    with torch.no_grad():
        morse_model.depth.fill_(np.inf)
    with pytest.raises(InputError, match="not finite"):
        TorchCalculator(morse_model).get_forces(bulk("Si"))


def test_options_are_fixed_when_the_calculator_is_made(calculator):
    with pytest.raises(InputError, match=r"cannot be changed.*Make a new TorchCalculator"):
        calculator.set(dtype="float32")
    with pytest.raises(ModelError, match="dtype 'float16' is not supported"):
        TorchCalculator(calculator.model, dtype="float16")


def test_the_error_for_unknown_species_names_a_model_that_covers_them(
    tmp_path, monkeypatch, random_potential
):
    monkeypatch.setattr("scatterml_ase.store.models_directory", lambda: tmp_path)
    save_model(random_potential, tmp_path / "sic", {"task": "potential"})
    config = replace(
        random_potential.config,
        species=(14,),
        reference_energies=(),
        binding_energies=(),
        rest_densities=(),
        contact_scales=(),
    )
    save_model(type(random_potential)(config), tmp_path / "si", {"task": "potential"})
    calculator = PotentialCalculator("si")
    with pytest.raises(ModelError, match=r"C is not in model 'si'.*PotentialCalculator\('sic'\)"):
        calculator.get_forces(bulk("SiC", "zincblende", a=4.36))
    with pytest.raises(ModelError, match=r"no shipped model covers all elements.*Pass another"):
        calculator.get_forces(bulk("GaAs", "zincblende", a=5.65))


@pytest.mark.parametrize("device", ["banana", "cuda:99"])
def test_a_device_that_is_not_there_is_an_explained_error(morse_model, device):
    with pytest.raises(ModelError, match=rf"Device '{device}' cannot be used.*device='cpu'"):
        TorchCalculator(morse_model, device=device)


@pytest.mark.parametrize(
    ("about", "problem"),
    [
        ({"task": "potential", "units": {"energy": "kcal/mol"}}, "kcal/mol"),
        ({"task": "dos"}, "its task is 'dos'"),
    ],
)
def test_a_model_of_something_else_is_no_potential(tmp_path, random_potential, about, problem):
    save_model(random_potential, tmp_path / "odd", about)
    with pytest.raises(ModelError, match=rf"'odd' is not for PotentialCalculator.*{problem}"):
        PotentialCalculator(tmp_path / "odd")


@pytest.fixture
def searches(monkeypatch):
    """Structures whose neighbours were searched."""
    found, search = [], scatterml_ase.verlet.neighbours

    def listening(atoms, cutoff):
        found.append(atoms)
        return search(atoms, cutoff)

    monkeypatch.setattr(scatterml_ase.verlet, "neighbours", listening)
    return found


def test_neighbours_are_searched_at_most_once_per_structure(calculator, searches):
    calculator.evaluate([KINDS["crystal"], KINDS["wire"], KINDS["molecule without a cell"]])
    assert len(searches) == 3


def test_images_of_one_structure_share_their_neighbours(calculator, searches):
    images = [KINDS["crystal"].copy() for _ in range(10)]
    for k, atoms in enumerate(images):
        atoms.rattle(0.01, seed=k)
    together = calculator.evaluate(images)
    assert len(searches) == 2  # the second shows that a skin is worth its price
    for atoms, result in zip(images, together, strict=True):
        (alone,) = TorchCalculator(calculator.model, skin=0.0).evaluate([atoms])
        np.testing.assert_allclose(result["forces"], alone["forces"], atol=1e-13)


def test_a_trajectory_is_the_same_with_and_without_a_skin(morse_model):
    """To the last bit, with a cell that moves, and atoms that are wrapped on the way."""
    ends = {}
    for skin in (0.0, 0.4):
        atoms = KINDS["triclinic"].copy()
        atoms.calc = TorchCalculator(morse_model, skin=skin)
        atoms.set_momenta(np.random.default_rng(2).normal(scale=2.0, size=(len(atoms), 3)))
        dynamics = MTKNPT(atoms, 0.1, temperature_K=500, pressure_au=0.01, tdamp=5.0, pdamp=20.0)
        dynamics.attach(atoms.wrap, interval=7)
        dynamics.run(40)
        ends[skin] = np.concatenate([atoms.positions, atoms.cell.array, atoms.get_forces()])
    np.testing.assert_array_equal(ends[0.0], ends[0.4])


def test_a_skin_is_a_length(morse_model):
    with pytest.raises(InputError, match=r"The skin is -1"):
        TorchCalculator(morse_model, skin=-1)


def test_a_slab_whose_free_vector_spans_no_volume_has_no_stress(calculator):
    atoms = KINDS["slab with a zero vector"].copy()
    atoms.cell[2] = atoms.cell[0]
    with pytest.raises(PropertyNotImplementedError, match="encloses no volume"):
        calculator.evaluate([atoms], ["stress"])
    assert "stress" not in calculator.evaluate([atoms])[0]


def test_a_calculator_needs_neither_torch_geometric_nor_a_tree():
    """They take longer to import than most calculations."""
    code = "import sys, scatterml_ase.graph, scatterml_ase.verlet; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch_geometric", "scipy.spatial"} & set(done.stdout.split())
