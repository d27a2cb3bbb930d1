"""Neutron scattering lengths: Sears 1992, elements and isotopes, with the user's own on top.

V. F. Sears, Neutron News 3 (1992) 26, doi 10.1080/10448639208218770. Newer measurements differ for
some nuclides (V, ⁶Li, Sm, …): pass them as overrides.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from ase.data import atomic_masses, atomic_numbers, chemical_symbols

from scatterml_ase.errors import InputError, explain

TABLE = "Sears 1992"
"""Name of the table, for provenance."""

_ALIASES = {"D": "2H", "T": "3H"}
# Tables of standard atomic weights differ by up to 0.03 amu (Zn); isotopes lie further away from
# the natural mean, or are nearly all of it (¹²C, ¹⁴N), so that it does not matter.
_NATURAL_TOLERANCE = 0.035
_ISOTOPE_TOLERANCE = 0.15

Overrides = Mapping[str | int, complex | str]


@dataclass(frozen=True)
class Nuclide:
    """What a nuclide, or an element's natural mix, does to neutrons.

    Parameters
    ----------
    name
        ``"Ni"`` (natural mix) or ``"60Ni"``.
    coherent_length
        b in fm; complex where absorption is strong (b = b' − i b'').
    incoherent_length
        In fm; None where the table has none, as for every natural mix.
    coherent_cross_section, incoherent_cross_section, absorption_cross_section
        In barn; absorption at 2200 m/s. None where the table has none.
    """

    name: str
    coherent_length: complex
    incoherent_length: complex | None
    coherent_cross_section: float | None
    incoherent_cross_section: float | None
    absorption_cross_section: float | None


def nuclide(name: str) -> Nuclide:
    """Look up an element (``"Si"``) or an isotope (``"60Ni"``, ``"Ni-60"``, ``"D"``).

    Raises
    ------
    InputError
        If the table does not have it.
    """
    canonical = _canonical(name)
    found = _table().get(canonical)
    if found is not None:
        return found
    symbol = canonical.lstrip("0123456789")
    relatives = [key for key in _table() if key.lstrip("0123456789") == symbol]
    raise InputError(
        explain(
            f"There is no scattering length of {name!r} in {TABLE}",
            f"of {symbol} it has {', '.join(relatives)}" if relatives else "it has no such element",
            "Name one of these, or give your own in fm, e.g. "
            f"scattering_lengths={{{canonical!r}: 5.0}}",
        )
    )


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


def scattering_lengths(
    numbers: Sequence[int] | np.ndarray,
    masses: Sequence[float] | np.ndarray,
    overrides: Overrides | None = None,
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the name and the coherent scattering length of every atom.

    Parameters
    ----------
    numbers, masses
        Atomic numbers and masses in amu; a mass tells an isotope.
    overrides
        The user's own, by element, isotope or index of the atom: a length in fm, or the name of a
        nuclide (``{"Li": "7Li", "V": -0.443, 3: 5.0}``). An index wins over an isotope, an isotope
        over its element.

    Returns
    -------
    tuple[tuple[str, ...], np.ndarray]
        Names, and lengths in fm, complex, shape (atoms,).

    Raises
    ------
    InputError
        If a nuclide is not in the table or an override names nothing in the structure.
    """
    wanted = {_key(key): value for key, value in (overrides or {}).items()}
    used: set[str | int] = set()
    names: list[str] = []
    values: list[complex] = []
    for index, (number, mass) in enumerate(zip(numbers, masses, strict=True)):
        name, value, key = _resolve(index, int(number), float(mass), wanted)
        names.append(name)
        values.append(value)
        used |= {key} if key is not None else set()
    unused = [str(key) for key in wanted if key not in used]
    if unused:
        raise InputError(
            explain(
                f"scattering_lengths names {', '.join(unused)}",
                f"the crystal has {', '.join(dict.fromkeys(names))}",
                "Correct or remove these entries",
            )
        )
    return tuple(names), np.array(values, dtype=complex)


def incoherent_cross_sections(
    names: Sequence[str], overrides: Mapping[str | int, float] | None = None
) -> np.ndarray:
    """Return the bound incoherent cross-section of every atom in barn, shape (atoms,).

    Parameters
    ----------
    names
        Nuclide of every atom, as :func:`scattering_lengths` returns them.
    overrides
        The user's own in barn, by nuclide or index of the atom: ``{"V": 5.08, 3: 0.0}``.

    Raises
    ------
    InputError
        If the table has none for a nuclide, or an override is no cross-section or names nothing
        in the structure.
    """
    wanted = {_key(key): float(value) for key, value in (overrides or {}).items()}
    unused = [key for key in wanted if key not in names and key not in range(len(names))]
    bad = {key: value for key, value in wanted.items() if not 0 <= value < np.inf}
    if unused:
        raise InputError(
            explain(
                f"incoherent_cross_sections names {', '.join(map(str, unused))}",
                f"the crystal has {', '.join(dict.fromkeys(names))}",
                "Correct or remove these entries",
            )
        )
    if bad:
        what = f"The incoherent cross-sections {bad} are not possible"
        raise InputError(explain(what, "they are zero or positive, in barn", "Correct them"))
    return np.array([_incoherent(index, name, wanted) for index, name in enumerate(names)])


def _incoherent(index: int, name: str, wanted: Mapping[str | int, float]) -> float:
    """Return σ_inc in barn: an index wins over a nuclide, and that over the table."""
    value = wanted.get(index, wanted.get(name))
    value = nuclide(name).incoherent_cross_section if value is None else value
    if value is None:
        raise InputError(
            explain(
                f"There is no incoherent cross-section of {name} in {TABLE}",
                "incoherent scattering is proportional to it",
                f"Give your own in barn, e.g. incoherent_cross_sections={{{name!r}: 0.5}}",
            )
        )
    return value


def _resolve(
    index: int, number: int, mass: float, wanted: Mapping[str | int, complex | str]
) -> tuple[str, complex, str | int | None]:
    """Return name, length and the override used for one atom."""
    symbol = chemical_symbols[number]
    if index in wanted or symbol in wanted:
        key: str | int | None = index if index in wanted else symbol
        name = symbol  # a strange mass does not matter when the length is given
    else:
        name = identify(number, mass)
        key = name if name in wanted else None
    if key == symbol and (isotope := _isotope_override(number, mass, wanted)):
        key = name = isotope
    if key is None:
        return name, nuclide(name).coherent_length, None
    value = wanted[key]
    if isinstance(value, str):
        return _canonical(value), nuclide(value).coherent_length, key
    return name, complex(value), key


def _isotope_override(
    number: int, mass: float, wanted: Mapping[str | int, complex | str]
) -> str | None:
    try:
        name = identify(number, mass)
    except InputError:
        return None
    return name if name in wanted and name != chemical_symbols[number] else None


def _key(key: str | int) -> str | int:
    return _canonical(key) if isinstance(key, str) else int(key)


def _canonical(name: str) -> str:
    """Spell a nuclide as the table does: "D", "H2" and "H-2" are "2H"."""
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
    text = files("scatterml_ase.physics").joinpath("data/sears1992.csv").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {row["name"]: _nuclide_of(row) for row in csv.DictReader(lines)}


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
