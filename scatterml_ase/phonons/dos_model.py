"""The density of states of each atom from its surroundings, on a continuous axis of energy.

Each atom's three modes are a mixture of Weibull distributions,

    ∫_0^E g_i = 3 Σ_k w_ik (1 − exp(−(E/E_ik)^p_ik)),   p ≥ 3,

which start as E², as Debye's law demands, become peaks where p is large, and end at any edge; one
more component holds imaginary modes. Positions are predicted relative to the crystal's Einstein
energy √(tr Φ_ii/3M), which, like the other moments the network starts from, follows exactly from
the force constants of :class:`~scatterml_ase.phonons.force_constants_model.ForceConstantsModel`
and the masses, so that isotopes shift the answer as they should.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from scatterml_ase.nn.cutoff import segment_sum
from scatterml_ase.phonons.force_constants_model import (
    ForceConstantsConfig,
    ForceConstantsModel,
    HarmonicTerms,
)
from scatterml_ase.phonons.harmonic_graph import HarmonicGraph
from scatterml_ase.units import ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV

_SHARPEST = 150.0
_HIGHEST = 3.0  # of the Einstein energy: where the last component starts from
_TINY = 1e-9  # meV
_EMPTY, _FULL = -80.0, 20.0  # exponents: nothing yet, nothing left; no denormal numbers
_OWN = 7  # numbers per atom besides the encoder's scalars


@dataclass(frozen=True)
class PhononDOSConfig(ForceConstantsConfig):
    """What rebuilds a :class:`PhononDOSModel`: that of its force constants, and of its heads."""

    components: int = 32
    """Distributions that mix, besides the imaginary one."""
    head_width: int = 192
    """Width of the networks of a head."""
    members: int = 4
    """Networks that differ in how they started and in what weighed most in their training."""
    stretch_scale: float = 1.0
    """Factor on the heads' own word on common errors, found on crystals not trained on."""


@dataclass(frozen=True)
class ModeMixture:
    """Densities of states of atoms as mixtures; every field (members, atoms, components)."""

    weights: Tensor
    """w, sum 1; the last component is that of imaginary modes, at negative energies."""
    energies: Tensor
    """E in meV, positive."""
    powers: Tensor
    """p."""
    stretch: Tensor
    """Scale b (members, atoms) of the error common to all energies of a crystal, relative: their
    logarithms are off together by a Laplace distribution of that scale."""

    def ends(self, share: float) -> Tensor:
        """Return the energies beyond which each component has only ``share`` of its modes."""
        return self.energies * (-math.log(share)) ** (1 / self.powers)

    def cumulative(self, energies: Tensor, chunk: slice = slice(None)) -> Tensor:
        """Return the modes of each atom below energies (e,) or (atoms, e) in meV.

        Shape (members, atoms, e), between 0 and 3.
        """
        scale = self.energies[:, chunk, :, None].log()  # [member, atom, component, 1]
        power = self.powers[:, chunk, :, None]
        weights = self.weights[:, chunk, :, None]
        real, last = slice(None, -1), slice(-1, None)
        up, down = ((sign * energies).clamp(min=_TINY).log() for sign in (1, -1))
        if energies.dim() == 2:  # each atom has its own
            up, down = (x[chunk].unsqueeze(-2) for x in (up, down))
        rising = power[:, :, real] * (up - scale[:, :, real])
        falling = power[:, :, last] * (down - scale[:, :, last])
        rising = torch.special.expm1(-torch.exp(rising.clamp(_EMPTY, _FULL)))
        falling = torch.exp(-torch.exp(falling.clamp(_EMPTY, _FULL)))
        below = (weights[:, :, last] * falling).sum(2) - (weights[:, :, real] * rising).sum(2)
        return 3 * below


class PhononDOSModel(nn.Module):
    """Mixtures of modes for each atom, from several heads on one trunk."""

    Config = PhononDOSConfig

    def __init__(self, config: PhononDOSConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = ForceConstantsModel(config)
        self.heads = DOSHeads(config)

    @property
    def species(self) -> tuple[int, ...]:
        """Atomic numbers the model knows."""
        return self.config.species

    @property
    def cutoff(self) -> float:
        """Distance in Å beyond which atoms have no spring between them."""
        return self.config.cutoff

    def forward(self, graph: HarmonicGraph, masses: Tensor) -> ModeMixture:
        """Return the mixtures of all atoms; ``masses`` (atoms,) in amu."""
        features, einstein = self.features(graph, masses)
        found = self.heads(features, einstein, graph.batch)
        return replace(found, stretch=self.config.stretch_scale * found.stretch)

    def features(self, graph: HarmonicGraph, masses: Tensor) -> tuple[Tensor, Tensor]:
        """Return what heads start from, (atoms, f), and the Einstein energy of crystals in meV."""
        polar = masses.new_ones(graph.graphs)
        nodes = self.trunk.encode(graph, polar)
        terms = self.trunk.terms(graph, nodes)
        moments, einstein = local_moments(graph, terms, masses, self.config.response_cutoff)
        return torch.cat([nodes.scalars, moments], dim=1), einstein


class DOSHeads(nn.Module):
    """From features of atoms to their mixtures: several networks of one kind, side by side."""

    def __init__(self, config: PhononDOSConfig) -> None:
        super().__init__()
        size, width, k = config.width + _OWN, config.head_width, config.components + 1
        members = config.members
        self.components = k
        self.mean = nn.Parameter(torch.zeros(size), requires_grad=False)
        self.spread = nn.Parameter(torch.ones(size), requires_grad=False)
        self.own = nn.Sequential(
            _Linears(members, size, width), nn.SiLU(), _Linears(members, width, width), nn.SiLU()
        )
        self.crystal = nn.Sequential(_Linears(members, 2 * width, width), nn.SiLU())
        self.doubt = _Linears(members, width, 1)
        self.out = nn.Sequential(
            _Linears(members, 2 * width, width), nn.SiLU(), _Linears(members, width, 3 * k, 0.3)
        )
        start = torch.linspace(0.1, _HIGHEST, k)
        self.positions = nn.Parameter(start.log().repeat(members, 1, 1))

    def forward(
        self,
        features: Tensor,
        einstein: Tensor,
        batch: Tensor,
        multiplicity: Tensor | None = None,
    ) -> ModeMixture:
        """Return the mixtures.

        Parameters
        ----------
        features
            (atoms, f).
        einstein
            Einstein energy of the crystals (graphs,) in meV.
        batch
            Crystal of each atom (atoms,).
        multiplicity
            How many equal atoms each stands for, (atoms,); one if None.
        """
        members = len(self.positions)
        own = self.own(((features - self.mean) / self.spread).expand(members, -1, -1))
        shares = own.new_ones(len(batch)) if multiplicity is None else multiplicity
        shares = shares / segment_sum(shares, batch, len(einstein))[batch]
        shares = shares.unsqueeze(1)  # [atom, 1]

        def mean(values: Tensor) -> Tensor:  # [member, atom, f] to [member, graph, f]
            empty = values.new_zeros(members, len(einstein), values.shape[2])
            return empty.index_add(1, batch, shares * values)

        means = mean(own)
        square = mean((own - means[:, batch]).square())
        crystal = self.crystal(torch.cat([means, (square + 1e-6).sqrt()], dim=2))
        out = self.out(torch.cat([own, crystal[:, batch]], dim=2))
        logits, places, sharpness = out.unflatten(2, (3, self.components)).unbind(2)
        logits = torch.cat([logits[..., :-1], logits[..., -1:] - 4.0], dim=2)
        places = self.positions + 1.5 * torch.tanh(places / 1.5)
        return ModeMixture(
            weights=torch.softmax(logits, dim=2),
            energies=einstein[batch].unsqueeze(1) * places.exp(),
            powers=3 + (_SHARPEST - 3) * torch.sigmoid(sharpness - 2.0),
            stretch=(self.doubt(crystal).squeeze(2) - 4.0).exp()[:, batch],
        )


class _Linears(nn.Module):
    """Linear maps of several members, each of its own features: (members, n, in) to (…, out)."""

    def __init__(self, members: int, size_in: int, size_out: int, gain: float = 1.0) -> None:
        super().__init__()
        spread = size_in**-0.5
        weight = torch.empty(members, size_in, size_out).uniform_(-spread, spread)
        self.weight = nn.Parameter(gain * weight)
        self.bias = nn.Parameter(torch.empty(members, 1, size_out).uniform_(-spread, spread))

    def forward(self, features: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, features, self.weight)


def local_moments(
    graph: HarmonicGraph, terms: HarmonicTerms, masses: Tensor, cutoff: float
) -> tuple[Tensor, Tensor]:
    """Return numbers of each atom that follow from Φ and masses, and the Einstein energies.

    Of each atom (atoms, 7): its three Einstein energies, the strength of its coupling to others,
    and its mass, relative to those of the crystal as logarithms; then, of the crystal, those of the
    mean of tr Φ_ii/3 (eV/Å²) and of the spread of Einstein energies. None changes when all masses
    do in proportion, as frequencies in units of one of them do not. Of crystals (graphs,): the
    Einstein energy √(mean of tr Φ_ii/3M_i) in meV. Φ is that of springs and responses.
    """
    i, j = graph.edge_index[:, graph.pairs]
    n = len(masses)
    K = terms.springs
    onsite = segment_sum(torch.cat([K, K]), torch.cat([i, j]), n)
    _, (centre, other), _ = graph.within(cutoff)
    W, s = terms.responses, terms.stiffness
    still = segment_sum(W, centre, n)
    onsite = onsite + still.mT @ (s.unsqueeze(2) * still)
    moved = W.mT @ (s[centre].unsqueeze(2) * W)  # an image of the centre moves with it: left out
    onsite = onsite + segment_sum(moved, other, n)
    weighed = onsite / masses[:, None, None]
    squares = torch.linalg.eigvalsh((weighed + weighed.mT) / 2)  # [atom, 3]
    coupling = K.square().sum((1, 2)) / (masses[i] * masses[j])
    coupling = segment_sum(torch.cat([coupling, coupling]), torch.cat([i, j]), n).sqrt()
    counts = torch.bincount(graph.batch, minlength=graph.graphs)

    def mean(values: Tensor) -> Tensor:
        return segment_sum(values, graph.batch, graph.graphs) / counts

    scale = mean(squares.mean(1)).clamp(min=1e-4)  # eV/Å²/amu
    stiffness = mean(onsite.diagonal(dim1=1, dim2=2).mean(1)).clamp(min=1e-3)
    mass = mean(masses.log())
    relative = squares / scale[graph.batch].unsqueeze(1)
    spread = (mean((relative.mean(1) - 1).square()) + 1e-6).sqrt()
    columns = [
        0.5 * relative.clamp(min=1e-2).log(),
        0.5 * (coupling / scale[graph.batch]).clamp(min=1e-3).log().unsqueeze(1),
        (masses.log() - mass[graph.batch]).unsqueeze(1),
        0.5 * stiffness.log()[graph.batch].unsqueeze(1),
        spread.log()[graph.batch].unsqueeze(1),
    ]
    return torch.cat(columns, dim=1), ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV * scale.sqrt()
