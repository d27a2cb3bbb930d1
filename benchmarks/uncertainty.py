"""Is a model's uncertainty what it says? On its held-out structures, on strange ones, and its cost.

python benchmarks/uncertainty.py si --data Si_train.extxyz --picture uncertainty.png

The model needs a committee: scatterml uncertainty models/si --data Si_train.extxyz
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import add_vacuum, bulk
from ase.data import reference_states

from scatterml_ase import CommitteeCalculator, PotentialCalculator, relax
from scatterml_ase.training.reliability import plot_reliability
from scatterml_ase.training.uncertainty import dataset_of, judge


def main() -> None:
    """Judge, probe, time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a shipped model or a folder")
    parser.add_argument("--data", nargs="*", default=[], help="what it was trained on")
    parser.add_argument("--config", help="its training file, if not in its folder")
    parser.add_argument("--picture", help="where to draw")
    options = parser.parse_args()
    calculator = CommitteeCalculator(options.model)
    card: Any = calculator.model.card
    dataset = dataset_of(card.directory, options.data, config=options.config)
    judged = judge(calculator, dataset.validation, progress=True)
    print(f"{card.name}, {len(dataset.validation)} held-out structures (meV/atom, meV/Å)\n{judged}")
    grades = np.concatenate(judged.grades)
    print(f"grades of held-out atoms: median {np.median(grades):.2f}, highest {grades.max():.2f}")
    if options.picture:
        plot_reliability(judged, options.picture, title=card.name)
    if len(card.species) == 1:
        probe(calculator)
    cost(options.model, dataset.validation[0].atoms)


def probe(calculator: CommitteeCalculator) -> None:
    """Print what the committee of an element says about structures of growing strangeness."""
    print(f"\n{'structure':<28}{'spread meV/atom':>16}{'spread meV/Å':>14}{'worst grade':>13}")
    for name, atoms in strange(calculator).items():
        said = calculator.evaluate([atoms], ("energy_spread", "force_spread", "extrapolation"))[0]
        energy = 1e3 * said["energy_spread"] / len(atoms)
        force = 1e3 * said["force_spread"].max()
        print(f"{name:<28}{energy:>16.1f}{force:>14.1f}{said['extrapolation'].max():>13.2f}")


def strange(calculator: CommitteeCalculator) -> dict[str, Atoms]:
    """Return the crystal, and structures that are less and less like it."""
    (number,) = calculator.species
    phase = reference_states[number]["symmetry"]
    crystal = relax(bulk(Atoms(numbers=[number]).get_chemical_formula()), calculator)
    volume = crystal.get_volume() / len(crystal)
    found = {f"{phase}, relaxed": crystal}
    for rattle in (0.1, 0.3, 0.5):
        atoms = crystal * (3, 3, 3)
        atoms.rattle(rattle, seed=0)
        found[f"{phase}, rattled {rattle} Å"] = atoms
    for ratio in (1.3, 1.1, 0.9, 0.8, 0.7, 0.6):
        atoms = crystal.copy()
        atoms.set_cell(atoms.cell.array * ratio ** (1 / 3), scale_atoms=True)
        found[f"{phase}, volume x {ratio}"] = atoms
    symbol = crystal.get_chemical_symbols()[0]
    for name, atoms_per_cell in (("fcc", 4), ("bcc", 2), ("sc", 1), ("diamond", 8)):
        if name != phase:
            found[name] = bulk(symbol, name, a=(atoms_per_cell * volume) ** (1 / 3))
    slab = crystal * (2, 2, 4)
    add_vacuum(slab, 12.0)
    found["slab, as cut"] = slab
    found["two atoms"] = Atoms([symbol] * 2, [(0, 0, 0), (0, 0, 0.9 * volume ** (1 / 3))])
    found["one atom"] = Atoms([symbol])
    return found


def cost(model: str | Path, atoms: Atoms) -> None:
    """Print what a spread and a grade cost beside the forces."""
    print(f"\n{len(atoms)} atoms: ms per call (ratio to forces)")
    for dtype in ("float64", "float32"):
        plain = PotentialCalculator(model, dtype=dtype)
        committee = CommitteeCalculator(model, dtype=dtype)
        moving = atoms.copy()
        forces = timed(lambda calc=plain, a=moving: calc.get_forces(a), moving)
        grade = timed(lambda calc=committee, a=moving: calc.get_extrapolation(a), moving)
        spread = timed(lambda calc=committee, a=moving: calc.get_force_spread(a), moving)
        print(f"{dtype}: forces {forces:.1f}, grade {grade:.1f} ({grade / forces:.1f}), spread of "
              f"{len(committee.members)} members {spread:.1f} ({spread / forces:.1f})")  # fmt: skip


def timed(work: Callable[[], Any], atoms: Atoms, repeats: int = 9) -> float:
    """Return the shortest time in ms, moving an atom in between."""
    times = []
    for _ in range(repeats):
        atoms.positions[0] += 1e-4
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


if __name__ == "__main__":
    main()
