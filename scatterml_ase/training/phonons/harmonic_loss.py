"""How far predicted force constants are from reference ones, in frequencies."""

from __future__ import annotations

import torch
from torch import Tensor

from scatterml_ase.nn.cutoff import segment_sum
from scatterml_ase.phonons.force_constants_model import (
    ForceConstantsModel,
    HarmonicTerms,
    Polarity,
)
from scatterml_ase.training.phonons.samples import HarmonicBatch


def applied(terms: HarmonicTerms, batch: HarmonicBatch, cutoff: float, waves: Tensor) -> Tensor:
    """Return Φ(q)·v for waves v (graphs, Q, 3N, r) of the crystals of a batch, the same shape."""
    springs = spring_matrices(terms.springs, batch)
    response = response_matrices(terms.responses, batch, cutoff)
    stiffness = _padded(terms.stiffness, batch).flatten(1)  # [graph, N rows]
    answer = response @ waves * stiffness[:, None, :, None]
    return springs @ waves + response.mH @ answer


def spring_matrices(springs: Tensor, batch: HarmonicBatch) -> Tensor:
    """Return the part of the springs in Φ(q), (graphs, Q, 3N, 3N) complex."""
    graph, n = batch.graph, batch.largest
    i, j = graph.edge_index[:, graph.pairs]
    waves = _phases(batch, graph.vectors[graph.pairs], graph.batch[i])  # [2, Q, pair]
    blocks = -waves[..., None] * springs.flatten(1)  # [2, Q, pair, 9]
    table = springs.new_zeros(2, batch.q.shape[1], batch.graph.graphs * n * n, 9)
    table = table.index_add(2, _cells(batch, i, j), blocks)
    half = segment_sum(torch.cat([springs, springs]), torch.cat([i, j]), len(batch.place)) / 2
    own = torch.arange(len(batch.place), device=i.device)
    onsite = torch.zeros_like(table[0, 0]).index_add(0, _cells(batch, own, own), half.flatten(1))
    matrix = torch.complex(table[0] + onsite, table[1])
    matrix = matrix.view(-1, graph.graphs, n, n, 3, 3).permute(1, 0, 2, 4, 3, 5)
    matrix = matrix.reshape(graph.graphs, -1, 3 * n, 3 * n)
    return matrix + matrix.mH


def response_matrices(responses: Tensor, batch: HarmonicBatch, cutoff: float) -> Tensor:
    """Return y(q) = A(q) u(q) as matrices (graphs, Q, N rows, 3N) complex."""
    graph, n = batch.graph, batch.largest
    _, (i, j), vectors = graph.within(cutoff)
    rows = responses.shape[1]
    waves = _phases(batch, vectors, graph.batch[i])  # [2, Q, edge]
    blocks = waves[..., None] * responses.flatten(1)
    table = responses.new_zeros(2, batch.q.shape[1], graph.graphs * n * n, 3 * rows)
    table = table.index_add(2, _cells(batch, i, j), blocks)
    own = torch.arange(len(batch.place), device=i.device)
    still = segment_sum(responses, i, len(batch.place)).flatten(1)
    onsite = torch.zeros_like(table[0, 0]).index_add(0, _cells(batch, own, own), still)
    matrix = torch.complex(table[0] - onsite, table[1])
    matrix = matrix.view(-1, graph.graphs, n, n, rows, 3).permute(1, 0, 2, 4, 3, 5)
    return matrix.reshape(graph.graphs, -1, n * rows, 3 * n)


def _phases(batch: HarmonicBatch, vectors: Tensor, crystal: Tensor) -> Tensor:
    """Return cos and sin of q·r, (2, Q, edges)."""
    angles = torch.einsum("eqx,ex->qe", batch.q[crystal], vectors)
    return torch.stack([angles.cos(), angles.sin()])


def _cells(batch: HarmonicBatch, i: Tensor, j: Tensor) -> Tensor:
    """Return where atoms i and j meet in tables of (graphs, N, N)."""
    n = batch.largest
    return (batch.graph.batch[i] * n + batch.place[i]) * n + batch.place[j]


def _padded(values: Tensor, batch: HarmonicBatch) -> Tensor:
    """Spread values of atoms (n, k) to (graphs, N, k)."""
    table = values.new_zeros(batch.graph.graphs * batch.largest, values.shape[1])
    where = batch.graph.batch * batch.largest + batch.place
    return table.index_copy(0, where, values).view(batch.graph.graphs, batch.largest, -1)


def harmonic_loss(
    model: ForceConstantsModel,
    batch: HarmonicBatch,
    *,
    modes: int,
    blend: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Compare a batch with its reference.

    Parameters
    ----------
    model
        The model.
    batch
        The crystals.
    modes
        How many modes of each crystal the error is seen through, drawn at random.
    blend
        Weight of errors that mix modes of different frequencies, which change frequencies to second
        order only; 1 weighs all alike.
    generator
        Of the draw.

    Returns
    -------
    tuple
        Root mean square error of D(q) between modes, and of each mode alone to first order: the
        error of its frequency. Both in the crystal's mean frequency, means over crystals.
    """
    terms = model(batch.graph, batch.polar)
    sizes = 3 * batch.sizes
    count = min(modes, int(sizes.max()))
    draw = torch.rand(len(sizes), count, generator=generator).to(sizes.device)
    columns = (draw * sizes[:, None]).long()  # [graph, r]; repeats do no harm
    columns = columns[:, None, :].expand(-1, batch.q.shape[1], -1)  # [graph, Q, r]
    index = columns[:, :, None, :].expand(-1, -1, batch.waves.shape[2], -1)
    chosen = torch.gather(batch.waves, 3, index)
    difference = applied(terms, batch, model.config.response_cutoff, chosen)
    difference = difference - batch.short_ranged @ chosen
    mixing = batch.waves.mH @ difference  # [graph, Q, mode, r]
    error = (
        torch.view_as_real(mixing).square().sum(-1) / (2 * batch.scale[:, None, None, None]) ** 2
    )
    own = torch.gather(batch.frequencies, 2, columns)
    apart = (batch.frequencies[..., None] - own[:, :, None, :]) / batch.scale[:, None, None, None]
    near = torch.exp(-((apart / 0.15) ** 2))
    weighed = error * (blend + (1 - blend) * near)
    per_crystal = weighed.sum(2).mean((1, 2))
    alone = torch.gather(error, 2, columns[:, :, None, :]).squeeze(2).mean((1, 2))
    return (per_crystal + 1e-6).sqrt().mean(), (alone + 1e-6).sqrt().mean()


def polarity_losses(found: Polarity, batch: HarmonicBatch) -> tuple[Tensor, Tensor]:
    """Return errors of Born charges, in e per atom, and of ε∞, relative; means."""
    charged = batch.charged
    if not bool(charged.any()):
        zero = found.dielectric.sum() * 0
        return zero, zero
    charges = found.born_charges[charged[batch.graph.batch]] - batch.born
    born = (charges.square().sum((1, 2)) + 1e-4).sqrt().mean()
    relative = (found.dielectric[charged] - batch.dielectric).square().sum((1, 2))
    size = batch.dielectric.square().sum((1, 2))
    return born, (relative / size + 1e-4).sqrt().mean()
