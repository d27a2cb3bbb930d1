"""The fused pass: the autograd path's numbers, whatever the structure and the architecture."""

import copy
import dataclasses
import gc
import pickle

import pytest
import torch
from ase import Atoms
from ase.build import bulk

from scatterml_ase.errors import InputError
from scatterml_ase.graph import batch_graphs, edge_vectors, graph_from_atoms
from scatterml_ase.nn.derivatives import energies_forces_stress
from scatterml_ase.potential.fused import groups
from scatterml_ase.potential.model import E3NNPotential, PotentialConfig
from scatterml_ase.testing.structures import structure_kinds

CONFIG = PotentialConfig(
    species=(8, 14),
    cutoff=3.6,
    channels=4,
    n_basis=4,
    readout_hidden=(8,),
    average_neighbours=12.0,
    reference_energies=(-1.5, -0.8),
    binding_energies=(-6.0, -5.0),
    energy_scale=0.5,
)
ARCHITECTURES = {
    "fourth order": CONFIG,
    "third order": dataclasses.replace(CONFIG, correlation=3),
    "l_max 2": dataclasses.replace(CONFIG, l_max=2),
    "l_max 4": dataclasses.replace(CONFIG, l_max=4),
    "scalars": dataclasses.replace(CONFIG, l_max=0),
    "no repulsion": dataclasses.replace(CONFIG, repulsion=False),
    "another envelope": dataclasses.replace(CONFIG, envelope_power=8),
    "scaled contacts": dataclasses.replace(CONFIG, contact_scales=(1.2, 0.8)),
    "low floor": dataclasses.replace(CONFIG, energy_floor=0.02, energy_scale=0.2),
}


def make(config: PotentialConfig) -> E3NNPotential:
    """Make a random model of which every weight matters."""
    torch.manual_seed(3)
    model = E3NNPotential(config).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def autograd(model, graph):
    vectors = edge_vectors(graph).requires_grad_()
    energies = model(vectors, graph.edge_index, graph.numbers)
    if not energies.requires_grad:
        return energies, torch.zeros_like(vectors)
    return energies.detach(), torch.autograd.grad(energies.sum(), vectors)[0]


def agree(model, graph):
    expected = autograd(model, graph)
    found = model.fused(edge_vectors(graph), graph.edge_index, graph.numbers)
    scale = float(expected[1].abs().max()) if graph.num_edges else 1.0
    torch.testing.assert_close(found[0], expected[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-10, atol=1e-12 * max(scale, 1.0))


def mixture() -> Atoms:
    atoms = bulk("SiO", "zincblende", a=4.4, cubic=True)
    atoms.rattle(0.15, seed=1)
    return atoms


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_agrees_with_autograd(name):
    model = make(ARCHITECTURES[name])
    agree(model, graph_from_atoms(mixture(), model.cutoff))


@pytest.mark.parametrize("kind", structure_kinds("Si"))
def test_every_structure_agrees_with_autograd(kind):
    model = make(CONFIG)
    agree(model, graph_from_atoms(structure_kinds("Si")[kind], model.cutoff))


def test_pressed_and_torn_atoms_agree_with_autograd():
    """Inside the core, in the reach of the repulsion, bound, and alone."""
    model = make(CONFIG)
    for distance in (0.3, 0.7, 0.9, 1.1, 1.6, 2.5, 3.5999, 3.7):
        agree(model, graph_from_atoms(Atoms("SiO", [[0, 0, 0], [0, 0, distance]]), model.cutoff))


def test_batches_of_crowded_and_lonely_atoms_agree_with_autograd():
    model = make(CONFIG)
    pile = [Atoms("Si"), mixture(), Atoms("O"), bulk("Si"), bulk("O", "fcc", a=3.0), Atoms("O2Si")]
    pile[-1].positions += [[0, 0, 0], [1.5, 0, 0], [9.0, 0, 0]]
    agree(model, batch_graphs([graph_from_atoms(atoms, model.cutoff) for atoms in pile]))


@pytest.mark.parametrize("places", [1, 40, 100_000])
def test_the_size_of_the_groups_does_not_matter(monkeypatch, places):
    monkeypatch.setitem(groups._PLACES, "cpu", places)
    model = make(CONFIG)
    agree(model, graph_from_atoms(mixture(), model.cutoff))


def test_new_weights_are_seen_at_once():
    model = make(CONFIG)
    graph = graph_from_atoms(mixture(), model.cutoff)
    agree(model, graph)
    with torch.no_grad():
        model.layers[0].product.mix[1].mul_(1.5)
    agree(model, graph)
    agree(copy.deepcopy(model), graph)
    agree(pickle.loads(pickle.dumps(model)), graph)
    single = copy.deepcopy(model).float()
    found = energies_forces_stress(single, graph)
    expected = energies_forces_stress(model, graph)
    torch.testing.assert_close(found.forces, expected.forces, rtol=1e-4, atol=1e-4)


def test_it_takes_the_place_of_autograd_where_nothing_is_differentiated_further(monkeypatch):
    model = make(CONFIG)
    graph = graph_from_atoms(mixture(), model.cutoff)
    calls = []
    monkeypatch.setattr(model, "forward", lambda *edges: calls.append(edges))
    output = energies_forces_stress(model, graph)
    alone = energies_forces_stress(model, graph, derivatives=False)
    monkeypatch.undo()
    trained = energies_forces_stress(model, graph, create_graph=True)
    assert not calls
    for name in ("energy", "energies", "forces", "stress"):
        torch.testing.assert_close(getattr(output, name), getattr(trained, name).detach())
    assert torch.equal(alone.energies, output.energies)
    assert alone.forces.isnan().all()
    assert trained.energy.requires_grad


def test_models_of_two_layers_keep_to_autograd():
    model = make(dataclasses.replace(CONFIG, layers=2))
    assert model.fused is None
    assert energies_forces_stress(model, graph_from_atoms(mixture(), 3.6)).energy.isfinite().all()


def test_edges_out_of_order_are_refused():
    model = make(CONFIG)
    graph = graph_from_atoms(mixture(), model.cutoff)
    with pytest.raises(InputError, match="not sorted by centre"):
        model.fused(edge_vectors(graph).flip(0), graph.edge_index.flip(1), graph.numbers)


def test_nothing_is_left_behind():
    model = make(CONFIG)
    graph = graph_from_atoms(mixture(), model.cutoff)

    def tensors() -> int:
        gc.collect()
        return sum(type(thing) is torch.Tensor for thing in gc.get_objects())

    energies_forces_stress(model, graph)
    before = tensors()
    for _ in range(20):
        energies_forces_stress(model, graph)
    assert tensors() == before
