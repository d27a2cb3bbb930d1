"""Names for factors: which wrong unit or sign makes labels disagree by so much."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from ase import units

_ENERGIES = {
    "eV": 1.0,
    "Hartree": units.Hartree,
    "Rydberg": units.Rydberg,
    "kcal/mol": units.kcal / units.mol,
    "kJ/mol": units.kJ / units.mol,
    "meV": 1e-3,
}
_LENGTHS = {"Å": 1.0, "bohr": units.Bohr, "nm": 10.0}
_STRESSES = {
    "GPa": units.GPa,
    "kbar": 0.1 * units.GPa,
    "bar": 1e-4 * units.GPa,
    "Hartree/bohr³": units.Hartree / units.Bohr**3,
    "Rydberg/bohr³": units.Rydberg / units.Bohr**3,
}


_WINDOW = 0.06  # relative; Rydberg/bohr and Hartree/Å are as close
_FORCE_SIGN = "gradients instead of forces (the opposite sign)"
_STRESS_SIGN = "the sign of a pressure (here tension is positive)"


def name_force_factor(
    slope: float, tolerance: float, stress: float | None = None
) -> tuple[list[str], bool]:
    """Tell what may be wrong where ΔE = slope × work of the forces.

    Parameters
    ----------
    slope
        Energy change over the work −F·Δr, computed as if in eV, eV/Å and Å; not near 1.
    tolerance
        Relative error of the slope.
    stress
        The same for the work of the stress, if known: a single cause may explain both.

    Returns
    -------
    tuple
        Causes, the likeliest first, and whether they explain the slope of the stress too.

    Examples
    --------
    >>> name_force_factor(51.42, 0.02)
    (['forces in Hartree/bohr'], False)
    """
    causes = _causes()
    found = _nearest(abs(slope), {name: forces for name, (forces, _) in causes.items()}, tolerance)
    both = []
    if stress is not None and stress > 0:
        both = [name for name in found if abs(np.log(stress / causes[name][1])) < _WINDOW]
    found = _with_sign(slope, tolerance, both or found, _FORCE_SIGN)
    return found, bool(both)


def name_stress_factor(slope: float, tolerance: float, volume: float) -> list[str]:
    """Tell what may be wrong where ΔE = slope × work of the stress, likeliest first.

    ``volume`` (Å³) is that of a typical cell.
    """
    causes = {f"stress in {name}": size for name, size in _STRESSES.items()}
    causes["virial (eV) instead of stress"] = 1 / volume
    found = _nearest(abs(slope), causes, tolerance)
    return _with_sign(slope, tolerance, found, _STRESS_SIGN)


def _causes() -> dict[str, tuple[float, float]]:
    """Return the slopes of forces and stress that each mistake makes."""
    causes = {f"energies in {energy}": (1 / size, 1 / size) for energy, size in _ENERGIES.items()}
    for energy, size in _ENERGIES.items():
        for length, reach in _LENGTHS.items():
            if length != "nm" or energy == "kJ/mol":  # GROMACS
                causes[f"forces in {energy}/{length}"] = (size / reach, 1.0)
                if energy != "eV" and length != "Å":
                    both = f"energies in {energy} and forces in {energy}/{length}"
                    causes[both] = (1 / reach, 1 / size)
    causes["positions in bohr"] = (units.Bohr, units.Bohr**3)
    causes["positions in nm"] = (10.0, 1e3)
    return causes


def _with_sign(slope: float, tolerance: float, found: list[str], flipped: str) -> list[str]:
    """Add that the sign is wrong, if it is."""
    if slope > 0:
        return found
    if not found or abs(np.log(-slope)) < max(tolerance, 0.2):
        return [flipped]
    return [f"{cause}, and {flipped}" for cause in found]


def _nearest(slope: float, causes: Mapping[str, float], tolerance: float) -> list[str]:
    """Return the causes whose factor agrees, those with fewer words first."""
    window = max(3 * tolerance, _WINDOW)
    misses = {cause: abs(np.log(slope / factor)) for cause, factor in causes.items()}
    near = [cause for cause, miss in misses.items() if miss < window]
    return sorted(near, key=lambda cause: (" and " in cause, round(misses[cause], 2)))[:3]
