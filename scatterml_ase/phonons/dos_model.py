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

from dataclasses import dataclass

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
_OWN = 8  # numbers per atom besides the encoder's scalars


@dataclass(frozen=True)
class PhononDOSConfig(ForceConstantsConfig):
    """What rebuilds a :class:`PhononDOSModel`: that of its force constants, and of its heads."""

    components: int = 32
    """Distributions that mix, besides the imaginary one."""
    head_width: int = 192
    """Width of the networks of a head."""
    members: int = 4
    """Heads, trained from different seeds."""


@dataclass(frozen=True)
class ModeMixture:
    """Densities of states of atoms as mixtures; every field (members, atoms, components)."""

    weights: Tensor
    """w, sum 1; the last component is that of imaginary modes, at negative energies."""
    energies: Tensor
    """E in meV, positive."""
    powers: Tensor
    """p."""

    def cumulative(self, energies: Tensor, chunk: slice = slice(None)) -> Tensor:
        """Return the modes of each atom below energies (e,) or (atoms, e) in meV.

        Shape (members, atoms, e), between 0 and 3.
        """
        grid = energies.expand(self.weights.shape[1], -1)[chunk]  # [atom, e]
        scale = self.energies[:, chunk, :, None]
        ratio = (grid[None, :, None, :] / scale).clamp(min=1e-9, max=1e3)
        power = self.powers[:, chunk, :, None]
        rising = -torch.expm1(-torch.exp(power * ratio.log()))
        mirrored = (-grid[None, :, None, :] / scale[:, :, -1:]).clamp(min=1e-9, max=1e3)
        real = (self.weights[:, chunk, :-1, None] * rising[:, :, :-1]).sum(2)
        falling = torch.exp(-(mirrored ** power[:, :, -1:]))
        return 3 * (real + (self.weights[:, chunk, -1:, None] * falling).sum(2))


class PhononDOSModel(nn.Module):
    """Mixtures of modes for each atom, from several heads on one trunk."""

    Config = PhononDOSConfig

    def __init__(self, config: PhononDOSConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = ForceConstantsModel(config)
        self.heads = nn.ModuleList(DOSHead(config) for _ in range(config.members))

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
        found = [head(features, einstein, graph.batch) for head in self.heads]
        return ModeMixture(
            *(torch.stack([getattr(one, name) for one in found])
              for name in ("weights", "energies", "powers"))
        )  # fmt: skip

    def features(self, graph: HarmonicGraph, masses: Tensor) -> tuple[Tensor, Tensor]:
        """Return what heads start from, (atoms, f), and the Einstein energy of crystals in meV."""
        polar = masses.new_ones(graph.graphs)
        nodes = self.trunk.encode(graph, polar)
        terms = self.trunk.terms(graph, nodes)
        moments, einstein = local_moments(graph, terms, masses, self.config.response_cutoff)
        return torch.cat([nodes.scalars, moments], dim=1), einstein


class DOSHead(nn.Module):
    """From features of atoms to their mixtures."""

    def __init__(self, config: PhononDOSConfig) -> None:
        super().__init__()
        size, width, k = config.width + _OWN, config.head_width, config.components + 1
        self.components = k
        self.mean = nn.Parameter(torch.zeros(size), requires_grad=False)
        self.spread = nn.Parameter(torch.ones(size), requires_grad=False)
        self.own = nn.Sequential(
            nn.Linear(size, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.crystal = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU())
        last = nn.Linear(width, 3 * k)
        nn.init.uniform_(last.weight, -(spread := 0.3 * width**-0.5), spread)
        self.out = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), last)
        start = torch.linspace(0.1, _HIGHEST, k)
        self.positions = nn.Parameter(start.log())

    def forward(
        self,
        features: Tensor,
        einstein: Tensor,
        batch: Tensor,
        multiplicity: Tensor | None = None,
    ) -> ModeMixture:
        """Return mixtures (atoms, components).

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
        own = self.own((features - self.mean) / self.spread)
        many = own.new_ones(len(own), 1) if multiplicity is None else multiplicity.unsqueeze(1)
        graphs = len(einstein)
        counts = segment_sum(many, batch, graphs)
        mean = segment_sum(many * own, batch, graphs) / counts
        square = segment_sum(many * (own - mean[batch]).square(), batch, graphs) / counts
        crystal = self.crystal(torch.cat([mean, (square + 1e-6).sqrt()], dim=1))
        out = self.out(torch.cat([own, crystal[batch]], dim=1))
        logits, places, sharpness = out.view(len(own), 3, self.components).unbind(1)
        logits = torch.cat([logits[:, :-1], logits[:, -1:] - 4.0], dim=1)
        places = self.positions + 1.5 * torch.tanh(places / 1.5)
        powers = 3 + (_SHARPEST - 3) * torch.sigmoid(sharpness - 2.0)
        return ModeMixture(
            torch.softmax(logits, dim=1), einstein[batch].unsqueeze(1) * places.exp(), powers
        )


def local_moments(
    graph: HarmonicGraph, terms: HarmonicTerms, masses: Tensor, cutoff: float
) -> tuple[Tensor, Tensor]:
    """Return numbers of each atom that follow from Φ and masses, and the Einstein energies.

    Of each atom (atoms, 8): its three Einstein energies, the strength of its coupling to others,
    and its mass, relative to those of the crystal as logarithms; then the logarithms of the
    crystal's Einstein energy (meV), of its mean mass (amu), and the spread of Einstein energies.
    Φ is that of springs and responses; of crystals (graphs,): √(mean of tr Φ_ii/3M_i) in meV.
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
    mass = mean(masses.log())
    relative = squares / scale[graph.batch].unsqueeze(1)
    spread = (mean((relative.mean(1) - 1).square()) + 1e-6).sqrt()
    columns = [
        0.5 * relative.clamp(min=1e-2).log(),
        0.5 * (coupling / scale[graph.batch]).clamp(min=1e-3).log().unsqueeze(1),
        (masses.log() - mass[graph.batch]).unsqueeze(1),
        0.5 * scale.log()[graph.batch].unsqueeze(1),
        mass[graph.batch].unsqueeze(1),
        spread.log()[graph.batch].unsqueeze(1),
    ]
    return torch.cat(columns, dim=1), ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV * scale.sqrt()
