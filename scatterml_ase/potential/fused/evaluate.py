"""Energies and their gradient in one pass without autograd, for potentials of one layer.

Forward and backward of the same few matrix products, written out and run on cache-sized groups of
centres: no graph is recorded, nothing has the size of edges × irreps × channels, and memory does
not grow with the structure. Weights of species, senders and centres are folded into one table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from scatterml_ase.potential.fused.groups import edge_groups
from scatterml_ase.potential.fused.network import network_pass
from scatterml_ase.potential.fused.pairs import PairOutput, PairPass
from scatterml_ase.potential.fused.weights import Form, Weights, fold, make_form

if TYPE_CHECKING:
    from scatterml_ase.potential.config import PotentialConfig
    from scatterml_ase.potential.model import E3NNPotential


@dataclass(frozen=True)
class _Tables:
    """Tables and folded weights of one state of a model."""

    state: object
    form: Form
    weights: dict[tuple[int, ...], Weights]


class FusedPass:
    """Energies (atoms,) of an :class:`E3NNPotential` of one layer and ∂E/∂vectors (edges, 3).

    Parameters
    ----------
    model
        One whose configuration :meth:`fits`. Weights are folded anew when they have changed.
    """

    def __init__(self, model: E3NNPotential) -> None:
        self.model = model
        self.pairs = PairPass(model)
        self._tables: _Tables | None = None

    @staticmethod
    def fits(config: PotentialConfig) -> bool:
        """Tell whether this pass knows the architecture."""
        one_layer = config.layers == 1 and len(config.readout_hidden) == 1
        return one_layer and config.correlation >= 3

    @torch.no_grad()
    def __call__(
        self,
        vectors: Tensor,
        edge_index: Tensor,
        numbers: Tensor,
        *,
        gradient: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Evaluate edges.

        Parameters
        ----------
        vectors
            From centre to neighbour, (edges, 3) Å, in the dtype of the model.
        edge_index
            (2, edges), sorted by centre.
        numbers
            Atomic numbers (atoms,).
        gradient
            Without, the second result is zero.

        Returns
        -------
        tuple of Tensor
            Energies (atoms,) in eV and ∂(Σ energies)/∂vectors (edges, 3) in eV/Å, float64.

        Raises
        ------
        InputError
            If the edges are not sorted by centre.
        """
        model = self.model
        species = model.species_index(numbers)
        energies = model.constant("reference_energies", numbers)[species]
        slopes = torch.zeros(vectors.shape, dtype=torch.float64, device=vectors.device)
        if not len(vectors):
            return energies, slopes
        present = torch.unique(species) if len(model.species) > 1 else species[:1]
        form, weights = self._folded(tuple(present.tolist()))
        beyond = vectors.new_tensor([[model.config.cutoff, 0.0, 0.0]])
        filled = torch.cat([vectors, beyond])
        neighbours = torch.cat([edge_index[1], edge_index[1, :1]])
        for group in edge_groups(edge_index[0], len(numbers)):
            own, shape = slice(group.first, group.last), (group.last - group.first, group.width)
            d = filled.index_select(0, group.source).T.contiguous()  # [xyz, place]
            distances = _lengths(d)
            kinds = one_hot = centre = None
            if len(present) > 1:
                other = species[neighbours[group.source]]
                kinds = (species[own].repeat_interleave(group.width), other)
                one_hot = (other == present.unsqueeze(1)).to(d.dtype)  # [species, place]
            if weights.centre is not None:
                centre = weights.centre[species[own]].transpose(0, 1)  # [lm, atom, c]
            pair = self.pairs(distances, shape, species[own], kinds)
            edges = (d, distances, pair.envelope, pair.slope, one_hot)
            value, slope = network_pass(form, weights, shape, edges, centre, gradient=gradient)
            bound = pair.binding + value
            energies[own] += pair.gate * bound + pair.repulsion
            if gradient:
                _add_pairs(slope, pair, bound, d, distances)
                slopes[group.edges] = slope.index_select(1, group.used).T.to(torch.float64)
        return energies, slopes

    def _folded(self, present: tuple[int, ...]) -> tuple[Form, Weights]:
        """Return tables and weights for the species present, made once per state of the model."""
        state = tuple((p.data_ptr(), p._version, p.dtype) for p in self.model.parameters())
        tables = self._tables  # one reference: another thread may put new ones in its place
        if tables is None or tables.state != state:
            tables = self._tables = _Tables(state, make_form(self.model), {})
        weights = tables.weights.get(present)
        if weights is None:
            weights = tables.weights[present] = fold(self.model, tables.form, present)
        return tables.form, weights


def _add_pairs(slope: Tensor, pair: PairOutput, bound: Tensor, d: Tensor, r: Tensor) -> None:
    """Turn the network's gradient (3, places) into that of the energy, in place."""
    if pair.gate_slope is not None:
        centres, width = pair.gate_slope.shape
        slope.view(3, centres, width).mul_(pair.gate.to(slope.dtype).unsqueeze(1))
        radial = (pair.gate_slope * bound.to(slope.dtype).unsqueeze(1)).flatten()
        slope.addcmul_(d, radial / r)
    if pair.push is not None:
        near, push = pair.push
        slope.index_add_(1, near, d[:, near] * (push / r[near]))


def _lengths(d: Tensor) -> Tensor:
    """Return the lengths of columns (3, n)."""
    return (d[0].square()).addcmul_(d[1], d[1]).addcmul_(d[2], d[2]).sqrt_()
