"""The pair distribution of a melt from molecular dynamics, with any ASE calculator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from matscipy.neighbours import neighbour_list

from scatterml_ase.errors import AccuracyWarning, InputError, explain, warn
from scatterml_ase.phonons.supercell import shortest_image
from scatterml_ase.results.pair_distribution import PairDistribution
from scatterml_ase.workflows.properties.dynamics import (
    langevin,
    progress_bar,
    run,
    set_temperature,
    simulation_cell,
    timestep_for,
)
from scatterml_ase.workflows.properties.provenance import provenance

_EVERY = 10  # steps between samples
_BLOCKS = 5  # for the error of g(r)
_STEP = 0.05  # Å, default width of a bin
# An atom of a liquid has left its site: its mean square displacement exceeds that of any crystal.
_SOLID = 0.3  # times the distance of neighbours, rms


def pair_distribution(
    frames: Sequence[Atoms],
    temperature: float,
    *,
    r_edges: np.ndarray | None = None,
) -> PairDistribution:
    """Return g(r) of all pairs, averaged over snapshots of one cell.

    Parameters
    ----------
    frames
        Snapshots with periodic boundaries, in order of time.
    temperature
        In K, kept with the result.
    r_edges
        Edges of the bins in Å; by default steps of 0.05 Å up to half of the shortest distance
        between images.
    """
    if not frames:
        raise InputError(
            explain("There are no snapshots", "a mean needs some", "Give one or more structures")
        )
    if not all(atoms.pbc.all() for atoms in frames):
        raise InputError(
            explain("Not all snapshots are periodic", "g(r) is relative to a mean density, which "
                    "needs a volume", "Give snapshots of a periodic cell")
        )  # fmt: skip
    if r_edges is None:
        r_edges = np.arange(0, shortest_image(frames[0].cell.array) / 2 + 1e-9, _STEP)
    shells = 4 / 3 * np.pi * np.diff(r_edges**3)
    curves = []
    for atoms in frames:
        distances = neighbour_list("d", atoms, float(r_edges[-1]))
        counts = np.histogram(distances, bins=r_edges)[0] / len(atoms)
        curves.append(counts / shells * atoms.get_volume() / len(atoms))
    densities = [len(atoms) / atoms.get_volume() for atoms in frames]
    blocks = [np.mean(part, axis=0) for part in np.array_split(curves, min(_BLOCKS, len(curves)))]
    spread = np.std(blocks, axis=0, ddof=1) if len(blocks) > 1 else np.zeros(len(shells))
    return PairDistribution(
        formula=frames[0].get_chemical_formula(),
        r_edges=r_edges,
        g=np.mean(curves, axis=0),
        g_error=spread / np.sqrt(len(blocks)),
        density=float(np.mean(densities)),
        temperature=float(temperature),
    )


def melt(
    atoms: Atoms,
    temperature: float,
    *,
    calculator: BaseCalculator | None = None,
    volume_per_atom: float | None = None,
    r_edges: np.ndarray | None = None,
    picoseconds: float = 5.0,
    equilibration: float = 3.0,
    minimum_length: float = 10.0,
    seed: int = 0,
    progress: bool = False,
) -> PairDistribution:
    """Melt a crystal at constant volume and return g(r) of the liquid.

    The first half of the equilibration is half as hot again, so that the crystal is left behind.

    Parameters
    ----------
    atoms
        The crystal, with a calculator.
    temperature
        Of the liquid, in K: well above the melting point.
    calculator
        For the dynamics, if not that of ``atoms``.
    volume_per_atom
        In Å³; by default that of ``atoms``.
    r_edges
        See :func:`pair_distribution`.
    picoseconds, equilibration
        Sampled, and run before.
    minimum_length
        Distance in Å between periodic images.
    seed
        Of the momenta and the thermostat.
    progress
        Whether a bar is shown.

    Raises
    ------
    InputError
        If temperature or times are not positive, or the simulation blows up.

    Warns
    -----
    AccuracyWarning
        If the atoms have not left their sites: then it is g(r) of a hot crystal.
    """
    if not (temperature > 0 and picoseconds > 0 and equilibration >= 0):
        what = f"{temperature} K for {picoseconds} ps after {equilibration} ps cannot be run"
        raise InputError(explain(what, "these are positive numbers", "Give such as 3000, 5 and 3"))
    cell = simulation_cell(atoms, minimum_length)
    if volume_per_atom is not None:
        scale = (volume_per_atom * len(cell) / cell.get_volume()) ** (1 / 3)
        cell.set_cell(cell.cell * scale, scale_atoms=True)
    cell.calc = calculator or atoms.calc
    sites, step = cell.positions.copy(), timestep_for(cell)
    generator = set_temperature(cell, 3 * temperature, seed)
    frames: list[Atoms] = []
    total = round((picoseconds + equilibration) * 1000 / step)
    with progress_bar("melt", total, shown=progress) as bar:
        for factor, duration in ((1.5, equilibration / 2), (1.0, equilibration / 2)):
            engine = langevin(cell, factor * temperature, step, generator, relaxation_time=50.0)
            watched: dict[str, Any] = {"temperature": factor * temperature, "bar": bar}
            run(engine, 1000 * duration, step, lambda _: None, every=_EVERY, **watched)
        frames = run(engine, 1000 * picoseconds, step, Atoms.copy, every=_EVERY, **watched)
    result = pair_distribution(frames, temperature, r_edges=r_edges)
    moved = cell.positions - sites
    moved -= moved.mean(axis=0)
    distance = float(np.sqrt((moved**2).sum(axis=1).mean()))
    if distance < _SOLID * result.first_peak[0]:
        warn(
            explain(
                f"{cell.get_chemical_formula()} did not melt at {temperature:.0f} K",
                f"its atoms moved {distance:.2f} Å in {picoseconds + equilibration:g} ps",
                "Raise the temperature or the equilibration",
            ),
            AccuracyWarning,
        )
    options = {
        "atoms": len(cell),
        "timestep_fs": step,
        "equilibration_ps": equilibration,
        "root_mean_square_displacement": distance,
        "seed": seed,
    }
    made_by = provenance(atoms, melt=options)
    return replace(result, picoseconds=picoseconds, provenance=made_by)
