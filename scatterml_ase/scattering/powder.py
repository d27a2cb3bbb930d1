"""Powder maps S(|Q|, E)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering import view
from scatterml_ase.scattering.converged_dos import converged_dos
from scatterml_ase.scattering.expansion import CrossSections, Order, Parts, check_order, expand
from scatterml_ase.scattering.instruments import Instrument
from scatterml_ase.scattering.linewidths import EnergyLinewidths, at_energies, describe
from scatterml_ase.scattering.nuclei import Nuclei
from scatterml_ase.scattering.powder_convergence import PowderAverage
from scatterml_ase.scattering.probe import ProbeName, neutrons_only
from scatterml_ase.scattering.scatterer import Scatterer, warn_of_imaginary_modes
from scatterml_ase.scattering.window import PowderWindow

if TYPE_CHECKING:
    from scatterml_ase.physics.form_factors import Ions
    from scatterml_ase.physics.lengths import Overrides


@dataclass(frozen=True)
class PowderScattering:
    """Scattering of a powder by phonons, averaged over each shell of |Q|.

    ``PowderScattering(300, instrument="ARCS", incident_energy=100)(force_constants)`` returns a
    :class:`~scatterml_ase.results.sqw.SqwMap` of the coherent scattering by one phonon alone.
    ``order="all", incoherent=True`` adds the rest, which above about 6 Å⁻¹ at room temperature
    dominates: incoherent scattering, and scattering by several phonons, for which the incoherent
    approximation is made (:class:`~scatterml_ase.IncoherentScattering`). Each is one of the
    ``parts`` of the map.

    Parameters
    ----------
    temperature
        In K.
    instrument
        Name of a spectrometer, or an :class:`Instrument`: gives energy resolution and the region
        that is measured. None: everything, as sharp as the bins.
    incident_energy
        E_i in meV; needed with an instrument of direct geometry, fixed in those of indirect.
    q_edges
        Edges of the |Q| bins in Å⁻¹; None: to what the instrument reaches, or 8 Å⁻¹.
    energy_edges
        Edges of the energy-transfer bins in meV, positive where the neutron loses energy; None:
        from 0 to above the highest mode.
    energy_fwhm
        Full width at half maximum in meV of a Gaussian, if there is no instrument.
    scattering_lengths
        The user's own, in fm or by nuclide, e.g. ``{"Li": "7Li", "V": -0.443}``.
    displacements
        ⟨uu⟩ tensors for the Debye–Waller factor in Å², shape (atoms, 3, 3); None: computed.
        They cannot be given with several phonons or incoherent scattering.
    order
        Largest number of phonons; "all": as many as it takes.
    incoherent
        Whether nuclei scatter incoherently too: σ_inc beside σ_coh, in every order.
    incoherent_cross_sections
        The user's own σ_inc in barn, by nuclide or index of the atom, e.g. ``{"V": 5.08}``.
    tolerance
        Wanted mean |error| / mean intensity of the map; samples are added until it is met …
    maximum_wavevectors
        … or so many wavevectors were solved; None: what takes about a minute.
    seed
        Of the random turns of the sample: the same seed gives the same map.
    progress
        Whether to show a progress bar.
    probe
        ``"neutron"``, or ``"xray"``: r_e f(|Q|) takes the place of scattering lengths, without the
        polarization factor, and there is no spectrometer.
    ions
        For x-rays, which atoms are ions, by element or index: ``{"O": "O2-"}``.
    linewidths
        FWHM in meV of the modes themselves, one or a function of their energy in meV: they then
        are damped harmonic oscillators in coherent scattering by one phonon.
    """

    temperature: float = 300.0
    instrument: Instrument | str | None = None
    incident_energy: float | None = None
    q_edges: Sequence[float] | np.ndarray | None = None
    energy_edges: Sequence[float] | np.ndarray | None = None
    energy_fwhm: float = 0.0
    scattering_lengths: Overrides | None = None
    displacements: np.ndarray | None = field(default=None, repr=False)
    order: Order = 1
    incoherent: bool = False
    incoherent_cross_sections: Mapping[str | int, float] | None = None
    tolerance: float = 0.03
    maximum_wavevectors: int | None = None
    seed: int = 0
    progress: bool = True
    probe: ProbeName = "neutron"
    ions: Ions | None = None
    linewidths: EnergyLinewidths | None = None

    def __call__(self, force_constants: ForceConstants) -> SqwMap:
        """Return the powder map of the crystal.

        Raises
        ------
        InputError
            If the temperature is negative, the instrument is unknown, E_i is missing or too low, a
            scattering length is missing, or bins are no bins.
        """
        if not 0 < self.tolerance < 1:
            raise InputError(
                explain(
                    f"A tolerance of {self.tolerance} makes no sense",
                    "it is mean |error| / mean intensity",
                    "Give a number between 0 and 1, e.g. 0.03",
                )
            )
        self._check_order()
        scatterer = Scatterer.prepare(
            force_constants,
            self.temperature,
            scattering_lengths=self.scattering_lengths,
            displacements=self.displacements,
            probe=self.probe,
            ions=self.ions,
        )
        window = PowderWindow.of(self, lambda: view.highest_mode(force_constants))
        nuclei = self._nuclei(scatterer)
        more = self._more(scatterer, nuclei, window)
        average = PowderAverage(scatterer, self._damped(window, scatterer), self)
        average.converge()
        warn_of_imaginary_modes(average.imaginary_share)
        parts = np.concatenate([average.density()[None], more.densities])
        intensity = parts.sum(axis=0)
        mask = window.mask & ~average.elastic()
        share = parts[0][mask].sum() / (intensity[mask].sum() or 1.0)  # the rest is exact
        return SqwMap(
            crystal=force_constants.crystal,
            q=window.q_edges,
            energy_transfer=window.energies.edges,
            intensity=intensity,
            parts=parts if more.names else None,
            part_names=("coherent 1", *more.names) if more.names else (),
            mask=mask,
            temperature=scatterer.temperature,
            kinematics=window.kinematics,
            relative_error=average.relative_error * float(share),
            wavevectors=average.wavevectors,
            imaginary_share=average.imaginary_share,
            provenance={
                **scatterer.provenance(),
                **(nuclei.provenance() if nuclei is not None and self.incoherent else {}),
                "powder": {**self._options(window), **more.provenance()},
            },
        )

    def _check_order(self) -> None:
        """Check the options about other scattering than the coherent by one phonon."""
        check_order(self.order)
        several = None if self.order == 1 else self.order
        neutrons_only(
            self.probe, instrument=self.instrument, order=several, incoherent=self.incoherent
        )
        if self.displacements is not None and (self.order != 1 or self.incoherent):
            raise InputError(
                explain(
                    "displacements are given for more than coherent scattering by one phonon",
                    "how many phonons scatter and how far atoms move follow from the same modes",
                    "Leave displacements out, or order=1 and incoherent=False",
                )
            )

    def _nuclei(self, scatterer: Scatterer) -> Nuclei | None:
        """Return what nuclei do beside coherent scattering by one phonon; None: nothing wanted."""
        if self.order == 1 and not self.incoherent:
            return None
        nuclei = Nuclei.bare(scatterer.names, scatterer.lengths)
        return nuclei.with_incoherent(self.incoherent_cross_sections) if self.incoherent else nuclei

    def _more(self, scatterer: Scatterer, nuclei: Nuclei | None, window: PowderWindow) -> Parts:
        """Return what is added to the coherent scattering by one phonon."""
        if nuclei is None:
            return Parts.none(window.mask.shape)
        one = nuclei.incoherent if self.incoherent else None
        return expand(
            converged_dos(scatterer.force_constants),
            scatterer.temperature,
            CrossSections(one, nuclei.coherent + nuclei.incoherent),
            (window.q_edges, window.energies),
            order=self.order,
            displacements=scatterer.displacements,
        )

    def _damped(self, window: PowderWindow, scatterer: Scatterer) -> PowderWindow:
        """Return the window in which modes have their widths."""
        if self.linewidths is None:
            return window
        widths = partial(at_energies, self.linewidths)
        highest = view.highest_mode(scatterer.force_constants)
        energies = window.energies.damped(widths, scatterer.temperature, highest)
        return replace(window, energies=energies)

    def _options(self, window: PowderWindow) -> dict[str, Any]:
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        for name in ("q_edges", "energy_edges", "displacements", "progress"):
            del plain[name]
        plain["linewidths"] = describe(self.linewidths)
        return {**plain, "instrument": window.describe()}
