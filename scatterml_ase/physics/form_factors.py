"""How atoms and ions scatter x-rays: the form factors of Waasmaier and Kirfel.

    f(Q) = Σ_i a_i exp(−b_i s²) + c,   s = |Q|/4π ≤ 6 Å⁻¹

D. Waasmaier and A. Kirfel, Acta Cryst. A 51 (1995) 416, doi 10.1107/S0108767394013292; the
coefficients are those that periodictable carries. An atom's amplitude is r_e f(Q). What depends on
the experiment and not on Q alone is left out: polarization, and the resonant part f′ + i f″ near
absorption edges.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from scatterml_ase.errors import InputError, explain
from scatterml_ase.units import ELECTRON_RADIUS

TABLE = "Waasmaier–Kirfel 1995"
"""Name of the table, for provenance."""
LARGEST_Q = 4 * np.pi * 6.0
"""|Q| in Å⁻¹ to which the table was fitted (75.4)."""

Ions = Mapping[str | int, str]
"""Ions by element or by index of the atom: ``{"O": "O2-", 3: "Fe3+"}``."""


class FormFactor(NamedTuple):
    """Coefficients of an atom or ion: a (5,) in electrons, b (5,) in Å², c in electrons."""

    a: np.ndarray
    b: np.ndarray
    c: float


def form_factor(name: str, q_lengths: np.ndarray) -> np.ndarray:
    """Return f in electrons of an atom (``"O"``) or an ion (``"O2-"``, ``"Na+"``).

    Parameters
    ----------
    name
        Of the atom or ion.
    q_lengths
        |Q| in Å⁻¹, any shape, which the result has too.

    Raises
    ------
    InputError
        If the table has no such atom or ion, or |Q| lies beyond it.
    """
    lengths = np.asarray(q_lengths, dtype=float)
    largest = float(np.max(lengths, initial=0.0))
    if not largest <= LARGEST_Q:
        what = f"There are no form factors at |Q| = {largest:.4g} Å⁻¹"
        why = f"{TABLE} ends at {LARGEST_Q:.1f} Å⁻¹"
        raise InputError(explain(what, why, "Give Q in Å⁻¹, and smaller"))
    a, b, c = coefficients(name)
    squares = (lengths / (4 * np.pi)) ** 2
    return np.exp(-squares[..., None] * b) @ a + c


def named_amplitudes(names: Sequence[str], q_lengths: np.ndarray) -> np.ndarray:
    """Return r_e f in fm of atoms and ions by name, shape (q, names).

    Parameters
    ----------
    names
        As :func:`scatterer_names` spells them.
    q_lengths
        |Q| in Å⁻¹, shape (q,).
    """
    lengths = np.asarray(q_lengths, dtype=float)
    found = {name: ELECTRON_RADIUS * form_factor(name, lengths) for name in dict.fromkeys(names)}
    return np.stack([found[name] for name in names], axis=1)


def scatterer_names(
    numbers: Sequence[int] | np.ndarray, ions: Ions | None = None
) -> tuple[str, ...]:
    """Return what each atom is as the table spells it: ``("Na1+", "Cl1-", "O")``.

    Parameters
    ----------
    numbers
        Atomic numbers, shape (atoms,).
    ions
        Which of them are ions; an index wins over an element.

    Raises
    ------
    InputError
        If the table has no such atom or ion, or ``ions`` names what is not there.
    """
    symbols = [chemical_symbols[int(number)] for number in numbers]
    wanted = {_key(key): _spelled(ion) for key, ion in (ions or {}).items()}
    known = {*symbols, *range(len(symbols))}
    unused = [str(key) for key in wanted if key not in known]
    if unused:
        what = f"ions names {', '.join(unused)}"
        why = f"the crystal has {', '.join(dict.fromkeys(symbols))}"
        raise InputError(explain(what, why, "Correct or remove these entries"))
    names = []
    for index, symbol in enumerate(symbols):
        name = wanted.get(index, wanted.get(symbol, symbol))
        if element_of(name) != symbol:
            what = f"ions makes {name} of {symbol}"
            fix = f"Name one of {', '.join(tabulated(symbol))}"
            raise InputError(explain(what, "an ion is of the same element", fix))
        coefficients(name)
        names.append(name)
    return tuple(names)


@cache
def coefficients(name: str) -> FormFactor:
    """Return the coefficients of an atom or ion.

    Raises
    ------
    InputError
        If the table has none.
    """
    spelled = _spelled(name)
    found = _look_up(spelled)
    if found is None:
        known = ", ".join(tabulated(element_of(spelled)))
        what = f"There is no form factor of {name} in {TABLE}"
        why = f"of {element_of(spelled)} it has {known}" if known else "it ends at Cf"
        raise InputError(explain(what, why, "Name one that it has" if known else "Use neutrons"))
    return found


def tabulated(element: str) -> list[str]:
    """Return the atom and the ions of an element that the table has."""
    charges = ("", *(f"{number}{sign}" for sign in "-+" for number in range(1, 7)))
    return [element + charge for charge in charges if _look_up(element + charge) is not None]


def _look_up(name: str) -> FormFactor | None:
    from periodictable.cromermann import getCMformula

    try:
        found = getCMformula(name)
    except KeyError:
        return None
    return FormFactor(np.array(found.a), np.array(found.b), float(found.c))


def element_of(name: str) -> str:
    """Return the element of an atom or ion.

    Raises
    ------
    InputError
        If the name is that of neither.
    """
    return _spelled(name).rstrip("0123456789+-")


def _key(key: str | int) -> str | int:
    return key if isinstance(key, str) else int(key)


def _spelled(name: str) -> str:
    """Spell an ion as the table does: "Na+" is "Na1+"."""
    match = re.fullmatch(r"([A-Z][a-z]?)(?:([1-9]?)([+-]))?", name)
    if match is None or match[1] not in atomic_numbers:
        what = f"{name!r} names no atom or ion"
        raise InputError(explain(what, "an element with its charge is expected", "Write 'O2-'"))
    return f"{match[1]}{match[2] or 1}{match[3]}" if match[3] else match[1]
