"""The shape of what neutrons leave that scattered more than once, to be fitted as a background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.dos import PhononDOS
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering.converged_dos import converged_dos
from scatterml_ase.scattering.incoherent import IncoherentScattering

if TYPE_CHECKING:
    from scatterml_ase.physics.lengths import Overrides

_PARTS = {1: "1 phonon", 2: "2 phonons"}
_SHELLS = 16
_REACH = 100.0
"""Largest |Q| in Å⁻¹ the map is given for: beyond every spectrometer."""


@dataclass(frozen=True)
class MultipleScattering:
    """Shape of multiple scattering: one spectrum at every |Q|, on a scale that is fitted.

    ``simulated.compare(measured, components={"multiple": MultipleScattering(300)(dos)})``. Each
    collision turns the neutron, so that hardly anything is left of the dependence on Q; the energy
    is that of the phonons of all collisions together. Its strength depends on the shape of the
    sample and is not calculated: 1 is that of scattering once, averaged over |Q| up to ``q_max``.

    Parameters
    ----------
    temperature
        In K.
    phonons
        Created or annihilated in all collisions together. 2: one in each of two, the density of
        states folded with itself. 1: by one of them, while others are elastic, which looks like
        incoherent scattering once. Fit both where the sample is thick.
    energy_edges
        Edges of the energy-transfer bins in meV, no wider than those of the measurement; None:
        from minus to plus twice the largest energy of the density of states.
    energy_fwhm
        Full width at half maximum in meV of the resolution.
    q_max
        In Å⁻¹, of the collisions: about twice the wavenumber of the neutrons.
    scattering_lengths
        The user's own, as of the simulation: they weigh the atoms.
    """

    temperature: float = 300.0
    phonons: Literal[1, 2] = 2
    energy_edges: Sequence[float] | np.ndarray | None = None
    energy_fwhm: float = 0.0
    q_max: float = 8.0
    scattering_lengths: Overrides | None = None

    def __call__(self, source: PhononDOS | ForceConstants) -> SqwMap:
        """Return the shape as a map with a single bin of |Q|.

        Raises
        ------
        InputError
            If the numbers are not possible, or a length or cross-section is missing.
        """
        if self.phonons not in _PARTS:
            what, why = f"phonons={self.phonons!r} is not known", "shapes of 1 and 2 are made"
            raise InputError(explain(what, why, "Give 1 or 2, or fit both as two components"))
        if not 0 < self.q_max < np.inf:
            what, why = f"q_max={self.q_max} is no length", "collisions transfer |Q| up to it"
            raise InputError(explain(what, why, "Give e.g. 8.0 Å⁻¹"))
        dos = converged_dos(source) if isinstance(source, ForceConstants) else source
        once = IncoherentScattering(
            self.temperature,
            order=self.phonons,
            one_phonon="total",
            q_edges=np.linspace(0.0, self.q_max, _SHELLS + 1),
            energy_edges=_edges(dos) if self.energy_edges is None else self.energy_edges,
            energy_fwhm=self.energy_fwhm,
            scattering_lengths=self.scattering_lengths,
        )(dos)
        mean = once.part(_PARTS[self.phonons]).intensity.mean(axis=0)
        return SqwMap(
            crystal=once.crystal,
            q=np.array([0.0, _REACH]),
            energy_transfer=once.energy_transfer,
            intensity=mean[None],
            temperature=once.temperature,
            provenance={
                **once.provenance,
                "multiple_scattering": {"phonons": self.phonons, "q_max": self.q_max},
            },
        )


def _edges(dos: PhononDOS) -> np.ndarray:
    highest = float(dos.to("meV").energy_edges[-1])
    return np.linspace(-2 * highest, 2 * highest, 401)
