"""Surroundings that occur more than once are computed once, and nobody can tell from the numbers.

And the fused pass makes every tensor where its edges are: on a GPU, there.
"""

import dataclasses

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from torch.overrides import TorchFunctionMode

from scatterml_ase.graph import Graph, join_graphs
from scatterml_ase.nn.derivatives import energies_forces_stress
from scatterml_ase.potential.calculator import PotentialCalculator
from scatterml_ase.potential.fused import evaluate
from scatterml_ase.potential.fused.environments import Environments
from scatterml_ase.potential.model import E3NNPotential, PotentialConfig
from scatterml_ase.verlet import VerletList

CONFIG = PotentialConfig(
    species=(8, 14), cutoff=3.6, channels=4, n_basis=4, readout_hidden=(8,), average_neighbours=12.0
)


def make(config: PotentialConfig = CONFIG) -> E3NNPotential:
    torch.manual_seed(4)
    return E3NNPotential(config).double().eval()


def displaced() -> list[Atoms]:
    """One atom each is moved in a supercell of zincblende, to and fro."""
    ideal = bulk("SiO", "zincblende", a=4.4, cubic=True) * (3, 3, 3)
    images = [ideal.copy() for _ in range(6)]
    for k, atoms in enumerate(images):
        atoms.positions[40 * (k // 2), k % 3] += 0.01 * (-1) ** k
    return images


def environments(images: list[Atoms], cutoff: float = CONFIG.cutoff) -> tuple[Environments, Graph]:
    neighbours = VerletList(cutoff, 0.0)
    graph = join_graphs([neighbours.graph(atoms) for atoms in images])
    species = (graph.numbers == 14).long()
    centres, others = graph.edge_index
    return Environments(graph.vectors, centres, species, species[others]), graph


@pytest.fixture
def centres(monkeypatch):
    """Numbers of centres the network was asked for."""
    asked, network = [], evaluate.network_pass

    def listening(form, weights, shape, *rest, **options):
        asked.append(shape[0])
        return network(form, weights, shape, *rest, **options)

    monkeypatch.setattr(evaluate, "network_pass", listening)
    return asked


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_batch_of_displacements_gives_the_numbers_of_one_by_one(dtype, centres):
    images = displaced()
    calculator = PotentialCalculator(make().to(getattr(torch, dtype)), dtype=dtype)
    alone = [calculator.evaluate([atoms])[0] for atoms in images]
    one_by_one = sum(centres)
    centres.clear()
    tolerance = 1e-11 if dtype == "float64" else 1e-4
    for one, other in zip(alone, calculator.evaluate(images), strict=True):
        for name in ("energy", "energies", "forces", "stress"):
            np.testing.assert_allclose(other[name], one[name], rtol=tolerance, atol=tolerance)
    assert sum(centres) < one_by_one / 3


def test_what_is_found_once_gives_back_every_edge_and_centre():
    everything, _ = environments(displaced())
    found = everything.distinct()
    assert len(found.once.species) < len(everything.species) / 3
    for name, place in {
        "vectors": found.edge,
        "others": found.edge,
        "species": found.centre,
    }.items():
        assert torch.equal(getattr(found.once, name)[place], getattr(everything, name)), name
    assert torch.equal(found.once.centres[found.edge], found.centre[everything.centres])
    assert torch.all(found.once.centres[1:] >= found.once.centres[:-1])


def test_a_useless_hash_changes_no_number(monkeypatch):
    """Candidates are compared bit by bit, so nothing rests on the hash but speed."""
    model, images = make(), displaced()[:2]
    _, graph = environments(images)
    expected = energies_forces_stress(model, graph)
    monkeypatch.setattr(Environments, "_keys", lambda self, rank: torch.zeros_like(self.species))
    found = energies_forces_stress(model, graph)
    torch.testing.assert_close(found.forces, expected.forces, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.energies, expected.energies, rtol=1e-12, atol=1e-12)


def test_species_of_centre_and_neighbours_count():
    """The same places with other elements are other surroundings."""
    places = [[0, 0, 0], [0, 0, 2.0]]
    everything, _ = environments([Atoms(s, places) for s in ("Si2", "O2", "SiO", "OSi")])
    assert len(everything.species) == 8 and everything.distinct() is None


def test_lonely_atoms_are_alike():
    everything, graph = environments([Atoms("Si"), Atoms("O"), Atoms("Si"), bulk("Si")])
    found = everything.distinct()
    assert found.centre.tolist()[:3] == [0, 1, 0]
    assert energies_forces_stress(make(), graph).energy.isfinite().all()


FACTORIES = {
    torch.zeros, torch.ones, torch.empty, torch.full, torch.arange, torch.tensor, torch.eye,
    torch.linspace, torch.rand, torch.randn, torch.from_numpy, torch.as_tensor,
}  # fmt: skip


class MadeWhereItIsUsed(TorchFunctionMode):
    """Refuse tensors whose device nobody named: they would be on the CPU beside those on a GPU."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Look at the call, then make it."""
        if function in FACTORIES:
            assert "device" in (kwargs or {}), f"{function.__name__} without a device"
        if function is torch.Tensor.numpy:
            assert (kwargs or {}).get("force"), "numpy() of a tensor that may be on a GPU"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("derivatives", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
def test_every_tensor_is_made_on_the_device_of_the_edges(layers, derivatives):
    model = make(dataclasses.replace(CONFIG, layers=layers))
    _, batch = environments(displaced()[:2])
    _, pressed = environments([Atoms("SiO", [[0, 0, 0], [0, 0, 0.8]])])
    for graph in (batch, pressed):
        energies_forces_stress(model, graph)  # tables of the architecture are moved when made
        with MadeWhereItIsUsed():
            output = energies_forces_stress(model, graph, derivatives=derivatives)
        assert output.energy.isfinite().all()


def test_the_watch_over_devices_sees():
    with MadeWhereItIsUsed(), pytest.raises(AssertionError, match="zeros without a device"):
        torch.zeros(3)
