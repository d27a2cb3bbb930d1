"""From what a model says about a batch to ASE's names and shapes, and what may not pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress

from scatterml_ase.errors import InputError, explain
from scatterml_ase.graph import Graph
from scatterml_ase.nn.derivatives import PotentialOutput

# Two nuclei nearer than this (Å) are one site entered twice, not a configuration.
_SAME_SITE = 0.05


def has_stress(atoms: Atoms) -> bool:
    """Tell whether stress, energy per strain and volume, is defined for a structure."""
    return bool(atoms.pbc.any()) and bool(abs(np.linalg.det(atoms.cell.array)) > 1e-12)


def split_output(
    output: PotentialOutput, images: Sequence[Atoms], *, derivatives: bool
) -> list[dict[str, Any]]:
    """Cut the output of a batch into one dict of ASE's names and shapes per structure."""
    energy = _array(output.energy).tolist()
    energies = _array(output.energies)
    forces, stress = _array(output.forces), _array(output.stress)
    results = []
    end = 0
    for k, atoms in enumerate(images):
        own = slice(end, end := end + len(atoms))
        result: dict[str, Any] = {
            "energy": energy[k],
            "free_energy": energy[k],
            "energies": energies[own].copy(),
        }
        if derivatives:
            result["forces"] = forces[own].copy()
        if derivatives and has_stress(atoms):
            result["stress"] = full_3x3_to_voigt_6_stress(stress[k])
        results.append(result)
    return results


def _array(values: torch.Tensor) -> np.ndarray:
    return values.numpy(force=True).astype(np.float64, copy=False)


def check_overlap(atoms: Atoms, graph: Graph) -> None:
    """Refuse a structure with two atoms at one place; ``graph`` is its own."""
    if graph.num_edges == 0:
        return
    vectors = graph.vectors.numpy(force=True)
    squares = np.einsum("ex,ex->e", vectors, vectors)
    edge = int(squares.argmin())
    shortest = float(squares[edge]) ** 0.5
    if shortest >= _SAME_SITE:
        return
    i, j = (int(k) for k in graph.edge_index[:, edge])
    raise InputError(
        explain(
            f"Atoms {i} ({atoms.symbols[i]}) and {j} ({atoms.symbols[j]}) are {shortest:.2g} Å "
            "apart",
            "that is one site entered twice, or the images of a cell that is too small",
            "Remove duplicates, e.g. with ase.geometry.get_duplicate_atoms(atoms, delete=True), "
            "or check atoms.cell",
        )
    )


def check_finite(atoms: Atoms, result: dict[str, Any]) -> None:
    """Refuse results with NaN or infinity."""
    if all(np.isfinite(value).all() for value in result.values()):
        return
    raise InputError(
        explain(
            f"The energy or forces of {atoms.get_chemical_formula()} are not finite",
            "some atoms are so close that the numbers overflow, or the weights are damaged",
            "Check the shortest distances of the structure, or use dtype='float64'",
        )
    )
