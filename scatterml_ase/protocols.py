"""What rooms ask of objects they did not make: duck types, checked by structure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from ase import Atoms


@runtime_checkable
class SupportsEvaluate(Protocol):
    """A calculator that computes many structures in one batch.

    ``evaluate([a, b])`` gives one dict per structure with ASE's names and shapes
    (``energy`` eV, ``forces`` (atoms, 3) eV/Å, ``stress`` (6,) eV/Å³ Voigt).
    """

    def evaluate(self, images: Sequence[Atoms]) -> list[dict[str, Any]]:
        """Return one dict of results per structure."""
        ...


@runtime_checkable
class SupportsHessian(Protocol):
    """A calculator with exact second derivatives of its energy."""

    def get_hessian(self, atoms: Atoms) -> np.ndarray:
        """Return the Hessian, shape (atoms, 3, atoms, 3), in eV/Å²."""
        ...


@runtime_checkable
class SupportsMembers(Protocol):
    """A committee: ``members`` are calculators whose spread measures the uncertainty."""

    @property
    def members(self) -> Sequence[Any]:
        """Return the calculators of the committee."""
        ...
