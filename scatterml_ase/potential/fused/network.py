"""The network of a fused pass on one group of centres, forward and backward."""

from __future__ import annotations

import torch
from torch import Tensor

from scatterml_ase.potential.fused.weights import Form, Weights


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
