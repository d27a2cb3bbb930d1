"""How strongly each atom of a trajectory scatters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from ase.data import chemical_symbols

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics import lengths
from scatterml_ase.units import FM2_TO_MBARN

if TYPE_CHECKING:
    from scatterml_ase.physics.lengths import Overrides

Amplitudes = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From atomic numbers (kinds,) and |Q| in Å⁻¹ (q,) to scattering amplitudes in fm, (q, kinds)."""
_BARN_TO_MBARN = 1e3


@dataclass(frozen=True, eq=False)
class SiteWeights:
    """Atoms grouped into kinds that scatter alike.

    Parameters
    ----------
    names
        Nuclide or element of every kind.
    numbers
        Atomic number of every kind, shape (kinds,).
    kinds
        Kind of every atom, shape (atoms,).
    lengths
        Coherent scattering length of every kind in fm, complex, shape (kinds,); None with
        ``amplitudes``.
    cross_sections
        Incoherent, of every kind in barn, shape (kinds,); None if not asked for.
    amplitudes
        The user's own function in place of lengths.
    """

    names: tuple[str, ...]
    numbers: np.ndarray
    kinds: np.ndarray
    lengths: np.ndarray | None = None
    cross_sections: np.ndarray | None = None
    amplitudes: Amplitudes | None = field(default=None, repr=False)

    @classmethod
    def neutron(
        cls,
        numbers: np.ndarray,
        masses: np.ndarray,
        overrides: Overrides | None = None,
        *,
        incoherent: bool = False,
        cross_sections: Mapping[str | int, float] | None = None,
    ) -> Self:
        """Look up what neutrons see.

        Parameters
        ----------
        numbers, masses
            Of the atoms; a mass tells an isotope.
        overrides
            Coherent lengths of the user's own.
        incoherent
            Whether cross-sections are needed.
        cross_sections
            Incoherent ones of the user's own, in barn.

        Raises
        ------
        InputError
            If one is missing or an override names nothing.
        """
        names, values = lengths.scattering_lengths(numbers, masses, overrides)
        sections = np.zeros(len(names))
        if incoherent:
            sections = lengths.incoherent_cross_sections(names, cross_sections)
        columns = (names, numbers.tolist(), values.tolist(), sections.tolist())
        keys = list(zip(*columns, strict=True))
        found = {key: index for index, key in enumerate(dict.fromkeys(keys))}
        return cls(
            names=tuple(key[0] for key in found),
            numbers=np.array([key[1] for key in found]),
            kinds=np.array([found[key] for key in keys]),
            lengths=np.array([key[2] for key in found]),
            cross_sections=np.array([key[3] for key in found]) if incoherent else None,
        )

    @classmethod
    def given(cls, numbers: np.ndarray, amplitudes: Amplitudes) -> Self:
        """Use amplitudes of the user's own, one for each element."""
        elements, kinds = np.unique(numbers, return_inverse=True)
        names = tuple(chemical_symbols[z] for z in elements)
        return cls(names, elements, kinds.reshape(-1), amplitudes=amplitudes)

    def coherent(self, q_lengths: np.ndarray) -> np.ndarray:
        """Return amplitudes in fm at |Q| in Å⁻¹, complex, shape (q, kinds).

        Raises
        ------
        InputError
            If the user's function returns another shape or numbers that are not finite.
        """
        shape = (len(q_lengths), len(self.names))
        if self.amplitudes is None:
            return np.broadcast_to(np.asarray(self.lengths, dtype=complex), shape)
        values = np.asarray(self.amplitudes(self.numbers, q_lengths), dtype=complex)
        if values.shape != shape or not np.isfinite(values).all():
            raise InputError(
                explain(
                    f"amplitudes() returned shape {values.shape} or numbers that are not finite",
                    f"for {shape[1]} elements at {shape[0]} lengths of Q it must be {shape}, in fm",
                    "Write e.g. lambda numbers, q: np.outer(np.exp(-q), numbers)",
                )
            )
        return values

    def incoherent(self) -> np.ndarray:
        """Return σ_inc/4π of every kind in mbarn/sr, shape (kinds,).

        Raises
        ------
        InputError
            If the amplitudes are the user's own.
        """
        if self.cross_sections is None:
            what = "Amplitudes of your own have no incoherent part"
            fix = 'Use scattering="coherent", or leave amplitudes out'
            raise InputError(explain(what, "only tables of neutrons hold spins and isotopes", fix))
        return self.cross_sections * (_BARN_TO_MBARN / (4 * np.pi))

    def mean_square(self, q_lengths: np.ndarray) -> np.ndarray:
        """Return Σ_j |b_j|²/N in mbarn/sr at |Q|, shape (q,): what uncorrelated atoms scatter."""
        shares = np.bincount(self.kinds, minlength=len(self.names)) / len(self.kinds)
        return np.abs(self.coherent(q_lengths)) ** 2 @ shares * FM2_TO_MBARN

    def mean_incoherent(self) -> float:
        """Return Σ_j σ_inc,j/(4πN) in mbarn/sr."""
        return float(np.mean(self.incoherent()[self.kinds]))

    def provenance(self) -> dict[str, Any]:
        """Return what the weights are and where they come from."""
        if self.lengths is None:
            return {"scattering_amplitudes": "given by the user", "elements": self.names}
        found: dict[str, Any] = {
            "scattering_length_table": lengths.TABLE,
            "scattering_lengths_fm": self._by_name(self.lengths),
        }
        if self.cross_sections is not None:
            found["incoherent_cross_sections_barn"] = self._by_name(self.cross_sections)
        return found

    def _by_name(self, values: np.ndarray) -> dict[str, Any]:
        """Name values of kinds; those of one nuclide that differ are listed."""
        named: dict[str, list[Any]] = {}
        for name, value in zip(self.names, values.tolist(), strict=True):
            plain = [value.real, value.imag] if isinstance(value, complex) else value
            if plain not in named.setdefault(name, []):
                named[name].append(plain)
        return {name: found[0] if len(found) == 1 else found for name, found in named.items()}
