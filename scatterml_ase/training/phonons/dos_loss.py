"""How far densities of states are from their labels."""

from __future__ import annotations

from torch import Tensor

from scatterml_ase.nn.cutoff import segment_sum
from scatterml_ase.phonons.dos_model import ModeMixture
from scatterml_ase.training.phonons.dos_samples import DosBatch

_FLOOR = 1e-4


def dos_errors(found: ModeMixture, batch: DosBatch) -> dict[str, Tensor]:
    """Return the parts of the loss, each (members, crystals).

    ``wasserstein`` and ``partial``: Wasserstein-1 distance of the total and of each atom's density,
    over the Einstein energy (all frequencies shifted alike give that shift). ``divergence``:
    Kullback–Leibler divergence of the binned total. ``square``: mean square error of the total over
    bins, in units of the label's largest. ``doubt``: negative log likelihood of the error of the
    mean energy under the member's own word on it.
    """
    below = found.cumulative(batch.edges[batch.batch]) / 3  # [member, atom, edge]
    label = batch.counts / 3
    width = batch.edges[:, 1] - batch.edges[:, 0]
    unit = width / batch.einstein
    graphs = len(unit)
    shares = batch.multiplicity / segment_sum(batch.multiplicity, batch.batch, graphs)[batch.batch]

    def total(values: Tensor) -> Tensor:  # [member, atom, x] to [member, crystal, x]
        empty = values.new_zeros(len(values), graphs, values.shape[2])
        return empty.index_add(1, batch.batch, shares.unsqueeze(1) * values)

    reached = label.cumsum(1).unsqueeze(0)  # [1, atom, bin]
    apart = (below[:, :, 1:] - reached).abs().sum(2, keepdim=True)
    partial = total(apart).squeeze(2) * unit
    whole = total(below)
    p, y = whole.diff(dim=2), total(label.unsqueeze(0))
    distance = (whole[:, :, 1:] - y.cumsum(2)).abs().sum(2) * unit
    outside = whole[:, :, 0] + 1 - whole[:, :, -1]
    divergence = (y * ((y + _FLOOR) / (p + _FLOOR)).log()).sum(2) + outside
    square = ((p - y) / y.amax(2, keepdim=True)).square().mean(2)
    centres = (batch.edges[:, 1:] + batch.edges[:, :-1]) / 2
    ratio = (p * centres).sum(2) / (y * centres).sum(2)
    error = ratio.clamp(min=0.1, max=10.0).log().abs().detach()
    scale = total(found.stretch.unsqueeze(2)).squeeze(2)
    return {
        "wasserstein": distance,
        "partial": partial,
        "divergence": divergence,
        "square": square,
        "doubt": error / scale + scale.log(),
    }
