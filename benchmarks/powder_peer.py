"""Powder maps by Euphonic, in a process of its own: no other OpenMP holds back its threads.

``python benchmarks/powder_peer.py FOLDER`` is what ``benchmarks/powder.py`` calls. The folder holds
``force_constants.json`` and ``task.npz``; maps and times are added to it as ``answer.npz``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

_CHUNK_BYTES = 64_000_000
"""Eigenvectors of so many bytes at once: preparing its dipole sum costs little beside solving."""
_BOLTZMANN = 8.617333262e-2


def run(folder: Path, task: dict[str, Any], threads: int) -> dict[str, np.ndarray]:
    """Work a task off in another process; ``force_constants.json`` is in the folder already."""
    np.savez(folder / "task.npz", threads=threads, **task)
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    subprocess.run([sys.executable, __file__, str(folder)], check=True, env=environment)
    with np.load(folder / "answer.npz") as answer:
        return dict(answer)


def powder_histogram(constants: Any, task: dict[str, np.ndarray], points: int, **how: Any) -> Any:
    """Average golden-spiral directions with random |Q| within each shell, as its users do."""
    from euphonic import DebyeWaller, ureg
    from euphonic.sampling import golden_sphere

    edges, energy_edges, kelvin = task["q_edges"], task["energy_edges"], float(task["temperature"])
    cell = constants.crystal.cell_vectors.to("angstrom").magnitude
    damping = DebyeWaller(
        constants.crystal, task["displacements"] / 2 * ureg("angstrom**2"), kelvin * ureg("K")
    )
    directions = np.array(list(golden_sphere(points)))
    shells = len(edges) - 1
    lengths = np.random.default_rng(0).uniform(
        edges[:-1, None], edges[1:, None], size=(shells, points)
    )
    hkl = (lengths[..., None] * directions).reshape(-1, 3) @ cell.T / (2 * np.pi)
    shell = np.repeat(np.arange(shells), points)
    total = np.zeros((shells, len(energy_edges) - 1))
    step = max(1, _CHUNK_BYTES // (16 * (3 * constants.crystal.n_atoms) ** 2))
    for start in range(0, len(hkl), step):
        part = slice(start, start + step)
        modes = constants.calculate_qpoint_phonon_modes(hkl[part], asr=None, **how)
        factors = modes.calculate_structure_factor(dw=damping)
        energies = factors.frequencies.to("meV").magnitude
        with np.errstate(over="ignore", divide="ignore"):
            occupied = 1 / (1 - np.exp(-energies / (_BOLTZMANN * kelvin)))
        values = factors.structure_factors.to("mbarn").magnitude * occupied
        places = np.broadcast_to(shell[part, None], energies.shape)
        total += np.histogram2d(
            places.ravel(),
            energies.ravel(),
            [np.arange(shells + 1) - 0.5, energy_edges],
            weights=values.ravel(),
        )[0]
    return total / points / np.diff(energy_edges)


def _fastest_dipole_parameter(constants: Any, threads: int) -> float:
    """Return the split of its Ewald sum that solves fastest: what its users are told to tune."""
    if not hasattr(constants, "born") or constants.born is None:
        return 1.0
    q = np.random.default_rng(1).uniform(-0.5, 0.5, (1000, 3))
    times = {}
    for parameter in (0.25, 0.5, 0.75, 1.0, 1.5):
        start = time.process_time()
        constants.calculate_qpoint_phonon_modes(
            q, asr=None, use_c=True, n_threads=threads, dipole_parameter=parameter
        )
        times[parameter] = time.process_time() - start
    return min(times, key=times.__getitem__)


def main(folder: Path) -> None:
    """Solve, and sample powders, as the task asks."""
    from euphonic import ForceConstants

    with np.load(folder / "task.npz") as task_file:
        task = dict(task_file)
    constants = ForceConstants.from_json_file(folder / "force_constants.json")
    threads = int(task["threads"])
    warnings.simplefilter("ignore")
    best = _fastest_dipole_parameter(constants, threads)
    how = {"use_c": True, "n_threads": threads, "dipole_parameter": best}
    answer: dict[str, Any] = {"dipole_parameter": best, "times": [], "cpu_times": []}
    start, cpu = time.perf_counter(), time.process_time()
    solved = constants.calculate_qpoint_phonon_modes(task["q_points"], asr=None, **how)
    answer["solving"] = [time.perf_counter() - start, time.process_time() - cpu]
    answer["frequencies"] = solved.frequencies.to("meV").magnitude[:50]
    maps = []
    for points in task["points"]:
        start, cpu = time.perf_counter(), time.process_time()
        maps.append(powder_histogram(constants, task, int(points), **how))
        answer["times"].append(time.perf_counter() - start)
        answer["cpu_times"].append(time.process_time() - cpu)
    np.savez(folder / "answer.npz", maps=np.array(maps), **answer)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
