"""What :mod:`stability` checks without dynamics: extreme volumes, pairs, and the cutoff."""

import numpy as np
from ase import Atoms

SHARES = np.geomspace(0.4, 1.0, 80)  # of the static volume, on the compressed side
DELTAS = (4e-3, 2e-3, 1e-3, 5e-4)  # strains on either side of a crossing


def static_checks(crystal: Atoms) -> dict:
    """Return energies over volume and over the distance of a pair, and jumps of curvature."""
    cutoff = crystal.calc.cutoff
    return {
        "cutoff": cutoff,
        "volumes": volume_scan(crystal, cutoff),
        "pair": pair_scan(crystal, cutoff),
        "curvature": curvature_jumps(crystal, cutoff),
    }


def volume_scan(crystal: Atoms, cutoff: float) -> dict:
    """Energy per atom from 0.4 of the volume to beyond the cutoff, and its holes."""
    from matscipy.neighbours import neighbour_list

    nearest = neighbour_list("d", crystal, 4.0).min()
    lengths = np.concatenate([SHARES ** (1 / 3), np.linspace(1, 1.02 * cutoff / nearest, 200)[1:]])
    images = [scaled(crystal, length) for length in lengths]
    results = crystal.calc.evaluate(images)
    energies = np.array([r["energy"] for r in results]) / len(crystal)
    free = Atoms(crystal.symbols[:1])
    lone = crystal.calc.evaluate([free])[0]["energy"]
    finite = all(np.isfinite(r["energy"]) and np.isfinite(r["forces"]).all() for r in results)
    finite &= all(
        rattled_is_finite(image) for image in images[::5]
    )  # forces of a perfect crystal are zero
    depth, between = deepest_hole(energies)
    return {
        "length_shares": lengths.tolist(),
        "energies": energies.tolist(),
        "finite": bool(finite),
        "deepest_hole_mev": 1000 * depth,
        "hole_between": [float(lengths[k]) for k in between],
        "minimum_at": float(lengths[energies.argmin()]),
        "torn_apart_minus_lone_mev": float(1000 * (energies[-1] - lone)),
        "cohesive_energy": float(lone - energies.min()),
    }


def rattled_is_finite(image: Atoms) -> bool:
    """Tell whether energy and forces are numbers with atoms off their sites."""
    moved = image.repeat((2, 2, 2))
    moved.rattle(0.05, seed=0)
    result = image.calc.evaluate([moved])[0]
    return bool(np.isfinite(result["energy"]) and np.isfinite(result["forces"]).all())


def pair_scan(crystal: Atoms, cutoff: float) -> dict:
    """Energy of two atoms over their distance from 0.2 Å to beyond the cutoff, and its holes."""
    distances = np.linspace(0.2, 1.02 * cutoff, 400)
    kind = crystal.get_chemical_symbols()[0]
    pairs = [Atoms([kind, kind], positions=[[0, 0, 0], [r, 0, 0]]) for r in distances]
    energies = np.array([r["energy"] for r in crystal.calc.evaluate(pairs)])
    return {
        "distances": distances.tolist(),
        "energies": energies.tolist(),
        "finite": bool(np.isfinite(energies).all()),
        "deepest_hole_mev": 1000 * deepest_hole(energies)[0],
        "minimum_at": float(distances[energies.argmin()]),
    }


def deepest_hole(energies: np.ndarray) -> tuple[float, tuple[int, int]]:
    """Return how far the energy falls again on the way up from its minimum, and between where.

    Both sides of the minimum are looked at; the two indices are the crest and the bottom.
    """
    lowest = int(energies.argmin())
    found = []
    for order in (np.arange(lowest, len(energies)), np.arange(lowest, -1, -1)):
        side = energies[order]
        falls = np.maximum.accumulate(side) - side
        bottom = int(falls.argmax())
        crest = int(side[: bottom + 1].argmax())
        found.append((float(falls[bottom]), (int(order[crest]), int(order[bottom]))))
    return max(found)


def curvature_jumps(crystal: Atoms, cutoff: float) -> dict:
    """Jump of d²E/dλ² where a shell crosses the cutoff under uniform strain λ.

    The one-sided limits are extrapolated from two points each; the jump of a function with a
    continuous second derivative then vanishes with the square of their distance.
    """
    from matscipy.neighbours import neighbour_list

    distances = np.unique(neighbour_list("d", crystal, 1.1 * cutoff).round(6))
    crossings = [c for c in cutoff / distances if 0.95 < c < 1.05][:3]
    scale = curvature(crystal, 1.0)
    jumps = [[abs(jump(crystal, c, delta)) / abs(scale) for delta in DELTAS] for c in crossings]
    return {
        "crossings": [float(c) for c in crossings],
        "strains": list(DELTAS),
        "relative_jumps": jumps,
        "curvature_ev_per_atom": float(scale),
    }


def jump(crystal: Atoms, crossing: float, delta: float) -> float:
    """Return the difference of the limits of the curvature from above and from below."""
    above, below = (
        2 * curvature(crystal, crossing + sign * delta)
        - curvature(crystal, crossing + 2 * sign * delta)
        for sign in (1, -1)
    )
    return above - below


def curvature(crystal: Atoms, length: float, step: float = 2e-5) -> float:
    """Return d²E/dλ² in eV/atom from the virial at two strains."""
    ahead, behind = (scaled(crystal, length + sign * step) for sign in (1, -1))
    slopes = [3 * a.get_volume() * a.get_stress()[:3].mean() / s for a, s in
              ((ahead, length + step), (behind, length - step))]  # fmt: skip
    return float((slopes[0] - slopes[1]) / (2 * step) / len(crystal))


def scaled(crystal: Atoms, length: float) -> Atoms:
    """Return the crystal with all lengths multiplied, the calculator attached."""
    image = crystal.copy()
    image.set_cell(crystal.cell * length, scale_atoms=True)
    image.calc = crystal.calc
    return image
