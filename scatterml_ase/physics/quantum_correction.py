"""What turns a classical spectrum into one that obeys detailed balance."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.units import BOLTZMANN

QuantumCorrection = Literal["harmonic", "schofield", "none"]


def quantum_factor(
    energies: np.ndarray, temperature: float, correction: QuantumCorrection
) -> np.ndarray:
    """Return what a classical, even S(E) is multiplied with, shape of ``energies``.

    Parameters
    ----------
    energies
        Energy transfer in meV, positive where the neutron loses energy.
    temperature
        In K, positive; not used by ``"none"``.
    correction
        ``"harmonic"``: x/(1 − exp(−x)) with x = E/kT, exact for one phonon of a harmonic crystal
        and keeps the classical recoil moment (P. H. Berens et al., doi:10.1063/1.446044).
        ``"schofield"``: exp(x/2) (P. Schofield, doi:10.1103/PhysRevLett.4.239).
        ``"none"``: 1, classical.

    Raises
    ------
    InputError
        If the correction is unknown.
    """
    if correction not in get_args(QuantumCorrection):
        known = ", ".join(get_args(QuantumCorrection))
        what = f"A quantum correction {correction!r} is not known"
        raise InputError(explain(what, f"there are {known}", "Use one of these"))
    energies = np.asarray(energies, dtype=float)
    if correction == "none":
        return np.ones_like(energies)
    x = energies / (BOLTZMANN * temperature)
    if correction == "schofield":
        return np.exp(x / 2)
    small = np.abs(x) < 1e-6
    safe = np.where(small, 1.0, x)
    return np.where(small, 1 + x / 2, safe / -np.expm1(-safe))
