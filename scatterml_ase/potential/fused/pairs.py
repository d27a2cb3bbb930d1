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

Constants = tuple[Tensor, ...] | tuple[float, ...]
"""Of pairs: reach of what is special about close ones, contact distances of damping and gate (Å),
screening length (Å) and strength (eV Å) of the repulsion, and where it ends (Å)."""


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

    Parameters
    ----------
    model
        In the dtype and on the device of what is to come; its tables never change.
    present
        Species that occur. Of one alone, constants are plain numbers.
    """

    def __init__(self, model: E3NNPotential, present: tuple[int, ...]) -> None:
        self.model = model
        self._table = _pair_constants(model)  # [constant, species, species]
        self._alike: Constants = tuple(self._table[:, present[0], present[0]].tolist())
        self._rest = model.gate.rest.to(torch.float64)
        self._binding = model.constant("binding_energies", self._rest)

    def __call__(
        self, distances: Tensor, shape: tuple[int, int], centres: Tensor, others: Tensor | None
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
        others
            Species index of the neighbour of each place (places,); None if all atoms are alike.
        """
        config = self.model.config
        envelope, slope = _cutoff(distances, config.cutoff, config.envelope_power)
        pairs = None if others is None else (centres.repeat_interleave(shape[1]), others)
        constants = self._of(pairs)
        repulsion: Tensor | float = 0.0
        push = None
        if config.repulsion:
            near = torch.nonzero(distances < constants[0]).squeeze(1)
            if len(near):
                close = distances[near]
                special = self._of(pairs, near)
                self._damp(near, close, special, envelope, slope)
                each, fall = self._repulsion(close, special)
                repulsion = torch.zeros(shape[0], dtype=torch.float64, device=distances.device)
                repulsion.index_add_(0, near // shape[1], each.to(torch.float64))
                push = (near, fall)
        gate = self._gate(distances, envelope, slope, shape, constants[2], self._rest[centres])
        return PairOutput(*gate, self._binding[centres], repulsion, push, envelope, slope)

    def _of(self, pairs: tuple[Tensor, Tensor] | None, near: Tensor | None = None) -> Constants:
        """Return the constants of pairs of species, of all or of some."""
        if pairs is None:
            return self._alike
        first, second = pairs if near is None else (pairs[0][near], pairs[1][near])
        return self._table[:, first, second].unbind()

    def _gate(
        self,
        r: Tensor,
        envelope: Tensor,
        slope: Tensor,
        shape: tuple[int, int],
        contacts: Tensor | float,
        rest: Tensor,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the gate of each centre and, where one is not quite open, its derivative."""
        bonds = torch.exp(BOND_DECAY * (1.0 - r / contacts))
        x = (bonds * envelope).view(shape).sum(1, dtype=torch.float64) / rest
        start, end = self.model.gate.span
        if bool((x >= end).all()):
            return torch.ones_like(x), None
        step, rise = _smooth_step((x - start) / (end - start))
        per_bond = (rise / ((end - start) * rest)).to(r.dtype).unsqueeze(1)
        falling = bonds * (slope - envelope * (BOND_DECAY / contacts))
        return step, falling.view(shape) * per_bond

    def _damp(
        self, near: Tensor, r: Tensor, constants: Constants, envelope: Tensor, slope: Tensor
    ) -> None:
        """Multiply the envelope of pairs inside of the core with its damping, in place."""
        contacts = constants[1]
        start, end = self.model.config.core_span
        if not bool((r < contacts * end).any()):  # bonds are not that short
            return
        step, rise = _smooth_step((r / contacts - start) / (end - start))
        rise = rise / ((end - start) * contacts)
        slope[near] = slope[near] * step + envelope[near] * rise
        envelope[near] = envelope[near] * step

    def _repulsion(self, r: Tensor, constants: Constants) -> tuple[Tensor, Tensor]:
        """Return half of the switched ZBL energy of close pairs and its derivative."""
        zbl = self.model.repulsion
        _, _, _, length, strength, end = constants
        waves = torch.exp((r / length).unsqueeze(1) * -zbl.exponents)
        bare = strength / r
        value = bare * (waves @ zbl.coefficients)
        fall = -value / r - bare / length * (waves @ (zbl.coefficients * zbl.exponents))
        start = end * (zbl.span[0] / zbl.span[1])
        step, rise = _smooth_step((r - start) / (end - start))
        off = 1.0 - step
        return value * off, fall * off - value * rise / (end - start)


def _pair_constants(model: E3NNPotential) -> Tensor:
    """Tabulate the constants of all pairs of species, (6, species, species)."""
    config, contact = model.config, model.gate.contact
    if not config.repulsion:
        nothing = torch.zeros_like(contact)
        return torch.stack([nothing, contact, contact, contact, nothing, nothing])
    zbl, damping = model.repulsion, model.damping.contact
    length = zbl.screening_length(zbl.charges.unsqueeze(1), zbl.charges)
    strength = 0.5 * COULOMB_EV_ANGSTROM * zbl.charges.unsqueeze(1) * zbl.charges
    end = (zbl.contact * zbl.span[1]).clamp(max=zbl.cutoff)
    reach = torch.maximum(end, damping * config.core_span[1])
    return torch.stack([reach, damping, contact, length, strength, end])


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
