"""Mode solving side by side with phonopy and Euphonic: same force constants, same q-points.

Run ``python benchmarks/lattice.py``; it prints microseconds per q-point and the ratio of each peer
to this package (above 1: we are faster), with the largest difference of frequencies in meV. Spring
models stand in for real crystals: the cost depends on their size and range only.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from matscipy.neighbours import neighbour_list
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.units import COULOMB_EV_ANGSTROM, THZ_TO_MEV


def spring_crystal(atoms: Atoms, repeat: int, charge: float | None = None) -> Phonopy:
    """Return a Phonopy object of springs to all neighbours within 4 Å; ±charge makes it polar."""
    unit = PhonopyAtoms(numbers=atoms.numbers, cell=atoms.cell[:], positions=atoms.positions)
    phonopy = Phonopy(unit, np.eye(3, dtype=int) * repeat, primitive_matrix="P")
    cell = phonopy.supercell
    repeated = Atoms(numbers=cell.numbers, cell=cell.cell, positions=cell.positions, pbc=True)
    i, j, distance, vector = neighbour_list("ijdD", repeated, 4.0)
    unit_vector = vector / distance[:, None]
    stiff = unit_vector[:, :, None] * unit_vector[:, None, :] + 0.1 * np.eye(3)
    springs = (20 * np.exp(-distance))[:, None, None] * stiff
    constants = np.zeros((len(cell), len(cell), 3, 3))
    np.add.at(constants, (i, j), -springs)
    np.add.at(constants, (i, i), springs)
    phonopy.force_constants = constants
    if charge is not None:
        signs = np.where(atoms.numbers == atoms.numbers[0], 1.0, -1.0)
        signs[signs < 0] *= -signs[signs > 0].sum() / signs[signs < 0].sum()
        phonopy.nac_params = {
            "born": charge * signs[:, None, None] * np.eye(3),
            "dielectric": 2.5 * np.eye(3),
            "factor": COULOMB_EV_ANGSTROM,
            "method": "gonze",
        }
    return phonopy


def main() -> None:
    """Time every crystal with every code and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=20_000, help="q-points for two atoms")
    points = parser.parse_args().points
    quartz = crystal(
        ["Si", "O"], [(0.4697, 0, 0), (0.4133, 0.2672, 0.1188)], spacegroup=152,
        cellpar=[4.916, 4.916, 5.405, 90, 90, 120],
    )  # fmt: skip
    cases = {
        "Si 4x4x4": spring_crystal(bulk("Si"), 4),
        "NaCl 4x4x4 NAC": spring_crystal(bulk("NaCl", "rocksalt", a=5.64), 4, charge=1.1),
        "quartz 3x3x3": spring_crystal(quartz, 3),
        "quartz 3x3x3 NAC": spring_crystal(quartz, 3, charge=3.4),
    }
    print(f"{'':18}{'ours':>9}{'phonopy':>18}{'Euphonic':>18}   µs per q (ratio to ours)")
    for name, phonopy in cases.items():
        atoms = len(phonopy.primitive)
        q = np.random.default_rng(0).uniform(-0.5, 0.5, (points * 8 // atoms**3 + 200, 3))
        print(f"{name:18}", compare(phonopy, q), flush=True)


def compare(phonopy: Phonopy, q: np.ndarray) -> str:
    """Return one line of the table."""
    ours = ForceConstants.from_phonopy(phonopy)
    reference = ours.modes(q[:10]).frequencies
    solvers: list[Callable[[np.ndarray], np.ndarray]] = [
        lambda points: ours.modes(points).frequencies,
        lambda points: _phonopy_modes(phonopy, points),
        euphonic_solver(phonopy),
    ]
    columns = []
    for solve in solvers:
        difference = np.abs(solve(q[:10]) - reference).max()
        best = np.inf
        for _ in range(3):
            start = time.perf_counter()
            solve(q)
            best = min(best, time.perf_counter() - start)
        columns.append((best / len(q) * 1e6, difference))
    first = columns[0][0]
    text = f"{first:8.1f} "
    for value, difference in columns[1:]:
        text += f"{value:8.1f} ({value / first:4.1f}; {difference:.0e})"
    return text


def _phonopy_modes(phonopy: Phonopy, q: np.ndarray) -> np.ndarray:
    phonopy.run_qpoints(q, with_eigenvectors=True)
    return phonopy.qpoints.frequencies * THZ_TO_MEV


def euphonic_solver(phonopy: Phonopy) -> Callable[[np.ndarray], np.ndarray]:
    """Return Euphonic's solver with its C extension."""
    import euphonic

    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "phonopy.yaml"
        phonopy.save(path, settings={"force_constants": True})
        constants = euphonic.ForceConstants.from_phonopy(path=folder, summary_name=path.name)

    def solve(q: np.ndarray) -> np.ndarray:
        with warnings.catch_warnings():  # it falls back to one thread where two OpenMPs are loaded
            warnings.simplefilter("ignore")
            modes = constants.calculate_qpoint_phonon_modes(q, asr=None, use_c=True)
        return modes.frequencies.to("meV").magnitude

    return solve


if __name__ == "__main__":
    main()
