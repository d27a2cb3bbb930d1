"""How strongly each atom of a trajectory scatters."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from ase.data import chemical_symbols

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.form_factors import named_amplitudes
from scatterml_ase.scattering.nuclei import Nuclei
from scatterml_ase.scattering.probe import NeutronProbe, XrayProbe
from scatterml_ase.units import FM2_TO_MBARN

Amplitudes = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From atomic numbers (kinds,) and |Q| in Å⁻¹ (q,) to scattering amplitudes in fm, (q, kinds)."""
_BARN_TO_MBARN = 1e3


@dataclass(frozen=True, eq=False)
class SiteWeights:
    """Atoms grouped into kinds that scatter alike.

    Parameters
    ----------
    kinds
        Kind of every atom, shape (atoms,).
    amplitudes
        From |Q| in Å⁻¹ (q,) to amplitudes in fm, shape (q, kinds).
    cross_sections
        Incoherent, of every kind in barn, shape (kinds,); None if not asked for.
    notes
        What they are and where they come from, for provenance.
    """

    kinds: np.ndarray
    amplitudes: Callable[[np.ndarray], np.ndarray] = field(repr=False)
    cross_sections: np.ndarray | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def neutron(
        cls,
        probe: NeutronProbe,
        *,
        incoherent: bool,
        cross_sections: Mapping[str | int, float] | None = None,
    ) -> Self:
        """Take nuclei, with incoherent cross-sections if asked for, in barn the user's own.

        Raises
        ------
        InputError
            If the table has no incoherent cross-section, or one given names nothing.
        """
        nuclei = Nuclei.bare(probe.names, probe.lengths, probe.notes)
        if incoherent:
            nuclei = nuclei.with_incoherent(cross_sections)
        columns = (probe.names, probe.lengths.tolist(), nuclei.incoherent.tolist())
        found, kinds = _alike(list(zip(*columns, strict=True)))
        lengths = np.array([key[1] for key in found], dtype=complex)
        return cls(
            kinds,
            lambda q_lengths: np.tile(lengths, (len(q_lengths), 1)),
            np.array([key[2] for key in found]) if incoherent else None,
            nuclei.provenance() if incoherent else probe.provenance(),
        )

    @classmethod
    def xray(cls, probe: XrayProbe) -> Self:
        """Take atoms and ions."""
        found, kinds = _alike(probe.names)
        names = tuple(found)
        notes = XrayProbe(names).provenance()
        return cls(kinds, lambda q_lengths: named_amplitudes(names, q_lengths), notes=notes)

    @classmethod
    def given(cls, numbers: np.ndarray, amplitudes: Amplitudes) -> Self:
        """Take amplitudes of the user's own, one for each element."""
        elements, kinds = np.unique(numbers, return_inverse=True)
        notes = {
            "scattering_amplitudes": "given by the user",
            "elements": [chemical_symbols[z] for z in elements],
        }
        return cls(kinds.reshape(-1), lambda q: _checked(amplitudes, elements, q), notes=notes)

    def coherent(self, q_lengths: np.ndarray) -> np.ndarray:
        """Return amplitudes in fm at |Q| in Å⁻¹, complex, shape (q, kinds)."""
        return np.asarray(self.amplitudes(q_lengths), dtype=complex)

    def incoherent(self) -> np.ndarray:
        """Return σ_inc/4π of every kind in mbarn/sr, shape (kinds,).

        Raises
        ------
        InputError
            If there is none.
        """
        if self.cross_sections is None:
            what = "X-rays and amplitudes of your own have no incoherent part"
            fix = 'Use scattering="coherent", or neutrons'
            raise InputError(explain(what, "only tables of neutrons hold spins and isotopes", fix))
        return self.cross_sections * (_BARN_TO_MBARN / (4 * np.pi))

    def mean_square(self, q_lengths: np.ndarray) -> np.ndarray:
        """Return Σ_j |b_j|²/N in mbarn/sr at |Q|, shape (q,): what uncorrelated atoms scatter."""
        shares = np.bincount(self.kinds) / len(self.kinds)
        return np.abs(self.coherent(q_lengths)) ** 2 @ shares * FM2_TO_MBARN

    def mean_incoherent(self) -> float:
        """Return Σ_j σ_inc,j/(4πN) in mbarn/sr."""
        return float(np.mean(self.incoherent()[self.kinds]))


def _alike(keys: Sequence[Hashable]) -> tuple[list[Any], np.ndarray]:
    """Return the distinct keys in order, and which of them each one is."""
    found = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    return list(found), np.array([found[key] for key in keys])


def _checked(amplitudes: Amplitudes, elements: np.ndarray, q_lengths: np.ndarray) -> np.ndarray:
    """Return what the user's function says, if it can be used."""
    shape = (len(q_lengths), len(elements))
    values = np.asarray(amplitudes(elements, q_lengths), dtype=complex)
    if values.shape != shape or not np.isfinite(values).all():
        raise InputError(
            explain(
                f"amplitudes() returned shape {values.shape} or numbers that are not finite",
                f"for {shape[1]} elements at {shape[0]} lengths of Q it must be {shape}, in fm",
                "Write e.g. lambda numbers, q: np.outer(np.exp(-q), numbers)",
            )
        )
    return values
