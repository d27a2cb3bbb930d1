"""Forces and stress from the gradient with respect to edges, against ASE and finite differences."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.morse import MorsePotential

from scatterml_ase.graph import batch_graphs, graph_from_atoms
from scatterml_ase.nn.derivatives import energies_forces_stress


def strained_silicon() -> Atoms:
    atoms = bulk("Si", cubic=True)
    atoms.set_cell(atoms.cell @ [[1.02, 0.03, 0], [0, 0.97, 0.01], [0.02, 0, 1]], scale_atoms=True)
    atoms.rattle(0.1, seed=3)
    return atoms


def evaluate(model, atoms):
    return energies_forces_stress(model, graph_from_atoms(atoms, model.config.cutoff))


def test_equal_to_the_same_potential_of_ase(morse_model, morse_parameters):
    """ASE's own Morse potential gives the same energy, energies, forces and stress."""
    atoms = strained_silicon()
    found = evaluate(morse_model, atoms)
    atoms.calc = MorsePotential(**morse_parameters)
    assert found.energy.item() == pytest.approx(atoms.get_potential_energy(), rel=1e-10)
    np.testing.assert_allclose(found.energies, atoms.get_potential_energies(), rtol=1e-9)
    np.testing.assert_allclose(found.forces, atoms.get_forces(), atol=1e-10)
    np.testing.assert_allclose(found.stress[0], atoms.get_stress(voigt=False), atol=1e-11)


def test_stretching_silicon_gives_tension(morse_model):
    """Positive diagonal stress in a crystal that wants to shrink (ASE's sign)."""
    pulled = evaluate(morse_model, bulk("Si", a=5.8)).stress[0]
    pressed = evaluate(morse_model, bulk("Si", a=4.2)).stress[0]
    assert bool((pulled.diagonal() > 0).all())
    assert bool((pressed.diagonal() < 0).all())


def test_a_batch_is_its_structures_one_by_one(morse_model):
    """Also with an isolated atom and a molecule without a cell in the middle."""
    structures = [strained_silicon(), Atoms("Si"), molecule("CH4")[:1] + Atoms("Si"), bulk("Si")]
    structures[2].positions[1] = [2.0, 0, 0]
    graphs = [graph_from_atoms(atoms, morse_model.config.cutoff) for atoms in structures]
    together = energies_forces_stress(morse_model, batch_graphs(graphs))
    alone = [energies_forces_stress(morse_model, graph) for graph in graphs]
    for name in ("energy", "energies", "forces", "stress"):
        expected = torch.cat([getattr(output, name) for output in alone])
        torch.testing.assert_close(getattr(together, name), expected)


def test_without_a_volume_stress_is_zero_and_never_nan(morse_model):
    """A molecule without a cell, and a slab with a zero vector."""
    slab = bulk("Si", cubic=True)
    slab.cell[2] = 0
    slab.pbc = [True, True, False]
    for atoms in (Atoms("Si2", [[0, 0, 0], [2.0, 0, 0]]), slab):
        output = evaluate(morse_model, atoms)
        assert torch.equal(output.stress, torch.zeros(1, 3, 3, dtype=torch.float64))
        assert bool(output.forces.abs().max() > 1e-3)


def test_a_left_handed_cell_has_the_same_stress(morse_model):
    """The volume is the absolute value of the determinant."""
    atoms = strained_silicon()
    swapped = atoms.copy()
    swapped.cell = atoms.cell[[1, 0, 2]]
    torch.testing.assert_close(
        evaluate(morse_model, swapped).stress, evaluate(morse_model, atoms).stress
    )


def test_graphs_are_kept_only_on_request(morse_model):
    """Inference returns plain numbers; training can differentiate forces and stress again."""
    graph = graph_from_atoms(strained_silicon(), morse_model.config.cutoff)
    plain = energies_forces_stress(morse_model, graph)
    assert not any(getattr(plain, n).requires_grad for n in ("energy", "forces", "stress"))
    kept = energies_forces_stress(morse_model, graph, create_graph=True)
    (kept.forces.square().sum() + kept.stress.square().sum()).backward()
    expected = 2 * (plain.forces.square().sum() + plain.stress.square().sum())
    # Forces are proportional to the depth of the Morse potential.
    assert morse_model.depth.grad.item() * morse_model.config.depth == pytest.approx(
        expected.item(), rel=1e-10
    )


def test_inference_works_where_gradients_are_switched_off(morse_model):
    """Users wrap calls in no_grad; forces come all the same."""
    with torch.no_grad():
        inside = evaluate(morse_model, strained_silicon()).forces
    torch.testing.assert_close(inside, evaluate(morse_model, strained_silicon()).forces)
