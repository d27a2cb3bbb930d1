"""What is scattered: neutrons by nuclei, x-rays by electrons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, get_args

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics import form_factors, lengths
from scatterml_ase.scattering.magnetism import describe_magnetism, warn_of_magnetism
from scatterml_ase.scattering.nuclei import crystal_lengths, named_lengths

if TYPE_CHECKING:
    from scatterml_ase.physics.form_factors import Ions
    from scatterml_ase.physics.lengths import Overrides
    from scatterml_ase.results.crystal import Crystal

ProbeName = Literal["neutron", "xray"]


class Probe(Protocol):
    """How strongly each atom of a crystal scatters, as far as it depends on Q alone."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the name of every atom: its nuclide, or the atom or ion."""
        ...

    def amplitude_factors(self, Q: np.ndarray) -> np.ndarray:
        """Return what takes the place of b in fm, shape (atoms,) or (points, atoms).

        Parameters
        ----------
        Q
            Scattering vectors in Å⁻¹, Cartesian, shape (points, 3).
        """
        ...

    def unchanged_by(self, permutations: np.ndarray) -> bool:
        """Tell whether atoms that permutations exchange, shape (p, atoms), scatter alike."""
        ...

    def real_parts(self) -> list[Self]:
        """Return probes with real amplitudes whose intensities add up to the mean of ±Q."""
        ...

    def provenance(self) -> dict[str, Any]:
        """Return where the amplitudes come from."""
        ...


@dataclass(frozen=True, eq=False)
class NeutronProbe:
    """Neutrons, which nuclei scatter alike at all Q.

    Parameters
    ----------
    names
        Nuclide of every atom.
    lengths
        Coherent scattering lengths in fm, complex, shape (atoms,).
    notes
        What else belongs in provenance.
    """

    names: tuple[str, ...]
    lengths: np.ndarray
    notes: Mapping[str, Any] = field(default_factory=dict)

    def amplitude_factors(self, Q: np.ndarray) -> np.ndarray:
        """Return the lengths, shape (atoms,)."""
        return self.lengths

    def unchanged_by(self, permutations: np.ndarray) -> bool:
        """Tell whether atoms that are exchanged have equal lengths."""
        return bool(np.all(self.lengths[permutations] == self.lengths))

    def real_parts(self) -> list[Self]:
        """Return real and imaginary lengths as a probe each."""
        if not self.lengths.imag.any():
            return [self]
        return [replace(self, lengths=part) for part in (self.lengths.real, self.lengths.imag)]

    def provenance(self) -> dict[str, Any]:
        """Return the table and its lengths."""
        return {
            "scattering_length_table": lengths.TABLE,
            "scattering_lengths_fm": named_lengths(self.names, self.lengths),
            **self.notes,
        }


@dataclass(frozen=True)
class XrayProbe:
    """X-rays, which electrons scatter by r_e f(|Q|); polarization is left out.

    Parameters
    ----------
    names
        Atom or ion of every atom, as :mod:`~scatterml_ase.physics.form_factors` spells it.
    """

    names: tuple[str, ...]

    def amplitude_factors(self, Q: np.ndarray) -> np.ndarray:
        """Return r_e f(|Q|), shape (points, atoms)."""
        return form_factors.named_amplitudes(self.names, np.linalg.norm(Q, axis=1))

    def unchanged_by(self, permutations: np.ndarray) -> bool:
        """Tell whether atoms that are exchanged are the same ion."""
        names = np.array(self.names)
        return bool(np.all(names[permutations] == names))

    def real_parts(self) -> list[Self]:
        """Return the probe itself: form factors are real."""
        return [self]

    def provenance(self) -> dict[str, Any]:
        """Return the table, the atoms and ions, and what is left out."""
        return {
            "probe": "xray",
            "form_factor_table": form_factors.TABLE,
            "form_factors": self.names,
            "polarization_factor": "left out",
        }


def make_probe(
    name: ProbeName,
    crystal: Crystal,
    *,
    scattering_lengths: Overrides | None = None,
    ions: Ions | None = None,
) -> NeutronProbe | XrayProbe:
    """Look up what the atoms of a crystal do to neutrons or x-rays.

    Raises
    ------
    InputError
        If there is no such probe, an option belongs to the other one, or a table has no entry.
    """
    _check_name(name)
    if name == "neutron":
        _refuse("ions", ions, name, "neutrons do not see electrons")
        warn_of_magnetism(crystal, stacklevel=6)  # the caller of the analyzer
        names, values = crystal_lengths(crystal, scattering_lengths)
        return NeutronProbe(names, values, describe_magnetism(crystal))
    _refuse("scattering_lengths", scattering_lengths, name, "x-rays do not see nuclei")
    return XrayProbe(form_factors.scatterer_names(crystal.numbers, ions))


def neutrons_only(probe: ProbeName, **options: Any) -> None:
    """Raise if x-rays are asked for along with options that only neutrons have.

    ``neutrons_only("xray", instrument=None, incoherent=False)`` passes: neither is asked for.

    Raises
    ------
    InputError
        If the probe is x-rays and an option is neither None nor False, or no such probe exists.
    """
    _check_name(probe)
    for option, value in options.items():
        if probe == "xray" and value is not None and value is not False:
            raise InputError(
                explain(
                    f"{option}={getattr(value, 'name', value)!r} was given with probe='xray'",
                    "spectrometers, spins and cross-sections in the tables are those of neutrons",
                    f"Leave {option} out; energy_fwhm sets the resolution",
                )
            )


def _check_name(name: Any) -> None:
    if name not in get_args(ProbeName):
        what = f"probe={name!r} is not known"
        fix = f"Give one of {', '.join(map(repr, get_args(ProbeName)))}"
        raise InputError(explain(what, "it says what is scattered", fix))


def _refuse(option: str, value: Any, probe: str, why: str) -> None:
    if value:
        what = f"{option} was given with probe={probe!r}"
        raise InputError(explain(what, why, f"Leave {option} out, or choose the other probe"))
