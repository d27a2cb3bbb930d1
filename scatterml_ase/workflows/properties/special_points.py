"""Frequencies at the special points of cubic crystals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import reference_states
from ase.spacegroup.symmetrize import check_symmetry

from scatterml_ase.results.force_constants import ForceConstants

_KINDS = {225: "fcc", 229: "bcc", 227: "diamond"}
# In units of 2π/a along the conventional axes.
_POINTS = {
    "Γ": (0.0, 0.0, 0.0),
    "X": (1.0, 0.0, 0.0),
    "L": (0.5, 0.5, 0.5),
    "H": (1.0, 0.0, 0.0),
    "N": (0.5, 0.5, 0.0),
    "P": (0.5, 0.5, 0.5),
}
BRANCHES = {
    "fcc": (("X", "T", 0), ("X", "L", 2), ("L", "T", 0), ("L", "L", 2)),
    "bcc": (("H", "LT", 0), ("N", "1", 0), ("N", "2", 1), ("N", "3", 2), ("P", "LT", 0)),
    "diamond": (
        ("Γ", "LTO", 5), ("X", "TA", 0), ("X", "LAO", 2), ("X", "TO", 5),
        ("L", "TA", 0), ("L", "LA", 2), ("L", "LO", 3), ("L", "TO", 5),
    ),
}  # fmt: skip
"""By kind of crystal: (point, name, index in ascending order), one of each degenerate set."""


@dataclass(frozen=True)
class SpecialFrequency:
    """A phonon at a special point.

    Parameters
    ----------
    point, branch
        Such as ``"X"`` and ``"TA"``; numbers where the order is all there is.
    index
        Among the frequencies at this point, ascending, from 0.
    frequency
        In THz.
    """

    point: str
    branch: str
    index: int
    frequency: float

    @property
    def key(self) -> str:
        """Name in the tables of references: ``phonon_X_1``."""
        return f"phonon_{self.point}_{self.index + 1}"


def crystal_kind(atoms: Atoms, precision: float = 1e-4) -> str | None:
    """Return "fcc", "bcc" or "diamond" for elements that are, else None."""
    group = check_symmetry(atoms, symprec=precision)
    if group is None or len(set(atoms.numbers.tolist())) > 1:
        return None
    kind, per_cell = _KINDS.get(group.number), len(group.std_types)
    return kind if per_cell == {"fcc": 4, "bcc": 2, "diamond": 8}.get(kind or "") else None


def in_ground_state(atoms: Atoms) -> bool:
    """Tell whether an elemental crystal is the one that ``ase.build.bulk`` builds.

    Published values of an element are of that crystal. Only fcc, bcc and diamond are told apart.
    """
    kind = crystal_kind(atoms)
    known = reference_states[atoms.numbers[0]] or {}
    return kind is not None and kind == known.get("symmetry")


def special_frequencies(force_constants: ForceConstants) -> tuple[SpecialFrequency, ...]:
    """Return the distinct frequencies at Γ, X, L (fcc, diamond) or H, N, P (bcc); else ()."""
    atoms = force_constants.crystal.to_atoms()
    kind = crystal_kind(atoms)
    if kind is None:
        return ()
    group = check_symmetry(atoms, symprec=1e-4)
    conventional = np.linalg.inv(group.transformation_matrix).T @ atoms.cell.array
    to_reduced = atoms.cell.array @ np.linalg.inv(conventional)  # q_i = a_i · q
    branches = BRANCHES[kind]
    points = list(dict.fromkeys(point for point, _, _ in branches))
    q = np.array([to_reduced @ np.array(_POINTS[point]) for point in points])
    frequencies = dict(zip(points, force_constants.modes(q).to("THz").frequencies, strict=True))
    return tuple(
        SpecialFrequency(point, branch, index, float(frequencies[point][index]))
        for point, branch, index in branches
    )
