"""What a potential was shown: the cloud of its training atoms, as a measure of extrapolation."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from scatterml_ase.graph import edge_vectors, graph_from_atoms
from scatterml_ase.potential.extrapolation import ExtrapolationMeasure
from scatterml_ase.potential.features import FeatureReader
from scatterml_ase.training.data import Frame
from scatterml_ase.training.metrics import model_cutoff

_log = logging.getLogger(__name__)

QUANTILE = 0.99
"""Share of held-out atoms whose extrapolation grade is at most 1."""

_SMALLEST = 1.0
"""Distance, in spreads of the training atoms, that is never far: they may all be alike."""

_MOST_ATOMS = 20_000  # of a species that the measure learns from


def fit_measure(
    reader: FeatureReader,
    train: Sequence[Frame],
    held_out: Sequence[Frame],
    *,
    seed: int = 0,
    progress: bool = False,
) -> ExtrapolationMeasure:
    """Learn the cloud of the training atoms; set grade 1 by the held-out ones.

    Parameters
    ----------
    reader
        Reads the potential.
    train, held_out
        Structures the potential was trained on, and others of the same kinds.
    seed
        Of the choice of atoms where there are more than enough.
    progress
        Show a progress bar.
    """
    known = _invariants(reader, train, seed=seed, progress=progress)
    new = _invariants(reader, held_out, seed=seed, progress=False)
    fitted = ExtrapolationMeasure.fit(known)
    tensors = fitted.to_tensors()
    stored = ExtrapolationMeasure.from_tensors(tensors, fitted.mean.shape[1])  # rounded as on disk
    thresholds = []
    for number in fitted.species:
        # Few held-out atoms tell little: grade 1 is never nearer than for the training atoms.
        clouds = [part[number] for part in (known, new) if number in part]
        distances = [stored.distances(c, torch.full((len(c),), number)) for c in clouds]
        farthest = max(float(np.quantile(d.numpy(), QUANTILE)) for d in distances)
        thresholds.append(max(farthest, _SMALLEST))
    tensors["extrapolation.thresholds"] = torch.tensor(thresholds, dtype=torch.float64)
    _log.info("distances of grade 1: %s", dict(zip(fitted.species, thresholds, strict=True)))
    return ExtrapolationMeasure.from_tensors(tensors, fitted.mean.shape[1])


def _invariants(
    reader: FeatureReader, frames: Sequence[Frame], *, seed: int, progress: bool
) -> dict[int, Tensor]:
    """Return the invariants (atoms, f) of each atomic number, float32; no more than are needed."""
    cutoff = model_cutoff(reader.potential)
    found: dict[int, list[Tensor]] = {}
    bar = tqdm(frames, desc="invariants", unit="structure", disable=not progress, leave=False)
    for frame in bar:
        graph = graph_from_atoms(frame.atoms, cutoff)
        with torch.no_grad():
            features = reader(edge_vectors(graph), graph.edge_index, graph.numbers)
        for number in graph.numbers.unique().tolist():
            own = features.invariants[graph.numbers == number].to(torch.float32)
            found.setdefault(number, []).append(own)
    random = torch.Generator().manual_seed(seed)
    clouds = {number: torch.cat(parts) for number, parts in found.items()}
    return {
        number: cloud[torch.randperm(len(cloud), generator=random)[:_MOST_ATOMS]]
        for number, cloud in clouds.items()
    }
