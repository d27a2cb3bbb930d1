"""What depends on distances alone in a fused pass: envelope, gate and nuclear repulsion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from scatterml_ase.potential.binding import BOND_DECAY
from scatterml_ase.units import COULOMB_EV_ANGSTROM

if TYPE_CHECKING:
    from scatterml_ase.potential.model import E3NNPotential


@dataclass(frozen=True)
class PairOutput:
    """Values of a group of centres with their edges in rows, edges flattened (places,)."""

    gate: Tensor
    """How much each centre is bound, (centres,) float64."""
    gate_slope: Tensor | None
    """Its derivative with respect to each distance, (centres, places) 1/Å; None: zero."""
    binding: Tensor
    """Binding energy of each centre in eV, (centres,) float64, before the gate."""
    repulsion: Tensor | float
    """Nuclear repulsion of each centre in eV, (centres,) float64, or zero."""
    push: tuple[Tensor, Tensor] | None
    """Places (k,) of close pairs and the derivative of the repulsion there, eV/Å; None: zero."""
    envelope: Tensor
    """Cutoff times core damping, (places,)."""
    slope: Tensor
    """Its derivative with respect to the distance, (places,) 1/Å."""


class PairPass:
    """The pair terms of an :class:`E3NNPotential` and their derivatives, written out.

    See :mod:`scatterml_ase.potential.repulsion` and :mod:`scatterml_ase.nn.cutoff` for the
    formulas and their sources.
    """

    def __init__(self, model: E3NNPotential) -> None:
        self.model = model

    def __call__(
        self,
        distances: Tensor,
        shape: tuple[int, int],
        centres: Tensor,
        pairs: tuple[Tensor, Tensor] | None,
    ) -> PairOutput:
        """Evaluate a group.

        Parameters
        ----------
        distances
            (places,) Å; unused places hold the cutoff.
        shape
            Centres and places per centre.
        centres
            Species index (centres,).
        pairs
            Species index of centre and neighbour of each place; None if all atoms are alike.
        """
        model, config = self.model, self.model.config
        envelope, slope = _cutoff(distances, config.cutoff, config.envelope_power)
        repulsion: Tensor | float = 0.0
        push = None
        if config.repulsion:
            alike = (centres[:1], centres[:1])
            reach = max(config.core_span[1], config.repulsion_span[1])
            limit = reach * model.repulsion.contact[pairs or alike]
            near = torch.nonzero(distances < limit).squeeze(1)  # few, in a calm crystal none
            if len(near):
                kinds = alike if pairs is None else (pairs[0][near], pairs[1][near])
                close = distances[near]
                step, rise = self._damping(close, kinds)
                slope[near] = slope[near] * step + envelope[near] * rise
                envelope[near] = envelope[near] * step
                each, fall = self._repulsion(close, kinds)
                repulsion = torch.zeros(shape[0], dtype=torch.float64, device=distances.device)
                repulsion.index_add_(0, near // shape[1], each.to(torch.float64))
                push = (near, fall)
        gate, gate_slope = self._gate(distances, envelope, slope, shape, centres, pairs)
        binding = model.constant("binding_energies", centres)[centres]
        return PairOutput(gate, gate_slope, binding, repulsion, push, envelope, slope)

    def _gate(
        self,
        r: Tensor,
        envelope: Tensor,
        slope: Tensor,
        shape: tuple[int, int],
        centres: Tensor,
        pairs: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the gate of each centre and, where one is not quite open, its derivative."""
        gate = self.model.gate
        contacts = gate.contact[pairs or (centres[:1], centres[:1])]
        bonds = torch.exp(BOND_DECAY * (1.0 - r / contacts))
        rest = gate.rest[centres].to(torch.float64)
        x = (bonds * envelope).view(shape).sum(1, dtype=torch.float64) / rest
        start, end = gate.span
        if bool((x >= end).all()):
            return torch.ones_like(x), None
        step, rise = _smooth_step((x - start) / (end - start))
        per_bond = (rise / ((end - start) * rest)).to(r.dtype).unsqueeze(1)
        falling = bonds * (slope - envelope * (BOND_DECAY / contacts))
        return step, falling.view(shape) * per_bond

    def _damping(self, r: Tensor, kinds: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the core damping of close pairs and its derivative."""
        contacts = self.model.repulsion.contact[kinds]
        start, end = self.model.config.core_span
        step, rise = _smooth_step((r / contacts - start) / (end - start))
        return step, rise / ((end - start) * contacts)

    def _repulsion(self, r: Tensor, kinds: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return half of the switched ZBL energy of close pairs and its derivative."""
        zbl = self.model.repulsion
        first, second = zbl.charges[kinds[0]], zbl.charges[kinds[1]]
        length = zbl.screening_length(first, second)
        waves = zbl.coefficients * torch.exp(-(r / length).unsqueeze(1) * zbl.exponents)
        bare = 0.5 * COULOMB_EV_ANGSTROM * first * second / r
        value = bare * waves.sum(1)
        fall = -value / r - bare / length * (waves @ zbl.exponents)
        end = (zbl.contact[kinds] * zbl.span[1]).clamp(max=zbl.cutoff)
        start = end * (zbl.span[0] / zbl.span[1])
        step, rise = _smooth_step((r - start) / (end - start))
        return value * (1.0 - step), fall * (1.0 - step) - value * rise / (end - start)


def _cutoff(distances: Tensor, cutoff: float, power: int) -> tuple[Tensor, Tensor]:
    """Return the polynomial envelope and its derivative."""
    p = power
    x = (distances / cutoff).clamp(max=1.0)
    below = _power(x, p - 1)
    quadratic = -(p + 1) * (p + 2) / 2 + x * (p * (p + 2) - x * (p * (p + 1) / 2))
    value = 1.0 + below * x * quadratic
    slope = below * (1.0 - x).square() * (-p * (p + 1) * (p + 2) / (2 * cutoff))
    return value, slope


def _power(x: Tensor, exponent: int) -> Tensor:
    """Return x to a whole power ≥ 2 by multiplications: pow costs more than all else here."""
    if exponent == 2:
        return x * x
    half = _power(x, exponent // 2) if exponent > 3 else x
    return half * half * x if exponent % 2 else half * half


def _smooth_step(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the step from 0 (x ≤ 0) to 1 (x ≥ 1) and its derivative."""
    t = x.clamp(0.0, 1.0)
    cube = t * t * t
    value = cube * t * (35.0 + t * (-84.0 + t * (70.0 - 20.0 * t)))
    return value, 140.0 * cube * (1.0 - t) ** 3
