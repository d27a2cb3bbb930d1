"""Structures a user names or has in a file, checked before anything is computed."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import ase.io
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, covalent_radii
from ase.neighborlist import neighbor_list

from scatterml_ase.errors import InputError, explain, warn

# Atoms nearer than this share of the sum of their covalent radii are a mistake in the structure:
# the shortest real bonds are at about 0.75, the hottest collisions of MD at about 0.55.
_OVERLAP = 0.4
# Prototypes of ase.build.bulk that need no atomic basis, and how many lattice constants they take.
_PROTOTYPES = {
    "sc": 1,
    "fcc": 1,
    "bcc": 1,
    "hcp": 2,
    "diamond": 1,
    "zincblende": 1,
    "rocksalt": 1,
    "cesiumchloride": 1,
    "fluorite": 1,
    "wurtzite": 2,
}
_FIX = (
    "Give a structure file (CIF, POSCAR, extxyz, …), an element ('Si'), or "
    f"formula:prototype:a[:c] such as 'NaCl:rocksalt:5.64' ({', '.join(_PROTOTYPES)})"
)


def read_structure(text: str | Path) -> Atoms:
    """Return the crystal that a file holds or a name means.

    Parameters
    ----------
    text
        A file that ASE reads (of several structures the last is taken, with a warning), an
        element (its structure at room temperature as ``ase.build.bulk`` knows it), or
        ``formula:prototype:a`` or ``formula:prototype:a:c`` with lattice constants in Å.

    Raises
    ------
    InputError
        If the file cannot be read, the name is not known, or the structure is no crystal that
        can be computed (see :func:`check_crystal`).
    """
    if not isinstance(text, str | Path):
        what = f"{type(text).__name__} is no structure"
        raise InputError(explain(what, "one crystal is named by text, or given as Atoms", _FIX))
    path = Path(text)
    if path.is_file():
        atoms = _read_file(path)
    elif path.exists() and str(text) not in atomic_numbers:  # a folder Si is no obstacle
        raise InputError(explain(f"{str(text)!r} is a folder", "a structure is one file", _FIX))
    else:
        atoms = _build(str(text))
    check_crystal(atoms)
    return atoms


def ground_state(element: str) -> Atoms:
    """Return the crystal of an element at room temperature as ``ase.build.bulk`` knows it.

    Raises
    ------
    InputError
        If ``element`` is none, or ASE cannot build its crystal.
    """
    if element not in atomic_numbers:
        why = "it is not the symbol of an element"
        raise InputError(explain(f"{element!r} has no ground state", why, "Write Si, not si"))
    return _build(element)


def check_atoms(atoms: Atoms) -> None:
    """Refuse what no calculator should be asked for: no atoms, NaN, no element, overlap.

    Raises
    ------
    InputError
        The message names atoms and numbers.
    """
    from scatterml_ase.graph import check_structure  # torch: not before it is needed

    check_structure(atoms)
    if unknown := int(np.sum(atoms.numbers < 1)):
        raise InputError(
            explain(f"{unknown} atoms of the structure have no element",
                    "their symbol is X (atomic number 0)", "Correct the symbols")
        )  # fmt: skip
    _refuse_overlap(atoms)


def check_crystal(atoms: Atoms) -> None:
    """Refuse what :func:`check_atoms` refuses, and what is no three-dimensional crystal.

    Raises
    ------
    InputError
        The message says what is missing.
    """
    if len(atoms) and not atoms.pbc.all():
        raise InputError(
            explain(
                f"{atoms.symbols} is not periodic in all directions (pbc={atoms.pbc.tolist()})",
                "phonons with wavevectors need a crystal",
                "Set pbc and a cell in the file; for a slab add vacuum and set pbc in all "
                "directions",
            )
        )
    check_atoms(atoms)


# -- files ----------------------------------------------------------------------------------------


def _read_file(path: Path) -> Atoms:
    try:
        frames = cast("list[Atoms]", ase.io.read(path, index=":"))
    except Exception as error:  # ASE's readers raise whatever they stumble over
        reason = " ".join(str(error).split()) or "it is empty or of no known format"
        raise InputError(
            explain(
                f"Cannot read a structure from {str(path)!r}",
                f"{type(error).__name__}: {reason}",
                "Check the file, or rename it so that its ending tells the format "
                "(.cif, .vasp, .extxyz); `ase info --formats` lists what can be read",
            )
        ) from error
    if not frames:
        raise InputError(explain(f"{str(path)!r} holds no structure", "it is empty", _FIX))
    if len(frames) > 1:
        warn(
            explain(
                f"{str(path)!r} holds {len(frames)} structures",
                "one is needed, and the last is taken",
                "Write the one you mean to a file of its own if it is another",
            ),
            stacklevel=4,
        )
    atoms = frames[-1]
    _refuse_partial_occupancy(atoms, path)
    return _plain(atoms)


def _refuse_partial_occupancy(atoms: Atoms, path: Path) -> None:
    for site in (atoms.info.get("occupancy") or {}).values():
        if len(site) > 1 or abs(sum(site.values()) - 1) > 1e-3:
            share = ", ".join(f"{symbol} {value:g}" for symbol, value in site.items())
            raise InputError(
                explain(
                    f"{str(path)!r} is disordered, with a site occupied by {share}",
                    "forces exist for ordered arrangements only",
                    "Make an ordered structure (for example a supercell) and give that",
                )
            )


def _plain(atoms: Atoms) -> Atoms:
    """Keep what defines the crystal; leave stored results, constraints and comments behind."""
    magmoms = atoms.get_initial_magnetic_moments() if atoms.has("initial_magmoms") else None
    return Atoms(
        numbers=atoms.numbers,
        positions=atoms.positions,
        cell=atoms.cell,
        pbc=atoms.pbc,
        masses=atoms.get_masses(),
        magmoms=magmoms,
    )


# -- names ----------------------------------------------------------------------------------------


def _build(text: str) -> Atoms:
    name, *rest = text.split(":")
    looks_like_a_file = "/" in text or "\\" in text or "." in name
    if looks_like_a_file:
        raise InputError(
            explain(f"There is no file {text!r}", "a name with a dot or a slash is a file", _FIX)
        )
    if not rest and name not in atomic_numbers:
        why = "there is no such file, and it is not an element"
        raise InputError(explain(f"{text!r} is no structure", why, _FIX))
    try:
        if not rest:
            return bulk(name)
        a, c = (*_constants(text, rest), None)[:2]
        return bulk(name, rest[0], a=a, c=c)
    except InputError:
        raise
    except Exception as error:  # bulk() has no exception of its own
        raise InputError(explain(f"ASE cannot build {text!r}", str(error), _FIX)) from error


def _constants(text: str, rest: list[str]) -> list[float]:
    """Return the lattice constants of ``prototype:a[:c]``."""
    prototype, *values = rest
    if prototype not in _PROTOTYPES:
        why = f"{prototype!r} is not a known prototype"
        raise InputError(explain(f"{text!r} is no structure", why, _FIX))
    try:
        lengths = [float(value) for value in values]
    except ValueError as error:
        why = "lattice constants are numbers in Å"
        raise InputError(explain(f"{text!r} is no structure", why, _FIX)) from error
    if not 1 <= len(lengths) <= _PROTOTYPES[prototype] or min(lengths) <= 0:
        why = f"{prototype} takes {' and '.join('ac'[: _PROTOTYPES[prototype]])} in Å"
        raise InputError(explain(f"{text!r} is no structure", why, _FIX))
    return lengths


# -- distances ------------------------------------------------------------------------------------


def _refuse_overlap(atoms: Atoms) -> None:
    radii = covalent_radii[atoms.numbers]
    i, j, distance = neighbor_list("ijd", atoms, (_OVERLAP * radii).tolist())
    if len(i) == 0:
        return
    worst = int(np.argmin(distance / (radii[i] + radii[j])))
    a, b = (f"{index} ({atoms.symbols[index]})" for index in (int(i[worst]), int(j[worst])))
    raise InputError(
        explain(
            f"Atoms {a} and {b} of {atoms.symbols} are {distance[worst]:.3f} Å apart",
            f"that is less than {_OVERLAP:g} of the sum of their covalent radii "
            f"({radii[i[worst]] + radii[j[worst]]:.2f} Å): no such crystal exists",
            "Remove double atoms (often one on each side of the cell), or check cell and units",
        )
    )
