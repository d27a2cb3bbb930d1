"""Features of crystals for the heads of a DOS model, computed once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch
from ase import Atoms
from tqdm import tqdm

from scatterml_ase.phonons.dos_model import PhononDOSModel
from scatterml_ase.phonons.harmonic_graph import crystal_edges, join_crystals
from scatterml_ase.training.phonons.dos_labels import DosLabel
from scatterml_ase.training.phonons.dos_samples import DosSample, dos_sample
from scatterml_ase.training.phonons.targets import HarmonicTarget


def dos_samples(
    model: PhononDOSModel,
    targets: Mapping[str, HarmonicTarget],
    labels: Iterable[DosLabel],
    *,
    progress: bool = False,
) -> Iterator[DosSample]:
    """Yield a sample for each label; ``targets`` has the structures by name."""
    for label in tqdm(labels, desc="features", disable=not progress):
        target = targets[label.name]
        atoms = target.atoms
        features, einstein = crystal_features(model, atoms, target.masses)
        yield dos_sample(label.name, features, einstein, label.counts)


def crystal_features(
    model: PhononDOSModel, atoms: Atoms, masses: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return what heads start from, (n, f), and the Einstein energy in meV."""
    dtype = next(model.parameters()).dtype
    edges = crystal_edges(atoms, model.cutoff)
    graph = join_crystals([atoms.numbers], [(edges.index, edges.vectors, edges.pairs)], dtype)
    with torch.inference_mode():
        features, einstein = model.features(graph, torch.from_numpy(masses).to(dtype))
    return features.numpy(), float(einstein[0])
