"""Phonons of silicon crystals from the exact Hessian beside finite displacements.

python benchmarks/hessian.py [--threads 1] [--repeats 3]

Times are CPU seconds (so other work on the machine does not count), the median of some repeats, of
everything from relaxed atoms to ``ForceConstants``. "one by one" hides ``evaluate``, so
displacements are not batched; "Hessian of the supercell" hides ``get_hessian_blocks``, as for
calculators of others. The last column is the largest difference of frequencies at 200 random q from
the Hessian of the infinite crystal.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

from scatterml_ase import (
    FiniteDisplacementPhonons,
    ForceConstants,
    HessianPhonons,
    PotentialCalculator,
    relax,
)
from scatterml_ase.units import THZ_TO_MEV

Q = np.random.default_rng(0).uniform(-0.5, 0.5, (200, 3))


class OneByOne:
    """A calculator with forces and stress only."""

    def __init__(self, calculator: PotentialCalculator) -> None:
        self.cutoff = calculator.cutoff
        self.get_forces, self.get_stress = calculator.get_forces, calculator.get_stress


class MatrixOnly(OneByOne):
    """A calculator that has a Hessian too, but cannot tell images apart."""

    def __init__(self, calculator: PotentialCalculator) -> None:
        super().__init__(calculator)
        self.get_hessian = calculator.get_hessian


def clathrate() -> Atoms:
    """Si₄₆, type I: 46 atoms on three kinds of sites of Pm-3n."""
    sites = [(0.25, 0, 0.5), (0.1847, 0.1847, 0.1847), (0, 0.3088, 0.1173)]
    return crystal("Si3", sites, spacegroup=223, cellpar=[10.23] * 3 + [90] * 3)


def timed(make: Callable[[], ForceConstants], repeats: int) -> tuple[float, np.ndarray]:
    """Return the median CPU time in s and the frequencies at Q in THz."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        force_constants = make()
        times.append(time.process_time() - start)
    modes = force_constants.modes(Q, eigenvectors=False)
    return statistics.median(times), modes.frequencies / THZ_TO_MEV


def compare(atoms: Atoms, supercell: tuple[int, int, int], repeats: int) -> None:
    """Print a table for one crystal."""
    atoms = relax(atoms, PotentialCalculator("si"), force_tolerance=1e-4)
    ways: dict[str, tuple[type, type | None, dict]] = {
        "Hessian, infinite crystal": (HessianPhonons, None, {}),
        "Hessian, folded": (HessianPhonons, None, {"supercell": supercell}),
    }
    for displacement in (0.01, 0.002):
        options = {"supercell": supercell, "displacement": displacement}
        ways[f"displacements of {displacement} Å"] = (FiniteDisplacementPhonons, None, options)
    ways["displacements, one by one"] = (
        FiniteDisplacementPhonons,
        OneByOne,
        {"supercell": supercell},
    )
    ways["Hessian of the supercell"] = (HessianPhonons, MatrixOnly, {"supercell": supercell})
    print(f"\n{atoms.symbols}, supercell {supercell}: {len(atoms) * np.prod(supercell)} atoms")
    reference = None
    for name, (analyzer, wrapper, options) in ways.items():
        copy = atoms.copy()
        copy.calc = wrapper(atoms.calc) if wrapper else atoms.calc
        seconds, found = timed(partial(analyzer(**options), copy), repeats)
        reference = found if reference is None else reference
        print(f"{name:<28}{seconds:8.2f} s {np.abs(found - reference).max():12.1e} THz", flush=True)


def main() -> None:
    """Compare in diamond and in the clathrate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    compare(bulk("Si"), (5, 5, 5), options.repeats)
    compare(clathrate(), (2, 2, 2), options.repeats)


if __name__ == "__main__":
    main()
