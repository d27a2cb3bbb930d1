"""Smooth polynomials that switch interactions off at the cutoff and between two distances."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PolynomialCutoff(nn.Module):
    """Envelope that is 1 at zero distance and reaches 0 at the cutoff with two zero derivatives.

    u(x) = 1 − (p+1)(p+2)/2 xᵖ + p(p+2) xᵖ⁺¹ − p(p+1)/2 xᵖ⁺² with x = r / cutoff: forces and
    second derivatives (phonons) stay continuous when an atom crosses the cutoff
    (Gasteiger et al., arXiv:2003.03123, eq. 8).

    Parameters
    ----------
    cutoff
        Distance in Å beyond which the envelope is exactly 0.
    power
        p ≥ 3; larger keeps the envelope near 1 for longer.
    """

    def __init__(self, cutoff: float, power: int = 5) -> None:
        super().__init__()
        self.cutoff, self.power = float(cutoff), int(power)

    def forward(self, distances: Tensor) -> Tensor:
        """Return the envelope, shape of ``distances`` (Å), without unit."""
        p = self.power
        x = (distances / self.cutoff).clamp(max=1.0)
        quadratic = -(p + 1) * (p + 2) / 2 + x * (p * (p + 2) - x * (p * (p + 1) / 2))
        return 1.0 + x**p * quadratic


def smooth_step(x: Tensor) -> Tensor:
    """Rise from 0 (x ≤ 0) to 1 (x ≥ 1) with three zero derivatives at both ends."""
    x = x.clamp(0.0, 1.0)
    return x**4 * (35.0 + x * (-84.0 + x * (70.0 - 20.0 * x)))


def switch_off(distances: Tensor, inner: Tensor | float, outer: Tensor | float) -> Tensor:
    """Fall smoothly from 1 at ``inner`` to 0 at ``outer`` (both Å, broadcast to ``distances``)."""
    return 1.0 - smooth_step((distances - inner) / (outer - inner))


def segment_sum(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Sum rows of ``values`` (edges, ...) that share an ``index`` (edges,): shape (size, ...)."""
    return torch.zeros(
        (size, *values.shape[1:]), dtype=values.dtype, device=values.device
    ).index_add(0, index, values)
