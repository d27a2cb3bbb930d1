"""Molecular dynamics as the properties need it: seeded, watched, and reported with errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.build import make_supercell
from ase.md.langevin import Langevin
from ase.md.nose_hoover_chain import IsotropicMTKNPT
from matscipy.neighbours import neighbour_list
from tqdm import tqdm

from scatterml_ase.errors import InputError, explain
from scatterml_ase.phonons.supercell import choose_supercell

_SYMMETRY_PRECISION = 1e-4
# No thermal collision at the temperatures of condensed matter comes closer (share of the nearest
# distance in the crystal), and no thermostat lets a small cell get so much hotter.
_CLOSEST, _HOTTEST = 0.45, 5.0


class BlowUpError(InputError):
    """A simulation left physics: atoms on top of each other, or far hotter than the thermostat."""


def timestep_for(atoms: Atoms) -> float:
    """Return a time step in fs by the lightest mass: 1 fs for Li, 2 fs for Si, 4 fs at most."""
    return float(np.clip(0.38 * np.sqrt(atoms.get_masses().min()), 0.25, 4.0).round(1))


def simulation_cell(atoms: Atoms, minimum_length: float = 10.0) -> Atoms:
    """Return the smallest supercell that keeps the symmetry, with images that far apart (Å).

    The calculator of ``atoms`` is attached to it.
    """
    cell = make_supercell(atoms, choose_supercell(atoms, minimum_length, _SYMMETRY_PRECISION))
    cell.calc = atoms.calc
    return cell


def set_temperature(atoms: Atoms, temperature: float, seed: int) -> np.random.Generator:
    """Draw momenta at a temperature (K) without net motion; return the generator used."""
    generator = np.random.default_rng(seed)
    masses = atoms.get_masses()[:, None]
    momenta = generator.normal(size=(len(atoms), 3)) * np.sqrt(masses * units.kB * temperature)
    atoms.set_momenta(momenta - masses * momenta.sum(axis=0) / masses.sum())
    return generator


def langevin(
    atoms: Atoms,
    temperature: float,
    timestep: float,
    generator: np.random.Generator,
    *,
    relaxation_time: float = 100.0,
) -> Langevin:
    """Return Langevin dynamics at constant volume; times in fs, temperature in K."""
    return Langevin(
        atoms,
        timestep * units.fs,
        temperature_K=temperature,
        friction=1 / (relaxation_time * units.fs),
        fixcm=False,
        rng=generator,
    )


def constant_pressure(atoms: Atoms, temperature: float, timestep: float) -> IsotropicMTKNPT:
    """Return Martyna-Tobias-Klein dynamics (10.1063/1.467468) at zero pressure.

    The thermostat relaxes in 100 and the barostat in 500 time steps; the cell keeps its shape.
    """
    step = timestep * units.fs
    return IsotropicMTKNPT(
        atoms,
        timestep=step,
        temperature_K=temperature,
        pressure_au=0.0,
        tdamp=100 * step,
        pdamp=500 * step,
    )


def run(
    dynamics: Any,
    duration: float,
    timestep: float,
    sample: Callable[[Atoms], Any],
    *,
    every: int = 10,
    temperature: float | None = None,
    bar: tqdm | None = None,
) -> list[Any]:
    """Run for a duration (fs) and return what ``sample(atoms)`` gave every so many steps.

    Raises
    ------
    BlowUpError
        If positions stop being finite, two atoms come impossibly close, or the atoms get five
        times hotter than ``temperature`` (K, where given).
    """
    atoms, results = dynamics.atoms, []
    closest = _CLOSEST * 2 * _radius(atoms)
    for _ in range(max(1, round(duration / (timestep * every)))):
        dynamics.run(every)
        check_alive(atoms, closest, temperature)
        results.append(sample(atoms))
        if bar is not None:
            bar.update(every)
    return results


def check_alive(atoms: Atoms, closest: float, temperature: float | None) -> None:
    """Raise :class:`BlowUpError` if atoms are nearer than ``closest`` (Å), too hot, or nowhere."""
    hot = atoms.get_temperature()
    if not (np.isfinite(atoms.positions).all() and np.isfinite(hot)):
        reason = "positions or momenta are not finite"
    elif temperature is not None and hot > _HOTTEST * max(temperature, 50.0):
        reason = f"the atoms are at {hot:.0f} K where {temperature:.0f} K is kept"
    elif len(neighbour_list("i", atoms, closest)):
        reason = f"two atoms are less than {closest:.2f} Å apart"
    else:
        return
    raise BlowUpError(
        explain(
            f"The simulation of {atoms.get_chemical_formula()} blew up",
            reason,
            "Shorten the time step; if that does not help, the potential has a hole there",
        )
    )


@contextmanager
def progress_bar(name: str, steps: int, *, shown: bool) -> Iterator[tqdm]:
    """Yield a bar that counts steps of dynamics."""
    with tqdm(desc=name, total=steps, unit=" steps", disable=not shown, leave=False) as bar:
        yield bar


def _radius(atoms: Atoms) -> float:
    """Return half of a typical distance between neighbours in Å: a sphere of the atomic volume."""
    return float((3 * atoms.get_volume() / len(atoms) / (4 * np.pi)) ** (1 / 3)) * 0.85
