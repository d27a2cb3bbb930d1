"""A calculator under test, and how its numbers are asked for and compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

from scatterml_ase.protocols import SupportsEvaluate
from scatterml_ase.testing.violation import require_close, violated

_GETTERS: dict[str, Callable[[Atoms], Any]] = {
    "energy": lambda atoms: atoms.get_potential_energy(),
    "free_energy": lambda atoms: atoms.get_potential_energy(force_consistent=True),
    "energies": lambda atoms: atoms.get_potential_energies(),
    "forces": lambda atoms: atoms.get_forces(apply_constraint=False),
    "stress": lambda atoms: atoms.get_stress(apply_constraint=False),
}


@dataclass(frozen=True)
class Subject:
    """A calculator and a structure under test, with the results they should reproduce."""

    calculator: Any
    atoms: Atoms
    expected: dict[str, Any]
    forces: float
    stress: float
    symmetry: float
    step: float
    generator: np.random.Generator
    revived: Any
    """What pickling made of the calculator, or the exception it raised."""

    def allowed(self, name: str) -> float:
        """Return the tolerance for a property: relative to its largest value, at least to 1."""
        return self.symmetry * max(1.0, float(np.abs(self.expected[name]).max(initial=0.0)))

    def require(self, name: str, check: str, pair: tuple[Any, Any], why: str) -> None:
        """Raise unless found and expected values agree to the tolerance of symmetry."""
        subject = f"{name} of {self.atoms.get_chemical_formula()} from {self.calculator!r}"
        require_close(check, subject, pair, self.allowed(name), why)

    def compare(self, check: str, found: dict[str, Any], why: str) -> None:
        """Raise unless all properties are there and agree."""
        for name, value in self.expected.items():
            if name not in found:
                violated(check, f"{name} is missing", why, "Compute the same properties every time")
            self.require(name, check, (found[name], value), why)


def properties_of(calculator: Any, atoms: Atoms) -> dict[str, Any]:
    """Return what the calculator implements for a structure, through ASE's own getters."""
    atoms = attached(atoms, calculator)
    found = {}
    for name in ("forces", "stress", "energy", "free_energy", "energies"):
        try:
            found[name] = _GETTERS[name](atoms)
        except (PropertyNotImplementedError, NotImplementedError):
            continue
    return found


def energies_of(calculator: Any, images: Sequence[Atoms]) -> np.ndarray:
    """Return the energy of each structure, (structures,) eV, in one batch where possible."""
    if isinstance(calculator, SupportsEvaluate):
        return np.array([result["energy"] for result in calculator.evaluate(images)])
    return np.array([_GETTERS["energy"](attached(atoms, calculator)) for atoms in images])


def attached(atoms: Atoms, calculator: Any) -> Atoms:
    """Return a copy with the calculator attached."""
    atoms = atoms.copy()
    atoms.calc = calculator
    return atoms
