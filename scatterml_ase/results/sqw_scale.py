"""What the intensity of S(Q, E) is per, and whether k_f/k_i is in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.kinematics import incident_and_final, wavenumber
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.units import conversion_factor

if TYPE_CHECKING:
    from scatterml_ase.results.sqw import SqwMap

Scale = Literal["atom", "formula_unit", "cell", "arbitrary"]


def scale_factor(present: Scale, wanted: Scale, crystal: Crystal | None) -> float:
    """Return what an intensity per ``present`` is multiplied with to be per ``wanted``.

    Raises
    ------
    InputError
        If a scale is not known or arbitrary, or the crystal that is needed is.
    """
    known = ("atom", "formula_unit", "cell")
    if wanted not in known:
        raise InputError(
            explain(
                f"A spectrum per {wanted!r} is not known",
                f"it can be per {', '.join(known)}",
                "Use one of these",
            )
        )
    if present == "arbitrary":
        raise InputError(
            explain(
                f"A spectrum in arbitrary units cannot be given per {wanted}",
                "how much scattered, and how strongly, is not known",
                "Find its scale beside a simulation: simulated.compare(measured).scale",
            )
        )
    if present == wanted:
        return 1.0
    if crystal is None:
        raise InputError(
            explain(
                f"A spectrum per {present} of an unknown crystal cannot be given per {wanted}",
                "how many atoms there are is not known",
                "Set it: dataclasses.replace(sqw, crystal=Crystal.from_atoms(atoms))",
            )
        )
    atoms = {
        "atom": 1.0,
        "formula_unit": len(crystal) / crystal.formula_units,
        "cell": float(len(crystal)),
    }
    return atoms[wanted] / atoms[present]


def spell_unit(unit: str, scale: Scale) -> str:
    """Return the unit of an intensity: ``"arbitrary/meV"`` where no absolute scale is known."""
    return unit.replace("mbarn/sr", "arbitrary") if scale == "arbitrary" else unit


def ki_over_kf_factor(sqw: SqwMap, *, applied: bool) -> np.ndarray:
    """Return the factor on each energy bin that takes k_f/k_i out of a map, or puts it in.

    Raises
    ------
    InputError
        If it is not known whether k_f/k_i is in, or at what energy.
    """
    if sqw.ki_over_kf is None:
        raise InputError(
            explain(
                "Whether k_f/k_i is in this map is not known",
                "its file did not say",
                "Set it: dataclasses.replace(sqw, ki_over_kf=True) if it was divided out",
            )
        )
    if sqw.ki_over_kf == applied:
        return np.ones(len(sqw.energy_centres))
    energies = sqw.energy_centres * conversion_factor(sqw.units["energy"], "meV")
    return kf_over_ki(energies, sqw.kinematics) ** (-1 if applied else 1)


def kf_over_ki(energies: np.ndarray, kinematics: Mapping[str, Any] | None) -> np.ndarray:
    """Return k_f/k_i at energy transfers in meV, NaN where the neutron has no energy left.

    Raises
    ------
    InputError
        If no fixed energy is known.
    """
    if kinematics is None or kinematics.get("fixed_energy") is None:
        raise InputError(
            explain(
                "The factor k_f/k_i of this map cannot be computed",
                "the energy of the incident or final neutrons is not known",
                "Set it: dataclasses.replace(sqw, kinematics={'geometry': 'direct', "
                "'fixed_energy': 80.0})",
            )
        )
    geometry = kinematics.get("geometry", "direct")
    incident, final = incident_and_final(energies, kinematics["fixed_energy"], geometry)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = wavenumber(final) / wavenumber(incident)
    return np.where((incident > 0) & (final > 0), ratio, np.nan)
