"""Radial functions of an edge: an orthogonal smooth basis, and a small network on top of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from scatterml_ase.nn.cutoff import PolynomialCutoff


class BesselBasis(nn.Module):
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
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.scale = 1.0
        r = torch.linspace(0.0, self.cutoff, 2001, dtype=torch.float64)[1:]
        mean_square = self(r).square().mean(dim=1) @ (3.0 * r**2 / self.cutoff**3)
        self.scale = float(mean_square * self.cutoff / len(r)) ** -0.5

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
        for a, b in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(a, b), nn.SiLU()]
        super().__init__(*layers, nn.Linear(widths[-1], size_out, bias=False))
