"""Neutron scattering lengths and cross-sections of elements and isotopes: Sears 1992.

V. F. Sears, Neutron News 3 (1992) 26, doi 10.1080/10448639208218770. Newer measurements differ for
some nuclides (V, ⁶Li, Sm, …).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ase.data import atomic_masses, atomic_numbers, chemical_symbols

from scatterml_ase.errors import InputError, explain

TABLE = "Sears 1992"
"""Name of the table, for provenance."""

_ALIASES = {"D": "2H", "T": "3H"}
# Tables of standard atomic weights differ by up to 0.03 amu (Zn); isotopes lie further away from
# the natural mean, or are nearly all of it (¹²C, ¹⁴N), so that it does not matter.
_NATURAL_TOLERANCE = 0.035
_ISOTOPE_TOLERANCE = 0.15


@dataclass(frozen=True)
class Nuclide:
    """What a nuclide, or a mix of nuclides of an element, does to neutrons.

    Parameters
    ----------
    name
        ``"Ni"`` (natural mix), ``"60Ni"``, or a mix such as ``"98% 2H + 2% H"``.
    coherent_length
        b in fm; complex where absorption is strong (b = b' − i b'').
    incoherent_length
        In fm; None where the table has none, as for every mix.
    coherent_cross_section, incoherent_cross_section, absorption_cross_section
        In barn; absorption at 2200 m/s. None where the table has none.
    """

    name: str
    coherent_length: complex
    incoherent_length: complex | None
    coherent_cross_section: float | None
    incoherent_cross_section: float | None
    absorption_cross_section: float | None


def tabulated(name: str) -> Nuclide:
    """Look up an element (``"Si"``) or an isotope (``"60Ni"``, ``"Ni-60"``, ``"D"``).

    Raises
    ------
    InputError
        If the table does not have it.
    """
    canonical = spell(name)
    found = _table().get(canonical)
    if found is not None:
        return found
    symbol = element(canonical)
    relatives = [key for key in _table() if element(key) == symbol]
    raise InputError(
        explain(
            f"There is no scattering length of {name!r} in {TABLE}",
            f"of {symbol} it has {', '.join(relatives)}" if relatives else "it has no such element",
            "Name one of these, or give your own in fm, e.g. "
            f"scattering_lengths={{{canonical!r}: 5.0}}",
        )
    )


def mass(name: str) -> float:
    """Return the mass in amu of an element's natural mix or of an isotope.

    Raises
    ------
    InputError
        If it is not known.
    """
    canonical = spell(name)
    symbol = element(canonical)
    if canonical == symbol:
        return float(atomic_masses[atomic_numbers[symbol]])
    found = _masses().get(canonical)
    if found is not None:
        return found
    relatives = ", ".join(key for key in _masses() if element(key) == symbol)
    what, why = (
        f"The mass of {name!r} is not known",
        f"of {symbol} there are: {relatives or 'none'}",
    )
    raise InputError(explain(what, why, "Name one of these, or set the masses of the atoms"))


def identify(number: int, mass: float) -> str:
    """Name the nuclide of an atom: its element, or an isotope if its mass says so.

    ``identify(1, 2.014)`` is ``"2H"``; ``identify(1, 1.008)`` is ``"H"``.

    Raises
    ------
    InputError
        If the mass is neither the natural one nor near an integer.
    """
    symbol = chemical_symbols[number]
    if abs(mass - atomic_masses[number]) < _NATURAL_TOLERANCE:
        return symbol
    nearest = round(float(mass))
    if abs(mass - nearest) < _ISOTOPE_TOLERANCE:
        return f"{nearest}{symbol}"
    raise InputError(
        explain(
            f"A mass of {mass:.4g} amu for {symbol} names no nuclide",
            f"natural {symbol} has {atomic_masses[number]:.4g} and isotopes are near integers",
            f"Correct the masses, or say what it is: scattering_lengths={{{symbol!r}: 5.0}} in fm "
            f"or {{{symbol!r}: '{round(atomic_masses[number])}{symbol}'}}",
        )
    )


def element(name: str) -> str:
    """Return the symbol in the canonical name of a nuclide: "H" of "2H"."""
    return name.lstrip("0123456789")


def spell(name: str) -> str:
    """Spell a nuclide as the table does: "D", "H2" and "H-2" are "2H".

    Raises
    ------
    InputError
        If it is neither an element nor an isotope.
    """
    name = _ALIASES.get(name, name)
    match = re.fullmatch(r"(\d*)([A-Z][a-z]?)-?(\d*)", name)
    if match is None or match[2] not in atomic_numbers or (match[1] and match[3]):
        raise InputError(
            explain(
                f"{name!r} names no nuclide",
                "an element or an isotope is expected",
                "Write 'Ni', '60Ni', 'D' or 'T'",
            )
        )
    return f"{match[1] or match[3]}{match[2]}"


@cache
def _table() -> dict[str, Nuclide]:
    return {row["name"]: _nuclide_of(row) for row in _rows("sears1992.csv")}


@cache
def _masses() -> dict[str, float]:
    return {row["name"]: float(row["mass"]) for row in _rows("isotope_masses.csv")}


def _rows(file: str) -> Iterator[dict[str, str]]:
    text = files("scatterml_ase.physics").joinpath(f"data/{file}").read_text("utf-8")
    return csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))


def _nuclide_of(row: Mapping[str, str]) -> Nuclide:
    def number(column: str) -> float | None:
        return float(row[column]) if row[column] else None

    def length(column: str) -> complex | None:
        real = number(column)
        return None if real is None else complex(real, number(f"{column}_imaginary") or 0.0)

    coherent = length("coherent_length")
    if coherent is None:
        raise InputError(
            explain(f"Row {row['name']} has no length", "the table is damaged", "Reinstall")
        )
    return Nuclide(
        name=row["name"],
        coherent_length=coherent,
        incoherent_length=length("incoherent_length"),
        coherent_cross_section=number("coherent_cross_section"),
        incoherent_cross_section=number("incoherent_cross_section"),
        absorption_cross_section=number("absorption_cross_section"),
    )
