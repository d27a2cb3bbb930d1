"""Crystals ready for the training of densities of states: features, and labels on even bins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scatterml_ase.training.phonons.dos_labels import EDGES
from scatterml_ase.units import INVERSE_CM_TO_MEV

BINS = 64
_MARGIN = 3
"""Of all bins so many lie below zero; imaginary modes beyond count in the lowest."""
_EQUAL = 1e-4


@dataclass(frozen=True)
class DosSample:
    """One crystal, of equivalent atoms only one."""

    name: str
    features: np.ndarray
    """(atoms, f) float32."""
    multiplicity: np.ndarray
    """How many equivalent atoms each stands for, (atoms,) float32."""
    einstein: float
    """Einstein energy in meV."""
    edges: np.ndarray
    """Edges of the label's bins in meV, (BINS + 1,) float32."""
    counts: np.ndarray
    """Modes in each bin, (atoms, BINS) float32; a row sums to 3."""


def dos_sample(name: str, features: np.ndarray, einstein: float, counts: np.ndarray) -> DosSample:
    """Join equal atoms, and bins of the label (in ``EDGES``) to ``BINS`` that cover it.

    Parameters
    ----------
    name
        Of the crystal.
    features
        (n, f).
    einstein
        meV.
    counts
        Modes of each atom in bins of ``EDGES``, (n, bins).
    """
    scale = np.abs(features).max(axis=0) + 1e-6
    keys = np.rint(features / scale / _EQUAL)
    _, first, label, many = np.unique(
        keys, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    label = label.reshape(-1)
    mean = np.zeros((len(first), counts.shape[1]))
    np.add.at(mean, label, counts)
    edges, joined = joined_bins(mean / many[:, None])
    return DosSample(
        name=name,
        features=features[first].astype(np.float32),
        multiplicity=many.astype(np.float32),
        einstein=float(einstein),
        edges=(edges * INVERSE_CM_TO_MEV).astype(np.float32),
        counts=joined.astype(np.float32),
    )


def joined_bins(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return edges in cm⁻¹ (BINS + 1,) and counts (n, BINS) that hold all modes."""
    step = EDGES[1] - EDGES[0]
    highest = EDGES[1:][np.flatnonzero(counts.sum(axis=0) > 1e-6)[-1]]
    factor = max(1, int(np.ceil(1.08 * highest / step / (BINS - _MARGIN))))
    zero = int(np.argmin(np.abs(EDGES)))
    edges = step * factor * np.arange(-_MARGIN, BINS - _MARGIN + 1)
    place = (np.arange(counts.shape[1]) - zero) // factor + _MARGIN
    joined = np.zeros((len(counts), BINS))
    np.add.at(joined.T, np.clip(place, 0, BINS - 1), counts.T)
    return edges, joined


@dataclass(frozen=True)
class DosBatch:
    """Crystals together."""

    features: Tensor
    multiplicity: Tensor
    einstein: Tensor
    batch: Tensor
    edges: Tensor
    """(crystals, BINS + 1) meV."""
    counts: Tensor
    """(atoms, BINS)."""


def dos_batch(samples: Sequence[DosSample]) -> DosBatch:
    """Join crystals."""
    sizes = [len(s.features) for s in samples]

    def joined(name: str) -> Tensor:
        return torch.from_numpy(np.concatenate([getattr(s, name) for s in samples]))

    return DosBatch(
        features=joined("features"),
        multiplicity=joined("multiplicity"),
        einstein=torch.tensor([s.einstein for s in samples], dtype=torch.float32),
        batch=torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes)),
        edges=torch.from_numpy(np.stack([s.edges for s in samples])),
        counts=joined("counts"),
    )
