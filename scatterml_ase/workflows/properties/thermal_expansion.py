"""Thermal expansion from molecular dynamics at zero pressure, with any ASE calculator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.averages import block_average
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.thermal_expansion import ThermalExpansion
from scatterml_ase.workflows.properties.dynamics import (
    constant_pressure,
    langevin,
    progress_bar,
    run,
    set_temperature,
    simulation_cell,
    timestep_for,
)
from scatterml_ase.workflows.properties.provenance import provenance

_EVERY = 5  # steps between samples of the volume


def thermal_expansion(
    atoms: Atoms,
    temperatures: Sequence[float],
    *,
    calculator: BaseCalculator | None = None,
    picoseconds: float = 8.0,
    equilibration: float = 2.0,
    minimum_length: float = 10.0,
    seed: int = 0,
    progress: bool = False,
) -> ThermalExpansion:
    """Return mean volumes of classical dynamics at zero pressure and constant shape.

    Parameters
    ----------
    atoms
        A crystal at its static minimum with a calculator: where the classical crystal is at 0 K.
    temperatures
        In K, one or more.
    calculator
        For the dynamics, if not that of ``atoms`` (such as the same potential in float32).
    picoseconds, equilibration
        Sampled at each temperature, and run before: a tenth of it at constant volume.
    minimum_length
        Distance in Å between periodic images.
    seed
        Of the momenta and the thermostat.
    progress
        Whether a bar is shown.

    Raises
    ------
    InputError
        If a temperature is not positive, or a simulation blows up.
    """
    if not (len(temperatures) and np.all(np.asarray(temperatures) > 0)):
        raise InputError(
            explain(f"temperatures={temperatures} cannot be used", "dynamics needs some above 0 K",
                    "Give one or more in K, such as (300, 600)")
        )  # fmt: skip
    means, errors = [], []
    step = timestep_for(atoms)
    total = round(len(temperatures) * (picoseconds + equilibration) * 1000 / step)
    with progress_bar("thermal expansion", total, shown=progress) as bar:
        for number, temperature in enumerate(temperatures):
            cell = simulation_cell(atoms, minimum_length)
            cell.calc = calculator or atoms.calc
            generator = set_temperature(cell, 2 * temperature, seed + number)
            watched: dict[str, Any] = {"temperature": temperature, "bar": bar}
            settle = langevin(cell, temperature, step, generator, relaxation_time=50.0)
            run(settle, 100 * equilibration, step, _volume, every=_EVERY, **watched)
            barostat = constant_pressure(cell, temperature, step)  # takes positions as they are
            run(barostat, 900 * equilibration, step, _volume, every=_EVERY, **watched)
            volumes = run(barostat, 1000 * picoseconds, step, _volume, every=_EVERY, **watched)
            mean = block_average(np.array(volumes))
            means.append(mean.value)
            errors.append(mean.error)
    return ThermalExpansion(
        crystal=Crystal.from_atoms(atoms),
        temperatures=np.array(temperatures, dtype=float),
        volumes=np.array(means),
        volume_errors=np.array(errors),
        picoseconds=picoseconds,
        provenance=provenance(
            atoms,
            thermal_expansion={
                "atoms": len(cell),
                "timestep_fs": step,
                "equilibration_ps": equilibration,
                "seed": seed,
            },
        ),
    )


def _volume(atoms: Atoms) -> float:
    return atoms.get_volume() / len(atoms)
