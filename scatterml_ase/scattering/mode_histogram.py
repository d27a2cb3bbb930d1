"""Modes of single scattering vectors on energy bins, sharp or damped."""

from __future__ import annotations

import numpy as np

from scatterml_ase.physics import damped_oscillator
from scatterml_ase.physics.broadening import lines_on_bins
from scatterml_ase.physics.structure_factor import occupation_factors
from scatterml_ase.scattering.one_phonon import StructureFactors
from scatterml_ase.scattering.view import EnergyView

_CHUNK_BYTES = 64_000_000
_COPIES = 8
"""How many complex arrays of (modes, edges) a damped line takes."""


def density(
    factors: StructureFactors,
    energies: EnergyView,
    fwhm: np.ndarray | None = None,
    temperature: float = 0.0,
) -> np.ndarray:
    """Return mbarn/sr/meV per atom in each energy bin of each point, shape (points, energy).

    Parameters
    ----------
    factors
        Energies and intensities of the modes.
    energies
        Bins and resolution.
    fwhm
        Of the modes in meV, shape (points, modes), which then are damped harmonic oscillators; 0
        for sharp ones. None: all are sharp.
    temperature
        In K, for damped ones.
    """
    if fwhm is None:
        return _sharp(factors, energies)
    damped = (fwhm > 0) & (factors.frequencies > 0)
    loss, gain = (np.where(damped, 0.0, part) for part in (factors.loss, factors.gain))
    total = _sharp(factors._replace(loss=loss, gain=gain), energies)
    edges = energies.inner_edges
    content = np.zeros((len(total), len(edges) - 1))
    points, modes = np.nonzero(damped)
    size = max(1, _CHUNK_BYTES // (16 * _COPIES * len(edges)))
    for start in range(0, len(points), size):
        rows, columns = points[start : start + size], modes[start : start + size]
        omega = factors.frequencies[rows, columns]
        occupation, _ = occupation_factors(omega, temperature)
        lines = damped_oscillator.bin_integrals(edges, omega, fwhm[rows, columns], temperature)
        lines *= (factors.loss[rows, columns] / occupation)[:, None]
        np.add.at(content, rows, lines)
    return total + energies.density(content)


def left_out(factors: StructureFactors, edges: np.ndarray) -> np.ndarray:
    """Mark the bins at E = 0 of points where modes of zero energy were left out.

    These are acoustic ones at Bragg peaks, which scatter elastically, and imaginary ones.
    """
    touching = (edges[:-1] <= 0) & (edges[1:] >= 0)
    strange = (factors.frequencies <= 0).any(axis=1) & (np.linalg.norm(factors.Q, axis=1) > 1e-9)
    return strange[:, None] & touching


def _sharp(factors: StructureFactors, energies: EnergyView) -> np.ndarray:
    loss, gain = (
        lines_on_bins(place, strengths, energies.edges, energies.sigma(place))
        for place, strengths in (
            (factors.frequencies, factors.loss),
            (-factors.frequencies, factors.gain),
        )
    )
    return (loss + gain) / np.diff(energies.edges)
