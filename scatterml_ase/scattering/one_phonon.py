"""Coherent one-phonon scattering, mode by mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics import structure_factor
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.scattering.scatterer import Scatterer, warn_of_imaginary_modes

if TYPE_CHECKING:
    from scatterml_ase.physics.form_factors import Ions
    from scatterml_ase.physics.lengths import Overrides
    from scatterml_ase.scattering.probe import ProbeName

_CHUNK_BYTES = 64_000_000


class StructureFactors(NamedTuple):
    """One-phonon intensities at scattering vectors Q.

    Attributes
    ----------
    Q
        Scattering vectors in Å⁻¹, Cartesian, shape (points, 3).
    frequencies
        Mode energies in meV, shape (points, modes); 0 where a mode is left out (imaginary, or
        acoustic at a Bragg peak).
    loss, gain
        Weight of δ(E − E_ν) and of δ(E + E_ν), in mbarn/sr per atom, without k_f/k_i.
    imaginary_share
        Share of modes that are imaginary.
    """

    Q: np.ndarray
    frequencies: np.ndarray
    loss: np.ndarray
    gain: np.ndarray
    imaginary_share: float


def one_phonon(
    force_constants: ForceConstants,
    Q: np.ndarray,
    temperature: float,
    *,
    reduced: bool = False,
    scattering_lengths: Overrides | None = None,
    displacements: np.ndarray | None = None,
    q_direction: np.ndarray | None = None,
    probe: ProbeName = "neutron",
    ions: Ions | None = None,
) -> StructureFactors:
    """Return the coherent one-phonon structure factors at scattering vectors.

    Parameters
    ----------
    force_constants
        Of the crystal.
    Q
        Scattering vectors, shape (points, 3), Cartesian in Å⁻¹ (with 2π).
    temperature
        In K, for occupation and Debye–Waller factor.
    reduced
        True if Q is in reciprocal-lattice units of the primitive cell instead.
    scattering_lengths
        The user's own, see :func:`scatterml_ase.physics.lengths.scattering_lengths`.
    displacements
        ⟨uu⟩ tensors in Å², shape (atoms, 3, 3); None: summed over the modes of the crystal.
    q_direction
        Direction from which Γ is approached (polar crystals), reciprocal-lattice units.
    probe
        ``"neutron"``, or ``"xray"``: r_e f(|Q|) takes the place of scattering lengths, without the
        polarization factor.
    ions
        For x-rays, which atoms are ions, by element or index: ``{"O": "O2-"}``.

    Raises
    ------
    InputError
        If the temperature is negative, a scattering length or form factor is missing, or a shape
        is wrong.
    """
    scatterer = Scatterer.prepare(
        force_constants,
        temperature,
        scattering_lengths=scattering_lengths,
        displacements=displacements,
        probe=probe,
        ions=ions,
    )
    factors = structure_factors(scatterer, Q, reduced=reduced, q_direction=q_direction)
    warn_of_imaginary_modes(factors.imaginary_share)
    return factors


def structure_factors(
    scatterer: Scatterer,
    Q: np.ndarray,
    *,
    reduced: bool = False,
    q_direction: np.ndarray | None = None,
) -> StructureFactors:
    """Return what :func:`one_phonon` does, for a prepared scatterer and without warnings."""
    crystal = scatterer.force_constants.crystal.to("angstrom")
    Q = check_scattering_vectors(Q)
    hkl = Q if reduced else Q @ crystal.cell.T / (2 * np.pi)
    cartesian = Q @ crystal.reciprocal_cell if reduced else Q
    modes_count = 3 * scatterer.atoms
    frequencies = np.empty((len(Q), modes_count))
    strengths = np.empty_like(frequencies)
    imaginary = 0.0
    size = max(1, _CHUNK_BYTES // (16 * modes_count**2))
    for start in range(0, len(Q), size):
        part = slice(start, start + size)
        direction = q_direction
        if q_direction is not None and np.ndim(q_direction) == 2:
            direction = q_direction[part]
        shifts = np.rint(hkl[part])
        modes = scatterer.force_constants.modes(hkl[part] - shifts, q_direction=direction)
        assert modes.eigenvectors is not None
        amplitudes = scatterer.amplitudes(cartesian[part], shifts @ crystal.reciprocal_cell)
        strengths[part] = structure_factor.mode_strengths(
            modes.eigenvectors, amplitudes, atoms=scatterer.atoms
        )
        frequencies[part], share = scatterer.energies(modes)
        imaginary += share * len(modes.frequencies) / len(Q)
    loss, gain = structure_factor.loss_and_gain(strengths, frequencies, scatterer.temperature)
    return StructureFactors(cartesian, frequencies, loss, gain, imaginary)


def check_scattering_vectors(Q: np.ndarray) -> np.ndarray:
    """Return scattering vectors as floats of shape (points, 3).

    Raises
    ------
    InputError
        If the shape is wrong or a component is not finite.
    """
    values = np.atleast_2d(np.asarray(Q, dtype=float))
    if values.ndim != 2 or values.shape[1] != 3 or not np.isfinite(values).all():
        raise InputError(
            explain(
                f"Q of shape {np.shape(Q)} is no list of scattering vectors",
                "each has three finite components",
                "Give an array of shape (points, 3)",
            )
        )
    return values
