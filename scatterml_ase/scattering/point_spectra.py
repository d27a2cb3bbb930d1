"""Spectra at many single scattering vectors, each wavevector solved once for all equivalent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from scatterml_ase.physics import structure_factor
from scatterml_ase.physics.star_folding import FoldedPoints, fold
from scatterml_ase.scattering import linewidths, mode_histogram
from scatterml_ase.scattering.linewidths import Linewidths
from scatterml_ase.scattering.one_phonon import StructureFactors
from scatterml_ase.scattering.scatterer import Scatterer
from scatterml_ase.scattering.view import EnergyView

_CHUNK_BYTES = 64_000_000
Progress = Callable[[int], object]


@dataclass(frozen=True, eq=False)
class PointSpectra:
    """What groups of scattering vectors scatter in the mean.

    Parameters
    ----------
    density
        In mbarn/sr/meV per atom, shape (groups, energy).
    left_out
        True where modes without energy are missing, shape (groups, energy).
    wavevectors
        How many wavevectors were solved.
    imaginary_modes
        How many modes of the points are imaginary and missing.
    """

    density: np.ndarray
    left_out: np.ndarray
    wavevectors: int
    imaginary_modes: int


def point_spectra(
    scatterer: Scatterer,
    hkl: np.ndarray,
    energies: EnergyView,
    *,
    widths: Linewidths | None = None,
    symmetry: bool = True,
    wanted: np.ndarray | None = None,
    progress: Progress = lambda points: None,
) -> PointSpectra:
    """Return the mean of S(Q, E) over groups of scattering vectors, exactly there.

    Parameters
    ----------
    scatterer
        The crystal.
    hkl
        Shape (groups, members, 3), reciprocal-lattice units of the primitive cell.
    energies
        Bins and resolution.
    widths
        Of the lines of modes; None: sharp.
    symmetry
        Whether equivalent wavevectors are solved once.
    wanted
        Which groups to calculate, shape (groups,); others stay zero. None: all.
    progress
        Told the number of points each time some are done.
    """
    density = np.zeros((len(hkl), len(energies.edges) - 1))
    missing = np.zeros(density.shape, dtype=bool)
    chosen = np.arange(len(hkl)) if wanted is None else np.flatnonzero(wanted)
    members = hkl.shape[1]
    groups, hkl = chosen.repeat(members), hkl[chosen].reshape(-1, 3)
    folded = fold(
        hkl,
        _rotations(scatterer) if symmetry else None,
        inversion=symmetry and len(scatterer.real_parts()) == 1,
    )
    imaginary = 0.0
    columns = energies.edges if widths is None else energies.inner_edges
    for rows, factors in _pieces(scatterer, hkl, folded, 16 * len(columns)):
        fwhm = None
        if widths is not None:
            fwhm = linewidths.evaluate(widths, hkl[rows], factors.frequencies)
        spectra = mode_histogram.density(factors, energies, fwhm, scatterer.temperature)
        np.add.at(density, groups[rows], spectra / members)
        np.logical_or.at(missing, groups[rows], mode_histogram.left_out(factors, energies.edges))
        imaginary += factors.imaginary_share * factors.frequencies.size
        progress(len(rows))
    return PointSpectra(density, missing, len(folded.q_reduced), round(imaginary))


def _rotations(scatterer: Scatterer) -> np.ndarray | None:
    """Return the rotations that change nothing, None if the scatterer breaks the symmetry."""
    operations = scatterer.force_constants.symmetry_operations
    return operations.rotations if scatterer.symmetric else None


def _pieces(
    scatterer: Scatterer, hkl: np.ndarray, folded: FoldedPoints, point_bytes: int
) -> Iterator[tuple[np.ndarray, StructureFactors]]:
    """Yield structure factors and which points they are of, in pieces of bounded memory.

    ``point_bytes`` is what a point takes beside its eigenvectors.
    """
    reciprocal = scatterer.force_constants.crystal.to("angstrom").reciprocal_cell
    size = max(1, _CHUNK_BYTES // (16 * (3 * scatterer.atoms) ** 2 + point_bytes))
    order = np.argsort(folded.solution, kind="stable")
    counts = folded.counts
    ends = np.concatenate([[0], np.cumsum(counts)])
    for start in range(0, len(folded.q_reduced), size):
        part = slice(start, min(start + size, len(folded.q_reduced)))
        modes = scatterer.force_constants.modes(folded.q_reduced[part], weights=counts[part])
        frequencies, imaginary = scatterer.energies(modes)
        vectors = modes.eigenvectors
        assert vectors is not None
        members = order[ends[part.start] : ends[part.stop]]
        for first in range(0, len(members), size):
            rows = members[first : first + size]
            solved = folded.solution[rows] - start
            taus = np.rint(folded.images[rows] - folded.q_reduced[folded.solution[rows]])
            amplitudes = scatterer.amplitudes(folded.images[rows] @ reciprocal, taus @ reciprocal)
            strengths = structure_factor.mode_strengths(
                vectors[solved], amplitudes, atoms=scatterer.atoms
            )
            energies = frequencies[solved]
            intensities = structure_factor.loss_and_gain(strengths, energies, scatterer.temperature)
            yield rows, StructureFactors(hkl[rows] @ reciprocal, energies, *intensities, imaginary)
