"""Isotopes put into a crystal: mixes as ``"98% 2H + 2% H"``, substitutions as ``"H->D 98 %"``.

The nuclides of a mix occupy their sites at random. Then, with shares c (Squires, Introduction to
the Theory of Thermal Neutron Scattering, doi 10.1017/CBO9781139107808),

    b = Σ c b_i        σ_inc = Σ c σ_inc,i + 4π (Σ c |b_i|² − |b|²)        M = Σ c M_i

where the bracket is c(1 − c)|b₁ − b₂|² of two isotopes. Modes are those of the mean mass: that
masses differ from site to site is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from ase.data import chemical_symbols

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.nuclides import Nuclide, element, identify, mass, spell, tabulated

_FM2_TO_BARN = 1e-2
_TOLERANCE = 1e-6
"""How far from 1 the shares of a mix may add up."""
_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
_PART = re.compile(rf"\s*{_NUMBER}\s*%\s*(\S+)\s*")
_STEP = re.compile(rf"\s*(\S+?)\s*(?:->|→)\s*([^\s%→>]+?)(?:\s+{_NUMBER}\s*%)?\s*")
_EXAMPLE = "Write e.g. 'H->D 98 %', 'Li->7Li' or, of several, 'H->D 98 %, Li->7Li'"


class Substituted(NamedTuple):
    """A crystal's atoms after a substitution.

    Attributes
    ----------
    nuclides
        The nuclide or mix of every atom that was named so; "" where the mass tells it.
    masses
        In amu, shape (atoms,).
    """

    nuclides: tuple[str, ...]
    masses: np.ndarray


def nuclide(name: str) -> Nuclide:
    """Return what an element, an isotope or a mix does to neutrons.

    ``nuclide("98% D + 2% H")`` has the mean length and the cross-sections of the mix.

    Raises
    ------
    InputError
        If the table lacks a nuclide, or the name is none.
    """
    shares = composition(name)
    if len(shares) == 1:
        return tabulated(next(iter(shares)))
    return _mixed(_spell_mix(shares), {tabulated(key): share for key, share in shares.items()})


def mean_mass(name: str) -> float:
    """Return the mean mass in amu of an element, an isotope or a mix.

    Raises
    ------
    InputError
        If a mass is not known, or the name is none.
    """
    return sum(share * mass(key) for key, share in composition(name).items())


def composition(name: str) -> dict[str, float]:
    """Return the share of each nuclide: ``{"2H": 0.98, "H": 0.02}`` of ``"98% D + 2% H"``.

    Raises
    ------
    InputError
        If the name is no nuclide and no mix of nuclides of one element that adds up to 100 %.
    """
    if "%" not in name:
        return {spell(name): 1.0}
    shares: dict[str, float] = {}
    for part in name.split("+"):
        match = _PART.fullmatch(part)
        if match is None:
            what = f"{part.strip()!r} in {name!r} is no share of a nuclide"
            raise InputError(explain(what, "a mix lists them", "Write e.g. '98% D + 2% H'"))
        key = spell(match[2])
        shares[key] = shares.get(key, 0.0) + float(match[1]) / 100
    _one_element(name, shares)
    if abs(sum(shares.values()) - 1) > _TOLERANCE:
        what = f"The shares of {name!r} add up to {100 * sum(shares.values()):.6g} %"
        raise InputError(explain(what, "every site holds one nuclide", "Give shares of 100 %"))
    return {key: share for key, share in shares.items() if share > 0}


def canonical(name: str) -> str:
    """Spell a nuclide or a mix in one way: "D" is "2H", "2% H + 98% D" is "98% 2H + 2% H".

    Raises
    ------
    InputError
        If it is neither.
    """
    return _spell_mix(composition(name))


def substitutions(text: str) -> dict[str, str]:
    """Return what takes the place of each nuclide: ``{"H": "98% 2H + 2% H"}`` of ``"H->D 98 %"``.

    Parameters
    ----------
    text
        ``"H->D 98 %"`` or, with an arrow, ``"H→D 98 %"``: every atom of H, whatever its mass, is D
        with that probability and else the natural mix. ``"7Li->6Li 50 %"`` concerns the atoms that
        are ⁷Li alone. Without a percentage all are replaced. Several are separated by commas;
        those of one nuclide add up.

    Raises
    ------
    InputError
        If it cannot be read, an element would become another, or more than 100 % are replaced.
    """
    found: dict[str, dict[str, float]] = {}
    for step in text.split(","):
        match = _STEP.fullmatch(step)
        if match is None:
            what = f"{step.strip()!r} in {text!r} is no isotopic substitution"
            raise InputError(
                explain(what, "it says what is replaced by what, and how much", _EXAMPLE)
            )
        source, target = spell(match[1]), spell(match[2])
        _one_element(text, [source, target])
        shares = found.setdefault(source, {})
        shares[target] = shares.get(target, 0.0) + float(match[3] or 100) / 100
    for source, shares in found.items():
        rest = 1 - sum(shares.values())
        if rest < -_TOLERANCE:
            what = f"{text!r} replaces {100 * (1 - rest):.6g} % of {source}"
            raise InputError(explain(what, "there are 100 %", _EXAMPLE))
        if rest > _TOLERANCE:
            shares[source] = shares.get(source, 0.0) + rest
    return {
        source: _spell_mix({name: share for name, share in shares.items() if share > 0})
        for source, shares in found.items()
    }


def substitute(
    text: str,
    numbers: Sequence[int] | np.ndarray,
    masses: Sequence[float] | np.ndarray,
    nuclides: Sequence[str] = (),
) -> Substituted:
    """Return nuclides and masses of atoms after a substitution.

    Parameters
    ----------
    text
        See :func:`substitutions`.
    numbers, masses
        Atomic numbers and masses in amu, shape (atoms,).
    nuclides
        Names given to the atoms before; "" or nothing where the mass tells.

    Raises
    ------
    InputError
        If the text cannot be read, concerns none of the atoms, or a mass is not known.
    """
    wanted = substitutions(text)
    names = list(nuclides) or [""] * len(numbers)
    present = list(names)
    new, used = np.array(masses, dtype=float), set()
    for index, (number, amu) in enumerate(zip(numbers, new.tolist(), strict=True)):
        present[index] = present_name(int(number), amu, names[index])
        source = next(
            (key for key in (present[index], chemical_symbols[number]) if key in wanted), None
        )
        if source is not None:
            names[index], new[index] = wanted[source], mean_mass(wanted[source])
            used.add(source)
    if unused := [source for source in wanted if source not in used]:
        what, why = f"{text!r} replaces {', '.join(unused)}", f"the crystal has {_list(present)}"
        raise InputError(explain(what, why, "Name one of these"))
    return Substituted(tuple(names), new)


def present_name(number: int, mass: float, given: str = "") -> str:
    """Return the nuclide of an atom: as given, or by its mass; its element if that names none."""
    try:
        return given or identify(number, mass)
    except InputError:
        return chemical_symbols[number]


def _mixed(name: str, shares: Mapping[Nuclide, float]) -> Nuclide:
    """Return the mean nuclide; a cross-section that the table lacks is lacking in the mix."""

    def mean(column: str) -> float | None:
        values = [(getattr(item, column), share) for item, share in shares.items()]
        if any(value is None for value, _ in values):
            return None
        return float(sum(value * share for value, share in values))

    length = sum(item.coherent_length * share for item, share in shares.items())
    square = sum(abs(item.coherent_length) ** 2 * share for item, share in shares.items())
    spin = mean("incoherent_cross_section")
    disorder = 4 * np.pi * (square - abs(length) ** 2) * _FM2_TO_BARN
    return Nuclide(
        name=name,
        coherent_length=complex(length),
        incoherent_length=None,
        coherent_cross_section=4 * np.pi * abs(length) ** 2 * _FM2_TO_BARN,
        incoherent_cross_section=None if spin is None else spin + disorder,
        absorption_cross_section=mean("absorption_cross_section"),
    )


def _spell_mix(shares: Mapping[str, float]) -> str:
    if len(shares) == 1:
        return next(iter(shares))
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return " + ".join(f"{100 * share:.8g}% {name}" for name, share in ordered)


def _one_element(text: str, names: Sequence[str] | Mapping[str, float]) -> None:
    elements = list(dict.fromkeys(element(name) for name in names))
    if len(elements) > 1:
        what = f"{text!r} mixes {' and '.join(elements)}"
        raise InputError(explain(what, "isotopes are of one element", _EXAMPLE))


def _list(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names))
