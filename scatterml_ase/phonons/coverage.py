"""What crystals a model was shown, so that others can be told to be unlike them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from torch import Tensor

from scatterml_ase.card import Card
from scatterml_ase.companions import load_companion
from scatterml_ase.errors import AccuracyWarning, StabilityWarning, explain, warn
from scatterml_ase.phonons.harmonic_graph import CrystalEdges

COMPANION = "coverage"
_ELEMENTS = 119
_CONTACT = 1.25
"""Sums of covalent radii within which two atoms touch."""
_CLOSER, _WIDER = 0.93, 1.1
"""Shorter than the shortest contact, packed more or less tightly than any, by these factors."""


@dataclass(frozen=True)
class Coverage:
    """Contacts and densities of the crystals a model was trained on."""

    shortest: np.ndarray
    """Shortest distance in Å of two touching species by atomic number, (119, 119); inf: never."""
    packing: np.ndarray
    """Smallest and largest share of the volume that spheres of covalent radii take, (2,)."""

    @classmethod
    def of(cls, crystals: Iterable[tuple[Atoms, CrystalEdges]]) -> Coverage:
        """Collect the contacts of crystals, whose edges reach beyond contacts."""
        shortest = np.full((_ELEMENTS, _ELEMENTS), np.inf)
        packings = []
        for atoms, edges in crystals:
            numbers, distances = _contacts(atoms, edges)
            np.minimum.at(shortest, (numbers[0], numbers[1]), distances)
            packings.append(packing(atoms))
        low, high = np.quantile(packings, [0.001, 0.999])
        return cls(shortest, np.array([low, high]))

    def tensors(self) -> dict[str, Tensor]:
        """Return what is stored beside a model."""
        return {name: torch.from_numpy(np.array(value)) for name, value in vars(self).items()}

    def check(self, atoms: Atoms, edges: CrystalEdges, name: str) -> None:
        """Warn if a structure is far from equilibrium, or unlike all that model ``name`` saw."""
        numbers, distances = _contacts(atoms, edges)
        known = self.shortest[numbers[0], numbers[1]]
        squeezed = np.flatnonzero(np.isfinite(known) & (distances < _CLOSER * known))
        share = packing(atoms)
        if squeezed.size or not self.packing[0] / _WIDER < share < self.packing[1] * _WIDER:
            _warn_of_distance(atoms, name, numbers[:, squeezed], distances[squeezed], share)
        strange = {tuple(sorted(pair)) for pair in numbers[:, ~np.isfinite(known)].T.tolist()}
        if strange:
            pairs = ", ".join(
                "-".join(chemical_symbols[z] for z in pair) for pair in sorted(strange)
            )
            what = f"Model {name!r} has never seen {pairs} in contact, as in {atoms.symbols}"
            why = "what it predicts of them is a guess"
            fix = "Check it with FiniteDisplacementPhonons and a calculator you trust"
            warn(explain(what, why, fix), AccuracyWarning, stacklevel=5)


def _warn_of_distance(
    atoms: Atoms, name: str, pairs: np.ndarray, distances: np.ndarray, share: float
) -> None:
    what = f"{atoms.symbols} is far from any crystal that model {name!r} was shown"
    why = f"its atoms fill {share:.0%} of the volume"
    if distances.size:
        first, second = (chemical_symbols[z] for z in pairs[:, int(np.argmin(distances))])
        why = f"{first} and {second} are {distances.min():.2f} Å apart"
    fix = "Phonons are vibrations about a minimum: relax it, or check the units of its cell"
    warn(explain(what, why, fix), StabilityWarning, stacklevel=6)


def packing(atoms: Atoms) -> float:
    """Return the share of the volume that spheres of covalent radii take."""
    spheres = 4 / 3 * np.pi * covalent_radii[atoms.numbers] ** 3
    return float(spheres.sum() / abs(np.linalg.det(atoms.cell.array)))


def _contacts(atoms: Atoms, edges: CrystalEdges) -> tuple[np.ndarray, np.ndarray]:
    """Return atomic numbers (2, c) and distances (c,) of atoms that touch."""
    numbers = atoms.numbers[edges.index]
    distances = np.linalg.norm(edges.vectors, axis=1)
    close = distances < _CONTACT * covalent_radii[numbers].sum(axis=0)
    return numbers[:, close], distances[close]


def coverage_of(card: Card) -> Coverage | None:
    """Return what crystals a model was trained on, if that is stored beside it."""
    if COMPANION not in card.companions:
        return None
    found = load_companion(card, COMPANION, remedy="Train the model again")
    return Coverage(**{name: value.numpy() for name, value in found.items()})
