"""How sure thermal properties are, from equally likely densities of states."""

from __future__ import annotations

from typing import Any

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics import density_of_states as physics
from scatterml_ase.physics.thermal import debye_temperature_from_moment
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.thermal import molar_sums


def thermal_deviations(
    crystal: Crystal, samples: np.ndarray, edges: np.ndarray, temperatures: np.ndarray
) -> dict[str, Any]:
    """Return the standard deviations of thermal properties over equally likely densities.

    Each sample has its own properties; nothing is linearised. The samples share their energies,
    so that all of them cost little more than one.

    Parameters
    ----------
    crystal
        The primitive cell.
    samples
        Partial densities in 1/meV, shape (sample, atom, energy).
    edges
        Edges of the bins in meV, shape (energy + 1,).
    temperatures
        In K, shape (temperature,).

    Returns
    -------
    dict
        The fields of :class:`~scatterml_ase.ThermalProperties` that end in ``_error``.
    """
    counts = samples * np.diff(edges)  # [sample, atom, energy]
    energies, shares = physics.quadrature(edges)
    energies = energies.ravel()
    weights = (counts.sum(axis=1)[..., None] * shares).reshape(len(counts), -1)
    values = molar_sums(energies, weights, temperatures)
    moments = weights @ energies**2 / weights.sum(axis=1)
    debye = [debye_temperature_from_moment(moment) for moment in moments]
    errors: dict[str, Any] = {
        f"{name}_error": value.std(axis=0, ddof=1) for name, value in values.items()
    }
    return {
        **errors,
        "isotropic_displacement_error": _displacements(crystal, counts, edges, temperatures).std(
            axis=1, ddof=1
        ),
        "debye_temperature_error": float(np.std(debye, ddof=1)),
    }


def check_samples(samples: np.ndarray, crystal: Crystal) -> None:
    """Refuse samples that have no spread or are of another crystal.

    Raises
    ------
    InputError
        If there are fewer than two, or their atoms are not those of the crystal.
    """
    what = f"PhononDOS.samples has shape {samples.shape}"
    if len(samples) < 2:
        fix = "Give shape (sample, atom, energy) with two samples or more, or None"
        raise InputError(explain(what, "a standard deviation takes two samples", fix))
    if samples.shape[1] != len(crystal):
        why = f"{crystal.formula} has {len(crystal)} atoms in its primitive cell"
        raise InputError(explain(what, why, "Give shape (sample, atom, energy)"))


def _displacements(
    crystal: Crystal, counts: np.ndarray, edges: np.ndarray, temperatures: np.ndarray
) -> np.ndarray:
    """Return U_iso in Å², shape (temperature, sample, atom)."""
    number, atoms, bins = counts.shape
    masses = np.tile(crystal.masses, number)
    tensors = physics.isotropic_displacements(counts.reshape(-1, bins), edges, masses, temperatures)
    return tensors[:, :, 0, 0].reshape(-1, number, atoms)
