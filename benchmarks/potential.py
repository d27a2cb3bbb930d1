"""Speed of the interatomic potential side by side with its peers, in one run.

    python benchmarks/potential.py                    # everything, about half an hour
    python benchmarks/potential.py peers md           # some of it
    python benchmarks/potential.py peers --peers chgnet mace-64x0e --rounds 3

Peers are installed with pinned versions into throw-away environments (--cache). Every calculator
runs in a process of its own on one thread; rounds go through all of them in turn, so that what
else the machine does hits all alike, and ratios compare calls of the same round. What is timed is
a whole call through ASE for energy, forces and stress of rattled silicon, its atoms moved before
each call. Times are CPU times unless said otherwise, medians over all rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

from potential_peers import PEERS, Peer, Worker, python_of

_TASKS = Path(__file__).with_name("potential_tasks.py")
_OURS = ("ours-float32", "ours-float64")
_SIZES = (8, 64, 216, 512)


def task(name: str, threads: int = 1, **options: object) -> dict:
    """Run one task of ``potential_tasks.py`` in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(_TASKS), name, json.dumps(options)],
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{name} {options}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def show(*cells: object) -> None:
    """Print one row of a markdown table."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def header(*cells: object) -> None:
    """Print the head of a markdown table."""
    print()
    show(*cells)
    show(*["---"] * len(cells))


# -- side by side ----------------------------------------------------------------------------------


def peers(arguments: argparse.Namespace) -> dict:
    """Time every calculator on every size, round by round, and print times and ratios."""
    chosen = [peer for peer in PEERS if arguments.peers is None or peer.name in arguments.peers]
    workers = [Worker(name, sys.executable, arguments.cache) for name in _OURS]
    kept: list[Peer] = []
    for peer in chosen:
        try:
            python = python_of(peer, arguments.cache)
            workers.append(Worker(peer.name, python, arguments.cache / peer.environment))
            kept.append(peer)
        except (RuntimeError, subprocess.CalledProcessError, OSError) as error:
            print(f"{peer.name} left out: {error}", file=sys.stderr, flush=True)
    largest = {peer.name: peer.largest for peer in kept}
    times = {w.name: {n: {"cpu": [], "wall": []} for n in _SIZES} for w in workers}
    for atoms in _SIZES:
        members = [w for w in workers if atoms <= largest.get(w.name, atoms)]
        for worker in members:
            warm = worker.measure(atoms, 3 if atoms <= 64 else 1, seed=0)
            if not warm["finite"]:
                print(f"{worker.name}: forces of {atoms} atoms are NaN", file=sys.stderr)
        for k in range(arguments.rounds):
            for worker in members:
                quick = worker.name in _OURS or atoms <= 64
                answer = worker.measure(atoms, 4 if quick else 1, seed=k)
                for clock in ("cpu", "wall"):
                    times[worker.name][atoms][clock].append(median(answer[clock]))
            print(f"{atoms} atoms, round {k + 1}", file=sys.stderr, flush=True)
    _print_times(times)
    _print_ratios(times, kept)
    for worker in workers:
        worker.close()
    return {"times": times}


def _print_times(times: dict) -> None:
    header("CPU ms per call (µs per atom)", *(f"{n} atoms" for n in _SIZES))
    for name, rows in times.items():
        cells = []
        for atoms, clocks in rows.items():
            cpu = median(clocks["cpu"]) if clocks["cpu"] else None
            cells.append("–" if cpu is None else f"{cpu * 1e3:.3g} ({cpu / atoms * 1e6:.0f})")
        show(name, *cells)


def _print_ratios(times: dict, chosen: list[Peer]) -> None:
    ours = times["ours-float32"]
    header("times slower than ours (float32)", *(f"{n} atoms" for n in _SIZES), "target")
    for peer in chosen:
        cells = []
        for atoms in _SIZES:
            theirs = times[peer.name][atoms]["cpu"]
            pairs = zip(theirs, ours[atoms]["cpu"], strict=False)
            cells.append(f"{median(t / o for t, o in pairs):.1f}" if theirs else "–")
        show(peer.name, *cells, f"≥ {peer.target:g}" if peer.target else "")


# -- this package alone ----------------------------------------------------------------------------


def first(arguments: argparse.Namespace) -> dict:
    """Print the time from a fresh Python to the first forces."""
    row = task("first", dtype="float32")
    header("from a fresh Python", "s (wall)")
    show("imports and loading the model", f"{row['load']:.2f}")
    show("first call, 64 atoms", f"{row['first_call']:.2f}")
    return row


def scaling(arguments: argparse.Namespace) -> dict:
    """Print and draw the cost up to 10⁴ atoms."""
    edges, calls = [1, 2, 3, 4, 5, 6, 8, 10, 11], 5
    results = [task("scaling", dtype=t, edges=edges, calls=calls) for t in ("float32", "float64")]
    header("atoms", *(f"{r['dtype']}: CPU ms (µs per atom)" for r in results))
    for rows in zip(*(r["rows"] for r in results), strict=True):
        n = rows[0]["atoms"]
        show(n, *(f"{r['cpu'] * 1e3:.4g} ({r['cpu'] / n * 1e6:.0f})" for r in rows))
    if arguments.plot:
        from potential_figure import draw

        draw(results, arguments.plot)
    return {"results": results}


def memory(arguments: argparse.Namespace) -> dict:
    """Print peak memory per atom, and of 20,000 atoms."""
    header("dtype", "kB per atom", "peak of 20,000 atoms, GiB", "time, s (wall)")
    rows = {}
    for dtype in ("float32", "float64"):
        small = task("memory", dtype=dtype, repeats=(5, 5, 10))
        large = task("memory", dtype=dtype, repeats=(10, 10, 25))
        each = (large["peak"] - small["peak"]) / (large["atoms"] - small["atoms"])
        gigabytes = large["peak"] / 2**30
        show(dtype, f"{each / 1e3:.0f}", f"{gigabytes:.2f} (limit 8)", f"{large['seconds']:.2f}")
        rows[dtype] = {"per_atom": each, "peak": large["peak"]}
    return rows


def md(arguments: argparse.Namespace) -> dict:
    """Print MD steps per second on one and two threads, and resident memory over many steps."""
    header("64 atoms, float32, VelocityVerlet", "steps/s (wall)", "steps per CPU second")
    rows = {}
    for threads in (1, 2):
        row = rows[threads] = task("dynamics", threads, dtype="float32", steps=500)
        show(f"{threads} thread(s)", f"{row['per_second']:.0f}", f"{row['per_cpu_second']:.0f}")
    steps = arguments.md_steps
    row = rows["long"] = task("dynamics", dtype="float32", steps=steps, samples=20)
    resident = [value / 1e6 for value in row["resident"]]
    half = len(resident) // 2
    header("steps", "resident MB: first, middle, last sample", "growth over the second half, kB")
    growth = (resident[-1] - resident[half]) * 1e3
    show(row["steps"], " ".join(f"{resident[k]:.1f}" for k in (0, half, -1)), f"{growth:.0f}")
    return rows


def batch(arguments: argparse.Namespace) -> dict:
    """Print batched against single evaluation of the displacements of the Si46 clathrate."""
    header("displacements of Si46", "one by one, CPU s", "batched, CPU s", "ratio (target ≥ 3)")
    rows = []
    for dtype in ("float64", "float32"):
        for supercell, symmetry in ((1, False), (1, True), (2, True)):
            row = task("batch", dtype=dtype, supercell=supercell, symmetry=symmetry, rounds=3)
            rows.append(row)
            show(
                f"{row['images']} × {row['atoms']} atoms, {dtype}",
                f"{row['single']:.2f}",
                f"{row['batched']:.2f}",
                f"{row['ratio']:.2f}",
            )
    return {"rows": rows}


def phonons(arguments: argparse.Namespace) -> dict:
    """Print the time of silicon's phonons from import to density of states."""
    rows = [task("phonons", threads=2, supercell=4) for _ in range(3)]
    header("Si 4×4×4, import to DOS", "wall s (target < 5)", "CPU s")
    show("median of 3", *(f"{median(row[clock] for row in rows):.2f}" for clock in ("wall", "cpu")))
    return {"rows": rows}


BENCHMARKS: dict[str, Callable[[argparse.Namespace], dict]] = {
    benchmark.__name__: benchmark
    for benchmark in (peers, first, scaling, memory, md, batch, phonons)
}


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    add = parser.add_argument
    add("which", nargs="*", metavar="BENCHMARK", help=f"of {', '.join(BENCHMARKS)}; default all")
    add("--peers", nargs="*", choices=[peer.name for peer in PEERS], help="default all")
    add("--rounds", type=int, default=7, help="through all calculators (default 7)")
    add("--md-steps", type=int, default=10_000, help="of the memory check (default 10000)")
    add("--cache", type=Path, default=home / "scatterml-benchmarks", help="environments and logs")
    add("--plot", type=Path, help="where the figure of the scaling goes, e.g. speed.png")
    add("--json", type=Path, help="where all numbers go")
    arguments = parser.parse_args()
    if unknown := set(arguments.which) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}: {', '.join(BENCHMARKS)}")
    arguments.cache.mkdir(parents=True, exist_ok=True)
    results = {}
    for name in arguments.which or BENCHMARKS:
        results[name] = BENCHMARKS[name](arguments)
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
