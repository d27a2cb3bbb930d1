"""What the names and units of foreign axes mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.units import JOULE_TO_MEV, conversion_factor, dimension

Kind = Literal["energy", "wavevector"]
CANONICAL: Mapping[Kind, str] = {"energy": "meV", "wavevector": "angstrom^-1"}
_SI: Mapping[Kind, tuple[set[str], float]] = {
    "energy": ({"kg", "m**2", "s**-2"}, JOULE_TO_MEV),
    "wavevector": ({"m**-1"}, 1e-10),
}
"""Base units of an SI expression, and meV or Å⁻¹ per such unit."""
_SNAP = 1e-4
"""Units spelt with rounded constants (1.60218e-22 J) are taken as what they mean."""
_SPELLINGS = {
    r"m(illi)?[\s-]*(ev|electron[\s-]?volts?)|deltae": "meV",
    r"ev|electron[\s-]?volts?": "eV",
    r"thz": "THz",
    r"1/cm|cm\s*(\^|\*\*)?\(?-1\)?|cm⁻¹": "cm^-1",
    r"1/\s*(a|å|angstroms?)|(a|å|angstroms?)\s*(\^|\*\*)?\(?-1\)?|(å|a|angstrom)⁻¹": "angstrom^-1",
    r"inv(erse)?[\s_-]*(a|å|angstroms?)|reciprocal[\s_-]*angstroms?": "angstrom^-1",
    r"momentumtransfer": "angstrom^-1",  # Mantid writes the name of the quantity
    r"deltae_inwavenumber": "cm^-1",
    r"1/\s*nm|nm\s*(\^|\*\*)?\(?-1\)?|nm⁻¹": "nm^-1",
}
_NAMES: Mapping[Kind, str] = {
    "energy": r"d?e$|delta[\s_]?e|en|(h(bar)?|ħ|ℏ)?[\s_]?(w|ω|omega)$|energy",
    "wavevector": r"\|?q|mod[\s_]?q|momentum|wavevector",
}


def kind_of(name: str, unit: str | None) -> Kind | None:
    """Tell whether an axis is energy transfer or wavevector, by its unit, else by its name."""
    for kind in CANONICAL:
        if unit and factor_of(unit, kind) is not None:
            return kind
    for kind, pattern in _NAMES.items():
        if re.match(pattern, name.strip().lower()):
            return kind
    return None


def factor_of(unit: str, kind: Kind) -> float | None:
    """Return meV or Å⁻¹ per ``unit``, or None if it is no unit of this kind.

    SI expressions (``1.60218e-22*m**2*kg*s**-2``) and multiples (``in 1.98 A^-1``) are understood.
    """
    text = unit.strip().lower().strip("()[]")
    number, rest = 1.0, text
    if found := re.fullmatch(r"(?:in\s+)?(\d[\d.]*(?:e[+-]?\d+)?)\s*\*?\s*([^\d/].*)", text):
        number, rest = float(found[1]), found[2]
    bases, size = _SI[kind]
    if set(re.findall(r"[a-z]+(?:\*\*-?\d+)?", rest)) == bases and "*" in rest:
        factor = number * size
        return 1.0 if abs(factor - 1) < _SNAP else factor
    for pattern, name in _SPELLINGS.items():
        if re.fullmatch(pattern, rest) and dimension(name) == kind:
            return number * conversion_factor(name, CANONICAL[kind])
    return None


def in_our_unit(
    values: np.ndarray, name: str, unit: str | None, kind: Kind, told: Mapping[str, str]
) -> np.ndarray:
    """Return an axis in meV or Å⁻¹.

    Parameters
    ----------
    values, name, unit
        As the file gives them.
    kind
        Which of the two.
    told
        Units the user gives for what the file leaves out.

    Raises
    ------
    InputError
        If neither names a unit that is known.
    """
    spellings = [text for text in (unit, told.get(kind)) if text]
    factors = [factor for text in spellings if (factor := factor_of(text, kind)) is not None]
    if not factors:
        why = f"{' and '.join(map(repr, spellings))} is not known"
        why = why if spellings else "the file does not say it"
        example = ", ".join(f"{k!r}: {u!r}" for k, u in CANONICAL.items())
        raise InputError(
            explain(f"The unit of the {kind} axis {name!r} is missing", why,
                    f"Give units={{{example}}}, or whatever they are")
        )  # fmt: skip
    return np.asarray(values, dtype=float) * factors[0]
