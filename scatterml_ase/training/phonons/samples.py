"""Reference crystals ready for training: graphs, modes of the reference, and batches of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scatterml_ase.phonons.harmonic_graph import HarmonicGraph, crystal_edges, join_crystals
from scatterml_ase.training.phonons.targets import HarmonicTarget

_FLOOR = 0.15  # of the mean square frequency: softer modes count as if they had this much


@dataclass(frozen=True)
class HarmonicSample:
    """One crystal: its graph in float32 and what is known of it at some wavevectors."""

    name: str
    numbers: np.ndarray
    edge_index: np.ndarray
    """(2, e) int32."""
    vectors: np.ndarray
    """(e, 3) float32 Å."""
    pairs: np.ndarray
    """Which edges are the first of two directions, (p,) int32."""
    q: np.ndarray
    """(k, 3) Å⁻¹."""
    weights: np.ndarray
    """(k,)."""
    short_ranged: np.ndarray
    """Φ without dipoles (k, 3n, 3n) complex64, eV/Å²."""
    waves: np.ndarray
    """Columns g_ν = M^(−½) e_ν / (λ² + λ₀²)^⅛, (k, 3n, 3n) complex64: g_ν†·δΦ·g_ν is 2 δω_ν."""
    frequencies: np.ndarray
    """Signed ω (k, 3n) in √(eV/Å²/amu)."""
    scale: float
    """Root mean square frequency in the same unit."""
    born: np.ndarray
    """Z* (n, 3, 3), or (0, 3, 3)."""
    dielectric: np.ndarray
    """ε∞ (3, 3), or (0, 3)."""

    polar: bool
    """Whether the dipole–dipole part is known and taken off ``short_ranged``."""

    @property
    def charged(self) -> bool:
        """Whether Born charges are known."""
        return len(self.born) > 0


def harmonic_sample(target: HarmonicTarget, cutoff: float) -> HarmonicSample:
    """Find neighbours, and the modes of the reference."""
    atoms = target.atoms
    edges = crystal_edges(atoms, cutoff)
    roots = np.repeat(np.sqrt(target.masses), 3)
    total = target.total.astype(complex) / (roots[:, None] * roots[None, :])
    values, modes = np.linalg.eigh((total + total.conj().swapaxes(1, 2)) / 2)
    scale = float(np.sqrt(np.average(np.abs(values).mean(axis=1), weights=target.weights)))
    soft = (values**2 + (_FLOOR * scale**2) ** 2) ** 0.125
    dipoles = target.dipoles if len(target.dipoles) else 0.0
    return HarmonicSample(
        name=target.name,
        numbers=target.numbers,
        edge_index=edges.index.astype(np.int32),
        vectors=edges.vectors.astype(np.float32),
        pairs=edges.pairs.astype(np.int32),
        q=target.q,
        weights=target.weights,
        short_ranged=(target.total - dipoles).astype(np.complex64),
        waves=(modes / roots[:, None] / soft[:, None, :]).astype(np.complex64),
        frequencies=(np.sign(values) * np.sqrt(np.abs(values))).astype(np.float32),
        scale=scale,
        born=target.born,
        dielectric=target.dielectric,
        polar=len(target.dipoles) > 0,
    )


@dataclass(frozen=True)
class HarmonicBatch:
    """Crystals together; those with fewer atoms are padded to N."""

    graph: HarmonicGraph
    place: Tensor
    """Which atom of its crystal each atom is, (n,)."""
    largest: int
    """N, atoms of the largest crystal."""
    polar: Tensor
    """(graphs,) 1 where ``short_ranged`` is what is left of Φ without dipoles, else 0."""
    charged: Tensor
    """(graphs,) whether Born charges are known."""
    q: Tensor
    """(graphs, Q, 3) Å⁻¹."""
    short_ranged: Tensor
    """(graphs, Q, 3N, 3N) complex64."""
    waves: Tensor
    """(graphs, Q, 3N, 3N) complex64, zero where padded."""
    frequencies: Tensor
    """(graphs, Q, 3N)."""
    scale: Tensor
    """(graphs,)."""
    sizes: Tensor
    """Atoms of each crystal (graphs,)."""
    born: Tensor
    """Z* of charged crystals (their atoms, 3, 3)."""
    dielectric: Tensor
    """ε∞ of charged crystals (crystals, 3, 3)."""


def harmonic_batch(
    samples: Sequence[HarmonicSample], points: int, generator: np.random.Generator
) -> HarmonicBatch:
    """Join samples at ``points`` wavevectors of each, drawn by their weights."""
    sizes = np.array([len(s.numbers) for s in samples])
    largest, count = int(sizes.max()), len(samples)
    shape = (count, points, 3 * largest, 3 * largest)
    short, waves = np.zeros(shape, np.complex64), np.zeros(shape, np.complex64)
    frequencies = np.zeros(shape[:3], np.float32)
    q = np.zeros((count, points, 3), np.float32)
    for g, s in enumerate(samples):
        chosen = _draw(s.weights, points, generator)
        m = 3 * sizes[g]
        short[g, :, :m, :m], waves[g, :, :m, :m] = s.short_ranged[chosen], s.waves[chosen]
        frequencies[g, :, :m], q[g] = s.frequencies[chosen], s.q[chosen]
    graph = join_crystals(
        [s.numbers for s in samples], [(s.edge_index, s.vectors, s.pairs) for s in samples]
    )
    charged = [s for s in samples if s.charged]
    return HarmonicBatch(
        graph=graph,
        place=torch.from_numpy(np.concatenate([np.arange(n) for n in sizes])),
        largest=largest,
        polar=torch.tensor([float(s.polar) for s in samples]),
        charged=torch.tensor([s.charged for s in samples]),
        q=torch.from_numpy(q),
        short_ranged=torch.from_numpy(short),
        waves=torch.from_numpy(waves),
        frequencies=torch.from_numpy(frequencies),
        scale=torch.tensor([s.scale for s in samples], dtype=torch.float32),
        sizes=torch.from_numpy(sizes),
        born=_stacked([s.born for s in charged]),
        dielectric=_stacked([s.dielectric[None] for s in charged]),
    )


def _draw(weights: np.ndarray, points: int, generator: np.random.Generator) -> np.ndarray:
    """Draw points by their weights, different ones as long as there are any."""
    if len(weights) <= points:
        return np.concatenate([np.arange(len(weights)), generator.choice(
            len(weights), points - len(weights), p=weights)])  # fmt: skip
    return generator.choice(len(weights), points, replace=False, p=weights)


def _stacked(arrays: list[np.ndarray]) -> Tensor:
    if not arrays:
        return torch.zeros((0, 3, 3))
    return torch.from_numpy(np.concatenate(arrays).astype(np.float32))
