"""What a spectrometer shows of a powder: resolution, elastic line, gaps, background and counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.bragg import lines_in_bins
from scatterml_ase.physics.broadening import SIGMA_TO_FWHM, broaden, broaden_known
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.results.sqw_scale import kf_over_ki
from scatterml_ase.scattering import instrument_checks, view
from scatterml_ase.scattering.counting import poisson_counts
from scatterml_ase.scattering.elastic import ElasticLine
from scatterml_ase.scattering.instruments import Instrument
from scatterml_ase.scattering.nuclei import Nuclei
from scatterml_ase.scattering.scatterer import mean_square_displacements

if TYPE_CHECKING:
    from scatterml_ase.physics.lengths import Overrides
    from scatterml_ase.results.force_constants import ForceConstants
    from scatterml_ase.scattering.self_shielding import Sample


@dataclass(frozen=True)
class Measurement:
    """Turns a calculated powder map into what an instrument shows; each part can be switched off.

    ``Measurement("ARCS", 100, counts=500)(sqw, force_constants)`` returns a
    :class:`~scatterml_ase.results.sqw.SqwMap` in mbarn sr⁻¹ meV⁻¹ per atom. A map made with the
    same instrument has its energy resolution already; one made without any gets it here, and lacks
    near its ends what broadening would have brought in from beyond them. A map with ``parts`` keeps
    them, ``"elastic"`` and ``"background"`` beside, unless counts scatter: noise is of no part.

    Parameters
    ----------
    instrument
        Name of a spectrometer, or an :class:`Instrument`.
    incident_energy
        E_i in meV; needed in direct geometry, fixed in those of indirect.
    elastic
        Whether the elastic line is added: Bragg peaks of the powder and incoherent scattering, as
        wide in E as the resolution at E = 0. Needs force constants, or ``displacements``.
    q_fwhm
        Full width at half maximum of the resolution in |Q| in Å⁻¹; None: what follows from the
        uncertainty of scattering angle and fixed energy, as far as the instrument knows them.
    ki_over_kf
        Whether the counted intensity is multiplied by k_i/k_f, as is usual; False: k_f/k_i is left
        in it.
    gaps
        Whether what lies between the banks of detectors is missing.
    background
        In mbarn sr⁻¹ meV⁻¹ per atom; the same number of neutrons is counted in every bin.
    counts
        Mean number of neutrons in the bin that counts most; the numbers scatter as Poisson says,
        and ``error`` is the root of each, at least of 1. None: no noise, no error. Every bin of |Q|
        is seen by the same solid angle.
    seed
        Of the noise: the same seed gives the same counts.
    sample
        Its shape, which weakens phonons and elastic line: a
        :class:`~scatterml_ase.scattering.self_shielding.FlatPlate` or ``Cylinder``. None: so little
        that nothing is lost in it.
    scattering_lengths, incoherent_cross_sections
        The user's own, in fm and barn, for the elastic line: those of the map.
    displacements
        ⟨uu⟩ tensors in Å², shape (atoms, 3, 3); None: computed from the force constants.
    """

    instrument: Instrument | str
    incident_energy: float | None = None
    elastic: bool = True
    q_fwhm: float | None = None
    ki_over_kf: bool = True
    gaps: bool = True
    background: float = 0.0
    counts: float | None = None
    seed: int = 0
    sample: Sample | None = None
    scattering_lengths: Overrides | None = None
    incoherent_cross_sections: Mapping[str | int, float] | None = None
    displacements: np.ndarray | None = field(default=None, repr=False)

    def __call__(self, sqw: SqwMap, force_constants: ForceConstants | None = None) -> SqwMap:
        """Return what is measured of a powder map, at its temperature.

        Raises
        ------
        InputError
            If E_i is missing or too low, the instrument sees nothing of the map, the map is of no
            powder or of another instrument, or the elastic line lacks what it needs.
        """
        self._check()
        instrument, fixed_energy = self._instrument()
        self._check_shielding(sqw)
        sqw = _prepared(sqw, instrument, fixed_energy, gaps=self.gaps)
        seen = instrument.measured_bins(sqw.q, sqw.energy_transfer, fixed_energy)
        view.check_something_measured(seen & sqw.mask, instrument, fixed_energy)
        mask, names = seen & sqw.mask, list(sqw.part_names)
        parts = list(self._blurred(sqw, instrument, fixed_energy))
        origin: dict[str, Any] = {}
        if self.elastic:
            line = self._elastic_line(sqw, force_constants)
            names.append("elastic")
            parts.append(self._elastic(line, sqw, instrument, fixed_energy))
            at_zero = (sqw.energy_transfer[:-1] <= 0) & (sqw.energy_transfer[1:] >= 0)
            mask = seen & (sqw.mask | at_zero)  # what phonons add there is nothing beside the line
            origin = line.nuclei.provenance()
        kinematics = instrument.map_kinematics(fixed_energy)
        if self.sample is not None:
            weaker, told = self.sample.shielding(replace(sqw, kinematics=kinematics))
            mask &= np.isfinite(weaker)
            parts = [part * np.where(mask, weaker, 0.0) for part in parts]
            origin |= told
        factor = np.where(mask, kf_over_ki(sqw.energy_centres, kinematics), 1.0)
        if self.background > 0:
            names.append("background")
            parts.append(self.background / factor)
        intensity, error = self._counted(np.sum(parts, axis=0), mask, factor, sqw)
        separate = sqw.parts is not None and self.counts is None
        shown = SqwMap(
            crystal=sqw.crystal,
            q=sqw.q,
            energy_transfer=sqw.energy_transfer,
            intensity=intensity,
            mask=mask,
            error=error,
            temperature=sqw.temperature,
            kinematics=kinematics,
            relative_error=sqw.relative_error,
            wavevectors=sqw.wavevectors,
            imaginary_share=sqw.imaginary_share,
            parts=np.array(parts) if separate else None,
            part_names=tuple(names) if separate else (),
            provenance={**sqw.provenance, **origin, "measurement": self._options(instrument)},
        )
        return shown if self.ki_over_kf else shown.with_ki_over_kf(applied=False)

    def _check(self) -> None:
        wrong = {
            "counts": self.counts is not None and not 0 < self.counts < np.inf,
            "background": not 0 <= self.background < np.inf,
            "q_fwhm": self.q_fwhm is not None and not 0 <= self.q_fwhm < np.inf,
        }
        for name in (name for name, bad in wrong.items() if bad):
            what = f"{name}={getattr(self, name)} cannot be used"
            why = "numbers of neutrons are positive, backgrounds and widths at least zero"
            raise InputError(explain(what, why, "Correct it, or leave it out"))

    def _check_shielding(self, sqw: SqwMap) -> None:
        if self.elastic and "self_shielding" in sqw.provenance:
            what, why = "This map is shielded by its sample", "its elastic line would not be"
            fix = "Start from the bare map: Measurement(…, sample=…); or leave out elastic=True"
            raise InputError(explain(what, why, fix))

    def _instrument(self) -> tuple[Instrument, float]:
        instrument, fixed_energy = view.resolve_instrument(self.instrument, self.incident_energy)
        if instrument is None or fixed_energy is None:
            what, fix = "A measurement needs an instrument", "Give e.g. Measurement('ARCS', 100)"
            raise InputError(explain(what, "it decides what is seen and how sharply", fix))
        if not self.gaps:
            angles = [angle for pair in instrument.two_theta for angle in pair]
            whole = ((min(angles), max(angles)),)
            instrument = replace(instrument, two_theta=whole, banks=())
        return instrument, fixed_energy

    def _blurred(self, sqw: SqwMap, instrument: Instrument, fixed_energy: float) -> np.ndarray:
        """Return the parts, or the one whole, with the resolution the map does not have yet.

        Shape (part, q, energy).
        """
        densities = sqw.intensity[None] if sqw.parts is None else sqw.parts
        densities = np.where(sqw.mask, densities, 0.0)
        if sqw.kinematics is None:
            widths = view.energy_widths(instrument, fixed_energy, 0.0)(sqw.energy_centres)
            densities = broaden(densities, sqw.energy_transfer, widths)
        sigma = self._q_sigma(sqw.q_centres, sqw.energy_centres, instrument, fixed_energy)
        return broaden_known(densities, sqw.mask, sqw.q, sigma)

    def _q_sigma(
        self, q: np.ndarray, energies: np.ndarray, instrument: Instrument, fixed_energy: float
    ) -> np.ndarray:
        if self.q_fwhm is None:
            return instrument.q_sigma(q, energies, fixed_energy)
        return np.full((len(q), len(energies)), self.q_fwhm / SIGMA_TO_FWHM)

    def _elastic_line(self, sqw: SqwMap, force_constants: ForceConstants | None) -> ElasticLine:
        displacements = self.displacements
        if displacements is None and force_constants is not None:
            displacements = mean_square_displacements(force_constants, sqw.temperature)
        if displacements is None or sqw.crystal is None:
            missing = "the crystal is" if sqw.crystal is None else "the motion of the atoms is"
            raise InputError(
                explain(
                    "The elastic line cannot be calculated",
                    f"{missing} not known",
                    "Give the force constants of the crystal, measurement(sqw, force_constants), "
                    "or displacements; or switch it off, elastic=False",
                )
            )
        crystal = sqw.crystal.to("angstrom")
        nuclei = Nuclei.of(crystal, self.scattering_lengths, self.incoherent_cross_sections)
        return ElasticLine(crystal, nuclei, np.asarray(displacements, dtype=float))

    def _elastic(
        self, line: ElasticLine, sqw: SqwMap, instrument: Instrument, fixed_energy: float
    ) -> np.ndarray:
        """Return the elastic line in mbarn/sr/meV per atom, shape (q, energy)."""
        zero = np.zeros(1)

        def q_sigma(q: np.ndarray) -> np.ndarray:
            return self._q_sigma(q, zero, instrument, fixed_energy)[:, 0]

        along_q = line.bragg(sqw.q, q_sigma) + line.incoherent(sqw.q_centres)
        width = instrument.energy_sigma(zero, fixed_energy)
        along_energy = lines_in_bins(zero, np.ones(1), sqw.energy_transfer, width)
        return along_q[:, None] * along_energy

    def _counted(
        self, intensity: np.ndarray, mask: np.ndarray, factor: np.ndarray, sqw: SqwMap
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return intensity with noise, and its error; ``factor`` is the k_f/k_i of the counts."""
        if self.counts is None:
            return intensity, None
        counted = np.where(mask, intensity * factor, 0.0)
        area = np.diff(sqw.q)[:, None] * np.diff(sqw.energy_transfer)
        noisy, error = poisson_counts(counted * area, self.counts, self.seed)
        return noisy / (area * factor), np.where(mask, error / (area * factor), np.nan)

    def _options(self, instrument: Instrument) -> dict[str, Any]:
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        del plain["displacements"], plain["sample"]  # of a sample "self_shielding" tells
        return {**plain, "instrument": instrument.describe()}


def _prepared(sqw: SqwMap, instrument: Instrument, fixed_energy: float, *, gaps: bool) -> SqwMap:
    """Return a powder map in meV per atom without k_f/k_i, after checking that it can be used."""
    if sqw.provenance.get("probe") == "xray":
        what, fix = "This is a map of x-ray scattering", "Make it with probe='neutron'"
        raise InputError(explain(what, f"{instrument.name} measures neutrons", fix))
    if sqw.axis != "powder":
        what = "A map along a path cannot be measured this way"
        fix = "Give the map of a powder, or PathScattering the instrument itself"
        raise InputError(explain(what, "rings of detectors see |Q| alone", fix))
    if "measurement" in sqw.provenance:
        what = "This map is a measurement already"
        fix = "Start from the map that it was made of"
        raise InputError(explain(what, "resolution and elastic line would be in it twice", fix))
    if sqw.kinematics is not None:
        if not gaps and len(sqw.kinematics.get("two_theta", ())) > 1:
            what = f"The gaps between the detectors of {instrument.name} are in this map already"
            fix = "Make the map without an instrument, or leave gaps=False out"
            raise InputError(explain(what, "nothing is known in them", fix))
        instrument_checks.check_made_for(instrument, fixed_energy, sqw.kinematics)
    return sqw.to("meV").to("angstrom^-1").per("atom").with_ki_over_kf()
