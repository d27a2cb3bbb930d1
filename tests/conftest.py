"""What tests share: a model with a known answer, and a quiet place to draw."""

import os
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from scatterml_ase.potential.model import E3NNPotential

os.environ.setdefault("MPLBACKEND", "Agg")


@dataclass(frozen=True)
class MorseConfig:
    """Morse pair potential of one bond length for all species (eV, Å)."""

    species: tuple[int, ...] = (6, 14)
    cutoff: float = 5.4
    inner: float = 3.8
    depth: float = 0.8
    bond: float = 2.3
    stiffness: float = 4.0


class MorseModel(nn.Module):
    """The smooth Morse potential that ASE has too: a torch model with a known answer."""

    Config = MorseConfig

    def __init__(self, config: MorseConfig) -> None:
        super().__init__()
        self.config = config
        self.depth = nn.Parameter(torch.tensor(config.depth, dtype=torch.float64))

    def forward(self, edge_vectors, edge_index, numbers):
        c = self.config
        r = edge_vectors.norm(dim=1)
        decay = torch.exp(c.stiffness * (1 - r / c.bond))
        s = ((c.cutoff - r) / (c.cutoff - c.inner)).clamp(0, 1)
        pair = self.depth * decay * (decay - 2) * s**3 * (6 * s**2 - 15 * s + 10)
        return pair.new_zeros(len(numbers)).index_add(0, edge_index[0], pair / 2)


@pytest.fixture
def morse_model() -> MorseModel:
    return MorseModel(MorseConfig()).eval()


@pytest.fixture
def morse_parameters() -> dict[str, float]:
    """Arguments of ASE's MorsePotential for the same potential."""
    c = MorseConfig()
    return {
        "epsilon": c.depth,
        "r0": c.bond,
        "rho0": c.stiffness,
        "rcut1": c.inner / c.bond,
        "rcut2": c.cutoff / c.bond,
    }


@pytest.fixture
def random_potential() -> E3NNPotential:
    """Make a small E3NN potential with random weights, in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = E3NNPotential.Config(
            species=(6, 14),
            channels=4,
            l_max=2,
            correlation=3,
            layers=2,
            readout_hidden=(8,),
            energy_scale=0.02,
        )
        return E3NNPotential(config).double().eval()
