"""Neutron scattering lengths and cross-sections of a crystal's atoms, the user's own on top.

The table and what it lacks are in :mod:`~scatterml_ase.physics.nuclides`, mixes of isotopes in
:mod:`~scatterml_ase.physics.isotopes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np
from ase.data import chemical_symbols

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.isotopes import canonical, nuclide, present_name, substitutions
from scatterml_ase.physics.nuclides import TABLE, identify

__all__ = [
    "TABLE",
    "Overrides",
    "absorption_cross_sections",
    "identify",
    "incoherent_cross_sections",
    "nuclide",
    "scattering_lengths",
]

Overrides = Mapping[str | int, complex | str] | str
"""The user's own lengths, or a substitution such as ``"H->D 98 %"``."""


def scattering_lengths(
    numbers: Sequence[int] | np.ndarray,
    masses: Sequence[float] | np.ndarray,
    overrides: Overrides | None = None,
    *,
    nuclides: Sequence[str] = (),
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the name and the coherent scattering length of every atom.

    Parameters
    ----------
    numbers, masses
        Atomic numbers and masses in amu; a mass tells an isotope.
    overrides
        The user's own, by element, isotope or index of the atom: a length in fm, or the name of a
        nuclide or mix (``{"Li": "7Li", "H": "98% D + 2% H", "V": -0.443, 3: 5.0}``). An index wins
        over an isotope, an isotope over its element. Or a substitution, ``"H->D 98 %"``, see
        :func:`~scatterml_ase.physics.isotopes.substitutions`.
    nuclides
        Names of nuclides or mixes the atoms are known to be; "" or nothing where the mass tells.

    Returns
    -------
    tuple[tuple[str, ...], np.ndarray]
        Names, and lengths in fm, complex, shape (atoms,).

    Raises
    ------
    InputError
        If a nuclide is not in the table or an override names nothing in the structure.
    """
    given = substitutions(overrides) if isinstance(overrides, str) else overrides or {}
    wanted = {_key(key): value for key, value in given.items()}
    known = nuclides or [""] * len(numbers)
    used: set[str | int] = set()
    names: list[str] = []
    values: list[complex] = []
    for index, (number, mass) in enumerate(zip(numbers, masses, strict=True)):
        name, value, key = _resolve(index, (int(number), float(mass), known[index]), wanted)
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
        Nuclide or mix of every atom, as :func:`scattering_lengths` returns them.
    overrides
        The user's own in barn, by nuclide or index of the atom: ``{"V": 5.08, 3: 0.0}``.

    Raises
    ------
    InputError
        If the table has none for a nuclide, or an override is no cross-section or names nothing
        in the structure.
    """
    return _cross_sections("incoherent", names, overrides)


def absorption_cross_sections(
    names: Sequence[str], overrides: Mapping[str | int, float] | None = None
) -> np.ndarray:
    """Return the absorption cross-section of every atom at 2200 m/s in barn, shape (atoms,).

    Parameters and errors are those of :func:`incoherent_cross_sections`.
    """
    return _cross_sections("absorption", names, overrides)


def _cross_sections(
    kind: str, names: Sequence[str], overrides: Mapping[str | int, float] | None
) -> np.ndarray:
    """Return cross-sections of a kind: an index wins over a nuclide, and that over the table."""
    wanted = {_key(key): float(value) for key, value in (overrides or {}).items()}
    unused = [key for key in wanted if key not in names and key not in range(len(names))]
    bad = {key: value for key, value in wanted.items() if not 0 <= value < np.inf}
    if unused:
        raise InputError(
            explain(
                f"{kind}_cross_sections names {', '.join(map(str, unused))}",
                f"the crystal has {', '.join(dict.fromkeys(names))}",
                "Correct or remove these entries",
            )
        )
    if bad:
        what = f"The {kind} cross-sections {bad} are not possible"
        raise InputError(explain(what, "they are zero or positive, in barn", "Correct them"))
    values = []
    for index, name in enumerate(names):
        own = wanted.get(index, wanted.get(name))
        values.append(_tabulated_cross_section(kind, name) if own is None else own)
    return np.array(values, dtype=float)


def _tabulated_cross_section(kind: str, name: str) -> float:
    value: float | None = None
    with suppress(InputError):  # lengths of elements without any may be the user's own
        value = getattr(nuclide(name), f"{kind}_cross_section")
    if value is None:
        raise InputError(
            explain(
                f"There is no {kind} cross-section of {name} in {TABLE}",
                "what is lost or scattered is proportional to it",
                f"Give your own in barn, e.g. {kind}_cross_sections={{{name!r}: 0.5}}",
            )
        )
    return value


def _resolve(
    index: int, atom: tuple[int, float, str], wanted: Mapping[str | int, complex | str]
) -> tuple[str, complex, str | int | None]:
    """Return name, length and the override used for one atom (number, mass, name if known)."""
    number, mass, known = atom
    symbol, present = chemical_symbols[number], present_name(*atom)
    key = next((key for key in (index, present, symbol) if key in wanted), None)
    if key is None:
        name = known or identify(number, mass)
        return name, nuclide(name).coherent_length, None
    value = wanted[key]
    if isinstance(value, str):
        return canonical(value), nuclide(value).coherent_length, key
    return present, complex(value), key


def _key(key: str | int) -> str | int:
    return canonical(key) if isinstance(key, str) else int(key)
