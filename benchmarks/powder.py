"""Powder maps against Euphonic: time and error of both, from the same force constants.

Run: ``python benchmarks/powder.py`` (needs ``pip install euphonic``). The error of a map is its
mean absolute difference to a much denser one, over its mean intensity.
"""

from __future__ import annotations

import time
import warnings
from itertools import pairwise

import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT

from scatterml_ase import FiniteDisplacementPhonons, ForceConstants, PowderScattering
from scatterml_ase.physics.broadening import SIGMA_TO_FWHM, broaden
from scatterml_ase.scattering.scatterer import Scatterer

TEMPERATURE = 300.0
Q_EDGES = np.linspace(0, 8, 81)
ENERGY_EDGES = np.linspace(0.5, 45, 90)
ENERGY_FWHM = 1.5
SIZE = 4


def euphonic_force_constants(force_constants: ForceConstants):
    """Hand the same numbers to Euphonic."""
    from euphonic import Crystal, ForceConstants, ureg

    crystal = force_constants.crystal
    n = len(crystal)
    grid = (SIZE,) * 3
    blocks = np.zeros((SIZE**3, n, 3, n, 3))
    cells = np.ravel_multi_index((force_constants.cell_shifts % SIZE).T, grid)
    for (i, j), cell, block in zip(
        force_constants.pairs, cells, force_constants.blocks, strict=True
    ):
        blocks[cell, i, :, j, :] += block
    return ForceConstants(
        Crystal(
            crystal.cell * ureg("angstrom"),
            crystal.scaled_positions,
            np.array(crystal.symbols),
            crystal.masses * ureg("amu"),
        ),
        blocks.reshape(-1, 3 * n, 3 * n) * ureg("eV / angstrom**2"),
        SIZE * np.eye(3, dtype=int),
        np.stack(np.unravel_index(np.arange(SIZE**3), grid), axis=1),
    )


def euphonic_map(peer, scatterer: Scatterer, points: int, *, use_c: bool) -> np.ndarray:
    """Average golden-spiral directions with random |Q| within each shell, as its users do."""
    from euphonic import DebyeWaller, ureg
    from euphonic.sampling import golden_sphere

    directions = np.array(list(golden_sphere(points)))
    generator = np.random.default_rng(0)
    cell = peer.crystal.cell_vectors.to("angstrom").magnitude
    damping = DebyeWaller(
        peer.crystal, scatterer.displacements / 2 * ureg("angstrom**2"), TEMPERATURE * ureg("K")
    )
    rows = []
    for inner, outer in pairwise(Q_EDGES):
        Q = directions * generator.uniform(inner, outer, size=(points, 1))
        modes = peer.calculate_qpoint_phonon_modes(Q @ cell.T / (2 * np.pi), use_c=use_c)
        factors = modes.calculate_structure_factor(dw=damping)
        energies = factors.frequencies.to("meV").magnitude
        with np.errstate(over="ignore", divide="ignore"):
            occupied = 1 / (1 - np.exp(-energies / (8.617333262e-2 * TEMPERATURE)))
        values = factors.structure_factors.to("mbarn").magnitude * occupied
        content, _ = np.histogram(energies, ENERGY_EDGES, weights=values)
        rows.append(content / points / np.diff(ENERGY_EDGES))
    return broaden(np.array(rows), ENERGY_EDGES, ENERGY_FWHM / SIGMA_TO_FWHM)


def our_map(force_constants: ForceConstants, tolerance: float, limit: int | None = None):
    """Run the analyzer as users do."""
    return PowderScattering(
        TEMPERATURE,
        q_edges=Q_EDGES,
        energy_edges=ENERGY_EDGES,
        energy_fwhm=ENERGY_FWHM,
        tolerance=tolerance,
        maximum_wavevectors=limit,
        progress=False,
    )(force_constants)


def main() -> None:
    """Print times and errors."""
    atoms = bulk("Cu", a=3.5898)
    atoms.calc = EMT()
    force_constants = FiniteDisplacementPhonons(supercell=(SIZE,) * 3)(atoms)
    reference = our_map(force_constants, 0.002, 3_000_000)
    inside = slice(4, -4)  # beyond the ends of the axis Euphonic's histogram brings nothing in

    def error(values: np.ndarray) -> float:
        good = np.isfinite(values) & np.isfinite(reference.intensity)
        difference = np.abs(values - reference.intensity)[:, inside][good[:, inside]].sum()
        return difference / reference.intensity[:, inside][good[:, inside]].sum()

    start = time.perf_counter()
    ours = our_map(force_constants, 0.03)
    our_time, our_error = time.perf_counter() - start, error(ours.intensity)
    print(f"scatterml_ase   {our_time:7.2f} s   error {100 * our_error:5.2f} %")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = euphonic_force_constants(force_constants)
        scatterer = Scatterer.prepare(force_constants, TEMPERATURE)
        try:
            import euphonic._euphonic  # noqa: F401

            use_c = True
        except ImportError:
            use_c = False
        for points in (250, 1000, 4000):
            start = time.perf_counter()
            theirs = euphonic_map(peer, scatterer, points, use_c=use_c)
            their_time, their_error = time.perf_counter() - start, error(theirs)
            # Errors of a sample fall as one over the root of its size.
            equal = their_time * (their_error / our_error) ** 2
            print(
                f"Euphonic {points:5d}  {their_time:7.2f} s   error {100 * their_error:5.2f} %   "
                f"at our error about {equal:7.1f} s: {equal / our_time:5.1f} times our time"
                f"   ({'C extension' if use_c else 'numpy'})"
            )


if __name__ == "__main__":
    main()
