"""Incoherent and multiphonon scattering of powders from a density of states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.dos import PhononDOS
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering.converged_dos import converged_dos
from scatterml_ase.scattering.expansion import CrossSections, Order, check_order, expand
from scatterml_ase.scattering.instruments import Instrument
from scatterml_ase.scattering.nuclei import Nuclei
from scatterml_ase.scattering.scatterer import (
    mean_square_displacements,
    one_temperature,
    warn_of_imaginary_modes,
)
from scatterml_ase.scattering.window import PowderWindow

if TYPE_CHECKING:
    from scatterml_ase.physics.lengths import Overrides

_REACH = 2.0
"""Default energy bins go so many times beyond the highest mode where several phonons scatter."""


@dataclass(frozen=True)
class IncoherentScattering:
    """Scattering of a powder by any number of phonons, in the incoherent approximation.

    ``IncoherentScattering(20, instrument="TOSCA")(dos)`` returns a
    :class:`~scatterml_ase.results.sqw.SqwMap` whose ``parts`` are the numbers of phonons. It needs
    a density of states, no modes: a :class:`PhononDOS` with its partial part (from a predictor,
    say), or :class:`ForceConstants`, of which one is made on a converged mesh.

    One phonon scatters with σ_inc, several with σ_coh + σ_inc: beyond one phonon interference
    averages out, and :class:`PowderScattering` has the coherent scattering by one. From a DOS the
    motion of every atom is taken as alike in all directions (exact on cubic sites). From force
    constants the Debye–Waller factor and the numbers of phonons are averaged over the directions of
    Q; the shape of the spectrum is that of the mean over directions in any case.

    Parameters
    ----------
    temperature
        In K; 0 exactly is allowed.
    order
        Largest number of phonons; "all": as many as it takes to leave out less than 1e-12.
    one_phonon
        "incoherent": one phonon scatters with σ_inc. "total": with σ_coh + σ_inc, which puts the
        coherent scattering by one phonon into the incoherent approximation too.
    instrument
        Name of a spectrometer, or an :class:`Instrument`: gives energy resolution and the region
        that is measured. None: everything, as sharp as the bins.
    incident_energy
        E_i in meV; needed with an instrument of direct geometry, fixed in those of indirect.
    q_edges
        Edges of the |Q| bins in Å⁻¹; None: to what the instrument reaches, or 8 Å⁻¹.
    energy_edges
        Edges of the energy-transfer bins in meV, positive where the neutron loses energy; None:
        from 0 to above the highest mode, or twice that if several phonons scatter.
    energy_fwhm
        Full width at half maximum in meV of a Gaussian, if there is no instrument.
    scattering_lengths
        The user's own, in fm or by nuclide, e.g. ``{"H": "D", "V": -0.443}``; a nuclide changes
        σ_inc too.
    incoherent_cross_sections
        The user's own σ_inc in barn, by nuclide or index of the atom, e.g. ``{"V": 5.08}``.
    """

    temperature: float = 300.0
    order: Order = "all"
    one_phonon: Literal["incoherent", "total"] = "incoherent"
    instrument: Instrument | str | None = None
    incident_energy: float | None = None
    q_edges: Sequence[float] | np.ndarray | None = None
    energy_edges: Sequence[float] | np.ndarray | None = None
    energy_fwhm: float = 0.0
    scattering_lengths: Overrides | None = None
    incoherent_cross_sections: Mapping[str | int, float] | None = None

    def __call__(self, source: PhononDOS | ForceConstants) -> SqwMap:
        """Return the powder map of the crystal, separately by number of phonons.

        Raises
        ------
        InputError
            If the temperature is negative, the DOS has no partial part, a length or cross-section
            is missing, or instrument and bins do not fit.
        """
        order = check_order(self.order)
        kelvin = one_temperature(self.temperature)
        crystal = source.crystal
        nuclei = Nuclei.of(crystal, self.scattering_lengths, self.incoherent_cross_sections)
        sections = self._sections(nuclei)
        dos = converged_dos(source) if isinstance(source, ForceConstants) else source
        dos = dos.to("meV")
        reach = 1.0 if order == 1 else _REACH
        window = PowderWindow.of(self, lambda: reach * _highest(dos))
        displacements = None
        if isinstance(source, ForceConstants):
            displacements = mean_square_displacements(source, kelvin)
        parts = expand(
            dos,
            kelvin,
            sections,
            (window.q_edges, window.energies),
            order=order,
            displacements=displacements,
            first_name="incoherent 1" if self.one_phonon == "incoherent" else "1 phonon",
        )
        warn_of_imaginary_modes(parts.imaginary_share)
        return SqwMap(
            crystal=crystal,
            q=window.q_edges,
            energy_transfer=window.energies.edges,
            intensity=parts.densities.sum(axis=0),
            parts=parts.densities,
            part_names=parts.names,
            mask=window.mask,
            temperature=kelvin,
            kinematics=window.kinematics,
            imaginary_share=parts.imaginary_share,
            provenance={
                **dos.provenance,
                **nuclei.provenance(),
                "incoherent": {**self._options(window), **parts.provenance()},
            },
        )

    def _sections(self, nuclei: Nuclei) -> CrossSections:
        if self.one_phonon not in ("incoherent", "total"):
            raise InputError(
                explain(
                    f"one_phonon={self.one_phonon!r} is not known",
                    "it says which cross-section scatters with one phonon",
                    "Give 'incoherent' or 'total'",
                )
            )
        total = nuclei.coherent + nuclei.incoherent
        return CrossSections(nuclei.incoherent if self.one_phonon == "incoherent" else total, total)

    def _options(self, window: PowderWindow) -> dict[str, Any]:
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        for name in ("q_edges", "energy_edges"):
            del plain[name]
        return {**plain, "instrument": window.describe()}


def _highest(dos: PhononDOS) -> float:
    """Return the upper edge of the highest occupied bin in meV, 0 if nothing is above zero."""
    occupied = np.flatnonzero(dos.total > 1e-6 * dos.total.max())
    return float(dos.energy_edges[occupied[-1] + 1]) if len(occupied) else 0.0
