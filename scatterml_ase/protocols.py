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
class SupportsHessianBlocks(Protocol):
    """A calculator that tells the force constants of each periodic image apart.

    So it gives those of the infinite crystal from its primitive cell.
    """

    @property
    def interaction_range(self) -> float | None:
        """Return the distance in Å beyond which they vanish; None if it is not known."""
        ...

    def get_hessian_blocks(
        self,
        atoms: Atoms,
        *,
        rows: Sequence[int] | np.ndarray | None = None,
        progress: bool = False,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return Φ_ij(S) = ∂²E/∂r_i(0)∂r_j(S), which needs an ``interaction_range``.

        Parameters
        ----------
        atoms
            The structure.
        rows
            The atoms i that are wanted; all if None.
        progress
            Whether a progress bar is shown.

        Returns
        -------
        tuple of arrays
            Pairs (p, 2) and cell shifts (p, 3), integers, and blocks (p, 3, 3) in eV/Å².
        """
        ...


@runtime_checkable
class SupportsSpread(Protocol):
    """A calculator that knows how wrong it may be: one standard deviation."""

    def get_energy_spread(self, atoms: Atoms | None = None) -> float:
        """Return that of the energy of the structure, in eV."""
        ...

    def get_force_spread(self, atoms: Atoms | None = None) -> np.ndarray:
        """Return that of a force component of each atom, shape (atoms,), in eV/Å."""
        ...


@runtime_checkable
class SupportsExtrapolation(Protocol):
    """A calculator that knows whether it has seen anything like an atom's surroundings."""

    def get_extrapolation(self, atoms: Atoms | None = None) -> np.ndarray:
        """Return a grade for each atom, shape (atoms,): above 1 outside of what was seen."""
        ...


@runtime_checkable
class SupportsMembers(Protocol):
    """A committee: ``members`` are calculators whose spread measures the uncertainty."""

    @property
    def members(self) -> Sequence[Any]:
        """Return the calculators of the committee."""
        ...
