"""What a potential knows about each atom, read off on its way to the energy."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from scatterml_ase.nn.readout import Readout
from scatterml_ase.potential.binding import BondGate


@dataclass(frozen=True)
class Features:
    """One forward pass of a potential, opened.

    ``network = last_layer @ weights`` holds exactly: the last layer is linear, so committees that
    differ in it alone share everything before it.
    """

    energies: Tensor
    """Energies of the atoms (atoms,) in eV, float64."""
    invariants: Tensor
    """Invariants of all layers (atoms, f)."""
    last_layer: Tensor
    """Of each layer its invariants and the last hidden values of its readout, (atoms, p)."""
    network: Tensor
    """Sum of the readouts (atoms,), before scale, floor and gate, without unit."""
    gate: Tensor
    """What multiplies it in the end, (atoms,) float64: 1 but for the loneliest."""


class FeatureReader(nn.Module):
    """A potential that also tells the features its readouts see.

    It listens on modules of its own, which share the weights with the potential: several readers
    and calculators of one potential do not disturb each other.

    Parameters
    ----------
    potential
        A model whose energies of atoms are made of :class:`~scatterml_ase.nn.readout.Readout`.
    """

    def __init__(self, potential: nn.Module) -> None:
        super().__init__()
        self.potential = _twin(potential)

    @property
    def readouts(self) -> list[Readout]:
        """The readouts, in the order of the layers."""
        return [module for module in self.potential.modules() if isinstance(module, Readout)]

    @property
    def weights(self) -> Tensor:
        """Weights of the last layer (p,) in the order of ``Features.last_layer``."""
        parts = []
        for readout in self.readouts:
            parts.append(readout.linear.weight[0])
            if readout.network is not None:
                parts.append(last_linear(readout).weight[0])
        return torch.cat(parts)

    def forward(self, edge_vectors: Tensor, edge_index: Tensor, numbers: Tensor) -> Features:
        """Return the features of all atoms; arguments as of the potential."""
        readouts = self.readouts
        gates = [module for module in self.potential.modules() if isinstance(module, BondGate)]
        with _inputs_of(readouts) as seen, _outputs_of(gates) as opened:
            energies = self.potential(edge_vectors, edge_index, numbers)
        gate = opened[0] if opened else torch.ones_like(energies)
        if len(seen) < len(readouts):  # no edges: all features vanish
            empty = next(self.potential.parameters()).new_zeros
            seen = [empty(len(numbers), readout.linear.in_features) for readout in readouts]
        parts, network = [], energies.new_zeros(len(numbers))
        for readout, invariants in zip(readouts, seen, strict=True):
            parts.append(invariants)
            network = network + readout.linear(invariants).squeeze(1)
            if readout.network is not None:
                hidden = readout.network[:-1](invariants)
                parts.append(hidden)
                network = network + last_linear(readout)(hidden).squeeze(1)
        return Features(energies, torch.cat(seen, dim=1), torch.cat(parts, dim=1), network, gate)


def last_linear(readout: Readout) -> nn.Linear:
    """Return the last linear map of a readout's network."""
    layer: Any = readout.network
    return layer[-1]


@contextmanager
def _inputs_of(modules: list[Readout]) -> Iterator[list[Tensor]]:
    """Collect what is passed to each module inside the block, in the order of the calls."""
    seen: list[Tensor] = []
    hooks = [m.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])) for m in modules]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _outputs_of(modules: list[BondGate]) -> Iterator[list[Tensor]]:
    """Collect what each module returns inside the block, in the order of the calls."""
    seen: list[Tensor] = []
    hooks = [m.register_forward_hook(lambda _m, _i, output: seen.append(output)) for m in modules]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _twin(model: nn.Module) -> nn.Module:
    """Return a copy of the modules that shares all tensors with the original."""
    tensors = [*model.parameters(), *model.buffers()]
    memo: dict[int, Any] = {id(tensor): tensor for tensor in tensors}
    card = getattr(model, "card", None)
    if card is not None:
        memo[id(card)] = card
    return copy.deepcopy(model, memo)
