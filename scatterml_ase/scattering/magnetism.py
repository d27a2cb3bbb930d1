"""Magnetic scattering is not calculated: what is said of it where it would be measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scatterml_ase.errors import explain, name_species, warn

if TYPE_CHECKING:
    from scatterml_ase.results.crystal import Crystal

NOT_INCLUDED = "magnetic scattering not included"
_MAGNETIC = frozenset({*range(24, 29), *range(58, 71), *range(92, 99)})
"""Cr to Ni, Ce to Yb and U to Cf: elements whose crystals mostly have moments, ordered or not."""


def describe_magnetism(crystal: Crystal) -> dict[str, Any]:
    """Return what belongs in the provenance of neutron scattering; nothing if nothing is magnetic.

    A crystal may be magnetic if its atoms have moments, or are of Cr to Ni, Ce to Yb or U to Cf.
    """
    if crystal.magnetic_moments is None and _MAGNETIC.isdisjoint(crystal.numbers.tolist()):
        return {}
    return {"magnetism": NOT_INCLUDED}


def warn_of_magnetism(crystal: Crystal, *, stacklevel: int = 5) -> None:
    """Say that the moments of a crystal, if any are set, would scatter neutrons too."""
    moments = crystal.magnetic_moments
    if moments is None:
        return
    atoms = name_species(crystal.numbers[moments != 0])
    warn(
        explain(
            f"Atoms of {atoms} have magnetic moments, up to {abs(moments).max():.2g} μ_B: "
            f"{NOT_INCLUDED}",
            "spins scatter neutrons as strongly as nuclei do, at small |Q| above all: Bragg peaks, "
            "spin waves and paramagnetic scattering are missing",
            "Compare at |Q| above some 5 Å⁻¹, where magnetic form factors are small, or remove the "
            "moments if the sample has none",
        ),
        stacklevel=stacklevel,
    )
