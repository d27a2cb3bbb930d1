"""Densities of states as mixtures: what holds for any weights."""

import numpy as np
import pytest
import torch
from ase.build import bulk

from scatterml_ase.phonons.dos_model import ModeMixture, PhononDOSConfig, PhononDOSModel
from scatterml_ase.phonons.harmonic_graph import crystal_edges, join_crystals

SMALL = {
    "channels": 4, "l_max": 2, "layers": 1, "senders": 4, "width": 16, "equivariants": 2,
    "hidden": 16, "responses": (2, 1, 1), "charge_channels": 4, "cutoff": 5.0,
    "encoder_cutoff": 4.5, "response_cutoff": 4.0, "head_width": 16, "components": 6, "members": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(2)
    return PhononDOSModel(PhononDOSConfig(species=(11, 17), **SMALL)).double().eval()


def mixture(model, atoms, masses=None):
    edges = crystal_edges(atoms, model.cutoff)
    graph = join_crystals(
        [atoms.numbers], [(edges.index, edges.vectors, edges.pairs)], torch.float64
    )
    masses = atoms.get_masses() if masses is None else masses
    with torch.no_grad():
        return model(graph, torch.tensor(masses, dtype=torch.float64))


def random_mixture(seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (2, 3, 5)
    draw = [torch.rand(shape, generator=generator, dtype=torch.float64) for _ in range(3)]
    return ModeMixture(
        weights=torch.softmax(draw[0], dim=2),
        energies=5 + 40 * draw[1],
        powers=3 + 50 * draw[2],
        stretch=torch.ones(2, 3),
    )


def test_every_atom_has_three_modes_and_none_is_lost():
    below = random_mixture().cumulative(torch.linspace(-300, 300, 601, dtype=torch.float64))
    assert below.diff(dim=2).min() >= 0
    np.testing.assert_allclose(below[:, :, 0], 0, atol=1e-12)
    np.testing.assert_allclose(below[:, :, -1], 3, atol=1e-12)


def test_imaginary_modes_lie_below_zero():
    mix = random_mixture()
    below = mix.cumulative(torch.tensor([-1e-6, 0.0, 1e-3], dtype=torch.float64))
    np.testing.assert_allclose(below[:, :, 1], 3 * mix.weights[:, :, -1], rtol=1e-6)
    np.testing.assert_allclose(below[:, :, 0], below[:, :, 2], atol=1e-9)


def test_the_density_starts_as_the_square_of_the_energy():
    """Debye's law: the number of modes below E goes as E³."""
    mix = random_mixture()
    slow = ModeMixture(mix.weights, mix.energies, torch.full_like(mix.powers, 3.0), mix.stretch)
    grid = torch.tensor([0.0, 0.05, 0.1], dtype=torch.float64)
    below = slow.cumulative(grid)
    rise = (below - below[:, :, :1])[:, :, 1:]
    np.testing.assert_allclose(rise[:, :, 1] / rise[:, :, 0], 8, rtol=1e-5)


def test_the_grid_is_an_argument():
    mix = random_mixture()
    fine, coarse = (torch.linspace(0, 60, n, dtype=torch.float64) for n in (601, 7))
    np.testing.assert_allclose(mix.cumulative(fine)[:, :, ::100], mix.cumulative(coarse))
    each = coarse.expand(3, -1)  # a grid for each atom
    np.testing.assert_allclose(mix.cumulative(each), mix.cumulative(coarse))
    np.testing.assert_allclose(mix.cumulative(each, slice(1, 3)), mix.cumulative(coarse)[:, 1:3])


def test_four_times_the_mass_is_half_the_frequency(model):
    """With all masses in proportion, frequencies go as 1/√M exactly."""
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    light, heavy = mixture(model, atoms), mixture(model, atoms, 4 * atoms.get_masses())
    np.testing.assert_allclose(heavy.energies, light.energies / 2, rtol=1e-9)
    np.testing.assert_allclose(heavy.weights, light.weights, atol=1e-9)


@pytest.mark.parametrize("reflection", [1, -1])
def test_rotated_crystals_have_the_same_density(model, reflection):
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    atoms.rattle(0.1, seed=0)
    turned = atoms.copy()
    turned.rotate(33, (1, 2, 3), rotate_cell=True)
    turned.set_cell(reflection * turned.cell.array, scale_atoms=True)
    for name in ("weights", "energies", "powers", "stretch"):
        np.testing.assert_allclose(
            getattr(mixture(model, turned), name), getattr(mixture(model, atoms), name), rtol=1e-9
        )


def test_a_larger_cell_of_the_same_crystal_has_the_same_density(model):
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    large = mixture(model, atoms.repeat((2, 1, 1)))
    np.testing.assert_allclose(large.energies[:, :2], mixture(model, atoms).energies, rtol=1e-9)
