"""Angular functions of an edge and the coupling of angular momenta, from e3nn."""

from __future__ import annotations

from functools import lru_cache

import torch
from e3nn import o3
from torch import Tensor, nn


class SphericalHarmonics(nn.Module):
    """Real spherical harmonics of edge directions up to ``l_max``, e3nn's order and axes.

    Normalisation "component": Σ_m Y_lm² = 2l + 1. Vectors must not be zero.
    """

    def __init__(self, l_max: int) -> None:
        super().__init__()
        self.l_max = l_max
        self._degrees = list(range(l_max + 1))

    @property
    def irreps(self) -> o3.Irreps:
        """The irreps of the output, 0e + 1o + 2e and so on."""
        return o3.Irreps.spherical_harmonics(self.l_max)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return Y (edges, (l_max + 1)²) for ``vectors`` (edges, 3) of any non-zero length."""
        return o3.spherical_harmonics(
            self._degrees, vectors, normalize=True, normalization="component"
        )


@lru_cache(maxsize=256)
def _clebsch_gordan(l1: int, l2: int, l3: int) -> Tensor:
    return o3.wigner_3j(l1, l2, l3, dtype=torch.float64) * (2 * l3 + 1) ** 0.5


def clebsch_gordan(l1: int, l2: int, l3: int) -> Tensor:
    """Real coupling coefficients (2l1+1, 2l2+1, 2l3+1) in float64.

    Scaled so that inputs of independent components of variance one give outputs of
    variance one (e3nn's "component" normalisation).
    """
    return _clebsch_gordan(l1, l2, l3).clone()


def degree_slices(l_max: int) -> list[slice]:
    """Return where each degree l = 0 … l_max sits in a row of (l_max + 1)² components."""
    return [slice(degree**2, (degree + 1) ** 2) for degree in range(l_max + 1)]


def degree_of_component(l_max: int) -> Tensor:
    """Return the degree l of each of the (l_max + 1)² components."""
    return torch.cat([torch.full((2 * degree + 1,), degree) for degree in range(l_max + 1)])


def mirror_parities(l_max: int) -> Tensor:
    """Return for each of the (l_max + 1)² components which mirrors change its sign, as bits.

    Bit 0, 1, 2 is set where Y is odd under x → −x, y → −y, z → −z.
    """
    point = torch.tensor([[0.53, 0.31, 0.79]], dtype=torch.float64)
    harmonics = SphericalHarmonics(l_max)
    parity = torch.zeros((l_max + 1) ** 2, dtype=torch.long)
    for axis in range(3):
        mirror = torch.ones(3, dtype=torch.float64)
        mirror[axis] = -1.0
        odd = harmonics(point * mirror)[0] * harmonics(point)[0] < 0
        parity += odd.long() << axis
    return parity
