"""What a crystal's modes need besides themselves to scatter neutrons: lengths and displacements."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from scatterml_ase.errors import InputError, StabilityWarning, explain, warn
from scatterml_ase.physics import lengths, structure_factor
from scatterml_ase.physics.debye_waller import check_temperatures
from scatterml_ase.physics.thermal import acoustic_modes_at_gamma
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.results.modes import PhononModes
from scatterml_ase.scattering.nuclei import named_lengths

if TYPE_CHECKING:
    from scatterml_ase.physics.lengths import Overrides

MINIMUM_FREQUENCY = 0.02
"""Modes below this energy in meV are left out: at Bragg peaks one-phonon scattering diverges."""
IMAGINARY_TOLERANCE = 0.1
"""Modes below minus this energy in meV count as imaginary; in between they are noise at Γ."""
_MESH_SPACING = 0.125  # Å⁻¹, of the finer of the two meshes for displacements


@dataclass(frozen=True, eq=False)
class Scatterer:
    """A crystal ready to scatter neutrons at one temperature.

    Parameters
    ----------
    force_constants
        They give the modes.
    temperature
        In K.
    names
        Nuclide of every atom.
    lengths
        Coherent scattering lengths in fm, complex, shape (atoms,).
    displacements
        ⟨uu⟩ tensors in Å², shape (atoms, 3, 3); None for no Debye–Waller factor.
    """

    force_constants: ForceConstants
    temperature: float
    names: tuple[str, ...]
    lengths: np.ndarray
    displacements: np.ndarray | None

    @classmethod
    def prepare(
        cls,
        force_constants: ForceConstants,
        temperature: float,
        *,
        scattering_lengths: Overrides | None = None,
        displacements: np.ndarray | None = None,
    ) -> Self:
        """Look up lengths and, if ``displacements`` are not given, sum them over the modes.

        Raises
        ------
        InputError
            If the temperature is negative, a scattering length is missing, or shapes do not fit.
        """
        kelvin = one_temperature(temperature)
        crystal = force_constants.crystal
        names, values = lengths.scattering_lengths(
            crystal.numbers, crystal.masses, scattering_lengths
        )
        if displacements is None:
            displacements = mean_square_displacements(force_constants, kelvin)
        displacements = np.asarray(displacements, dtype=float)
        if displacements.shape != (len(crystal), 3, 3):
            raise InputError(
                explain(
                    f"displacements have shape {displacements.shape}",
                    f"one 3×3 tensor in Å² is needed for each of {len(crystal)} atoms",
                    "Leave them out to have them computed",
                )
            )
        return cls(force_constants, kelvin, names, values, displacements)

    @property
    def atoms(self) -> int:
        """Number of atoms in the cell."""
        return len(self.names)

    @property
    def symmetric(self) -> bool:
        """Whether equivalent atoms scatter alike: lengths given by index may break that."""
        permutations = self.force_constants.symmetry_operations.permutations
        return bool(np.all(self.lengths[permutations] == self.lengths))

    def real_parts(self) -> list[Scatterer]:
        """Return scatterers with real lengths whose intensities add up to the mean of ±Q."""
        if not self.lengths.imag.any():
            return [self]
        return [replace(self, lengths=part) for part in (self.lengths.real, self.lengths.imag)]

    def amplitudes(self, Q: np.ndarray, lattice_vectors: np.ndarray) -> np.ndarray:
        """Return b M^-½ exp(iτ·r) exp(−W) Q, shape (points, atoms, 3); see physics."""
        crystal = self.force_constants.crystal.to("angstrom")
        return structure_factor.scattering_amplitudes(
            Q, lattice_vectors, crystal.positions, self.lengths, crystal.masses, self.displacements
        )

    def energies(self, modes: PhononModes) -> tuple[np.ndarray, float]:
        """Return mode energies with those left out set to 0, and the share that is imaginary."""
        frequencies = np.array(modes.frequencies)
        acoustic = acoustic_modes_at_gamma(
            modes.q_reduced, frequencies, modes.eigenvectors, modes.crystal.masses
        )
        imaginary = (frequencies < -IMAGINARY_TOLERANCE) & ~acoustic
        share = float(modes.weights @ imaginary.mean(axis=1))
        frequencies[acoustic | (frequencies < MINIMUM_FREQUENCY)] = 0.0
        return frequencies, share

    def provenance(self) -> dict[str, Any]:
        """Return where lengths come from and what they are."""
        return {
            **self.force_constants.provenance,
            "scattering_length_table": lengths.TABLE,
            "scattering_lengths_fm": named_lengths(self.names, self.lengths),
        }


def one_temperature(temperature: float) -> float:
    """Return a temperature in K after checking it.

    Raises
    ------
    InputError
        If it is negative, or several are given.
    """
    kelvin = check_temperatures(temperature).ravel().tolist()
    if len(kelvin) != 1:
        what = f"temperature={temperature} is {len(kelvin)} temperatures"
        raise InputError(explain(what, "a spectrum has one", "Make one spectrum for each"))
    return float(kelvin[0])


def mean_square_displacements(force_constants: ForceConstants, temperature: float) -> np.ndarray:
    """Return ⟨uu⟩ in Å², shape (atoms, 3, 3), extrapolated from two meshes."""
    cell = force_constants.crystal.to("angstrom").cell
    norms = np.linalg.norm(2 * np.pi * np.linalg.inv(cell).T, axis=1)
    n1, n2, n3 = (max(4, 2 * int(np.ceil(norm / (2 * _MESH_SPACING)))) for norm in norms)
    with warnings.catch_warnings():  # the scattering itself warns, once
        warnings.simplefilter("ignore", StabilityWarning)
        thermal = force_constants.thermal([temperature], mesh=(n1, n2, n3))
    assert thermal.displacement_tensors is not None
    return np.array(thermal.displacement_tensors[0])


def warn_of_imaginary_modes(share: float, *, stacklevel: int = 4) -> None:
    """Say that imaginary modes are missing from a spectrum, if any are."""
    if share > 0:
        warn(
            explain(
                f"{100 * share:.2g} % of the sampled modes are imaginary",
                "they have no energy to appear at and are left out of S(Q, E)",
                "Relax more tightly, use a larger supercell, or displace the crystal along such a "
                "mode to find its stable structure",
            ),
            StabilityWarning,
            stacklevel=stacklevel,
        )
