"""Predicted spectra of crystals that no training saw, against those of their reference."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Sequence

import numpy as np
from ase import Atoms
from tqdm import tqdm

from scatterml_ase.phonons.dos_predictor import PhononDOSPredictor
from scatterml_ase.phonons.force_constants_predictor import ForceConstantsPredictor
from scatterml_ase.training.phonons.dos_labels import EDGES, dos_label
from scatterml_ase.training.phonons.metrics import SpectrumErrors, spectrum_errors
from scatterml_ase.training.phonons.reference import SUSPICIOUS, ReferencePhonons
from scatterml_ase.units import INVERSE_CM_TO_MEV

MESH_MODES = 12_000
"""How many modes a mesh has, about, in the reference and in predictions."""

Counts = Callable[[Atoms], np.ndarray]
"""From a crystal to its modes in the bins of ``EDGES``, (bins,)."""


def reserved_crystals(
    data: ReferencePhonons, reserved: frozenset[str], species: Collection[int]
) -> list[int]:
    """Return the crystals of reserved formulas that can be judged by, of species a model knows."""
    known = set(species)
    return [
        index
        for index, name in enumerate(data.names)
        if data.formula(index) in reserved
        and name not in SUSPICIOUS
        and known >= set(data.numbers(index).tolist())
    ]


def from_force_constants(predictor: ForceConstantsPredictor) -> Counts:
    """Count the modes of predicted force constants on a mesh as dense as the reference's."""
    return lambda atoms: dos_label("", predictor(atoms), MESH_MODES).counts.sum(axis=0)


def from_densities(predictor: PhononDOSPredictor) -> Counts:
    """Take predicted densities of states; the predictor has the bins of :func:`label_edges`."""

    def counts(atoms: Atoms) -> np.ndarray:
        dos = predictor(atoms).to("meV")
        return dos.total * dos.widths

    return counts


def label_edges() -> np.ndarray:
    """Return ``EDGES`` in meV."""
    return EDGES * INVERSE_CM_TO_MEV


def validate(
    counts: Sequence[Counts], data: ReferencePhonons, crystals: Sequence[int], *, progress: bool
) -> list[list[SpectrumErrors]]:
    """Return, for each way of predicting, the errors of all crystals."""
    errors: list[list[SpectrumErrors]] = [[] for _ in counts]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of crystals unlike those trained on
        for index in tqdm(crystals, desc="validation", disable=not progress):
            reference = data.force_constants(index)
            truth = dos_label("", reference, MESH_MODES).counts.sum(axis=0)
            atoms = reference.crystal.to_atoms()
            for rows, one in zip(errors, counts, strict=True):
                rows.append(spectrum_errors(one(atoms), truth))
    return errors
