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

from scatterml_ase.nn.neighbourhood import require_sorted
from scatterml_ase.potential.fused.environments import Environments
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
    references: Tensor
    """Energy of each species in eV, float64."""
    of_species: dict[tuple[int, ...], tuple[Weights, PairPass]]


class FusedPass:
    """Energies (atoms,) of an :class:`E3NNPotential` of one layer and ∂E/∂vectors (edges, 3).

    Parameters
    ----------
    model
        One whose configuration :meth:`fits`. Weights are folded anew when they have changed.
    """

    def __init__(self, model: E3NNPotential) -> None:
        self.model = model
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
        repeats: bool = False,
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
        repeats
            Look for centres with the same edges, and compute one of each: worth its while in a
            batch.

        Returns
        -------
        tuple of Tensor
            Energies (atoms,) in eV and ∂(Σ energies)/∂vectors (edges, 3) in eV/Å, float64.

        Raises
        ------
        InputError
            If the edges are not sorted by centre.
        """
        require_sorted(edge_index[0])
        species = self.model.species_index(numbers)
        everything = Environments(vectors, edge_index[0], species, species[edge_index[1]])
        found = everything.distinct() if repeats else None
        if found is None:
            return self._evaluate(everything, gradient=gradient)
        energies, slopes = self._evaluate(found.once, gradient=gradient)
        return energies[found.centre], slopes[found.edge]

    def _evaluate(self, edges: Environments, *, gradient: bool) -> tuple[Tensor, Tensor]:
        """Evaluate group by group."""
        vectors, species = edges.vectors, edges.species
        slopes = torch.zeros(vectors.shape, dtype=torch.float64, device=vectors.device)
        several = len(self.model.species) > 1
        present = tuple(torch.unique(species).tolist()) if several else (0,)
        tables = self._folded(present)
        energies = tables.references[species]
        if not len(vectors):
            return energies, slopes
        form, (weights, pair_pass) = tables.form, tables.of_species[present]
        for group in edge_groups(edges.centres, len(species)):
            own, shape = slice(group.first, group.last), (group.last - group.first, group.width)
            d = vectors.new_zeros(shape[0] * shape[1], 3)
            d[:, 0] = self.model.config.cutoff  # where there is no edge
            d = d.index_copy_(0, group.place, vectors[group.edges]).T.contiguous()  # [xyz, place]
            distances = _lengths(d)
            other = one_hot = centre = None
            if len(present) > 1:
                other = species.new_zeros(len(distances))
                other.index_copy_(0, group.place, edges.others[group.edges])
                one_hot = (other == species.new_tensor(present).unsqueeze(1)).to(d.dtype)
            if weights.centre is not None:
                centre = weights.centre[species[own]].transpose(0, 1)  # [lm, atom, c]
            pair = pair_pass(distances, shape, species[own], other)
            places = (d, distances, pair.envelope, pair.slope, one_hot)
            value, slope = network_pass(form, weights, shape, places, centre, gradient=gradient)
            bound = pair.binding + value
            energies[own] += pair.gate * bound + pair.repulsion
            if gradient:
                _add_pairs(slope, pair, bound, d, distances)
                slopes[group.edges] = slope.index_select(1, group.place).T
        return energies, slopes

    def _folded(self, present: tuple[int, ...]) -> _Tables:
        """Return tables with weights for the species present, made once per state of the model."""
        model = self.model
        state = tuple((p.data_ptr(), p._version, p.dtype) for p in model.parameters())
        tables = self._tables  # one reference: another thread may put new ones in its place
        if tables is None or tables.state != state:
            references = model.constant("reference_energies", next(model.parameters()))
            tables = self._tables = _Tables(state, make_form(model), references, {})
        if present not in tables.of_species:
            folded = fold(model, tables.form, present)
            tables.of_species[present] = folded, PairPass(model, present)
        return tables


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
