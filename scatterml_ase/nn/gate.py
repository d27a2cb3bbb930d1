"""A nonlinearity for equivariant features: activated scalars, and scalars that gate the rest."""

from __future__ import annotations

import torch
from e3nn import o3
from e3nn.nn import Gate
from torch import nn


def gate(irreps: o3.Irreps | str) -> Gate:
    """Make the gate with output ``irreps``; ask its ``irreps_in`` what it wants as input.

    Even scalars pass through SiLU, odd scalars through tanh (so they stay odd), and each
    other irrep is multiplied with the SiLU of an even scalar of its own (Weiler et al., 2018,
    arXiv:1807.02547).

    Examples
    --------
    >>> nonlinearity = gate("8x0e + 4x1o")
    >>> print(nonlinearity.irreps_in)
    12x0e+4x1o
    """
    scalars = o3.Irreps([(mul, ir) for mul, ir in o3.Irreps(irreps) if ir.l == 0])
    gated = o3.Irreps([(mul, ir) for mul, ir in o3.Irreps(irreps) if ir.l > 0])
    activations = [nn.functional.silu if ir.p == 1 else torch.tanh for _, ir in scalars]
    gates = o3.Irreps(f"{gated.num_irreps}x0e") if gated.num_irreps else o3.Irreps("")
    return Gate(scalars, activations, gates, [nn.functional.silu for _ in gates], gated)
