"""Species in, numbers out, and what happens at the borders."""

import pytest
import torch

from scatterml_ase.errors import ModelError
from scatterml_ase.nn.encoder import SpeciesEmbedding, SpeciesIndex
from scatterml_ase.nn.readout import Readout, bounded_below


def test_species_are_numbered_in_their_order():
    """O, Si, Si is 0, 1, 1 for a model of O and Si."""
    assert SpeciesIndex((8, 14))(torch.tensor([8, 14, 14])).tolist() == [0, 1, 1]


def test_an_unknown_species_is_named_with_those_known():
    """The message says which, and what the model knows."""
    with pytest.raises(ModelError, match=r"Fe is not .* it knows O, Si"):
        SpeciesIndex((8, 14))(torch.tensor([26, 8]))


def test_few_species_start_one_hot_and_many_at_random():
    """With room for each the start treats all species alike and apart."""
    assert torch.equal(SpeciesEmbedding(3, 4)(torch.arange(3)).detach(), torch.eye(3, 4))
    assert SpeciesEmbedding(40, 4)(torch.arange(40)).shape == (40, 4)


@pytest.mark.parametrize("hidden", [(), (7,), (7, 5)])
def test_no_features_give_exactly_nothing(hidden):
    """So that a free atom has exactly its reference energy."""
    assert torch.equal(Readout(6, hidden)(torch.zeros(2, 6)), torch.zeros(2, 1))


def test_energies_are_bounded_below_and_else_untouched():
    """Identity above −floor/2, never below −floor, smooth in between."""
    x = torch.linspace(-30, 10, 401, dtype=torch.float64)
    y = bounded_below(x, 6.0)
    assert torch.equal(y[x >= -3.0], x[x >= -3.0])
    assert bool((y >= -6.0).all())
    assert bool((y.diff() >= 0).all())
    corner = torch.tensor([-3.0 - 1e-6, -3.0 + 1e-6], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(bounded_below(corner, 6.0).sum(), corner, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), corner)
    assert slope.tolist() == pytest.approx([1.0, 1.0], abs=1e-9)
    assert bend.tolist() == pytest.approx([0.0, 0.0], abs=1e-5)
