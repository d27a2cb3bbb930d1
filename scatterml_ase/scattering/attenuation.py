"""How a material weakens a neutron beam: by scattering and by absorption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics import lengths
from scatterml_ase.scattering.nuclei import Nuclei, crystal_lengths
from scatterml_ase.units import THERMAL_ENERGY

if TYPE_CHECKING:
    from scatterml_ase.physics.lengths import Overrides
    from scatterml_ase.results.crystal import Crystal

_PER_ANGSTROM3_BARN_TO_PER_MM = 0.1


@dataclass(frozen=True)
class Attenuation:
    """The beam loses exp(−μ l) on a way l; μ = scattering + absorption · √(25.3 meV / E).

    Parameters
    ----------
    scattering
        n σ_s in mm⁻¹: bound cross-sections, alike at all energies, no Bragg edges.
    absorption
        n σ_a in mm⁻¹ of neutrons of 2200 m/s; it goes as one over their velocity.
    """

    scattering: float
    absorption: float

    @classmethod
    def of(
        cls,
        crystal: Crystal,
        packing: float = 1.0,
        *,
        scattering_lengths: Overrides | None = None,
        incoherent_cross_sections: Mapping[str | int, float] | None = None,
        absorption_cross_sections: Mapping[str | int, float] | None = None,
    ) -> Self:
        """Take the number density of a crystal, of which powder holds a share, and its nuclei.

        Raises
        ------
        InputError
            If the share is impossible, or a length or cross-section is missing.
        """
        if not 0 < packing <= 1:
            what = f"packing={packing} is not possible"
            why = "it is the share of the volume that crystal fills"
            raise InputError(explain(what, why, "Give e.g. 0.6 for powder, 1 for a solid piece"))
        names, values = crystal_lengths(crystal, scattering_lengths)
        nuclei = Nuclei.bare(names, values).with_incoherent(incoherent_cross_sections)
        absorbed = lengths.absorption_cross_sections(nuclei.names, absorption_cross_sections)
        density = packing / crystal.to("angstrom").volume * _PER_ANGSTROM3_BARN_TO_PER_MM
        scattered = float((nuclei.coherent + nuclei.incoherent).sum())
        return cls(density * scattered, density * float(absorbed.sum()))

    def at(self, energy: np.ndarray | Sequence[float] | float) -> np.ndarray:
        """Return μ in mm⁻¹ of neutrons of ``energy`` in meV; NaN where it is not positive."""
        energy = np.asarray(energy, dtype=float)
        positive = np.where(energy > 0, energy, np.nan)
        return self.scattering + self.absorption * np.sqrt(THERMAL_ENERGY / positive)

    def describe(self) -> dict[str, Any]:
        """Return plain values for provenance."""
        return {"scattering_per_mm": self.scattering, "absorption_2200_per_mm": self.absorption}
