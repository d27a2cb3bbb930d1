"""Energies and their gradient in one pass without autograd, for potentials of one layer.

Forward and backward of the same few matrix products, written out and run on cache-sized groups of
centres: no graph is recorded, nothing has the size of edges × irreps × channels, and memory does
not grow with the structure. Weights of species, senders and centres are folded into one table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from scatterml_ase.nn.angular import degree_of_component, degree_slices
from scatterml_ase.nn.coupling import Quadratic
from scatterml_ase.nn.polynomials import SphericalPolynomials
from scatterml_ase.potential.pair_pass import PairPass

if TYPE_CHECKING:
    from torch import nn

    from scatterml_ase.potential.config import PotentialConfig
    from scatterml_ase.potential.layers import Layer
    from scatterml_ase.potential.model import E3NNPotential

# Places per group of centres: what a group touches then stays in a core's cache.
_PLACES = 3072


@dataclass(frozen=True)
class EdgeGroup:
    """Centres ``first`` to ``last`` (exclusive) with their edges in rows of one width."""

    first: int
    last: int
    edges: slice
    width: int
    source: Tensor
    """Edge (centres × width,) of each place; one past the last edge where there is none."""
    used: Tensor
    """Places (edges,) that hold an edge, in the order of the edges."""


@dataclass(frozen=True)
class Weights:
    """What the network's pass needs, in one dtype, for the species that are present."""

    basis: Tensor
    """(components, species × n_basis, channels), with senders, scale and a lone centre folded."""
    centre: Tensor | None
    """Factors (all species, components, channels) where centres differ, else None."""
    mix: list[Tensor]
    """(paths × channels, mixed) of each degree."""
    linear: Tensor
    """(features,) of the linear readout, in eV."""
    hidden: Tensor
    """(features, hidden) of the readout network."""
    out: Tensor
    """(hidden,) of the readout network, in eV."""
    frequencies: Tensor
    """n π / cutoff of the radial functions, (n_basis, 1)."""
    scale: float
    """Norm of the radial functions."""
    floor: float
    """Depth in eV the energy cannot pass."""


@dataclass(frozen=True)
class Form:
    """Tables of an architecture that the pass uses."""

    polynomials: SphericalPolynomials
    square: Quadratic
    degrees: Tensor  # of each component
    slices: list[slice]  # components of each degree
    paths: list[int]  # of each degree
    norms: Tensor  # (degrees, components): sums over a degree, scaled


@dataclass(frozen=True)
class _Tables:
    """Tables and folded weights of one state of a model."""

    state: object
    form: Form
    weights: dict[tuple[int, ...], Weights]


class FusedPass:
    """Energies (atoms,) of an :class:`E3NNPotential` of one layer and ∂E/∂vectors (edges, 3).

    Parameters
    ----------
    model
        One whose configuration :meth:`fits`. Weights are folded anew when they have changed.
    """

    def __init__(self, model: E3NNPotential) -> None:
        self.model = model
        self.pairs = PairPass(model)
        self._tables: _Tables | None = None

    @staticmethod
    def fits(config: PotentialConfig) -> bool:
        """Tell whether this pass knows the architecture."""
        one_layer = config.layers == 1 and len(config.readout_hidden) == 1
        return one_layer and config.correlation >= 3

    @torch.no_grad()
    def __call__(
        self,
        vectors: Tensor,
        edge_index: Tensor,
        numbers: Tensor,
        *,
        gradient: bool = True,
        network: Callable[..., tuple[Tensor, Tensor]] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Evaluate edges.

        Parameters
        ----------
        vectors
            From centre to neighbour, (edges, 3) Å, in the dtype of the model.
        edge_index
            (2, edges), sorted by centre.
        numbers
            Atomic numbers (atoms,).
        gradient
            Without, the second result is zero.
        network
            Takes the place of :func:`network_pass`, e.g. a compiled one.

        Returns
        -------
        tuple of Tensor
            Energies (atoms,) in eV and ∂(Σ energies)/∂vectors (edges, 3) in eV/Å, float64.
        """
        model = self.model
        species = model.species_index(numbers)
        energies = model.constant("reference_energies", numbers)[species]
        slopes = torch.zeros(vectors.shape, dtype=torch.float64, device=vectors.device)
        if not len(vectors):
            return energies, slopes
        present = torch.unique(species) if len(model.species) > 1 else species[:1]
        form, weights = self._folded(tuple(present.tolist()))
        evaluate = network or network_pass
        beyond = vectors.new_tensor([[model.config.cutoff, 0.0, 0.0]])
        filled = torch.cat([vectors, beyond])
        neighbours = torch.cat([edge_index[1], edge_index[1, :1]])
        for group in edge_groups(edge_index[0], len(numbers)):
            own, shape = slice(group.first, group.last), (group.last - group.first, group.width)
            d = filled.index_select(0, group.source).T.contiguous()  # [xyz, place]
            distances = _lengths(d)
            kinds = one_hot = centre = None
            if len(present) > 1:
                other = species[neighbours[group.source]]
                kinds = (species[own].repeat_interleave(group.width), other)
                one_hot = (other == present.unsqueeze(1)).to(d.dtype)  # [species, place]
            if weights.centre is not None:
                centre = weights.centre[species[own]].transpose(0, 1)  # [lm, atom, c]
            pair = self.pairs(distances, shape, species[own], kinds, gradient=gradient)
            edges = (d, distances, pair.envelope, pair.slope, one_hot)
            value, slope = evaluate(form, weights, shape, edges, centre, gradient=gradient)
            energies[own] += pair.energies + value
            if gradient:
                slope.addcmul_(d, pair.gradient / distances)
                slopes[group.edges] = slope.index_select(1, group.used).T.to(torch.float64)
        return energies, slopes

    def _folded(self, present: tuple[int, ...]) -> tuple[Form, Weights]:
        """Return tables and weights for the species present, made once per state of the model."""
        state = tuple((p.data_ptr(), p._version, p.dtype) for p in self.model.parameters())
        tables = self._tables  # one reference: another thread may put new ones in its place
        if tables is None or tables.state != state:
            tables = self._tables = _Tables(state, make_form(self.model), {})
        weights = tables.weights.get(present)
        if weights is None:
            weights = tables.weights[present] = fold(self.model, tables.form, present)
        return tables.form, weights


def make_form(model: E3NNPotential) -> Form:
    """Collect the tables of a model's architecture in its dtype and on its device."""
    layer = cast("Layer", model.layers[0])
    square, like = layer.product.square, layer.basis.weight
    l_max = model.config.l_max
    degrees = degree_of_component(l_max).to(like.device)
    each = torch.arange(l_max + 1, device=like.device)
    norms = (degrees == each.unsqueeze(1)) * (2.0 * each.to(like.dtype).unsqueeze(1) + 1.0) ** -0.5
    return Form(
        polynomials=SphericalPolynomials(l_max).to(device=like.device, dtype=like.dtype),
        square=square.form,
        degrees=degrees,
        slices=degree_slices(l_max),
        paths=square.paths_per_degree,
        norms=norms.contiguous(),
    )


def fold(model: E3NNPotential, form: Form, present: tuple[int, ...]) -> Weights:
    """Multiply out what does not depend on the edges."""
    layer, c = cast("Layer", model.layers[0]), model.config
    k = model.embedding.weight.shape[1]
    kinds = list(present)
    each = layer.basis.weight.view(c.l_max + 1, k, c.n_basis, c.channels)
    basis = torch.einsum("sk,lknc->lsnc", model.embedding.weight[kinds], each) * layer.basis.scale
    basis = basis.flatten(1, 2)
    centre = layer.centre
    lone = len(present) == 1
    if lone:
        basis = basis * centre[kinds[0]].unsqueeze(1)
    readout = layer.readout
    network = cast("nn.Sequential", readout.network)
    first, last = cast("tuple[nn.Linear, nn.Linear]", (network[0], network[-1]))
    order = _feature_order(form, c.channels, c.correlation)
    return Weights(
        basis=basis.index_select(0, form.degrees).contiguous(),
        centre=None if lone else centre.index_select(1, form.degrees),
        mix=list(layer.product.mix),
        linear=readout.linear.weight[0, order] * c.energy_scale,
        hidden=first.weight[:, order].T.contiguous(),
        out=last.weight[0] * c.energy_scale,
        frequencies=model.radial.frequencies.unsqueeze(1),
        scale=model.radial.scale,
        floor=c.energy_floor,
    )


def network_pass(
    form: Form,
    weights: Weights,
    shape: tuple[int, int],
    edges: tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None],
    centre: Tensor | None,
    *,
    gradient: bool,
) -> tuple[Tensor, Tensor]:
    """Evaluate the network on a group of centres.

    Parameters
    ----------
    form, weights
        The model.
    shape
        Centres a and places per centre w.
    edges
        Vectors (3, a w), distances (a w,), envelope and its derivative (a w,), and which species
        each neighbour is of (species, a w), or None if there is one.
    centre
        Factors (components, a, channels), or None.
    gradient
        Whether the second result is wanted.

    Returns
    -------
    tuple of Tensor
        Energies (a,) in eV, float64, and their gradient (3, a w) in eV/Å.
    """
    d, r, envelope, slope, one_hot = edges
    inverse = 1.0 / r
    u = d * inverse
    Y, monomials = form.polynomials(u)  # [lm, place]
    phase = r * weights.frequencies  # [n, place]
    waves = torch.sin(phase)
    window = envelope * inverse * weights.scale
    B = waves * window
    if one_hot is not None:
        B = (one_hot.unsqueeze(1) * B).flatten(0, 1)  # [s n, place]
    Y_of = Y.view(len(Y), *shape).transpose(0, 1)  # [atom, lm, w]
    B_of = B.view(len(B), *shape).transpose(0, 1)  # [atom, s n, w]
    density = torch.bmm(Y_of, B_of.mT)  # [atom, lm, s n]
    A = torch.bmm(density.transpose(0, 1), weights.basis)  # [lm, atom, c]
    if centre is not None:
        A = A * centre
    value, dA = _many_body(form, weights, A, gradient=gradient)
    if not gradient:
        return value, d
    if centre is not None:
        dA = dA * centre
    dD = torch.bmm(dA, weights.basis.mT).transpose(0, 1)  # [atom, lm, s n]
    dY = torch.bmm(dD, B_of).transpose(0, 1).reshape(Y.shape)
    dB = torch.bmm(dD.mT, Y_of).transpose(0, 1).reshape(B.shape)
    if one_hot is not None:
        dB = (dB.view(len(one_hot), -1, len(r)) * one_hot.unsqueeze(1)).sum(0)
    du = form.polynomials.gradient(dY, monomials)  # [xyz, place]
    fall = (weights.scale * slope - window) * inverse
    dr = window * (weights.frequencies * torch.cos(phase) * dB).sum(0) + fall * (waves * dB).sum(0)
    dr -= (u * du).sum(0) * inverse
    return value, torch.addcmul(du * inverse, u, dr)


def _many_body(form: Form, weights: Weights, A: Tensor, *, gradient: bool) -> tuple[Tensor, Tensor]:
    """Return energies (atoms,) and their gradient for the basis ``A`` (components, atoms, c).

    The invariants are those of :class:`~scatterml_ase.nn.product.ManyBodyProduct`.
    """
    components, atoms, channels = A.shape
    columns = A.view(components, -1)
    products = form.square.square(columns)  # [path and m, atom c]
    mixed = weights.mix[0].shape[1]
    Q = A.new_empty(components, atoms, mixed)
    sizes = [n * (part.stop - part.start) for n, part in zip(form.paths, form.slices, strict=True)]
    parts = products.split(sizes)
    for n, part, rows, mix in zip(form.paths, form.slices, parts, weights.mix, strict=True):
        by_atom = rows.view(n, -1, atoms, channels).permute(1, 2, 0, 3).reshape(-1, n * channels)
        torch.mm(by_atom, mix, out=Q[part].view(-1, mixed))
    first, second = Q[..., :channels], Q[..., channels:]
    pairs = [first * A] + ([first * second] if mixed > channels else [])
    sums = [(form.norms @ pair.flatten(1)).view(-1, atoms, channels) for pair in pairs]
    squares = parts[0].view(-1, atoms, channels)
    features = torch.cat([A[:1], squares, *sums]).transpose(0, 1).reshape(atoms, -1)
    hidden = features @ weights.hidden
    gate = torch.sigmoid(hidden)
    energy = (features @ weights.linear + (hidden * gate) @ weights.out).to(torch.float64)
    half = weights.floor / 2
    excess = torch.relu(-half - energy)
    bend = torch.tanh(excess / half)
    value = energy + excess - half * bend
    if not gradient:
        return value, A
    steep = (weights.out * gate * (1.0 + hidden * (1.0 - gate))) @ weights.hidden.T + weights.linear
    steep = steep * (1.0 - bend.square()).to(steep.dtype).unsqueeze(1)
    by_block = steep.view(atoms, -1, channels).transpose(0, 1)  # [block, atom, c]
    ends = 1 + len(squares)
    g = by_block[ends:].reshape(len(pairs), len(form.slices), -1)
    spread = [(form.norms.T @ x).view(components, atoms, channels) for x in g]
    dQ = torch.empty_like(Q)
    torch.mul(A, spread[0], out=dQ[..., :channels])
    if len(pairs) > 1:
        dQ[..., :channels].addcmul_(second, spread[1])
        torch.mul(first, spread[1], out=dQ[..., channels:])
    slopes = torch.empty_like(products)
    backs = slopes.split(sizes)
    for n, part, back, mix in zip(form.paths, form.slices, backs, weights.mix, strict=True):
        by_atom = (dQ[part].view(-1, mixed) @ mix.T).view(-1, atoms, n, channels)
        back.view(n, -1, atoms, channels).copy_(by_atom.permute(2, 0, 1, 3))
    backs[0].view(-1, atoms, channels).add_(by_block[1:ends])
    dA = form.square.adjoint(slopes, columns).view(A.shape)
    dA.addcmul_(first, spread[0])
    dA[0] += by_block[0]
    return value, dA


def _lengths(d: Tensor) -> Tensor:
    """Return the lengths of columns (3, n)."""
    return (d[0].square()).addcmul_(d[1], d[1]).addcmul_(d[2], d[2]).sqrt_()


def edge_groups(centres: Tensor, atoms: int) -> Iterator[EdgeGroup]:
    """Cut edges (sorted by their ``centres``) into groups of some ``_PLACES`` padded places."""
    counts = torch.bincount(centres, minlength=atoms)
    start = counts.cumsum(0) - counts
    edges, first = len(centres), 0
    for last, width, begin, end in _cuts(counts.tolist()):
        own = counts[first:last].unsqueeze(1)
        place = torch.arange(width, device=centres.device)
        filled = place < own
        source = torch.where(filled, start[first:last].unsqueeze(1) + place, edges)
        used = torch.nonzero(filled.flatten()).squeeze(1)
        yield EdgeGroup(first, last, slice(begin, end), width, source.flatten(), used)
        first = last


def _cuts(counts: list[int]) -> Iterator[tuple[int, int, int, int]]:
    """Yield (last centre, places per centre, first edge, last edge) of each group."""
    first = width = begin = end = 0
    for atom, count in enumerate(counts):
        wider = max(width, count)
        if atom > first and wider * (atom - first + 1) > _PLACES:
            yield atom, width, begin, end
            first, wider, begin = atom, count, end
        width, end = wider, end + count
    yield len(counts), width, begin, end


def _feature_order(form: Form, channels: int, correlation: int) -> Tensor:
    """Return where the readout expects the features this pass makes, degree by degree."""
    kinds, degrees = correlation - 2, len(form.slices)
    head = 1 + form.paths[0]
    tail = head + torch.arange(degrees * kinds).view(degrees, kinds).T.flatten()
    blocks = torch.cat([torch.arange(head), tail])
    order = blocks.unsqueeze(1) * channels + torch.arange(channels)
    return order.flatten().to(form.degrees.device)
