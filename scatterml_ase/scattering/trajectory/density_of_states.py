"""Vibrational density of states from molecular dynamics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.correlations import (
    Taper,
    binning_matrix,
    difference_response,
    nyquist_energy,
)
from scatterml_ase.physics.density_of_states import check_edges
from scatterml_ase.physics.running_average import RunningAverage
from scatterml_ase.results.dos import PhononDOS
from scatterml_ase.scattering.trajectory.analyzer import (
    TrajectoryAnalyzer,
    check_enough,
    check_segments,
    check_width,
)
from scatterml_ase.scattering.trajectory.series import SegmentBuffer
from scatterml_ase.scattering.trajectory.simulated_crystal import SimulatedCrystal
from scatterml_ase.scattering.trajectory.spectrum import FIX_WIDTH, warn_of_aliases

if TYPE_CHECKING:
    from scatterml_ase.scattering.trajectory.frames import Frame, TrajectoryFrames

Velocities = Literal["auto", "stored", "positions"]
_OVERLAP = 4
_NEARLY_ALL = 0.9995
_TOP_FIFTH, _ALIASED = 0.8, 0.02


@dataclass(frozen=True, kw_only=True)
class TrajectoryDOS(TrajectoryAnalyzer):
    """The vibrational density of states: the spectrum of velocities, weighted by mass.

    ``TrajectoryDOS(unit_cell=(4, 4, 4))("md.traj")`` returns a
    :class:`~scatterml_ase.results.dos.PhononDOS`. Anharmonicity is in it: energies are those at the
    temperature of the simulation. Of a liquid, what diffuses is at zero energy. Every atom is given
    its three modes: classically m⟨v²⟩ = 3kT (J. M. Dickey and A. Paskin,
    doi:10.1103/PhysRev.188.1407).

    Parameters
    ----------
    energy_edges
        Edges of the bins in meV, zero or above; None: from 0 to above the highest mode.
    energy_fwhm
        Full width at half maximum in meV of the Gaussian resolution: 8.8 ps a segment for 1 meV.
    velocities
        ``"stored"``: those of the trajectory; ``"positions"``: differences of positions between
        frames, corrected for what that takes from fast modes; ``"auto"``: the first if there.
    """

    energy_edges: Sequence[float] | np.ndarray | None = None
    energy_fwhm: float = 1.0
    velocities: Velocities = "auto"

    def collector(self, frames: TrajectoryFrames) -> _VelocityCollector:
        """Prepare for frames whose first one is known."""
        if self.velocities not in get_args(Velocities):
            known = ", ".join(get_args(Velocities))
            what = f"velocities={self.velocities!r} is not known"
            raise InputError(explain(what, f"it can be {known}", "Use one of these"))
        if self.velocities == "stored" and not frames.has_velocities:
            what = "The first frame has no velocities, or all are zero"
            fix = 'Use velocities="positions", or write momenta with the frames'
            raise InputError(explain(what, "there are none to transform", fix))
        return _VelocityCollector(self, frames)


class _VelocityCollector:
    """Sums of one density of states."""

    def __init__(self, options: TrajectoryDOS, frames: TrajectoryFrames) -> None:
        self._options = options
        self._frames = frames
        self._stored = frames.has_velocities and options.velocities != "positions"
        self._simulated = SimulatedCrystal.of(frames.first, options.unit_cell)
        self._group, self._groups = self._grouping()
        self._taper = Taper.of_width(check_width(options.energy_fwhm), frames.timestep)
        check_enough(self._taper.frames + (not self._stored), frames, FIX_WIDTH)
        self._edges = self._check_edges()
        hop = max(1, self._taper.frames // _OVERLAP)
        shape = (3 * len(frames.masses),)
        self._buffer = SegmentBuffer(shape, self._taper.frames, hop, float)
        self._before: np.ndarray | None = None
        self.average = RunningAverage()

    def add(self, frame: Frame) -> None:
        """Take one frame."""
        if self._stored:
            assert frame.velocities is not None
            velocities = frame.velocities
        else:
            before, self._before = self._before, frame.scaled
            if before is None:
                return
            velocities = (frame.scaled - before) @ self._frames.cell
        segment = self._buffer.add(velocities.reshape(-1))
        if segment is None:
            return
        spectra = self._taper.spectra(segment)
        atoms = spectra.reshape(-1, 3, spectra.shape[1]).sum(axis=1)
        self.average.add(self._group @ atoms)

    def result(self) -> PhononDOS:
        """Return the density of states of the unit cell, or of the simulated one."""
        check_segments(self.average, self._taper.frames, self._frames, FIX_WIDTH)
        energies = self._taper.energies
        response = np.ones_like(energies)
        if not self._stored:
            response = difference_response(energies, self._frames.timestep)
        spectra = self.average.mean / response
        matrix = binning_matrix(energies, np.array([0.0, energies[-1]]))
        modes = 3 / ((spectra @ matrix.T) * energies[-1])  # a sum over modes of positive energy
        density = spectra * modes
        self._warn_of_aliases(density)
        edges = self._bins(density) if self._edges is None else self._edges
        partial = (density @ binning_matrix(energies, edges).T)[self._groups]
        return PhononDOS(
            crystal=self._simulated.crystal,
            energy_edges=edges,
            total=partial.sum(axis=0),
            partial=partial,
            provenance={
                **self._frames.provenance(),
                "trajectory_dos": self._options.options(),
                "velocities": "stored" if self._stored else "differences of positions",
                "window": "Gaussian taper",
                "resolution": f"Gaussian, {self._options.energy_fwhm:g} meV FWHM",
                "segments": self.average.samples,
                "segment_frames": self._taper.frames,
                "relative_error": self._relative_error(response),
                "normalization": "three modes per atom",
            },
        )

    # -- parts of the above --------------------------------------------------------------------

    def _grouping(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the matrix that averages atoms alike, and the group of each atom of the crystal.

        Atoms at one site of the unit cell are alike; without a unit cell, those of one species.
        """
        if self._options.unit_cell is None:
            _, members = np.unique(self._frames.first.numbers, return_inverse=True)
            groups = members.reshape(-1)
        else:
            members, groups = self._simulated.sites, np.arange(len(self._simulated.crystal))
        members = members.reshape(-1)
        matrix = (members[None] == np.arange(members.max() + 1)[:, None]).astype(float)
        return matrix / matrix.sum(axis=1, keepdims=True), groups

    def _check_edges(self) -> np.ndarray | None:
        if self._options.energy_edges is None:
            return None
        edges = check_edges(np.asarray(self._options.energy_edges))
        nyquist = nyquist_energy(self._frames.timestep)
        if edges[0] < 0 or edges[-1] > nyquist:
            raise InputError(
                explain(
                    f"energy_edges run from {edges[0]:g} to {edges[-1]:g} meV",
                    f"motion has energies from 0, and frames {self._frames.timestep:g} fs apart "
                    f"show them up to {nyquist:.4g} meV (Nyquist)",
                    "Choose edges within these, or write frames more often",
                )
            )
        return edges

    def _bins(self, density: np.ndarray) -> np.ndarray:
        """Return bins as wide as the spectrum is sampled, from 0 to above the highest mode."""
        energies = self._taper.energies
        content = np.cumsum(density.sum(axis=0))
        top = int(np.searchsorted(content, _NEARLY_ALL * content[-1]))
        count = int(np.clip(np.ceil(1.05 * top), 2, len(energies) - 1))
        return energies[: count + 1]

    def _warn_of_aliases(self, density: np.ndarray) -> None:
        energies = self._taper.energies
        content = density.sum(axis=0)
        share = float(content[energies > _TOP_FIFTH * energies[-1]].sum() / content.sum())
        if share > _ALIASED:
            warn_of_aliases(share, self._frames.timestep)

    def _relative_error(self, response: np.ndarray) -> float | None:
        """Return Σ|standard error| / Σ density of the groups, before binning."""
        error = self.average.error()
        if error is None:
            return None
        return float((error / response).sum() / (self.average.mean / response).sum())
