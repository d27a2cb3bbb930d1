"""S(Q, E) along lines in reciprocal space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics import paths, unit_cell
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.results.histogram import check_edges
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering import linewidths, mode_histogram, view
from scatterml_ase.scattering.instruments import Instrument
from scatterml_ase.scattering.linewidths import Linewidths
from scatterml_ase.scattering.one_phonon import StructureFactors, structure_factors
from scatterml_ase.scattering.point_spectra import PointSpectra, point_spectra
from scatterml_ase.scattering.probe import ProbeName, neutrons_only
from scatterml_ase.scattering.q_resolution import QResolution, QWidth
from scatterml_ase.scattering.scatterer import Scatterer, warn_of_imaginary_modes

if TYPE_CHECKING:
    from scatterml_ase.physics.form_factors import Ions
    from scatterml_ase.physics.lengths import Overrides

_DEFAULT_WIDTH = 0.02


@dataclass(frozen=True)
class PathScattering:
    """Coherent one-phonon scattering of a single crystal along a path of scattering vectors.

    ``PathScattering(300, path="GXWKGL", zone=(2, 2, 0))(force_constants)`` returns a
    :class:`~scatterml_ase.results.sqw.SqwMap`. Each column is S at one Q, not a mean over a bin.

    Parameters
    ----------
    temperature
        In K.
    path
        None: the standard path (seekpath). A string such as ``"GXWKGL"``, a break written
        ``"GXU,KG"``. Or corners, shape (k, 3), reciprocal-lattice units (r.l.u.) of ``cell``.
    zone
        Added to every point of the path: the Brillouin zone to look into, in r.l.u. of ``cell``.
        Intensity grows with Q², and selection rules differ from zone to zone.
    points
        Number of points, about, along the path.
    instrument, incident_energy
        A spectrometer and, in direct geometry, E_i in meV: its resolution, and the (|Q|, E) it
        reaches with the crystal turned as needed.
    energy_edges
        Edges of the energy-transfer bins in meV; None: from 0 to above the highest mode.
    energy_fwhm
        Full width at half maximum in meV of the resolution, if there is no instrument; None: 2 %
        of the highest mode, or none where ``linewidths`` are given.
    scattering_lengths
        The user's own, in fm or by nuclide, e.g. ``{"Li": "7Li", "V": -0.443}``.
    displacements
        ⟨uu⟩ tensors for the Debye–Waller factor in Å², shape (atoms, 3, 3); None: computed.
    probe
        ``"neutron"``, or ``"xray"``: r_e f(|Q|) takes the place of scattering lengths, without the
        polarization factor, and there is no spectrometer.
    ions
        For x-rays, which atoms are ions, by element or index: ``{"O": "O2-"}``.
    cell
        Whose r.l.u. are meant: ``"primitive"``, ``"conventional"``, or rows that combine the
        primitive vectors, shape (3, 3).
    linewidths
        FWHM in meV of the modes themselves, which then are damped harmonic oscillators: see
        :data:`~scatterml_ase.scattering.linewidths.Linewidths`.
    q_fwhm
        Full width at half maximum in Å⁻¹ of the resolution in Q: in all directions, or two, along
        Q and across it; None: none, with an instrument too.
    q_samples
        How many points stand for that resolution, an even number.
    """

    temperature: float = 300.0
    path: str | Sequence[Sequence[float]] | np.ndarray | None = None
    zone: tuple[float, float, float] = (0.0, 0.0, 0.0)
    points: int = 400
    instrument: Instrument | str | None = None
    incident_energy: float | None = None
    energy_edges: Sequence[float] | np.ndarray | None = None
    energy_fwhm: float | None = None
    scattering_lengths: Overrides | None = None
    displacements: np.ndarray | None = field(default=None, repr=False)
    probe: ProbeName = "neutron"
    ions: Ions | None = None
    cell: str | Sequence[Sequence[float]] | np.ndarray = "primitive"
    linewidths: Linewidths | None = None
    q_fwhm: QWidth | None = None
    q_samples: int = 64

    def __call__(self, force_constants: ForceConstants) -> SqwMap:
        """Return S(Q, E) of the crystal along the path.

        Raises
        ------
        InputError
            If the temperature is negative, the path does not exist, the instrument is unknown, E_i
            is missing or too low, or a scattering length is missing.
        """
        neutrons_only(self.probe, instrument=self.instrument)
        instrument, fixed_energy = view.resolve_instrument(
            self.instrument, self.incident_energy, self.energy_fwhm
        )
        scatterer = Scatterer.prepare(
            force_constants,
            self.temperature,
            scattering_lengths=self.scattering_lengths,
            displacements=self.displacements,
            probe=self.probe,
            ions=self.ions,
        )
        crystal = force_constants.crystal.to("angstrom")
        transformation = unit_cell.cell_transformation(
            self.cell, crystal.cell, crystal.scaled_positions, crystal.numbers
        )
        segments = self._segments(force_constants, transformation)
        line = paths.sample(segments, crystal.cell, self.points)
        hkl = line.q_reduced + unit_cell.to_primitive(self._zone(), transformation)
        factors = structure_factors(scatterer, hkl, reduced=True, q_direction=line.directions)
        warn_of_imaginary_modes(factors.imaginary_share, stacklevel=4)
        energies = self._energies(factors, instrument, fixed_energy)
        found = self._spectra(scatterer, hkl, factors, energies)
        mask, kinematics = ~found.left_out, None
        if instrument is not None and fixed_energy is not None:
            lengths = np.linalg.norm(factors.Q, axis=1)
            centres = (energies.edges[1:] + energies.edges[:-1]) / 2
            reached = instrument.measured(lengths, centres, fixed_energy)
            view.check_something_measured(reached, instrument, fixed_energy)
            mask &= reached
            kinematics = instrument.map_kinematics(fixed_energy)
        return SqwMap(
            crystal=force_constants.crystal,
            q=bin_edges(line.distance),
            energy_transfer=energies.edges,
            intensity=found.density,
            mask=mask,
            distance=line.distance,
            q_reduced=hkl,
            temperature=scatterer.temperature,
            axis="path",
            kinematics=kinematics,
            labels=line.labels,
            wavevectors=found.wavevectors,
            imaginary_share=factors.imaginary_share,
            provenance={**scatterer.provenance(), "path": self._options(instrument)},
        )

    def _spectra(
        self,
        scatterer: Scatterer,
        hkl: np.ndarray,
        factors: StructureFactors,
        energies: view.EnergyView,
    ) -> PointSpectra:
        """Return the spectra of points on the path, or of what the resolution in Q makes of them.

        ``factors`` are those of the points themselves, shape (points, modes).
        """
        resolution = QResolution.of(self.q_fwhm, self.q_samples)
        if resolution is not None:
            linewidths.check_not_by_point(self.linewidths)
            cell = scatterer.force_constants.crystal.to("angstrom").cell
            around = resolution.around(factors.Q) @ cell.T / (2 * np.pi)
            return point_spectra(scatterer, around, energies, widths=self.linewidths)
        widths = None
        if self.linewidths is not None:
            widths = linewidths.evaluate(self.linewidths, hkl, factors.frequencies)
        return PointSpectra(
            mode_histogram.density(factors, energies, widths, scatterer.temperature),
            mode_histogram.left_out(factors, energies.edges),
            len(hkl),
            round(factors.imaginary_share * factors.frequencies.size),
        )

    def _segments(
        self, force_constants: ForceConstants, transformation: np.ndarray
    ) -> list[paths.Segment]:
        crystal = force_constants.crystal.to("angstrom")
        if self.path is None:
            return paths.standard_segments(crystal.cell, crystal.scaled_positions, crystal.numbers)
        if isinstance(self.path, str):
            return paths.named_segments(crystal.cell, self.path)
        named = paths.corner_segments(self.path)
        return [
            segment._replace(
                start=unit_cell.to_primitive(segment.start, transformation),
                end=unit_cell.to_primitive(segment.end, transformation),
            )
            for segment in named
        ]

    def _zone(self) -> np.ndarray:
        zone = np.asarray(self.zone, dtype=float)
        if zone.shape != (3,) or not np.isfinite(zone).all():
            what = f"zone={self.zone!r} is no point of reciprocal space"
            raise InputError(explain(what, "it has three components", "Give e.g. (2, 2, 0)"))
        return zone

    def _energies(
        self,
        factors: StructureFactors,
        instrument: Instrument | None,
        fixed_energy: float | None,
    ) -> view.EnergyView:
        highest = float(factors.frequencies.max())
        fwhm = self.energy_fwhm
        if fwhm is None:
            fwhm = _DEFAULT_WIDTH * highest if self.linewidths is None else 0.0
        if self.energy_edges is None:
            edges = view.default_energy_edges(
                highest, view.largest_transfer(instrument, fixed_energy), smooth=True
            )
        else:
            edges = check_edges("energy_edges", self.energy_edges)
        return view.EnergyView.make(edges, view.energy_widths(instrument, fixed_energy, fwhm))

    def _options(self, instrument: Instrument | None) -> dict[str, Any]:
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        for name in ("energy_edges", "displacements"):
            del plain[name]
        for name in ("path", "cell"):
            if isinstance(plain[name], np.ndarray):
                plain[name] = plain[name].tolist()
        plain["linewidths"] = linewidths.describe(self.linewidths)
        return {**plain, "instrument": instrument.describe() if instrument else None}


def bin_edges(distance: np.ndarray) -> np.ndarray:
    """Return edges halfway between points along a path, which starts and ends at its ends."""
    middle = (distance[1:] + distance[:-1]) / 2
    return np.concatenate([distance[:1], middle, distance[-1:]])
