"""What depends on distances alone in a fused pass: envelope, binding and nuclear repulsion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from scatterml_ase.units import COULOMB_EV_ANGSTROM

if TYPE_CHECKING:
    from scatterml_ase.potential.model import E3NNPotential


@dataclass(frozen=True)
class PairOutput:
    """Values of a group of centres with their edges in rows, edges flattened (places,)."""

    energies: Tensor
    """Binding and repulsion of each centre in eV, (centres,) float64."""
    gradient: Tensor
    """Their derivative with respect to each distance, (places,) eV/Å."""
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
        *,
        gradient: bool,
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
        gradient
            Without, ``gradient`` and ``slope`` are meaningless.
        """
        model = self.model
        envelope, slope = _cutoff(distances, model.config.cutoff, model.config.envelope_power)
        near = None
        if model.config.repulsion:
            contact = model.repulsion.contact
            contacts = contact[centres[0], centres[0]] if pairs is None else contact[pairs]
            shortest = float((distances / contacts).min())
            start, end = model.config.core_span
            if shortest < end:
                step, rise = _smooth_step(distances / contacts, start, end)
                slope = slope * step + envelope * (rise / contacts)
                envelope = envelope * step
            if shortest < model.config.repulsion_span[1]:
                near = contacts
        binding = model.constant("binding_energies", centres)[centres]
        bound = torch.tanh(envelope.view(shape).sum(1).to(torch.float64))
        energies = binding * bound
        pull = (binding * (1.0 - bound.square())).to(slope.dtype)
        radial = (slope.view(shape) * pull.unsqueeze(1)).flatten() if gradient else slope
        if near is not None:
            repulsion, push = self._repulsion(distances, near, shape, centres, pairs)
            energies = energies + repulsion
            radial = radial + push
        return PairOutput(energies, radial, envelope, slope)

    def _repulsion(
        self,
        distances: Tensor,
        contacts: Tensor,
        shape: tuple[int, int],
        centres: Tensor,
        pairs: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, Tensor]:
        """Return half of every pair's switched ZBL energy per centre, and its derivative."""
        zbl = self.model.repulsion
        inner, outer = zbl.span
        ends = (contacts * outer).clamp(max=zbl.cutoff)
        near = torch.nonzero(distances < ends).squeeze(1)
        r = distances[near]
        if pairs is None:
            first = second = zbl.charges[centres[0]]
            end = ends
        else:
            first, second = zbl.charges[pairs[0][near]], zbl.charges[pairs[1][near]]
            end = ends[near]
        length = zbl.screening_length(first, second)
        waves = zbl.coefficients * torch.exp(-(r / length).unsqueeze(1) * zbl.exponents)
        bare = 0.5 * COULOMB_EV_ANGSTROM * first * second / r
        value = bare * waves.sum(1)
        fall = -value / r - bare / length * (waves @ zbl.exponents)
        start = end * (inner / outer)
        step, rise = _smooth_step((r - start) / (end - start), 0.0, 1.0)
        switch = 1.0 - step
        push = torch.zeros_like(distances)
        push[near] = fall * switch - value * rise / (end - start)
        energy = torch.zeros(shape[0], dtype=torch.float64, device=r.device)
        energy.index_add_(0, near // shape[1], (value * switch).to(torch.float64))
        return energy, push


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


def _smooth_step(x: Tensor, start: float, end: float) -> tuple[Tensor, Tensor]:
    """Return the step from 0 at ``start`` to 1 at ``end`` and its derivative with respect to x."""
    t = ((x - start) / (end - start)).clamp(0.0, 1.0)
    cube = t * t * t
    value = cube * t * (35.0 + t * (-84.0 + t * (70.0 - 20.0 * t)))
    rise = cube * (1.0 - t) ** 3 * (140.0 / (end - start))
    return value, rise
