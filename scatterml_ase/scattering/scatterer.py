"""What a crystal's modes need besides themselves to scatter: amplitudes and displacements."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from scatterml_ase.errors import InputError, StabilityWarning, explain, warn
from scatterml_ase.physics import structure_factor
from scatterml_ase.physics.debye_waller import check_temperatures, symmetrize_tensors
from scatterml_ase.physics.thermal import acoustic_modes_at_gamma
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.results.modes import PhononModes
from scatterml_ase.scattering.probe import NeutronProbe, Probe, ProbeName, make_probe

if TYPE_CHECKING:
    from scatterml_ase.physics.form_factors import Ions
    from scatterml_ase.physics.lengths import Overrides

MINIMUM_FREQUENCY = 0.02
"""Modes below this energy in meV are left out: at Bragg peaks one-phonon scattering diverges."""
IMAGINARY_TOLERANCE = 0.1
"""Modes below minus this energy in meV count as imaginary; in between they are noise at Γ."""
_UNEVEN = 1e-6
"""How much displacements may break the symmetry, relative."""
_MESH_SPACING = 0.125  # Å⁻¹, of the finer of the two meshes for displacements


@dataclass(frozen=True, eq=False)
class Scatterer:
    """A crystal ready to scatter neutrons or x-rays at one temperature.

    Parameters
    ----------
    force_constants
        They give the modes.
    temperature
        In K.
    probe
        What is scattered, and how strongly by each atom.
    displacements
        ⟨uu⟩ tensors in Å², shape (atoms, 3, 3); None for no Debye–Waller factor.
    """

    force_constants: ForceConstants
    temperature: float
    probe: Probe
    displacements: np.ndarray | None

    @classmethod
    def prepare(
        cls,
        force_constants: ForceConstants,
        temperature: float,
        *,
        scattering_lengths: Overrides | None = None,
        displacements: np.ndarray | None = None,
        probe: ProbeName = "neutron",
        ions: Ions | None = None,
    ) -> Self:
        """Look up amplitudes and, if ``displacements`` are not given, sum them over the modes.

        Raises
        ------
        InputError
            If the temperature is negative, a scattering length or form factor is missing, an option
            belongs to the other probe, or shapes do not fit.
        """
        kelvin = one_temperature(temperature)
        crystal = force_constants.crystal
        scattered = make_probe(probe, crystal, scattering_lengths=scattering_lengths, ions=ions)
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
        return cls(force_constants, kelvin, scattered, displacements)

    @property
    def names(self) -> tuple[str, ...]:
        """Nuclide, atom or ion of every atom."""
        return self.probe.names

    @property
    def lengths(self) -> np.ndarray:
        """Coherent scattering lengths in fm, complex, shape (atoms,); of neutrons alone."""
        if isinstance(self.probe, NeutronProbe):
            return self.probe.lengths
        what = "X-rays have no scattering lengths"
        raise InputError(explain(what, "r_e f depends on |Q|", "Use probe.amplitude_factors(Q)"))

    @property
    def atoms(self) -> int:
        """Number of atoms in the cell."""
        return len(self.names)

    @property
    def symmetric(self) -> bool:
        """Whether equivalent atoms scatter alike.

        Lengths given by index, or displacements, may break that.
        """
        operations = self.force_constants.symmetry_operations
        if not self.probe.unchanged_by(operations.permutations):
            return False
        if self.displacements is None:
            return True
        cell = self.force_constants.crystal.to("angstrom").cell
        even = symmetrize_tensors(self.displacements, cell, operations)
        largest = float(np.abs(self.displacements).max())
        return bool(np.abs(even - self.displacements).max() <= _UNEVEN * largest)

    def real_parts(self) -> list[Scatterer]:
        """Return scatterers with real amplitudes whose intensities add up to the mean of ±Q."""
        return [replace(self, probe=part) for part in self.probe.real_parts()]

    def amplitudes(self, Q: np.ndarray, lattice_vectors: np.ndarray) -> np.ndarray:
        """Return b M^-½ exp(iτ·r) exp(−W) Q, shape (points, atoms, 3); see physics."""
        crystal = self.force_constants.crystal.to("angstrom")
        return structure_factor.scattering_amplitudes(
            Q,
            lattice_vectors,
            crystal.positions,
            self.probe.amplitude_factors(Q),
            crystal.masses,
            self.displacements,
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
        """Return where force constants and amplitudes come from."""
        return {**self.force_constants.provenance, **self.probe.provenance()}


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
                f"{100 * share:.3g} % of the sampled modes are imaginary",
                "they have no energy to appear at and are left out of S(Q, E)",
                "Relax more tightly, use a larger supercell, or displace the crystal along such a "
                "mode to find its stable structure",
            ),
            StabilityWarning,
            stacklevel=stacklevel,
        )
