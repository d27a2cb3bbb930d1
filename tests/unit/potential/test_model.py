"""The E3NN potential: configuration, symmetry of the labels, borders, training."""

import copy
import dataclasses
import json
import pickle

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from scatterml_ase.errors import InputError, ModelError
from scatterml_ase.graph import batch_graphs, graph_from_atoms
from scatterml_ase.nn.derivatives import energies_forces_stress
from scatterml_ase.potential.model import E3NNPotential, PotentialConfig

SMALL = PotentialConfig(
    species=(8, 14),
    cutoff=3.5,
    channels=4,
    n_basis=4,
    readout_hidden=(8,),
    average_neighbours=12.0,
    reference_energies=(-1.5, -0.8),
    binding_energies=(-6.0, -5.0),
    energy_scale=0.1,
)
VARIANTS = {
    "one layer": SMALL,
    "pairs only": dataclasses.replace(SMALL, correlation=1, l_max=0, readout_hidden=()),
    "third order": dataclasses.replace(SMALL, correlation=3, l_max=2),
    "scalar messages": dataclasses.replace(SMALL, layers=2, l_max=2),
    "vector messages": dataclasses.replace(SMALL, layers=2, l_max=2, message_l_max=1),
    "no repulsion": dataclasses.replace(SMALL, repulsion=False),
}


def make(config: PotentialConfig, seed: int = 0) -> E3NNPotential:
    torch.manual_seed(seed)
    return E3NNPotential(config).double().eval()


@pytest.fixture(params=VARIANTS)
def model(request) -> E3NNPotential:
    return make(VARIANTS[request.param])


def silica() -> Atoms:
    """Zincblende of O and Si, rattled: two species, no symmetry."""
    atoms = bulk("SiO", "zincblende", a=4.4, cubic=True)
    atoms.rattle(0.15, seed=1)
    return atoms


def evaluate(model, atoms):
    return energies_forces_stress(model, graph_from_atoms(atoms, model.cutoff))


def test_a_free_atom_has_exactly_its_reference_energy(model):
    """Without neighbours nothing else acts, alone or in a batch; no force either."""
    for symbol, energy in (("O", -1.5), ("Si", -0.8)):
        output = evaluate(model, Atoms(symbol))
        assert output.energies.tolist() == [energy]
        assert output.forces.tolist() == [[0.0, 0.0, 0.0]]
    far = evaluate(model, Atoms("OSi", [[0, 0, 0], [3.6, 0, 0]]))
    assert far.energies.tolist() == [-1.5, -0.8]


def test_atoms_that_leave_reach_their_reference_energy_smoothly(model):
    """Just inside the cutoff the energy is that of free atoms."""
    near = evaluate(model, Atoms("OSi", [[0, 0, 0], [3.5 - 1e-4, 0, 0]]))
    assert near.energies.tolist() == pytest.approx([-1.5, -0.8], abs=1e-9)


def test_the_order_of_atoms_does_not_matter(model):
    """Relabelled atoms keep their energies and forces."""
    atoms, order = silica(), np.random.default_rng(0).permutation(8)
    before, after = evaluate(model, atoms), evaluate(model, atoms[order])
    torch.testing.assert_close(after.energies, before.energies[order])
    torch.testing.assert_close(after.forces, before.forces[order], rtol=1e-9, atol=1e-9)


def test_a_batch_is_its_structures_one_by_one(model):
    """Crowded, lonely and isolated atoms side by side."""
    structures = [silica(), Atoms("Si"), Atoms("OSi", [[0, 0, 0], [1.7, 0, 0]]), bulk("Si")]
    graphs = [graph_from_atoms(atoms, model.cutoff) for atoms in structures]
    together = energies_forces_stress(model, batch_graphs(graphs))
    alone = [energies_forces_stress(model, graph) for graph in graphs]
    for name in ("energy", "energies", "forces", "stress"):
        expected = torch.cat([getattr(output, name) for output in alone])
        torch.testing.assert_close(getattr(together, name), expected, rtol=1e-9, atol=1e-11)


def test_species_are_told_apart(model):
    """Exchanging O and Si changes the energy by more than the free atoms do."""
    atoms = silica()
    swapped = atoms.copy()
    swapped.numbers = np.where(atoms.numbers == 8, 14, 8)
    difference = evaluate(model, atoms).energy - evaluate(model, swapped).energy
    assert abs(difference.item()) > 1e-3


def test_the_configuration_rebuilds_the_model_through_json(model):
    """Plain values and weights are all there is."""
    text = json.dumps(dataclasses.asdict(model.config))
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(text).items()}
    again = E3NNPotential(E3NNPotential.Config(**values)).double()
    again.load_state_dict(model.state_dict(), strict=True)
    assert again.config == model.config
    assert torch.equal(evaluate(again, silica()).energies, evaluate(model, silica()).energies)


def test_copies_and_pickles_are_the_same_model(model):
    """For committees and for processes."""
    expected = evaluate(model, silica()).forces
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(evaluate(twin, silica()).forces, expected)


def test_single_precision_agrees_and_leaves_no_trace(model):
    """float32 is close; back in float64 the model is what it was up to its rounded weights."""
    exact = evaluate(model, silica())
    rough = evaluate(model.float(), silica())
    assert rough.forces.dtype == torch.float64
    torch.testing.assert_close(rough.forces, exact.forces, rtol=1e-3, atol=1e-3)
    back = evaluate(model.double(), silica())
    rotated = silica()
    rotated.rotate(40, (1, 2, 3), rotate_cell=True)
    assert evaluate(model, rotated).energy.item() == pytest.approx(back.energy.item(), rel=1e-12)


def test_a_new_model_is_of_one_dtype():
    """No table of another dtype hides in a fresh model."""
    model = E3NNPotential(SMALL)
    floats = [x for x in (*model.parameters(), *model.buffers()) if x.is_floating_point()]
    assert {x.dtype for x in floats} == {torch.get_default_dtype()}


def test_every_weight_takes_part(model):
    """A loss on energy and forces reaches all parameters but those of absent messages."""
    output = energies_forces_stress(
        model, graph_from_atoms(silica(), model.cutoff), create_graph=True
    )
    (output.energy.sum() + output.forces.square().sum()).backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_gradients_of_a_force_loss_match_finite_differences(model):
    """The double backward pass, along a random direction in the space of weights."""
    graph = graph_from_atoms(silica(), model.cutoff)
    weights = list(model.parameters())
    torch.manual_seed(7)
    directions = [torch.randn_like(w) for w in weights]

    def loss() -> torch.Tensor:
        output = energies_forces_stress(model, graph, create_graph=True)
        return output.forces.square().mean() + 100 * output.stress.square().sum()

    gradients = torch.autograd.grad(loss(), weights)
    slope = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True)).item()
    values, step = [], 1e-5
    for sign in (1, -2):
        with torch.no_grad():
            for w, d in zip(weights, directions, strict=True):
                w += sign * step * d
        values.append(loss().item())
    assert slope == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5)


def test_an_unknown_species_is_named():
    """The message names what was given and what is known."""
    with pytest.raises(ModelError, match=r"Fe.*O, Si"):
        evaluate(make(SMALL), bulk("Fe"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"species": ()}, "species"),
        ({"species": (14, 8)}, "rising order"),
        ({"reference_energies": (1.0,)}, "1 values for 2 species"),
        ({"layers": 2, "message_l_max": 1, "correlation": 2}, "correlation >= 3"),
        ({"layers": 2, "message_l_max": 4}, "message_l_max <= l_max"),
        ({"correlation": 5}, "correlation"),
        ({"layers": 0}, "layers"),
        ({"cutoff": -1.0}, "cutoff"),
        ({"average_neighbours": 0.0}, "average_neighbours"),
    ],
)
def test_a_wrong_configuration_is_refused(change, message):
    """What no model can have is said before anything is built."""
    with pytest.raises(InputError, match=message):
        E3NNPotential(dataclasses.replace(SMALL, **change))


def test_a_model_says_what_it_is():
    """Species by name, cutoff with its unit, and the size."""
    text = repr(make(SMALL))
    assert "O, Si" in text
    assert "3.5 Å" in text
    assert "parameters" in text
