"""How far densities of states are from their labels."""

from __future__ import annotations

import torch
from torch import Tensor

from scatterml_ase.nn.cutoff import segment_sum
from scatterml_ase.phonons.dos_model import DOSHead, ModeMixture
from scatterml_ase.training.phonons.dos_samples import DosBatch

_FLOOR = 1e-4


def dos_loss(head: DOSHead, batch: DosBatch) -> dict[str, Tensor]:
    """Return the parts of the loss of one head, means over crystals.

    ``wasserstein`` and ``partial``: Wasserstein-1 distance of the total and of each atom's density,
    over the Einstein energy (all frequencies shifted alike give that shift). ``divergence``:
    Kullback–Leibler divergence of the binned total. ``square``: mean square error of the total over
    bins, in units of the label's largest.
    """
    found = head(batch.features, batch.einstein, batch.batch, batch.multiplicity)
    return compare(found, batch)


def compare(found: ModeMixture, batch: DosBatch) -> dict[str, Tensor]:
    """Return the parts of the loss of mixtures (atoms, components)."""
    one = ModeMixture(*(x.unsqueeze(0) for x in (found.weights, found.energies, found.powers)))
    below = one.cumulative(batch.edges[batch.batch])[0] / 3  # [atom, edge]
    predicted = below.diff(dim=1)
    ends = torch.stack([below[:, 0], 1 - below[:, -1]], dim=1)  # beyond the bins
    label = batch.counts / 3
    width = batch.edges[:, 1] - batch.edges[:, 0]
    unit = width / batch.einstein
    graphs = len(unit)
    shares = batch.multiplicity / segment_sum(batch.multiplicity, batch.batch, graphs)[batch.batch]

    def total(values: Tensor) -> Tensor:
        return segment_sum(shares.unsqueeze(1) * values, batch.batch, graphs)

    reached = label.cumsum(1)
    apart = (below[:, 1:] - reached).abs().sum(1) * unit[batch.batch]
    partial = segment_sum(shares * apart, batch.batch, graphs)
    whole = (total(below[:, 1:]) - total(reached)).abs().sum(1) * unit
    p, y = total(predicted), total(label)
    divergence = (y * ((y + _FLOOR) / (p + _FLOOR)).log()).sum(1) + total(ends).sum(1)
    square = ((p - y) / y.amax(1, keepdim=True)).square().mean(1)
    return {
        "wasserstein": whole.mean(),
        "partial": partial.mean(),
        "divergence": divergence.mean(),
        "square": square.mean(),
    }
