"""What an E3NN potential owes to physics before it has learned anything."""

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, fcc111, molecule

from scatterml_ase.graph import batch_graphs, graph_from_atoms
from scatterml_ase.nn.derivatives import PotentialOutput, energies_forces_stress
from scatterml_ase.potential.model import E3NNPotential, PotentialConfig
from scatterml_ase.potential.repulsion import ZBLRepulsion, contact_distances
from scatterml_ase.store import load_model

CONFIG = PotentialConfig(
    species=(1, 6, 14),
    cutoff=4.0,
    channels=4,
    l_max=3,
    readout_hidden=(8,),
    average_neighbours=15.0,
    binding_energies=(-3.0, -7.0, -5.0),
    energy_scale=0.02,
)


def make(seed: int = 0, **changes) -> E3NNPotential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return E3NNPotential(dataclasses.replace(CONFIG, **changes)).double().eval()


def evaluate(model: E3NNPotential, atoms: Atoms) -> PotentialOutput:
    return energies_forces_stress(model, graph_from_atoms(atoms, model.cutoff))


def energy(model: E3NNPotential, atoms: Atoms) -> float:
    return evaluate(model, atoms).energy.item()


def triclinic() -> Atoms:
    """One strained cell of SiC, smaller than the cutoff: atoms are their own neighbours."""
    atoms = bulk("SiC", "zincblende", a=4.4)
    atoms.set_cell(
        atoms.cell @ [[1.02, 0.05, 0], [0, 0.97, 0.01], [0.04, 0, 1.01]],
        scale_atoms=True,
    )
    atoms.rattle(0.1, seed=2)
    return atoms


def slab() -> Atoms:
    atoms = fcc111("Si", (1, 2, 2), a=4.3, vacuum=4.0, periodic=True)
    atoms.rattle(0.1, seed=4)
    return atoms


def disilane() -> Atoms:
    atoms = molecule("Si2H6")
    atoms.rattle(0.1, seed=5)
    return atoms


STRUCTURES = {"triclinic": triclinic, "slab": slab, "molecule": disilane}
MODELS = {
    "one layer": {},
    "scalar messages": {"layers": 2, "l_max": 2, "energy_scale": 1e-3},
    "vector messages": {"layers": 2, "l_max": 2, "message_l_max": 1, "energy_scale": 1e-3},
}


@pytest.fixture(params=MODELS)
def model(request) -> E3NNPotential:
    return make(**MODELS[request.param])


@pytest.fixture(params=STRUCTURES)
def atoms(request) -> Atoms:
    return STRUCTURES[request.param]()


def slope(model: E3NNPotential, change, step: float = 2e-4) -> float:
    """Fourth-order central difference of the energy of ``change(step)`` at 0, as one batch."""
    steps = [step, -step, 2 * step, -2 * step]
    graphs = [graph_from_atoms(change(x), model.cutoff) for x in steps]
    a, b, c, d = energies_forces_stress(model, batch_graphs(graphs)).energy.tolist()
    return (8 * (a - b) - (c - d)) / (12 * step)


def test_forces_are_minus_the_slope_of_the_energy(model, atoms):
    """F = −dE/dx to 1e-6 eV/Å."""
    forces = evaluate(model, atoms).forces

    def moved(step: float, atom: int, axis: int) -> Atoms:
        copy = atoms.copy()
        copy.positions[atom, axis] += step
        return copy

    for atom, axis in [(0, 0), (1, 1), (len(atoms) - 1, 2)]:
        expected = -slope(model, partial(moved, atom=atom, axis=axis))
        assert forces[atom, axis].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["triclinic", "slab"])
def test_stress_is_the_slope_of_the_energy_under_strain(model, name):
    """σ = dE/dε / V to 1e-7 eV/Å³, tension positive."""
    atoms = STRUCTURES[name]()
    stress = evaluate(model, atoms).stress[0]

    def strained(step: float, i: int, j: int) -> Atoms:
        strain = np.eye(3)
        strain[i, j] += step / 2
        strain[j, i] += step / 2
        copy = atoms.copy()
        copy.set_cell(atoms.cell @ strain, scale_atoms=True)
        return copy

    for i, j in [(0, 0), (2, 2), (1, 2), (0, 1)]:
        expected = slope(model, partial(strained, i=i, j=j)) / atoms.get_volume()
        assert stress[i, j].item() == pytest.approx(expected, abs=1e-7)


def test_forces_add_up_to_nothing(model, atoms):
    """Nothing outside pulls: Σ F = 0, and without a cell no torque either."""
    forces = evaluate(model, atoms).forces.numpy()
    np.testing.assert_allclose(forces.sum(0), 0, atol=1e-9)
    if not atoms.pbc.any():
        np.testing.assert_allclose(np.cross(atoms.positions, forces).sum(0), 0, atol=1e-9)


@pytest.mark.parametrize("reflect", [False, True])
def test_a_turned_or_mirrored_structure_has_turned_forces_and_stress(model, atoms, reflect):
    """E(Rx) = E(x), F(Rx) = R F(x), σ(Rx) = R σ Rᵀ for proper and improper R."""
    R = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    R = R * np.linalg.det(R) * (-1 if reflect else 1)
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ R.T)
    turned.positions = atoms.positions @ R.T
    before, after, T = evaluate(model, atoms), evaluate(model, turned), torch.tensor(R)
    assert after.energy.item() == pytest.approx(before.energy.item(), rel=1e-12)
    torch.testing.assert_close(after.forces, before.forces @ T.T, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(after.stress, T @ before.stress @ T.T, rtol=1e-9, atol=1e-11)


def test_two_crystals_have_twice_the_energy(model):
    """Extensive: a supercell, and whole translations of single atoms, change nothing per atom."""
    atoms = triclinic()
    images = atoms.copy()
    images.positions[0] += atoms.cell[0] - 2 * atoms.cell[2]
    assert energy(model, atoms * (2, 1, 2)) == pytest.approx(4 * energy(model, atoms), rel=1e-12)
    assert energy(model, images) == pytest.approx(energy(model, atoms), rel=1e-12)


def test_second_derivatives_do_not_jump_at_the_cutoff(model):
    """An atom that crosses the cutoff of a bonded pair is felt by no force constant."""

    def curvature(x: float) -> float:
        force = [
            evaluate(model, Atoms("Si3", [[0, 0, 0], [0.3, 2.2, 0.1], [x + s, 0, 0]])).forces[2, 0]
            for s in (-1e-6, 1e-6)
        ]
        return (force[0] - force[1]).item() / 2e-6

    inside, outside = curvature(model.cutoff - 1e-4), curvature(model.cutoff + 1e-4)
    assert abs(inside - outside) < 1e-2
    assert abs(curvature(model.cutoff - 1e-5) - outside) < 1e-3


@pytest.mark.parametrize("symbols", ["Si2", "SiC", "CH", "H2"])
def test_close_atoms_repel_whatever_the_weights(symbols):
    """Dimers inside the core have the energy and force of bare ZBL, even with absurd weights."""
    model = make(energy_scale=50.0)
    numbers = Atoms(symbols).numbers
    kinds = [CONFIG.species.index(number) for number in numbers]
    contact = contact_distances(CONFIG.species)[kinds[0], kinds[1]].item()
    zbl = ZBLRepulsion(CONFIG.species, cutoff=4.0).double()
    charges = torch.tensor(numbers, dtype=torch.float64)
    for fraction in (0.05, 0.2, 0.4):
        r = torch.tensor(fraction * contact, dtype=torch.float64)
        found = evaluate(model, Atoms(symbols, [[0, 0, 0], [0, 0, r.item()]]))
        expected = zbl.pair_energy(r[None], charges[:1], charges[1:])
        assert found.energy.item() == pytest.approx(expected.item(), rel=1e-9)
        assert found.forces[1, 2].item() > 0


def test_no_crowd_of_atoms_falls_into_a_hole():
    """However many atoms meet, no weights can push the energy below its stated floor."""
    generator = np.random.default_rng(0)
    for seed in range(5):
        model = make(seed, energy_scale=100.0)
        for box in (2.0, 3.0, 5.0):
            atoms = Atoms("Si8C8H8", generator.uniform(0, box, (24, 3)))
            floor = sum(CONFIG.binding_energies) * 8 - 24 * model.config.energy_floor
            assert energy(model, atoms) >= floor


def test_the_shipped_silicon_can_be_crushed():
    """From V₀ to 0.5 V₀ its energy only rises, as diamond and as a close-packed metal."""
    model = load_model("si", dtype=torch.float64)
    for structure, constant, start in (("diamond", 5.47, 1.0), ("fcc", 3.85, 0.8)):
        scales = np.linspace(start, 0.5, 21) ** (1 / 3)
        crystals = [bulk("Si", structure, a=constant * scale) for scale in scales]
        graphs = [graph_from_atoms(atoms, model.cutoff) for atoms in crystals]
        energies = energies_forces_stress(model, batch_graphs(graphs)).energy
        assert bool((energies.diff() > 0).all())


def test_the_shipped_silicon_repels_close_pairs():
    """Two atoms alone: repulsion all the way in from 1.8 Å, and a bond further out."""
    model = load_model("si", dtype=torch.float64)
    distances = np.linspace(0.1, 1.8, 35)
    pairs = [Atoms("Si2", [[0, 0, 0], [0, 0, r]]) for r in (*distances, 2.3)]
    graphs = [graph_from_atoms(atoms, model.cutoff) for atoms in pairs]
    output = energies_forces_stress(model, batch_graphs(graphs))
    assert bool((output.forces[1:-2:2, 2] > 0).all())
    assert output.energy[-1].item() < -1.0


def test_far_from_the_origin_in_single_precision():
    """A crystal moved by 1000 Å keeps its forces: edge vectors are made in float64."""
    model = make().float()
    atoms = triclinic()
    moved = atoms.copy()
    moved.positions += [1000.0, -2000.0, 500.0]
    before, after = evaluate(model, atoms), evaluate(model, moved)
    torch.testing.assert_close(after.forces, before.forces, rtol=1e-4, atol=1e-5)
