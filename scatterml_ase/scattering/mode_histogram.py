"""Modes of single scattering vectors on energy bins, sharp or damped."""

from __future__ import annotations

import numpy as np

from scatterml_ase.physics import damped_oscillator
from scatterml_ase.physics.structure_factor import occupation_factors
from scatterml_ase.scattering.one_phonon import StructureFactors
from scatterml_ase.scattering.powder_average import bin_index

_CHUNK_BYTES = 64_000_000
_COPIES = 8
"""How many complex arrays of (modes, edges) a damped line takes."""


def content(
    factors: StructureFactors,
    edges: np.ndarray,
    fwhm: np.ndarray | None = None,
    temperature: float = 0.0,
) -> np.ndarray:
    """Return mbarn/sr per atom in each energy bin of each point, shape (points, energy).

    Parameters
    ----------
    factors
        Energies and intensities of the modes.
    edges
        Of the bins in meV.
    fwhm
        Of the modes in meV, shape (points, modes), which then are damped harmonic oscillators; 0
        for sharp ones. None: all are sharp.
    temperature
        In K, for damped ones.
    """
    if fwhm is None:
        return _sharp(factors, edges)
    damped = (fwhm > 0) & (factors.frequencies > 0)
    loss, gain = (np.where(damped, 0.0, part) for part in (factors.loss, factors.gain))
    total = _sharp(factors._replace(loss=loss, gain=gain), edges)
    points, modes = np.nonzero(damped)
    size = max(1, _CHUNK_BYTES // (16 * _COPIES * len(edges)))
    for start in range(0, len(points), size):
        rows, columns = points[start : start + size], modes[start : start + size]
        energies = factors.frequencies[rows, columns]
        occupation, _ = occupation_factors(energies, temperature)
        lines = damped_oscillator.bin_integrals(edges, energies, fwhm[rows, columns], temperature)
        lines *= (factors.loss[rows, columns] / occupation)[:, None]
        np.add.at(total, rows, lines)
    return total


def left_out(factors: StructureFactors, edges: np.ndarray) -> np.ndarray:
    """Mark the bins at E = 0 of points where modes of zero energy were left out.

    These are acoustic ones at Bragg peaks, which scatter elastically, and imaginary ones.
    """
    touching = (edges[:-1] <= 0) & (edges[1:] >= 0)
    strange = (factors.frequencies <= 0).any(axis=1) & (np.linalg.norm(factors.Q, axis=1) > 1e-9)
    return strange[:, None] & touching


def _sharp(factors: StructureFactors, edges: np.ndarray) -> np.ndarray:
    points, bins = len(factors.frequencies), len(edges)  # one spare bin
    rows = np.arange(points)[:, None] * bins
    total = np.zeros(points * bins)
    for energies, values in (
        (factors.frequencies, factors.loss),
        (-factors.frequencies, factors.gain),
    ):
        flat = (rows + bin_index(edges, energies)).reshape(-1)
        total += np.bincount(flat, values.reshape(-1), minlength=points * bins)
    return total.reshape(points, bins)[:, :-1]
