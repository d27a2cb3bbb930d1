"""Densities of states straight from structure, each with its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import torch
from ase import Atoms

from scatterml_ase.errors import InputError, explain
from scatterml_ase.phonons.batch import CrystalBatch, in_batches
from scatterml_ase.phonons.cells import primitive_cell
from scatterml_ase.phonons.coverage import Coverage, coverage_of
from scatterml_ase.phonons.dos_model import ModeMixture
from scatterml_ase.phonons.force_constants_predictor import ForceConstantsPredictor
from scatterml_ase.phonons.preparation import unit_cell
from scatterml_ase.phonons.provenance import describe_prediction
from scatterml_ase.physics.density_of_states import check_edges, nice_edges
from scatterml_ase.store import load_model

if TYPE_CHECKING:
    from scatterml_ase.results.dos import PhononDOS

_SHIFTS = 4
"""Common errors each member is taken with."""
_PRESENT = 1e-4  # of all modes: less weight at an end of the axis is not shown


@dataclass(frozen=True, eq=False)
class PhononDOSPredictor:
    """Phonon densities of states straight from structure, atom by atom, in milliseconds.

    ``PhononDOSPredictor()(atoms)`` returns the :class:`~scatterml_ase.PhononDOS` of the primitive
    cell: three modes for each atom, partial densities that sum to the total, and their standard
    deviation as ``error``. The structure is taken as it is, nothing is relaxed. How good it is
    stands in docs/direct_phonons.md.

    Parameters
    ----------
    method
        "fast" asks the model of densities; "force_constants" predicts force constants and counts
        the modes of a mesh, with sharper features.
    model
        Name or folder of the model of densities.
    force_constants_model
        Name or folder of the model of force constants.
    energy_edges
        Edges of the energy bins in meV, shape (energy + 1,); None: bins that cover all modes.
    energy_step
        Or their width in meV.
    mesh
        Divisions of the mesh of the method "force_constants".
    uncertainty
        Whether the fast method tells how sure it is: by ``samples``, equally likely densities,
        whose standard deviation is ``error``.
    progress
        Whether a list of structures shows a progress bar.
    """

    method: Literal["fast", "force_constants"] = "fast"
    model: str | Path = "phonon-dos"
    force_constants_model: str | Path = "force-constants"
    energy_edges: np.ndarray | None = None
    energy_step: float | None = None
    mesh: int | tuple[int, int, int] = (20, 20, 20)
    uncertainty: bool = True
    progress: bool = False

    def __post_init__(self) -> None:
        """Check the method."""
        if self.method not in ("fast", "force_constants"):
            what = f"method={self.method!r} is unknown"
            why = "a density of states is predicted at once, or from force constants"
            raise InputError(explain(what, why, 'Pass "fast" or "force_constants"'))

    @overload
    def __call__(self, atoms: Atoms) -> PhononDOS: ...

    @overload
    def __call__(self, atoms: Sequence[Atoms]) -> list[PhononDOS]: ...

    def __call__(self, atoms: Atoms | Sequence[Atoms]) -> PhononDOS | list[PhononDOS]:
        """Return the density of states of one crystal, or of each of a list.

        Raises
        ------
        InputError
            If a structure is no three-dimensional crystal, is disordered, or holds an element the
            model does not know.
        """
        many = [atoms] if isinstance(atoms, Atoms) else list(atoms)
        found = in_batches(
            many,
            self._fast if self.method == "fast" else self._counted,
            self.network.card,
            name="densities of states",
            progress=self.progress,
        )
        return found[0] if isinstance(atoms, Atoms) else found

    @cached_property
    def network(self) -> Any:
        """The model in use, loaded on first use."""
        return load_model(self.model) if self.method == "fast" else self._direct.network

    @cached_property
    def _direct(self) -> ForceConstantsPredictor:
        return ForceConstantsPredictor(model=self.force_constants_model)

    @cached_property
    def _coverage(self) -> Coverage | None:
        return coverage_of(self.network.card)

    def _counted(self, many: list[Atoms]) -> list[PhononDOS]:
        return [
            constants.dos(self.mesh, energy_edges=self.energy_edges, energy_step=self.energy_step)
            for constants in self._direct(many)
        ]

    def _fast(self, many: list[Atoms]) -> list[PhononDOS]:
        network = self.network
        cells = [primitive_cell(unit_cell(atoms), 1e-4) for atoms in many]
        batch = CrystalBatch.of(cells, network, self._coverage)
        masses = torch.from_numpy(np.concatenate([cell.get_masses() for cell in cells]))
        with torch.inference_mode():
            mixtures = network(batch.graph, masses.to(batch.graph.vectors.dtype))
            return [
                self._result(cell, mixtures, own)
                for cell, own in zip(cells, batch.atoms, strict=True)
            ]

    def _result(self, cell: Atoms, mixtures: ModeMixture, own: slice) -> PhononDOS:
        from scatterml_ase.results.crystal import Crystal
        from scatterml_ase.results.dos import PhononDOS

        edges = self._edges(mixtures, own)
        grid = torch.from_numpy(edges).to(mixtures.weights)
        below = mixtures.cumulative(grid, own).double().numpy()  # [member, atom, edge]
        partial = _density(below.mean(axis=0), edges)
        samples = None
        if self.uncertainty:
            stretch = float(mixtures.stretch[:, own].mean())
            samples = _density(_samples(below, edges, stretch), edges)
        return PhononDOS(
            crystal=Crystal.from_atoms(cell),
            energy_edges=edges,
            total=partial.sum(axis=0),
            partial=partial,
            samples=samples,
            error=None if samples is None else samples.sum(axis=1).std(axis=0, ddof=1),
            provenance=describe_prediction(self, self.network.card, cell),
        )

    def _edges(self, mixtures: ModeMixture, own: slice) -> np.ndarray:
        """Return the bins asked for, or bins that cover all but a trace of the modes."""
        if self.energy_edges is not None:
            return check_edges(self.energy_edges)
        weights = mixtures.weights[:, own]
        ends = mixtures.ends(_PRESENT)[:, own] * (weights > _PRESENT)
        low = -float(ends[..., -1].max()) if float(weights[..., -1].mean()) > _PRESENT else 0.0
        return nice_edges(low, float(ends[..., :-1].max()), self.energy_step)


def _density(below: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return densities of three modes an atom from the modes below each edge, (..., edges)."""
    counts = np.maximum(np.diff(below, axis=-1), 0.0)  # float32 rounds differences about zero
    counts *= 3 / counts.sum(axis=-1, keepdims=True)  # what little lies beyond the ends
    return counts / np.diff(edges)


def _samples(below: np.ndarray, edges: np.ndarray, stretch: float) -> np.ndarray:
    """Return equally likely modes below each edge, (samples, atoms, edges).

    Each member (members, atoms, edges) is taken with several errors common to all energies: their
    logarithms are shifted by quantiles of a Laplace distribution of scale ``stretch``.
    """
    members, atoms, _ = below.shape
    count = members * _SHIFTS
    level = (np.arange(count) + 0.5) / count
    level = np.random.default_rng(0).permutation(level)  # no member is always the higher one
    quantiles = np.where(level < 0.5, np.log(2 * level), -np.log(2 - 2 * level))
    samples = np.empty((count, atoms, len(edges)))
    for k, shift in enumerate(stretch * quantiles):
        moved = edges * np.exp(-shift)
        for atom in range(atoms):
            samples[k, atom] = np.interp(moved, edges, below[k % members, atom])
    return samples
