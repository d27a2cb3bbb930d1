"""What the data say about the last layer of a potential: a Gaussian, and members drawn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from tqdm import tqdm

from scatterml_ase.graph import edge_vectors
from scatterml_ase.potential.features import FeatureReader
from scatterml_ase.training.batches import labelled_graph
from scatterml_ase.training.data import Frame

_STEP = 1e-3  # Å; central differences of float64 features are then good to 1e-7
_EDGES = 30_000  # of displaced copies that go through the model at once


@dataclass(frozen=True)
class Posterior:
    """Gaussian of the last-layer weights around those trained, up to a scale.

    The energy is linear in the last layer, so the data E = φ_E·w and F = φ_F·w with noise σ_E, σ_F
    leave the covariance (G + r tr(G)/p)⁻¹ with G = Σ φ_E φ_Eᵀ/σ_E² + Σ φ_F φ_Fᵀ/σ_F²: the Bayesian
    last layer (Bigi et al. 2024, 10.1088/2632-2153/ad805f). The bend of the energy far below what
    was trained on is the identity wherever there are data, and plays no part here.
    """

    eigenvalues: Tensor
    """Of G, (p,), rising."""
    eigenvectors: Tensor
    """Of G, (p, p), in columns."""

    @classmethod
    def of(cls, normal: Tensor) -> Posterior:
        """Decompose the normal matrix G (p, p)."""
        eigenvalues, eigenvectors = torch.linalg.eigh((normal + normal.T) / 2)
        return cls(eigenvalues.clamp(min=0.0), eigenvectors)

    def draw(self, noise: Tensor, regulariser: float) -> Tensor:
        """Turn standard normal ``noise`` (members, p) into weights δ (members, p).

        ``regulariser`` is r: the prior, in units of the mean eigenvalue.
        """
        widths = (self.eigenvalues + regulariser * self.eigenvalues.mean()).rsqrt()
        return (noise * widths) @ self.eigenvectors.T


def normal_matrix(
    reader: FeatureReader,
    frames: Sequence[Frame],
    *,
    energy_noise: Sequence[float],
    force_noise: Sequence[float],
    components: int,
    seed: int,
    progress: bool = False,
) -> Tensor:
    """Return G (p, p) of labelled structures, see :class:`Posterior`.

    Parameters
    ----------
    reader
        Reads a potential in float64.
    frames
        Training structures.
    energy_noise, force_noise
        Of each structure, noise of the energy per atom in eV and of a force component in eV/Å.
    components
        Force components per structure that are looked at, drawn at random and weighed so that G
        is right on average; all of them if a structure has no more.
    seed
        Of the choice.
    progress
        Show a progress bar.
    """
    config: Any = reader.potential.config
    scale, cutoff = float(config.energy_scale), float(config.cutoff)
    random = np.random.default_rng(seed)
    size = len(reader.weights)
    normal = torch.zeros(size, size, dtype=torch.float64)
    bar = tqdm(frames, desc="features", unit="structure", disable=not progress, leave=False)
    for frame, energy_width, force_width in zip(bar, energy_noise, force_noise, strict=True):
        graph = labelled_graph(frame, cutoff)
        atoms = len(graph.numbers)
        energy = scale / (atoms * energy_width) * summed_features(reader, graph)
        count = min(components, 3 * atoms)
        chosen = np.sort(random.choice(3 * atoms, count, replace=False))
        rows = force_features(reader, graph, chosen) * (scale / force_width)
        normal += torch.outer(energy, energy) + (3 * atoms / count) * rows.T @ rows
    return normal


def summed_features(reader: FeatureReader, graph: Data) -> Tensor:
    """Return Σ_i φ_i (p,): what the last layer's weights multiply in the energy."""
    with torch.no_grad():
        features = reader(edge_vectors(graph), graph.edge_index, graph.numbers)
    return features.last_layer.sum(0)


def force_features(reader: FeatureReader, graph: Data, components: np.ndarray) -> Tensor:
    """Return −∂(Σ_i φ_i)/∂r_c (components, p) in 1/Å by central differences.

    Parameters
    ----------
    reader
        Reads a potential in float64.
    graph
        One structure.
    components
        Which: 3 × atom + axis, (components,).
    """
    centres, others = graph.edge_index
    vectors, atoms = edge_vectors(graph), len(graph.numbers)
    at_once = max(1, _EDGES // max(2 * graph.num_edges, 1))
    rows = []
    for start in range(0, len(components), at_once):
        copies = []
        for component in components[start : start + at_once]:
            atom, axis = divmod(int(component), 3)
            moves = (others == atom).to(vectors) - (centres == atom).to(vectors)  # [edge]
            for step in (_STEP, -_STEP):
                copies.append(vectors.clone())
                copies[-1][:, axis] += step * moves
        offsets = atoms * torch.arange(len(copies)).repeat_interleave(graph.num_edges)
        index = graph.edge_index.repeat(1, len(copies)) + offsets
        with torch.no_grad():
            features = reader(torch.cat(copies), index, graph.numbers.repeat(len(copies)))
        plus, minus = features.last_layer.view(len(copies) // 2, 2, atoms, -1).sum(2).unbind(1)
        rows.append((minus - plus) / (2 * _STEP))
    return torch.cat(rows)
