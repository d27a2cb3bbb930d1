"""Radial functions of an edge: an orthogonal smooth basis, and a small network on top of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from scatterml_ase.nn.cutoff import PolynomialCutoff
from scatterml_ase.nn.tables import TableModule


class BesselBasis(TableModule):
    """Spherical Bessel functions sin(nπr/c)/r, damped smoothly to zero at the cutoff c.

    Scaled to unit mean square over a sphere filled evenly with neighbours, so that what is
    summed over neighbours starts at order one (Gasteiger et al., arXiv:2003.03123, eq. 7).

    Parameters
    ----------
    cutoff
        Distance in Å at which value, first and second derivative vanish.
    size
        Number of functions n = 1 … size.
    power
        Power of the envelope, see :class:`~scatterml_ase.nn.cutoff.PolynomialCutoff`.
    """

    frequencies: Tensor

    def __init__(self, cutoff: float, size: int, power: int = 5) -> None:
        super().__init__()
        self.cutoff, self.size = float(cutoff), int(size)
        self.envelope = PolynomialCutoff(cutoff, power)
        frequencies = torch.arange(1, size + 1, dtype=torch.float64) * (math.pi / cutoff)
        self.register_table("frequencies", frequencies)
        x = torch.linspace(0.0, 1.0, 2001, dtype=torch.float64)[1:]
        waves = torch.sin(x[:, None] * cutoff * frequencies) * self.envelope(x * cutoff)[:, None]
        # ∫ (sin u / r)² d³r / volume is 3/c² ∫ (sin u)² dx: the r² of the shell cancels.
        self.scale = self.cutoff * (3.0 * float(waves.square().mean())) ** -0.5

    def forward(self, distances: Tensor) -> Tensor:
        """Return the basis, shape (edges, size), for ``distances`` (edges,) in Å."""
        r = distances.unsqueeze(-1)
        return self.scale * torch.sin(r * self.frequencies) * (self.envelope(r) / r)


class RadialNetwork(nn.Sequential):
    """Multilayer perceptron R(|r|) on a radial basis: the weights of a convolution.

    The output has no bias, so it vanishes with the basis at the cutoff only if the caller
    multiplies it with an envelope; :class:`~scatterml_ase.nn.convolution.Convolution` does.
    """

    def __init__(self, size_in: int, hidden: Sequence[int], size_out: int) -> None:
        widths = [size_in, *hidden]
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            layers += [nn.Linear(a, b), nn.SiLU()]
        super().__init__(*layers, nn.Linear(widths[-1], size_out, bias=False))
