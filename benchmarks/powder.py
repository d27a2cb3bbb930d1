"""Powder maps against Euphonic: time and error of both, from the same force constants.

Run ``OMP_NUM_THREADS=1 python benchmarks/powder.py`` (needs ``pip install euphonic``), or name
some of Cu, Si, NaCl, quartz; ``--force-constants NaCl=FILE`` takes real ones from any file that
``read_force_constants`` reads. ``python benchmarks/powder.py memory`` makes the 300 x 300 map of a
crystal of 108 inequivalent atoms and prints time and peak memory.

The error of a map is its mean absolute difference to a much denser one, over its mean intensity.
Times are CPU times of one thread, medians of alternating runs; with OMP_NUM_THREADS=2 and more they
are those of a clock, on a machine that does nothing else. Euphonic's time at our error is found on
the line through its two maps (logarithms), which favours it, and as errors of random samples fall.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import powder_peer
from powder_crystals import CRYSTALS, many_atoms

from scatterml_ase import ForceConstants, PowderScattering, read_force_constants
from scatterml_ase.phonons.to_euphonic import to_euphonic
from scatterml_ase.physics.broadening import SIGMA_TO_FWHM, broaden
from scatterml_ase.scattering.scatterer import mean_square_displacements

TEMPERATURE = 300.0
Q_EDGES = np.linspace(0, 8, 81)
ENERGY_FWHM = 1.5
INSIDE = slice(4, -4)  # beyond the ends of the axis Euphonic's histogram brings nothing in
THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
POINTS = {2: (250, 1000), 9: (60, 250)}
"""Directions per shell that Euphonic samples, by atoms in the cell."""
REFERENCE = {1: 400_000, 2: 100_000, 9: 60_000}


def energy_edges(force_constants: ForceConstants) -> np.ndarray:
    """Return bins of 0.5 meV to above the highest mode."""
    mesh = np.random.default_rng(2).uniform(-0.5, 0.5, (200, 3))
    highest = force_constants.modes(mesh, eigenvectors=False).frequencies.max()
    return np.arange(0.5, 1.05 * float(highest) + 4, 0.5)


def our_map(force_constants: ForceConstants, **options: Any) -> Any:
    """Run the analyzer as users do."""
    return PowderScattering(
        TEMPERATURE,
        q_edges=Q_EDGES,
        energy_edges=energy_edges(force_constants),
        energy_fwhm=ENERGY_FWHM,
        progress=False,
        **options,
    )(force_constants)


def stopwatch() -> float:
    """Return seconds of the CPU for one thread, of a clock for more."""
    return time.process_time() if THREADS == 1 else time.perf_counter()


def compare(name: str, force_constants: ForceConstants, repeats: int) -> None:
    """Print times and errors of one crystal."""
    atoms = len(force_constants.crystal)
    polar = force_constants.born_charges is not None
    print(f"{name} ({atoms} atoms, {'with' if polar else 'no'} Born charges)", flush=True)
    edges = energy_edges(force_constants)
    given = {"displacements": mean_square_displacements(force_constants, TEMPERATURE)}
    limit = REFERENCE[atoms]
    reference = our_map(force_constants, tolerance=1e-3, maximum_wavevectors=limit, seed=7, **given)
    good = reference.intensity[:, INSIDE]

    def error(values: np.ndarray) -> float:
        return float(np.abs(values[:, INSIDE] - good).sum() / good.sum())

    q = np.random.default_rng(0).uniform(-0.5, 0.5, (8000 // atoms**2 + 400, 3))
    points = POINTS[max(2, atoms)]
    task = {
        "q_edges": Q_EDGES,
        "energy_edges": edges,
        "temperature": TEMPERATURE,
        "points": points,
        "q_points": q,
        **given,
    }
    ours, theirs = [], []
    with TemporaryDirectory() as folder:
        to_euphonic(force_constants).to_json_file(str(Path(folder) / "force_constants.json"))
        for _ in range(repeats):
            ours.append(_our_times(force_constants, q, given))
            theirs.append(powder_peer.run(Path(folder), task, THREADS))
    difference = np.abs(force_constants.modes(q[:50]).frequencies - theirs[0]["frequencies"]).max()
    kind = 1 if THREADS == 1 else 0
    solving = [median(row[0] for row in ours), median(a["solving"][kind] for a in theirs)]
    print(
        f"  solving   ours {1e6 * solving[0] / len(q):7.1f} µs per q   Euphonic "
        f"{solving[1] / solving[0]:5.1f} times   (largest difference {difference:.0e} meV, "
        f"estimated error of the reference {100 * reference.relative_error:.1f} %)"
    )
    our_time, our_error = median(row[1] for row in ours), error(ours[0][2])
    print(f"  powder    ours {our_time:7.2f} s   error {100 * our_error:5.2f} %")
    key = "cpu_times" if THREADS == 1 else "times"
    times = [median(float(a[key][k]) for a in theirs) for k in range(len(points))]
    sigma = ENERGY_FWHM / SIGMA_TO_FWHM
    errors = [error(broaden(values, edges, sigma)) for values in theirs[0]["maps"]]
    for count, seconds, wrong in zip(points, times, errors, strict=True):
        print(f"    Euphonic {count:5d} {seconds:7.2f} s   error {100 * wrong:5.2f} %")
    slope = np.log(errors[-2] / errors[-1]) / np.log(times[-1] / times[-2])
    for law in sorted({0.5, max(0.5, float(slope))}):
        equal = times[-1] * (errors[-1] / our_error) ** (1 / law)
        print(
            f"    at our error, if errors fall as N^-{law:.2f}: {equal:7.1f} s, "
            f"{equal / our_time:5.1f} times our time"
        )


def _our_times(
    force_constants: ForceConstants, q: np.ndarray, given: dict[str, Any]
) -> tuple[float, float, np.ndarray]:
    """Return the times of solving and of a powder map, and the map."""
    start = stopwatch()
    force_constants.modes(q)
    middle = stopwatch()
    values = our_map(force_constants, **given)
    return middle - start, stopwatch() - middle, values.intensity


def memory() -> None:
    """Print time and peak memory of a map of 300 x 300 bins of 108 inequivalent atoms."""
    import resource

    force_constants = many_atoms()
    start, cpu = time.perf_counter(), time.process_time()
    result = PowderScattering(
        TEMPERATURE,
        q_edges=np.linspace(0, 8, 301),
        energy_edges=np.linspace(0, 35, 301),
        energy_fwhm=1.0,
        progress=False,
    )(force_constants)
    elapsed, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # kB on Linux
    print(
        f"{len(force_constants.crystal)} atoms, {result.intensity.shape} bins: {cpu:.1f} s of CPU, "
        f"{elapsed:.1f} s, peak memory {peak:.2f} GiB, {result.wavevectors} wavevectors, "
        f"estimated error {100 * result.relative_error:.1f} %"
    )


def main() -> None:
    """Compare the crystals that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("crystals", nargs="*", default=list(CRYSTALS))
    parser.add_argument("--force-constants", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    files = dict(item.split("=", 1) for item in options.force_constants)
    for name in options.crystals:
        if name == "memory":
            memory()
            continue
        made = read_force_constants(files[name]) if name in files else CRYSTALS[name]()
        compare(name, made, options.repeats)


if __name__ == "__main__":
    main()
