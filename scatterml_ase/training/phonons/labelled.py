"""Crystals of which only the density of states is known: their whole spectrum is compared.

Predicted frequencies at all points of a small mesh are put in order and set against the quantiles
of the label, so that the mean of the differences is a Wasserstein distance. Gradients pass through
the eigenvalues.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from scatterml_ase.phonons.force_constants_model import ForceConstantsModel
from scatterml_ase.phonons.harmonic_graph import crystal_edges
from scatterml_ase.physics.brillouin import mesh_points
from scatterml_ase.training.phonons.charges import dipoles_at
from scatterml_ase.training.phonons.harmonic_loss import applied
from scatterml_ase.training.phonons.metrics import LABEL_POINTS
from scatterml_ase.training.phonons.reference import reduced_formula
from scatterml_ase.training.phonons.samples import HarmonicBatch, HarmonicSample, harmonic_batch
from scatterml_ase.units import INVERSE_CM_TO_MEV, ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV

MESH = (3, 3, 3)
_MOST_ATOMS = 16
_CUT = 0.02  # of the largest: more at the upper end, and the label is cut off
_GAPLESS = 0.2  # of the largest: more at zero, and the label is no good there
_TINY = 1e-4


@dataclass(frozen=True)
class Labelled:
    """A crystal with a label on ``LABEL_POINTS``."""

    name: str
    atoms: Atoms
    label: np.ndarray
    """(51,)."""


def read_labelled(path: str | Path, reserved: frozenset[str]) -> Iterator[Labelled]:
    """Yield the crystals of a JSON file whose labels are whole, none of a reserved formula.

    The file lists ``mp_id``, ``numbers`` (n,), ``positions`` and ``cell`` in Å, and ``dos`` (51,).
    """
    for entry in json.loads(Path(path).read_text(encoding="utf-8")):
        numbers, label = np.array(entry["numbers"]), np.array(entry["dos"])
        cut = label[-2:].max() > _CUT * label.max() or label[0] > _GAPLESS * label.max()
        if cut or len(numbers) > _MOST_ATOMS or reduced_formula(numbers) in reserved:
            continue
        atoms = Atoms(numbers, positions=entry["positions"], cell=entry["cell"], pbc=True)
        if np.linalg.det(atoms.cell.array) > 0:
            yield Labelled(entry["mp_id"], atoms, label)


def labelled_sample(model: ForceConstantsModel, crystal: Labelled) -> HarmonicSample:
    """Return the sample of a crystal, with dipoles of the charges the model (float64) predicts.

    ``short_ranged`` is minus the dipoles, ``waves`` M^(−½) on the diagonal, ``frequencies`` the
    quantiles of the label, in order.
    """
    atoms = crystal.atoms
    points = mesh_points(MESH, shift=(0.5, 0.5, 0.5), rotations=np.eye(3, dtype=int)[None])
    edges = crystal_edges(atoms, model.cutoff)
    modes = 3 * len(atoms)
    count = modes * len(points.q_reduced)
    quantiles = label_quantiles(crystal.label, count).reshape(-1, modes)
    roots = np.repeat(atoms.get_masses() ** -0.5, 3)
    none = np.zeros((0, 3, 3))
    return HarmonicSample(
        name=crystal.name,
        numbers=atoms.numbers,
        edge_index=edges.index.astype(np.int32),
        vectors=edges.vectors.astype(np.float32),
        pairs=edges.pairs.astype(np.int32),
        q=points.q_reduced @ (2 * np.pi * np.linalg.inv(atoms.cell.array).T),
        weights=points.weights,
        short_ranged=-dipoles_at(model, atoms, points.q_reduced),
        waves=np.broadcast_to(np.diag(roots), (len(points.q_reduced), modes, modes)).astype(
            np.complex64
        ),
        frequencies=quantiles.astype(np.float32),
        scale=float(np.sqrt((quantiles**2).mean())),
        born=none,
        dielectric=none[:, 0],
        polar=True,
    )


def label_quantiles(label: np.ndarray, count: int) -> np.ndarray:
    """Return ``count`` frequencies in √(eV/Å²/amu), each of equal weight, that make the label."""
    shares = np.clip(label, 0, None)
    below = np.concatenate([[0.0], np.cumsum(shares / shares.sum())])
    edges = np.concatenate([[0.0], LABEL_POINTS + 10])
    where = (np.arange(count) + 0.5) / count
    steps = below + np.linspace(0, 1e-9, len(below))  # rising, also where there is no mode
    energies = np.interp(where, steps, edges)
    return energies * INVERSE_CM_TO_MEV / ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV


def labelled_batch(samples: Sequence[HarmonicSample]) -> HarmonicBatch:
    """Join samples of :func:`labelled_sample` at all points of the mesh."""
    points = len(samples[0].weights)
    return harmonic_batch(samples, points, np.random.default_rng(0))


def spectrum_loss(model: ForceConstantsModel, batch: HarmonicBatch) -> Tensor:
    """Return the mean difference between frequencies and quantiles, over the mean frequency."""
    terms = model(batch.graph, batch.polar)
    size = batch.waves.shape[-1]
    eye = torch.eye(size, dtype=batch.waves.dtype).expand_as(batch.waves)
    matrix = applied(terms, batch, model.config.response_cutoff, eye) - batch.short_ranged
    dynamical = batch.waves @ matrix @ batch.waves  # diagonal waves: M^(−½) Φ M^(−½)
    padded = torch.arange(size) >= 3 * batch.sizes[:, None]  # [graph, mode]
    shift = torch.diag_embed(padded.to(dynamical.real.dtype) * 1e4)
    values = torch.linalg.eigvalsh(dynamical + shift[:, None])  # [graph, Q, mode]
    frequencies = values.sign() * ((values.abs() + _TINY**2).sqrt() - _TINY)
    distances = []
    for k, atoms in enumerate(batch.sizes.tolist()):
        found = frequencies[k, :, : 3 * atoms].flatten().sort().values
        known = batch.frequencies[k, :, : 3 * atoms].flatten()
        distances.append((found - known).abs().mean() / batch.scale[k])
    return torch.stack(distances).mean()
