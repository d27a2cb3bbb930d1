"""Committees: members that are potentials, sharing one forward pass."""

import dataclasses
import json
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator
from safetensors.torch import load_file

from scatterml_ase import CommitteeCalculator, PotentialCalculator, StopOnExtrapolation
from scatterml_ase.card import read_card
from scatterml_ase.companions import save_companion
from scatterml_ase.errors import InputError, ModelError
from scatterml_ase.graph import edge_vectors, graph_from_atoms
from scatterml_ase.phonons.provenance import describe_calculator
from scatterml_ase.potential import committee as committee_module
from scatterml_ase.potential.extrapolation import ExtrapolationMeasure
from scatterml_ase.potential.features import FeatureReader
from scatterml_ase.potential.members import LastLayerCommittee, deviations
from scatterml_ase.potential.model import E3NNPotential
from scatterml_ase.protocols import SupportsExtrapolation, SupportsMembers, SupportsSpread
from scatterml_ase.store import save_model
from scatterml_ase.testing import check_calculator

ASE_NAMES = {"energy", "free_energy", "energies", "forces", "stress"}
UNCERTAIN = ("energy_spread", "force_spread", "extrapolation")


def carbide(seed: int = 0) -> Atoms:
    atoms = bulk("SiC", "zincblende", a=4.36, cubic=True)
    atoms.rattle(0.05, seed=seed)
    return atoms


def features_of(model, atoms):
    graph = graph_from_atoms(atoms, model.config.cutoff)
    reader = FeatureReader(model)
    return reader, reader(edge_vectors(graph), graph.edge_index, graph.numbers)


def potential(**options) -> E3NNPotential:
    """Make a tiny potential with random weights, of one layer unless told otherwise."""
    config = {"species": (6, 14), "channels": 3, "l_max": 1, "correlation": 3}
    config |= {"n_basis": 4, "readout_hidden": (5,), "energy_scale": 0.1, **options}
    with torch.random.fork_rng():
        torch.manual_seed(len(options) + 7)
        return E3NNPotential(E3NNPotential.Config(**config)).double().eval()


def give_committee(folder, model, *, members: int = 4, size: float = 0.05, factor: float = 2.0):
    """Save a model with a random committee and a measure of rattled crystals."""
    save_model(model, folder, {"task": "potential"})
    reader = FeatureReader(model)
    generator = torch.Generator().manual_seed(1)
    deltas = size * torch.randn(members, len(reader.weights), generator=generator)
    crystals = [carbide(seed) for seed in range(12)]
    invariants = torch.cat([features_of(model, atoms)[1].invariants for atoms in crystals])
    numbers = torch.tensor(np.concatenate([atoms.numbers for atoms in crystals]))
    measure = ExtrapolationMeasure.fit({z: invariants[numbers == z].detach() for z in (6, 14)})
    tensors = {"members": deltas, "energy_factor": torch.tensor(factor), **measure.to_tensors()}
    save_companion(folder, "committee", tensors, {"members": members})
    return folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return give_committee(tmp_path_factory.mktemp("models") / "toy", potential(layers=2))


@pytest.fixture
def folder(shared, tmp_path):
    """Return a model with a committee, to be changed at will."""
    return Path(shutil.copytree(shared, tmp_path / "toy"))


@pytest.mark.parametrize("options", [{}, {"readout_hidden": ()}, {"layers": 2}], ids=str)
def test_the_network_is_linear_in_the_last_layer(options):
    model = potential(**options)
    reader, features = features_of(model, carbide())
    assert torch.allclose(features.network, features.last_layer @ reader.weights, atol=1e-12)
    graph = graph_from_atoms(carbide(), model.config.cutoff)
    energies = model(edge_vectors(graph), graph.edge_index, graph.numbers)
    assert torch.equal(features.energies, energies)


def test_a_reader_shares_the_weights_and_leaves_the_model_alone(random_potential):
    reader, before = features_of(random_potential, carbide())
    hooks = [h for m in random_potential.modules() for h in m._forward_pre_hooks.values()]
    assert not hooks
    shared = {id(p) for p in random_potential.parameters()}
    assert {id(p) for p in reader.parameters()} == shared
    with torch.no_grad():
        random_potential.layers[1].readout.linear.weight.mul_(2)
    graph = graph_from_atoms(carbide(), random_potential.config.cutoff)
    after = reader(edge_vectors(graph), graph.edge_index, graph.numbers)
    assert not torch.allclose(before.network, after.network)
    assert torch.equal(before.invariants, after.invariants)


@pytest.mark.parametrize(
    "options", [{}, {"layers": 2}, {"energy_floor": 0.3, "energy_scale": 1.0}], ids=str
)
def test_each_member_is_a_potential_of_its_own(options, tmp_path):
    """One shared pass gives what each member gives alone, where the energy is bent too."""
    model = potential(**options)
    calculator = CommitteeCalculator(give_committee(tmp_path / "m", model, size=0.3))
    atoms = carbide()
    energy, forces = atoms.get_potential_energy, atoms.get_forces
    atoms.calc = calculator
    centre = energy(), forces()
    apart = []
    for member in calculator.members:
        atoms.calc = member
        apart.append((energy() - centre[0], forces() - centre[1]))
    energy_spread = np.sqrt(np.mean([e**2 for e, _ in apart]))
    force_spread = np.sqrt(np.mean([f**2 for _, f in apart], axis=(0, 2)))
    assert energy_spread > 1e-2
    assert calculator.get_energy_spread(atoms) == pytest.approx(2.0 * energy_spread, rel=1e-6)
    assert np.allclose(calculator.get_force_spread(atoms), force_spread, rtol=1e-6)
    if "energy_floor" in options:  # else the case would not test the bend
        _, features = features_of(model, atoms)
        assert float(features.network.detach().min()) < -model.config.energy_floor / 2


def test_energy_and_forces_are_those_of_the_model(folder):
    plain, atoms = PotentialCalculator(folder), carbide()
    calculator = CommitteeCalculator(folder)
    expected, found = plain.evaluate([atoms])[0], calculator.evaluate([atoms])[0]
    assert set(found) == set(expected) == ASE_NAMES
    assert all(np.array_equal(found[name], expected[name]) for name in ASE_NAMES)
    atoms.calc = calculator
    atoms.get_forces()
    assert set(calculator.results) <= ASE_NAMES
    for kind in (SupportsMembers, SupportsSpread, SupportsExtrapolation):
        assert isinstance(calculator, kind) and not isinstance(Calculator(), kind)


def test_the_calculator_keeps_the_contract(folder):
    check_calculator(CommitteeCalculator(folder), carbide())


def test_spreads_are_computed_once_and_only_when_asked(folder, monkeypatch):
    calls = []
    original = committee_module.disagreement
    monkeypatch.setattr(
        committee_module, "disagreement", lambda *a: calls.append(1) or original(*a)
    )
    atoms = carbide()
    atoms.calc = calculator = CommitteeCalculator(folder)
    atoms.get_forces()
    assert not calls
    first = calculator.get_force_spread()
    first[:] = -1.0  # a copy: the next answer is unharmed
    assert calculator.get_energy_spread(atoms) > 0 < calculator.get_force_spread(atoms).min()
    assert len(calls) == 1
    atoms.positions[0] += 1e-9
    calculator.get_force_spread(atoms)
    assert len(calls) == 2


def test_asking_before_anything_was_computed_is_explained(folder):
    with pytest.raises(InputError, match="nothing was computed yet"):
        CommitteeCalculator(folder).get_force_spread()


def test_what_is_no_structure_is_refused_and_harms_nothing(folder):
    calculator = CommitteeCalculator(folder)
    for wrong in ([carbide()], "SiC"):
        with pytest.raises(InputError, match=r"Expected ase\.Atoms"):
            calculator.get_force_spread(wrong)
    assert calculator.get_force_spread(carbide()).shape == (8,)


def test_threads_may_share_a_committee(folder):
    """Whether they ask about one structure or evaluate lists."""
    calculator, images = CommitteeCalculator(folder), [carbide(seed) for seed in range(4)]
    expected = calculator.evaluate(images, UNCERTAIN)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda a: calculator.evaluate([a], UNCERTAIN)[0], images * 5))
    for result, one in zip(found, expected * 5, strict=True):
        assert all(np.allclose(result[name], one[name]) for name in UNCERTAIN)


def test_forces_are_not_computed_for_who_asks_for_the_spread_alone(folder):
    (result,) = CommitteeCalculator(folder).evaluate([carbide()], ("energy_spread",))
    assert set(result) == {"energy", "free_energy", "energies", "energy_spread"}


def test_members_say_whose_they_are_and_keep_the_options(folder):
    calculator = CommitteeCalculator(folder, dtype="float32", skin=0.25)
    for number, member in enumerate(calculator.members):
        said = member.todict()
        assert (said["model"], said["member"]) == ("toy", number)
        assert said["sha256"] == calculator.todict()["sha256"]
        assert (said["skin"], said["dtype"]) == (0.25, "float32")
        described = describe_calculator(member)
        assert (described["model"], described["member"]) == ("toy", str(number))


def test_a_committee_of_one_member_spreads_as_that_member_deviates(tmp_path):
    calculator = CommitteeCalculator(give_committee(tmp_path / "m", potential(), members=1))
    atoms, (member,) = carbide(), calculator.members
    energies = [c.evaluate([atoms], ("energy",))[0]["energy"] for c in (calculator, member)]
    expected = 2.0 * abs(energies[1] - energies[0])
    assert calculator.get_energy_spread(atoms) == pytest.approx(expected, rel=1e-6)


def test_many_structures_in_one_batch(folder):
    calculator = CommitteeCalculator(folder)
    images = [carbide(), molecule("CH4")[:1], carbide(3) * (2, 1, 1)]
    together = calculator.evaluate(images, ("energy", *UNCERTAIN))
    for atoms, result in zip(images, together, strict=True):
        assert result["energy_spread"] == pytest.approx(calculator.get_energy_spread(atoms))
        assert np.allclose(result["force_spread"], calculator.get_force_spread(atoms))
        assert np.allclose(result["extrapolation"], calculator.get_extrapolation(atoms))
        assert result["force_spread"].shape == result["extrapolation"].shape == (len(atoms),)


def test_uncertainty_knows_no_direction_no_order_and_no_cell_choice(folder):
    calculator, atoms = CommitteeCalculator(folder), carbide()
    names = ("energy_spread", "force_spread", "extrapolation")
    turned, double = atoms.copy(), atoms * (2, 1, 1)
    turned.rotate(37, (1, 2, 3), rotate_cell=True)
    order = np.random.default_rng(0).permutation(len(atoms))
    one, two, three, shuffled = calculator.evaluate([atoms, turned, double, atoms[order]], names)
    for name in names:
        assert np.allclose(two[name], one[name])
    assert three["energy_spread"] == pytest.approx(2 * one["energy_spread"])
    for name in names[1:]:
        assert np.allclose(three[name], np.tile(one[name], 2))
        assert np.allclose(shuffled[name], one[name][order])


def test_a_free_atom_is_certain_and_far_from_the_training_set(folder):
    calculator, atom = CommitteeCalculator(folder), Atoms("Si")
    assert calculator.get_energy_spread(atom) == 0.0
    assert calculator.get_force_spread(atom) == pytest.approx([0.0])
    assert calculator.get_extrapolation(atom)[0] > 2 * calculator.get_extrapolation(carbide()).max()


def test_single_precision_and_inference_mode_agree(folder):
    double, single = CommitteeCalculator(folder), CommitteeCalculator(folder, dtype="float32")
    with torch.inference_mode():
        narrow = single.evaluate([carbide()], UNCERTAIN)[0]
    wide = double.evaluate([carbide()], UNCERTAIN)[0]
    for name in UNCERTAIN:
        assert np.allclose(narrow[name], wide[name], rtol=2e-3)


def test_a_committee_survives_pickling(folder):
    calculator = CommitteeCalculator(folder)
    twin = pickle.loads(pickle.dumps(calculator))
    assert np.array_equal(twin.get_force_spread(carbide()), calculator.get_force_spread(carbide()))
    assert twin.todict()["committee"] == 4


# -- independent models -------------------------------------------------------------------------


def test_independent_models_share_one_neighbour_list(tmp_path):
    """The mean and the sample deviation, each model within its own cutoff."""
    models = [potential(cutoff=4.0), potential(cutoff=5.0, channels=4), potential(layers=2)]
    calculator = CommitteeCalculator(models)
    assert calculator.cutoff == 5.0
    atoms = carbide()
    alone = [PotentialCalculator(model).evaluate([atoms])[0] for model in models]
    found = calculator.evaluate([atoms], (*ASE_NAMES, "energy_spread", "force_spread"))[0]
    for name in ASE_NAMES:
        mean = np.mean([result[name] for result in alone], axis=0)
        assert np.allclose(found[name], mean, atol=1e-10)
    forces = np.array([result["forces"] for result in alone])
    energies = [result["energy"] for result in alone]
    assert found["energy_spread"] == pytest.approx(np.std(energies, ddof=1))
    expected = np.sqrt(forces.var(axis=0, ddof=1).mean(axis=1))
    assert np.allclose(found["force_spread"], expected)
    assert [m.cutoff for m in calculator.members] == [4.0, 5.0, 5.0]


def test_independent_models_must_be_several_with_a_common_species():
    with pytest.raises(InputError, match="one cannot disagree"):
        CommitteeCalculator([potential()])
    with pytest.raises(InputError, match="no species in common"):
        CommitteeCalculator([potential(species=(6,)), potential(species=(14,))])
    both = CommitteeCalculator([potential(), potential(species=(14, 29))])
    assert both.species == (14,)


def test_a_mean_of_models_tells_its_images_apart_when_all_tell_how_far_they_see(morse_model):
    models = [potential(cutoff=3.0), potential(cutoff=3.4, layers=2)]
    calculator = CommitteeCalculator(models)
    assert calculator.interaction_range == 2 * 2 * 3.4
    atoms = bulk("SiC", "zincblende", a=4.36)
    atoms.rattle(0.05, seed=1)
    found, *alone = (
        np.concatenate([blocks[(pairs == [0, other]).all(axis=1)].sum(axis=0) for other in (0, 1)])
        for pairs, _, blocks in (
            one.get_hessian_blocks(atoms) for one in (calculator, *calculator.members)
        )
    )
    np.testing.assert_allclose(found, np.mean(alone, axis=0), atol=1e-9 * np.abs(found).max())
    assert CommitteeCalculator([potential(), morse_model]).interaction_range is None


def test_independent_models_name_themselves(folder):
    calculator = CommitteeCalculator([folder, folder])
    names = calculator.todict()["committee"]
    assert [one["model"] for one in names] == ["toy", "toy"]
    assert all(len(one["sha256"]) == 64 for one in names)
    assert calculator.get_force_spread(carbide()) == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ModelError, match="no extrapolation grade"):
        calculator.get_extrapolation(carbide())
    with pytest.raises(ModelError, match="no extrapolation grade"):
        calculator.evaluate([carbide()], UNCERTAIN)
    watched = carbide()
    watched.calc = calculator
    with pytest.raises(InputError, match="independent models"):
        StopOnExtrapolation(watched)


# -- what can be wrong with the file ------------------------------------------------------------


def test_a_model_without_a_committee_still_works_and_says_how_to_get_one(tmp_path):
    save_model(potential(), tmp_path / "bare", {"task": "potential"})
    PotentialCalculator(tmp_path / "bare").evaluate([carbide()])
    with pytest.raises(ModelError, match="scatterml uncertainty"):
        CommitteeCalculator(tmp_path / "bare")
    with pytest.raises(ModelError, match="not loaded from a folder"):
        CommitteeCalculator(potential())


def test_a_retrained_model_has_no_committee(folder):
    """Saving other weights leaves the old file behind; it does not count."""
    save_model(potential(), folder, {"task": "potential"})
    assert (folder / "committee.safetensors").exists()
    with pytest.raises(ModelError, match="lists no such companion"):
        CommitteeCalculator(folder)


def test_a_committee_of_other_weights_is_refused(folder, tmp_path):
    other = tmp_path / "other"
    save_model(potential(), other, {"task": "potential"})
    (other / "committee.safetensors").write_bytes((folder / "committee.safetensors").read_bytes())
    card = dataclasses.replace(read_card(other), companions=read_card(folder).companions)
    (other / "card.json").write_text(card.to_json(), encoding="utf-8")
    with pytest.raises(ModelError, match="belongs to other weights"):
        CommitteeCalculator(other)


def test_a_card_whose_entry_is_no_entry_is_damaged(folder):
    content = json.loads((folder / "card.json").read_text())
    content["companions"]["committee"] = "yes"
    (folder / "card.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match="holds 'yes' as companion 'committee'"):
        CommitteeCalculator(folder)


@pytest.mark.parametrize(
    "harm", ["cut", "edited", "gone", "sizes", "empty", "factors", "nan", "lacking"]
)
def test_a_damaged_committee_is_refused(folder, harm):
    path = folder / "committee.safetensors"
    content = path.read_bytes()
    if harm in ("sizes", "empty", "factors", "nan", "lacking"):
        tensors = load_file(path)
        tensors |= {
            "sizes": {"members": torch.zeros(2, 3)},
            "empty": {"members": tensors["members"][:0]},
            "factors": {"energy_factor": torch.ones(2)},
            "nan": {"energy_factor": torch.tensor(torch.nan)},
        }.get(harm, {})
        if harm == "lacking":
            del tensors["energy_factor"]
        save_companion(folder, "committee", tensors, {})
    elif harm == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-10] if harm == "cut" else content[:-1] + b"\x01")
    with pytest.raises(ModelError, match="cannot be loaded"):
        CommitteeCalculator(folder)


def test_members_of_the_wrong_length_are_refused(random_potential):
    with pytest.raises(ValueError, match="last layer"):
        LastLayerCommittee(random_potential, torch.zeros(3, 5))


def test_deviations_are_linear_in_small_members(random_potential):
    size = len(FeatureReader(random_potential).weights)
    delta = torch.randn(1, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    graph = graph_from_atoms(carbide(), random_potential.config.cutoff)
    both = LastLayerCommittee(random_potential, torch.cat([1e-4 * delta, -2e-4 * delta]))
    energies, forces, grades = deviations(both, graph)
    assert torch.allclose(-2 * energies[0], energies[1])
    assert torch.allclose(-2 * forces[0], forces[1])
    assert float(forces.abs().max()) > 0
    assert grades is None
