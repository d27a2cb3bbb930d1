"""Batches hold as much as they may, whole, and every structure once an epoch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from ase.build import bulk

from scatterml_ase.graph import batch_graphs
from scatterml_ase.training.batches import epoch_order, labelled_graph, plan_batches, shares
from scatterml_ase.training.config import LossConfig, RunConfig
from scatterml_ase.training.data import Frame
from scatterml_ase.training.losses import Errors, loss_value


def graph(atoms: int, *, stress: bool = True):
    crystal = bulk("Cu") * (atoms, 1, 1)
    known = np.full((3, 3), stress)
    zeros = np.zeros((atoms, 3))
    return labelled_graph(Frame(crystal, 0.0, zeros, np.zeros((3, 3)), known, "", ""), 3.0)


SIZES = [1, 1, 8, 1, 2, 1, 8, 1, 1, 30, 1, 1]
GRAPHS = [graph(size) for size in SIZES]


def planned(**options) -> list[list[int]]:
    return plan_batches(GRAPHS, range(len(SIZES)), RunConfig(**options))


def test_a_batch_has_four_structures_unless_told_otherwise():
    assert [len(batch) for batch in planned()] == [4, 4, 4]
    assert planned(batch_structures=5)[1] == [5, 6, 7, 8, 9]


def test_a_batch_is_closed_before_it_would_exceed_its_atoms_or_edges():
    assert planned(batch_atoms=10) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9], [10, 11]]
    assert planned(batch_edges=12 * 10) == planned(batch_atoms=10)  # 12 neighbours in copper


@pytest.mark.parametrize("option", ["batch_atoms", "batch_edges"])
def test_automatic_batches_are_of_the_size_of_a_few_mean_structures(option):
    """The mean structure has 56/12 atoms; small structures are many in a batch."""
    batches = planned(**{option: "auto"})
    assert batches == [[0, 1, 2, 3, 4, 5], [6, 7, 8], [9], [10, 11]]
    order = epoch_order(len(SIZES), seed=3, epoch=1)
    run = RunConfig(**{option: "auto"})
    for batch in plan_batches(GRAPHS, order, run):
        assert sum(SIZES[i] for i in batch) <= 4 * 56 / 12 or len(batch) == 1
    assert sorted(i for batch in plan_batches(GRAPHS, order, run) for i in batch) == list(range(12))


def test_losses_of_shares_add_up_to_the_loss_of_the_batch():
    graphs = [graph(1), graph(2, stress=False), graph(3)]
    together = batch_graphs(graphs)
    torch.manual_seed(0)
    energy, forces, stress = torch.randn(3), torch.randn(6, 3), torch.randn(18)
    known = together.stress_mask.sum(dim=(1, 2)).tolist()
    assert known == [9, 0, 9]
    config = dataclasses.replace(LossConfig(), kind="huber")
    whole = loss_value(Errors(energy, forces, stress), config, energy_weight=2.0)
    total = torch.zeros(())
    for own, atoms, components in (([0, 1], slice(0, 3), slice(0, 9)),
                                   ([2], slice(3, 6), slice(9, 18))):  # fmt: skip
        errors = Errors(energy[own], forces[atoms], stress[components])
        part = shares(graphs, own, [0, 1, 2])
        total = total + loss_value(errors, config, energy_weight=2.0, shares=part)
    torch.testing.assert_close(total, whole)
    assert shares([graphs[1]], [0], [0]).stress == 0.0  # no label at all
