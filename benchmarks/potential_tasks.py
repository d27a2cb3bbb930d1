"""What the speed benchmark measures of this package alone; each task runs in a fresh process.

    python potential_tasks.py TASK '{"option": value}'   ->   one JSON object

A fresh process makes peak memory and the time of the first call what a user would see.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.md.verlet import VelocityVerlet
from ase.spacegroup import crystal

_A = 5.469  # Å, silicon


def _silicon(repeats: tuple[int, int, int], seed: int = 0) -> Atoms:
    atoms = bulk("Si", cubic=True, a=_A) * repeats
    atoms.rattle(0.05, seed=seed)
    return atoms


def _calculator(dtype: str, model: str = "si"):
    import torch

    from scatterml_ase import PotentialCalculator

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    return PotentialCalculator(model, dtype=dtype)


def clathrate() -> Atoms:
    """Return the type-I clathrate Si46, Pm-3n, sites 6c, 16i and 24k."""
    sites = [(0.25, 0, 0.5), (0.1837, 0.1837, 0.1837), (0, 0.308, 0.118)]
    return crystal(["Si"] * 3, sites, spacegroup=223, cellpar=[10.2] * 3 + [90] * 3)


def scaling(dtype: str, edges: list[int], calls: int) -> dict:
    """Time cubes of silicon, edges³ cells of eight atoms."""
    calculator = _calculator(dtype)
    generator, rows = np.random.default_rng(0), []
    for edge in edges:
        atoms = _silicon((edge,) * 3)
        atoms.calc = calculator
        ideal, wall, cpu = atoms.positions.copy(), [], []
        for _ in range(calls):
            atoms.positions = ideal + generator.normal(scale=0.05, size=ideal.shape)
            start, start_cpu = time.perf_counter(), time.process_time()
            atoms.get_forces()
            cpu.append(time.process_time() - start_cpu)
            wall.append(time.perf_counter() - start)
        rows.append({"atoms": len(atoms), "cpu": median(cpu), "wall": median(wall)})
    return {"dtype": dtype, "rows": rows}


def first(dtype: str) -> dict:
    """Time the way to the first forces: import, loading, first call."""
    start = time.perf_counter()
    calculator = _calculator(dtype)
    loaded = time.perf_counter()
    atoms = _silicon((2, 2, 2))
    atoms.calc = calculator
    atoms.get_forces()
    end = time.perf_counter()
    return {"dtype": dtype, "load": loaded - start, "first_call": end - loaded}


def memory(dtype: str, repeats: tuple[int, int, int]) -> dict:
    """Return the peak memory of a process that computes one structure."""
    calculator = _calculator(dtype)
    atoms = _silicon((1, 1, 1))
    atoms.calc = calculator
    atoms.get_forces()
    before = _peak()
    atoms = _silicon(tuple(repeats))
    atoms.calc = calculator
    start = time.perf_counter()
    atoms.get_forces()
    seconds = time.perf_counter() - start
    return {"atoms": len(atoms), "before": before, "peak": _peak(), "seconds": seconds}


def _peak() -> int:
    """Return the peak resident memory in bytes."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def dynamics(dtype: str, steps: int, samples: int = 10) -> dict:
    """Run NVE of 64 atoms at 300 K and watch speed and resident memory."""
    import psutil

    atoms = bulk("Si", cubic=True, a=_A) * (2, 2, 2)
    atoms.calc = _calculator(dtype)
    momenta = np.random.default_rng(0).normal(size=(len(atoms), 3))
    momenta *= np.sqrt(units.kB * 600 * atoms.get_masses())[:, None]  # half becomes potential
    atoms.set_momenta(momenta - momenta.mean(axis=0))
    run = VelocityVerlet(atoms, timestep=1 * units.fs)
    run.run(50)
    process, resident, energies = psutil.Process(), [], []
    start, start_cpu = time.perf_counter(), time.process_time()
    for _ in range(samples):
        run.run(steps // samples)
        resident.append(process.memory_info().rss)
        energies.append(atoms.get_total_energy() / len(atoms))
    wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    done = steps // samples * samples
    return {
        "steps": done,
        "per_second": done / wall,
        "per_cpu_second": done / cpu,
        "resident": resident,
        "energy_spread": max(energies) - min(energies),
    }


def batch(dtype: str, supercell: int, *, symmetry: bool, rounds: int) -> dict:
    """Compare batched with single evaluation of the phonon displacements of Si46."""
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    unit = clathrate()
    cell = PhonopyAtoms(
        numbers=unit.numbers, cell=unit.cell.array, scaled_positions=unit.get_scaled_positions()
    )
    phonopy = Phonopy(cell, np.eye(3, dtype=int) * supercell, is_symmetry=symmetry)
    phonopy.generate_displacements(distance=0.01, is_plusminus="auto" if symmetry else True)
    images = [
        Atoms(numbers=c.numbers, cell=c.cell, scaled_positions=c.scaled_positions, pbc=True)
        for c in phonopy.supercells_with_displacements
    ]
    calculator = _calculator(dtype)
    single, batched = [], []
    for _ in range(rounds):
        start = time.process_time()
        one_by_one = []
        for atoms in images:
            atoms.calc = calculator
            one_by_one.append(atoms.get_forces())
        single.append(time.process_time() - start)
        start = time.process_time()
        results = calculator.evaluate(images)
        batched.append(time.process_time() - start)
    pairs = zip(one_by_one, results, strict=True)
    difference = max(np.abs(a - b["forces"]).max() for a, b in pairs)
    return {
        "images": len(images),
        "atoms": len(images[0]),
        "single": median(single),
        "batched": median(batched),
        "ratio": median(s / b for s, b in zip(single, batched, strict=True)),
        "difference": float(difference),
    }


def phonons(supercell: int) -> dict:
    """Silicon end to end: import, relax, displace, force constants, bands, density of states."""
    start, start_cpu = time.perf_counter(), time.process_time()
    from scatterml_ase import FiniteDisplacementPhonons, PotentialCalculator, relax

    atoms = relax(bulk("Si"), PotentialCalculator("si"))
    force_constants = FiniteDisplacementPhonons(supercell=(supercell,) * 3)(atoms)
    force_constants.bands()
    highest = force_constants.dos(mesh=(16, 16, 16)).energy_edges[-1]
    wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    return {"supercell": supercell, "wall": wall, "cpu": cpu, "highest": float(highest)}


TASKS: dict[str, Callable[..., dict]] = {
    task.__name__: task for task in (scaling, first, memory, dynamics, batch, phonons)
}


if __name__ == "__main__":
    print(json.dumps(TASKS[sys.argv[1]](**json.loads(sys.argv[2]))))
