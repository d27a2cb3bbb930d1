"""The elastic line of a powder: Bragg peaks, and incoherent scattering without a phonon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.bragg import lines_in_bins, powder_lines
from scatterml_ase.physics.multiphonon import phonon_probabilities
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.scattering.nuclei import Nuclei
from scatterml_ase.scattering.sampling import reciprocal_lattice

_MARGIN = 5.0
"""How many standard deviations beyond the last bin a Bragg peak is looked for."""
_BARN_TO_MBARN = 1e3


@dataclass(frozen=True, eq=False)
class ElasticLine:
    """The integral over E of the elastic scattering of a powder, as a function of |Q|.

    Parameters
    ----------
    crystal
        The primitive cell, in Å.
    nuclei
        Scattering lengths and cross-sections of its atoms.
    displacements
        ⟨uu⟩ tensors in Å², shape (atoms, 3, 3), for the Debye–Waller factors.
    """

    crystal: Crystal
    nuclei: Nuclei
    displacements: np.ndarray

    def __post_init__(self) -> None:
        """Check the shape of the displacements."""
        if np.shape(self.displacements) != (len(self.crystal), 3, 3):
            raise InputError(
                explain(
                    f"displacements have shape {np.shape(self.displacements)}",
                    f"one 3×3 tensor in Å² is needed for each of {len(self.crystal)} atoms",
                    "Give those of the same crystal, or its force constants to have them computed",
                )
            )

    def bragg(self, edges: np.ndarray, sigma: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return the coherent part in mbarn/sr per atom, the mean over bins of |Q|, shape (q,).

        Parameters
        ----------
        edges
            Of the bins in Å⁻¹.
        sigma
            Function that gives the standard deviation of |Q| in Å⁻¹ at |Q| in Å⁻¹, shape (q,).
        """
        last = edges[-1:]
        places, strengths = self.lines(float(last[0] + _MARGIN * np.max(sigma(last))))
        return lines_in_bins(places, strengths, edges, sigma(places))

    def lines(self, largest: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the Bragg peaks up to |Q| in Å⁻¹, see :func:`powder_lines`."""
        reciprocal = self.crystal.reciprocal_cell
        triples = reciprocal_lattice(reciprocal, largest)
        G = triples[triples.any(axis=1)] @ reciprocal
        return powder_lines(
            G, self.crystal.positions, self.nuclei.lengths, self.displacements, self.crystal.volume
        )

    def incoherent(self, q: np.ndarray) -> np.ndarray:
        """Return (1/N) Σ_k σ_inc,k/4π ⟨exp(−2W_k)⟩ in mbarn/sr per atom at |Q| in Å⁻¹."""
        factors = [phonon_probabilities(q, tensor, 0)[0] for tensor in self.displacements]
        sections = self.nuclei.incoherent / (4 * np.pi) * _BARN_TO_MBARN
        return sections @ np.array(factors) / len(self.crystal)
