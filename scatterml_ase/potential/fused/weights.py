"""What a fused pass needs of a model: its tables, and its weights multiplied out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from scatterml_ase.nn.angular import degree_of_component, degree_slices
from scatterml_ase.nn.coupling import Quadratic
from scatterml_ase.nn.polynomials import SphericalPolynomials

if TYPE_CHECKING:
    from torch import nn

    from scatterml_ase.potential.layers import Layer
    from scatterml_ase.potential.model import E3NNPotential


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


def _feature_order(form: Form, channels: int, correlation: int) -> Tensor:
    """Return where the readout expects the features this pass makes, degree by degree."""
    kinds, degrees = correlation - 2, len(form.slices)
    head = 1 + form.paths[0]
    tail = head + torch.arange(degrees * kinds).view(degrees, kinds).T.flatten()
    blocks = torch.cat([torch.arange(head), tail])
    order = blocks.unsqueeze(1) * channels + torch.arange(channels)
    return order.flatten().to(form.degrees.device)
