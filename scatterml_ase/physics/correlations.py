"""Spectra and correlation functions of time series, by FFT.

A series ρ(t) at equal steps Δt is multiplied with a Gaussian taper g(t) and transformed: the
spectrum |Σ g ρ exp(iωt)|² Δt / (2πħ Σ g²) is positive, integrates to the mean of |ρ|² whatever the
taper, and is the true spectrum convolved with a Gaussian, the square of the taper's transform
(P. D. Welch, doi:10.1109/TAU.1967.1161901, on averaging such spectra over segments).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import fft

from scatterml_ase.physics.broadening import SIGMA_TO_FWHM
from scatterml_ase.physics.rebinning import shared_lengths
from scatterml_ase.units import THZ_TO_MEV

PLANCK = 1e3 * THZ_TO_MEV
"""h in meV fs (4135.67)."""
_REACH = 4.0
"""Where the taper is cut, in its standard deviations: it has fallen to 3e-4 there."""
_CHUNK = 2_000_000
"""How many complex numbers are transformed at once."""


@dataclass(frozen=True, eq=False)
class Taper:
    """A Gaussian taper over one segment of a time series, and the energies of its spectrum.

    Parameters
    ----------
    weights
        g(t), shape (frames,).
    timestep
        Δt in fs.
    points
        Length of the transform; the segment is padded with zeros to it.
    """

    weights: np.ndarray
    timestep: float
    points: int

    @classmethod
    def of_width(cls, energy_fwhm: float, timestep: float) -> Self:
        """Make the taper whose spectra are broadened by ``energy_fwhm`` (meV, FWHM)."""
        frames = segment_length(energy_fwhm, timestep)
        times = (np.arange(frames) - (frames - 1) / 2) * timestep
        weights = np.exp(-0.5 * (times / _taper_sigma(energy_fwhm)) ** 2)
        return cls(weights, timestep, 2 * fft.next_fast_len(frames, real=True))

    @property
    def frames(self) -> int:
        """Frames in a segment."""
        return len(self.weights)

    @property
    def energies(self) -> np.ndarray:
        """Energies of the spectrum in meV, from 0 to half the sampling frequency, (energies,)."""
        return PLANCK / (self.points * self.timestep) * np.arange(self.points // 2 + 1)

    def spectra(self, series: np.ndarray) -> np.ndarray:
        """Return spectra in 1/meV, the mean of both signs of the energy, shape (rows, energies).

        Parameters
        ----------
        series
            Real or complex, shape (rows, frames).
        """
        result = np.empty((len(series), self.points // 2 + 1))
        step = max(1, _CHUNK // self.points)
        for start in range(0, len(series), step):
            part = slice(start, start + step)
            result[part] = self._squares(series[part] * self.weights)
        return result * (self.timestep / (PLANCK * np.sum(self.weights**2)))

    def _squares(self, tapered: np.ndarray) -> np.ndarray:
        half = self.points // 2 + 1
        if not np.iscomplexobj(tapered):
            transform = fft.rfft(tapered, self.points)
            return transform.real**2 + transform.imag**2
        transform = fft.fft(tapered, self.points)
        squares = transform.real**2 + transform.imag**2
        mirrored = np.roll(squares[:, ::-1], 1, axis=1)
        return (squares[:, :half] + mirrored[:, :half]) / 2


def segment_length(energy_fwhm: float, timestep: float) -> int:
    """Return how many frames ``timestep`` (fs) apart resolve ``energy_fwhm`` (meV)."""
    return 2 * int(np.ceil(_REACH * _taper_sigma(energy_fwhm) / timestep)) + 1


def finest_width(frames: float, timestep: float) -> float:
    """Return the FWHM in meV that a series of so many frames resolves."""
    return 2 * _REACH * _taper_sigma(1.0) / (max(frames - 3, 1) * timestep)


def nyquist_energy(timestep: float) -> float:
    """Return the highest energy in meV that steps of ``timestep`` (fs) can show."""
    return PLANCK / (2 * timestep)


def binning_matrix(energies: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the matrix that turns spectra of both signs into means over bins, (bins, energies).

    Parameters
    ----------
    energies
        Equally spaced from 0 to the Nyquist energy, in meV; spectra are even in energy.
    edges
        Of the bins in meV, of any sign, within ± the Nyquist energy.
    """
    step = energies[1]
    own = np.clip((np.arange(len(energies) + 1) - 0.5) * step, 0.0, energies[-1])
    shares = shared_lengths(own, edges) + shared_lengths(own, -edges[::-1])[::-1]
    return shares / np.diff(edges)[:, None]


def correlations(series: np.ndarray, origins: int) -> np.ndarray:
    """Return Re⟨ρ*(t₀) ρ(t₀+t)⟩ over the first ``origins`` times t₀, every lag over all of them.

    Parameters
    ----------
    series
        Real or complex, shape (rows, frames).
    origins
        How many; the lags run from 0 to frames − origins.

    Returns
    -------
    np.ndarray
        Shape (rows, frames − origins + 1).
    """
    rows, frames = series.shape
    points = fft.next_fast_len(frames + origins)
    lags = frames - origins + 1
    result = np.empty((rows, lags))
    step = max(1, _CHUNK // points)
    for start in range(0, rows, step):
        part = series[start : start + step]
        early = fft.fft(part[:, :origins], points)
        result[start : start + step] = fft.ifft(early.conj() * fft.fft(part, points))[:, :lags].real
    return result / origins


def difference_response(energies: np.ndarray, timestep: float) -> np.ndarray:
    """Return by how much differences of positions weaken the power of velocities: sinc²(ωΔt/2).

    Parameters
    ----------
    energies
        ħω in meV, up to the Nyquist energy, where the response is 4/π².
    timestep
        In fs, between the two positions of a difference, taken at its middle.
    """
    return np.sinc(energies * timestep / PLANCK) ** 2


def _taper_sigma(energy_fwhm: float) -> float:
    """Return the standard deviation of the taper in fs: |FT g|² must have the width asked for."""
    return PLANCK / (2 * np.pi) * SIGMA_TO_FWHM / (np.sqrt(2) * energy_fwhm)
