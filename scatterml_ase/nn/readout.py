"""From invariant features of an atom to a number that vanishes with them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class Readout(nn.Module):
    """Linear map plus a small network, without bias: zero features give exactly zero.

    Parameters
    ----------
    size_in
        Number of features.
    hidden
        Widths of the hidden layers; empty for a linear readout.
    size_out
        Number of outputs.
    """

    def __init__(self, size_in: int, hidden: Sequence[int], size_out: int = 1) -> None:
        super().__init__()
        self.linear = _linear(size_in, size_out)
        widths = [size_in, *hidden]
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            layers += [_linear(a, b), nn.SiLU()]
        self.network = nn.Sequential(*layers, _linear(widths[-1], size_out)) if hidden else None

    def forward(self, features: Tensor) -> Tensor:
        """Return (atoms, size_out) of ``features`` (atoms, size_in)."""
        out = self.linear(features)
        return out if self.network is None else out + self.network(features)


def bounded_below(energies: Tensor, floor: float) -> Tensor:
    """Bend energies so that none passes −floor; above −floor / 2 they stay as they are.

    The bend has continuous second derivatives.
    """
    half = floor / 2
    excess = torch.relu(-half - energies)
    return energies + excess - half * torch.tanh(excess / half)


def _linear(size_in: int, size_out: int) -> nn.Linear:
    layer = nn.Linear(size_in, size_out, bias=False)
    nn.init.normal_(layer.weight, std=size_in**-0.5)
    return layer
