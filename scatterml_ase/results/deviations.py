"""How sure thermal properties are, from those of equally likely spectra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scatterml_ase.results.thermal import ThermalProperties

_PROPERTIES = {
    "heat_capacity": "heat_capacity_error",
    "entropy": "entropy_error",
    "free_energy": "free_energy_error",
    "internal_energy": "internal_energy_error",
    "isotropic_displacements": "isotropic_displacement_error",
}


def with_deviations(
    mean: ThermalProperties, members: Sequence[ThermalProperties]
) -> ThermalProperties:
    """Return ``mean`` with the standard deviations of its properties over ``members``."""
    errors = {}
    for name, error in _PROPERTIES.items():
        values = [getattr(one, name) for one in members]
        if values[0] is not None:
            errors[error] = np.std(values, axis=0, ddof=1)
    debye = float(np.std([one.debye_temperature for one in members], ddof=1))
    return replace(mean, **errors, debye_temperature_error=debye)
