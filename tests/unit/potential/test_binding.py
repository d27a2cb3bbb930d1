"""The gate on bonds: closed for free atoms, open in matter, and no hole on the way."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from scatterml_ase.graph import edge_vectors, graph_from_atoms
from scatterml_ase.nn.derivatives import energies_forces_stress
from scatterml_ase.potential.binding import BondGate
from scatterml_ase.potential.model import E3NNPotential, PotentialConfig
from scatterml_ase.training.cores import bond_options
from scatterml_ase.training.labels import Frame

CUTOFF = 5.0


def gate_of(gate: BondGate, atoms: Atoms) -> torch.Tensor:
    graph = graph_from_atoms(atoms, CUTOFF)
    lengths = edge_vectors(graph).norm(dim=1)
    envelope = (1 - lengths / CUTOFF) ** 3
    return gate(lengths, envelope, graph.edge_index, torch.zeros(len(atoms), dtype=torch.long))


def test_free_atoms_are_unbound_and_crystals_bound():
    gate = BondGate([29], [1.0], (0.0, 0.3)).double()
    assert gate_of(gate, Atoms("Cu2", [[0, 0, 0], [0, 0, 5.1]])).tolist() == [0.0, 0.0]
    assert gate_of(gate, bulk("Cu")).tolist() == [1.0]
    stretched = [float(gate_of(gate, bulk("Cu", a=a))[0]) for a in np.linspace(3.6, 7.0, 60)]
    assert all(a >= b for a, b in pairwise(stretched))
    assert 0 < min(g for g in stretched if g > 0) < 0.1


def test_rest_is_the_median_and_the_gate_is_open_for_every_bound_atom_of_the_data():
    slab = bulk("Cu", cubic=True) * (1, 1, 2)
    slab.center(vacuum=8.0, axis=2)
    frames = [frame(bulk("Cu", cubic=True) * (2, 2, 2)), frame(slab), frame(Atoms("Cu"))]
    options = bond_options(frames, (29,), cutoff=CUTOFF, envelope_power=5)
    assert options["binding_span"][0] == 0.0
    config = PotentialConfig(species=(29,), cutoff=CUTOFF, **options)
    model = E3NNPotential(config).double()
    for one in frames[:2]:
        graph = graph_from_atoms(one.atoms, CUTOFF)
        lengths = edge_vectors(graph).norm(dim=1)
        kinds = torch.zeros(len(one.atoms), dtype=torch.long)
        x = model.gate.density(lengths, model.density(lengths), graph.edge_index, kinds)
        assert float(x.min()) > options["binding_span"][1]
        if one is frames[0]:
            assert float(x.median()) == pytest.approx(1.0)


def test_matter_comes_apart_without_a_hole_whatever_the_network_guesses():
    torch.manual_seed(1)
    config = PotentialConfig(
        species=(29,),
        cutoff=CUTOFF,
        channels=4,
        binding_energies=(-3.5,),
        rest_densities=(11.0,),
        binding_span=(0.0, 0.45),
        energy_scale=0.02,
    )
    model = E3NNPotential(config).double()
    for sign in (1.0, -1.0):
        signed = E3NNPotential(dataclasses.replace(config, energy_scale=0.02)).double()
        signed.load_state_dict(model.state_dict())
        with torch.no_grad():
            signed.layers[0].readout.linear.weight.mul_(sign)
        energies = [
            float(energies_forces_stress(signed, graph_from_atoms(bulk("Cu", a=a), CUTOFF)).energy)
            for a in np.linspace(4.4, 7.4, 80)
        ]
        assert all(b >= a - 1e-9 for a, b in pairwise(energies))
        assert energies[-1] == 0.0


def frame(atoms: Atoms) -> Frame:
    nothing = np.zeros((len(atoms), 3))
    return Frame(atoms, 0.0, nothing, np.zeros((3, 3)), np.ones((3, 3), dtype=bool), "", "")
