"""What can be predicted from structure alone, and a word on what cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

from scatterml_ase.errors import InputError, ModelError, explain, name_species
from scatterml_ase.neighbours import check_structure, neighbours
from scatterml_ase.phonons.preparation import check_handedness

if TYPE_CHECKING:
    from scatterml_ase.card import Card

_OVERLAP = 0.5  # Å: no bond is as short, not even that of hydrogen


def check_predictable(atoms: Atoms, card: Card) -> None:
    """Refuse what the model cannot be asked for.

    Raises
    ------
    InputError
        If ``atoms`` is no three-dimensional crystal, is disordered, has atoms on top of each
        other or a left-handed cell.
    ModelError
        If it holds an element the model was never shown.
    """
    check_structure(atoms)
    volume = abs(np.linalg.det(atoms.cell.array))
    if not atoms.pbc.all() or volume < 1e-6:
        raise InputError(
            explain(
                f"{atoms.symbols} is no three-dimensional crystal (pbc={atoms.pbc.tolist()})",
                f"model {card.name!r} was shown bulk crystals only, no molecules and no slabs",
                "Use FiniteDisplacementPhonons with a calculator that knows such structures, or "
                "ase.vibrations for a molecule",
            )
        )
    if unknown := sorted(set(atoms.numbers.tolist()) - set(card.species)):
        raise ModelError(
            explain(
                f"{name_species(unknown)} is not in model {card.name!r}",
                f"it knows {name_species(card.species)}",
                "Use FiniteDisplacementPhonons with a calculator that knows the element",
            )
        )
    check_ordered(atoms)
    check_handedness(atoms)
    _check_apart(atoms)


def _check_apart(atoms: Atoms) -> None:
    """Refuse atoms on top of each other: directions between them mean nothing."""
    first, second, _ = neighbours(atoms, _OVERLAP)
    if first.size == 0:
        return
    a, b = (f"{k} ({atoms.symbols[k]})" for k in (int(first[0]), int(second[0])))
    raise InputError(
        explain(
            f"Atoms {a} and {b} of {atoms.symbols} are less than {_OVERLAP} Å apart",
            "no such crystal exists",
            "Remove double atoms (often one on each side of the cell), or check cell and units",
        )
    )


def check_ordered(atoms: Atoms) -> None:
    """Refuse sites that several species share, as ASE's CIF reader notes them.

    Raises
    ------
    InputError
        If a site is not fully occupied by one species.
    """
    occupancy = atoms.info.get("occupancy") or {}
    shared = {
        str(site): species
        for site, species in occupancy.items()
        if len(species) != 1 or abs(sum(species.values()) - 1) > 1e-3
    }
    if not shared:
        return
    site, species = next(iter(shared.items()))
    mix = ", ".join(f"{symbol} {share:g}" for symbol, share in species.items())
    raise InputError(
        explain(
            f"{atoms.symbols} is disordered: site {site} is shared ({mix}), "
            f"{len(shared)} such sites in all",
            "force constants belong to atoms that are there or not",
            "Make an ordered supercell (say with the package icet), average several, or delete "
            'atoms.info["occupancy"] to take the main species of each site',
        )
    )
