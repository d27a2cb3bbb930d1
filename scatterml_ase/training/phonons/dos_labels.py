"""Densities of states of the reference, atom by atom: what a DOS model learns from."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from scatterml_ase.errors import AccuracyWarning
from scatterml_ase.results.counted_dos import phonon_dos
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.units import INVERSE_CM_TO_MEV

EDGES = np.arange(-400.0, 4000.1, 5.0)
"""Edges of the bins of all labels, in cm⁻¹; imaginary modes are negative."""


@dataclass(frozen=True)
class DosLabel:
    """The density of states of one crystal."""

    name: str
    numbers: np.ndarray
    """(n,)."""
    counts: np.ndarray
    """Modes of each atom in each bin of ``EDGES``, (n, bins) float32; a row sums to 3."""


def dos_label(name: str, constants: ForceConstants, modes: int) -> DosLabel:
    """Count the modes of a mesh that avoids Γ, with about ``modes`` of them in all.

    What lies outside of ``EDGES`` counts at the nearest end.
    """
    crystal = constants.crystal.to("angstrom")
    mesh = even_mesh(crystal.cell, modes / (3 * len(crystal)))
    found = constants.mesh_modes(mesh, shift=(0.5, 0.5, 0.5)).to("meV")
    edges = EDGES * INVERSE_CM_TO_MEV
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccuracyWarning)
        dos = phonon_dos(found, energy_edges=edges, method="points", fwhm=0.0)
    counts = dos.partial * dos.widths
    lost = 3 - counts.sum(axis=1)  # beyond the ends
    high = float((found.frequencies > edges[-1]).mean())
    counts[:, -1 if high > 0 else 0] += lost
    return DosLabel(name, crystal.numbers, counts.astype(np.float32))


def even_mesh(cell: np.ndarray, points: float) -> tuple[int, int, int]:
    """Return divisions of a mesh of at least so many points, as even as whole numbers allow."""
    lengths = np.linalg.norm(2 * np.pi * np.linalg.inv(cell).T, axis=1)
    scale = (points / np.prod(lengths)) ** (1 / 3)
    divisions = np.maximum(1, np.ceil(lengths * scale - 0.2)).astype(int)
    n1, n2, n3 = (int(n) for n in divisions)
    return n1, n2, n3
