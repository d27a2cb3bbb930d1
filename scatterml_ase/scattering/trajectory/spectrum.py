"""S(Q, E) from molecular dynamics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scatterml_ase.errors import AccuracyWarning, InputError, explain, warn
from scatterml_ase.physics.correlations import Taper, nyquist_energy
from scatterml_ase.physics.debye_waller import check_temperatures
from scatterml_ase.physics.quantum_correction import QuantumCorrection, quantum_factor
from scatterml_ase.results.histogram import check_edges
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering.trajectory.analyzer import check_enough, check_segments, check_width
from scatterml_ase.scattering.trajectory.series import SpectrumTransform
from scatterml_ase.scattering.trajectory.wavevector_options import WavevectorOptions
from scatterml_ase.scattering.trajectory.wavevector_sums import WavevectorSums

if TYPE_CHECKING:
    from scatterml_ase.scattering.trajectory.frames import Frame, TrajectoryFrames

_COHERENT_OVERLAP, _INCOHERENT_OVERLAP = 4, 2
"""Segments that each frame is part of: the taper leaves its ends nearly unused."""
_NEARLY_ALL = 0.995
_MARGIN = 1.12
_TOP_FIFTH, _ALIASED = 0.8, 0.1
"""Above this part of the Nyquist energy no more than that share of ∫E² S dE may lie."""
FIX_WIDTH = "Run longer, or ask for a coarser resolution: energy_fwhm={fwhm}"


@dataclass(frozen=True, kw_only=True)
class TrajectoryScattering(WavevectorOptions):
    """S(Q, E) of a crystal, liquid or glass in motion, all orders and anharmonicity included.

    ``TrajectoryScattering(q_edges=np.linspace(0, 6, 61))("md.traj")`` returns the powder map as a
    :class:`~scatterml_ase.results.sqw.SqwMap` with error bars,
    ``TrajectoryScattering(path="GX", zone=(2, 0, 0), unit_cell=(4, 4, 4))(frames)`` a map along a
    path. Elastic lines (Bragg peaks) are in it. The options of
    :class:`~scatterml_ase.scattering.trajectory.wavevector_options.WavevectorOptions` come first.

    Parameters
    ----------
    temperature
        In K, for the quantum correction; None: from the velocities.
    energy_edges
        Edges of the energy-transfer bins in meV; None: from 0 to above the highest mode.
    energy_fwhm
        Full width at half maximum in meV of the Gaussian resolution. It sets the length of the
        segments that the trajectory is cut into: 8.8 ps for 1 meV.
    quantum_correction
        ``"harmonic"``, ``"schofield"`` or ``"none"``: what makes a classical spectrum obey
        detailed balance; see :mod:`scatterml_ase.physics.quantum_correction`.
    """

    temperature: float | None = None
    energy_edges: Sequence[float] | np.ndarray | None = None
    energy_fwhm: float = 1.0
    quantum_correction: QuantumCorrection = "harmonic"

    def collector(self, frames: TrajectoryFrames) -> _SpectrumCollector:
        """Prepare for frames whose first one is known."""
        quantum_factor(np.zeros(1), 300.0, self.quantum_correction)  # is it known?
        self._kelvin(frames)
        return _SpectrumCollector(self, frames)

    def edges(self, timestep: float) -> np.ndarray | None:
        """Return the bins asked for, if any, in meV.

        Raises
        ------
        InputError
            If frames ``timestep`` fs apart cannot show these energies.
        """
        if self.energy_edges is None:
            return None
        edges = check_edges("energy_edges", self.energy_edges)
        nyquist = nyquist_energy(timestep)
        if np.abs(edges).max() > nyquist:
            raise InputError(
                explain(
                    f"energy_edges reach to {np.abs(edges).max():g} meV",
                    f"frames {timestep:g} fs apart show energies up to {nyquist:.4g} meV (Nyquist)",
                    "Lower the edges, or write frames more often",
                )
            )
        return edges

    def kelvin(self, frames: TrajectoryFrames) -> float:
        """Return the temperature of the spectrum in K, NaN if neither given nor needed."""
        if self.temperature is not None:
            return self._kelvin(frames)
        return float("nan") if frames.temperature is None else frames.temperature

    def _kelvin(self, frames: TrajectoryFrames) -> float:
        if self.temperature is not None:
            (kelvin,) = check_temperatures(self.temperature).ravel()[:1]
            if kelvin > 0:
                return float(kelvin)
        elif frames.tells_temperature or self.quantum_correction == "none":
            return float("nan")
        raise InputError(
            explain(
                "There is no temperature"
                if self.temperature is None
                else f"temperature={self.temperature} K has no classical dynamics",
                f"the quantum correction {self.quantum_correction!r} takes a positive one, and "
                "without velocities the trajectory does not tell it",
                'Give temperature= in K, or quantum_correction="none"',
            )
        )


class _SpectrumCollector:
    """Sums of one S(Q, E)."""

    def __init__(self, options: TrajectoryScattering, frames: TrajectoryFrames) -> None:
        self._options = options
        self._frames = frames
        taper = Taper.of_width(check_width(options.energy_fwhm), frames.timestep)
        check_enough(taper.frames, frames, FIX_WIDTH)
        self._edges = options.edges(frames.timestep)
        self._transform = SpectrumTransform(taper, self._edges)
        hops = taper.frames // _COHERENT_OVERLAP, taper.frames // _INCOHERENT_OVERLAP
        self._sums = WavevectorSums(options, frames, self._transform, (hops[0] or 1, hops[1] or 1))

    def add(self, frame: Frame) -> None:
        """Take one frame."""
        self._sums.add(frame)

    def result(self) -> SqwMap:
        """Return the map."""
        for series in self._sums.series:
            check_segments(series.average, self._transform.frames, self._frames, FIX_WIDTH)
        self._warn_of_aliases()
        edges, columns = self._bins()
        temperature = self._options.kelvin(self._frames)
        correction = self._options.quantum_correction
        factor = quantum_factor((edges[1:] + edges[:-1]) / 2, temperature, correction)
        error = self._sums.error()
        points = self._sums.points
        return SqwMap(
            crystal=self._sums.simulated.crystal,
            q=points.edges,
            energy_transfer=edges,
            intensity=self._sums.mean()[:, columns] * factor,
            error=None if error is None else error[:, columns] * factor,
            distance=points.distance,
            q_reduced=points.q_reduced,
            temperature=temperature,
            axis=points.axis,
            labels=points.labels,
            wavevectors=max(len(series.points.indices) for series in self._sums.series),
            provenance={
                **self._frames.provenance(),
                **self._sums.provenance(),
                "trajectory_scattering": self._options.options(),
                "window": "Gaussian taper",
                "resolution": f"Gaussian, {self._options.energy_fwhm:g} meV FWHM",
                "segment_frames": self._transform.frames,
                "errors": "standard errors from blocks of segments",
            },
        )

    def _bins(self) -> tuple[np.ndarray, slice]:
        """Return the edges of the result and which columns they take."""
        if self._edges is not None:
            return self._edges, slice(None)
        energies = self._transform.taper.energies
        content = np.cumsum(energies**2 * self._transform.profile)
        top = _MARGIN * energies[np.searchsorted(content, _NEARLY_ALL * content[-1])]
        count = int(np.clip(np.searchsorted(energies, top) + 1, 2, len(energies) - 1))
        return (np.arange(count + 1) - 0.5) * energies[1], slice(count)

    def _warn_of_aliases(self) -> None:
        energies = self._transform.taper.energies
        content = energies**2 * self._transform.profile
        high = energies > _TOP_FIFTH * energies[-1]
        share = float(content[high].sum() / content.sum()) if content.any() else 0.0
        if share > _ALIASED:
            warn_of_aliases(share, self._frames.timestep)


def warn_of_aliases(share: float, timestep: float) -> None:
    """Say that motion is faster than the frames can show."""
    warn(
        explain(
            f"{100 * share:.0f} % of the motion is near {nyquist_energy(timestep):.4g} meV, the "
            f"highest energy that frames {timestep:g} fs apart show",
            "what is faster appears at lower energies, where it does not belong",
            "Write frames more often",
        ),
        AccuracyWarning,
        stacklevel=7,
    )
