"""The only unit conversions of the package.

Spectra are in meV, lengths in Å, masses in amu. Constants are CODATA 2018 through
:mod:`scipy.constants`; phonopy and ASE differ from them by less than 1e-6 relative.
"""

from __future__ import annotations

import math

from scipy import constants as _si

from scatterml_ase.errors import InputError, explain

_MEV = 1e-3 * _si.e  # J
_AMU = _si.atomic_mass  # kg
_ANGSTROM = 1e-10  # m
_BOHR = _si.value("Bohr radius") / _ANGSTROM  # Å

JOULE_TO_MEV = 1 / _MEV
"""Energy in meV of 1 J (6.241509e21)."""
THZ_TO_MEV = _si.h * 1e12 / _MEV
"""Energy in meV of a quantum of 1 THz (4.13567)."""
INVERSE_CM_TO_MEV = _si.h * _si.c * 100 / _MEV
"""Energy in meV of 1 cm⁻¹ (0.123984)."""
BOLTZMANN = _si.k / _MEV
"""Boltzmann constant in meV/K (8.617333e-2)."""
HBAR_PER_BOLTZMANN = _si.hbar / _si.k
"""ħ/k_B in K s (7.63823e-12)."""
HBAR2_PER_AMU = _si.hbar**2 / (_AMU * _ANGSTROM**2 * _MEV)
"""ħ²/amu in meV Å² (4.18016)."""
HBAR2_PER_2_NEUTRON_MASS = _si.hbar**2 / (2 * _si.m_n * _ANGSTROM**2 * _MEV)
"""ħ²/(2 mₙ) in meV Å² (2.072125)."""
THERMAL_ENERGY = _si.m_n * 2200.0**2 / 2 / _MEV
"""Energy in meV of neutrons of 2200 m/s (25.299), for which tables give the absorption."""
ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV = _si.hbar * math.sqrt(_si.e / _ANGSTROM**2 / _AMU) / _MEV
"""ħ√(eV Å⁻² amu⁻¹) in meV (64.6541): phonon energy of a dynamical-matrix eigenvalue 1."""
ROOT_EV_PER_AMU_TO_METRE_PER_SECOND = math.sqrt(_si.e / _AMU)
"""√(eV/amu) in m/s (9822.7): group velocities come as Å √(eV Å⁻² amu⁻¹)."""
FM2_TO_MBARN = 10.0
"""1 fm² in mbarn."""
EV_PER_ANGSTROM3_TO_GPA = _si.e / _ANGSTROM**3 * 1e-9
"""1 eV/Å³ in GPa (160.2177)."""
EV_PER_ANGSTROM2_TO_J_PER_M2 = _si.e / _ANGSTROM**2
"""1 eV/Å² in J/m² (16.02177)."""
MEV_TO_KJ_PER_MOL = _MEV * _si.N_A * 1e-3
"""1 meV in kJ/mol (0.0964853)."""
MEV_PER_K_TO_J_PER_K_PER_MOL = _MEV * _si.N_A
"""1 meV/K in J/(K mol) (96.4853)."""
COULOMB_EV_ANGSTROM = _si.e / (4 * math.pi * _si.epsilon_0 * _ANGSTROM)
"""e²/(4πε₀) in eV Å (14.39964)."""
ELECTRON_RADIUS = _si.physical_constants["classical electron radius"][0] * 1e15
"""Classical electron radius in fm (2.81794)."""

# One table per dimension: how many of the first, canonical unit one of the named unit is.
_TABLES: dict[str, dict[str, float]] = {
    "energy": {
        "meV": 1.0,
        "eV": 1e3,
        "THz": THZ_TO_MEV,
        "cm^-1": INVERSE_CM_TO_MEV,
        "K": BOLTZMANN,
        "kJ/mol": 1 / MEV_TO_KJ_PER_MOL,
    },
    "wavevector": {
        "angstrom^-1": 1.0,
        "nm^-1": 0.1,
        "bohr^-1": 1 / _BOHR,
    },
    "length": {"angstrom": 1.0, "nm": 10.0, "bohr": _BOHR},
}
_ALIASES = {"cm-1": "cm^-1", "1/cm": "cm^-1", "1/angstrom": "angstrom^-1", "Å": "angstrom"}


def canonical(unit: str) -> str:
    """Spell a unit as the package does: ``canonical("cm-1")`` is ``"cm^-1"``."""
    return _ALIASES.get(unit, unit)


def dimension(unit: str) -> str | None:
    """Name the dimension a plain unit belongs to, or None if it is in no table."""
    name = canonical(unit)
    return next((key for key, table in _TABLES.items() if name in table), None)


def conversion_factor(source: str, target: str) -> float:
    """Return the number a value in ``source`` is multiplied with to be in ``target``.

    Raises
    ------
    InputError
        If a unit is unknown or the two have different dimensions.

    Examples
    --------
    >>> round(conversion_factor("THz", "meV"), 4)
    4.1357
    """
    source, target = canonical(source), canonical(target)
    if source == target:
        return 1.0
    for table in _TABLES.values():
        if source in table:
            if target in table:
                return table[source] / table[target]
            raise InputError(
                explain(
                    f"Cannot convert {source} to {target}",
                    "the two units do not have the same dimension or the target is not known",
                    f"Use one of {', '.join(table)}",
                )
            )
    known = ", ".join(unit for table in _TABLES.values() for unit in table)
    raise InputError(
        explain(f"Unit {source!r} is not known", "no table has it", f"Use one of {known}")
    )
