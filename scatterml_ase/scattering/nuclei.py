"""What the nuclei of a crystal do to neutrons: lengths and cross-sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from scatterml_ase.physics import lengths
from scatterml_ase.scattering.magnetism import describe_magnetism, warn_of_magnetism

if TYPE_CHECKING:
    from scatterml_ase.physics.lengths import Overrides
    from scatterml_ase.results.crystal import Crystal

_FM2_TO_BARN = 1e-2


@dataclass(frozen=True, eq=False)
class Nuclei:
    """Lengths and bound cross-sections of every atom.

    Parameters
    ----------
    names
        Nuclides.
    lengths
        Coherent scattering lengths in fm, complex, shape (atoms,).
    incoherent
        Incoherent cross-sections in barn, shape (atoms,).
    notes
        What else belongs in provenance.
    """

    names: tuple[str, ...]
    lengths: np.ndarray
    incoherent: np.ndarray
    notes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        crystal: Crystal,
        scattering_lengths: Overrides | None = None,
        incoherent_cross_sections: Mapping[str | int, float] | None = None,
    ) -> Self:
        """Look them up, with the user's own on top.

        Raises
        ------
        InputError
            If the table has none, or one given names nothing in the crystal.
        """
        names, values = crystal_lengths(crystal, scattering_lengths)
        warn_of_magnetism(crystal)
        bare = cls.bare(names, values, describe_magnetism(crystal))
        return bare.with_incoherent(incoherent_cross_sections)

    @classmethod
    def bare(
        cls, names: Sequence[str], lengths: np.ndarray, notes: Mapping[str, Any] | None = None
    ) -> Self:
        """Return nuclei without incoherent scattering."""
        return cls(tuple(names), lengths, np.zeros(len(names)), notes or {})

    def with_incoherent(self, given: Mapping[str | int, float] | None = None) -> Self:
        """Return the same with incoherent cross-sections of the table, those given on top."""
        return replace(self, incoherent=lengths.incoherent_cross_sections(self.names, given))

    @property
    def coherent(self) -> np.ndarray:
        """Coherent cross-sections 4π|b|² in barn, shape (atoms,)."""
        return 4 * np.pi * np.abs(self.lengths) ** 2 * _FM2_TO_BARN

    def provenance(self) -> dict[str, Any]:
        """Return what they are and where they come from."""
        return {
            "scattering_length_table": lengths.TABLE,
            "scattering_lengths_fm": named_lengths(self.names, self.lengths),
            "incoherent_cross_sections_barn": named_values(self.names, self.incoherent.tolist()),
            **self.notes,
        }


def crystal_lengths(
    crystal: Crystal, overrides: Overrides | None = None
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return nuclide and coherent length in fm of every atom, with the user's own on top.

    See :func:`~scatterml_ase.physics.lengths.scattering_lengths`.
    """
    return lengths.scattering_lengths(
        crystal.numbers, crystal.masses, overrides, nuclides=crystal.nuclides
    )


def named_values(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    """Return values by nuclide; an atom that differs from others of its name stands for itself."""
    unique = dict(zip(names, values, strict=True))
    for index, (name, value) in enumerate(zip(names, values, strict=True)):
        if value != unique[name]:  # given by index
            unique[f"{name} (atom {index})"] = value
    return unique


def named_lengths(names: Sequence[str], values: np.ndarray) -> dict[str, list[float]]:
    """Return scattering lengths as (real, imaginary) in fm by nuclide."""
    return named_values(names, [[b.real, b.imag] for b in values.tolist()])
