"""Where atoms of the data stop, so that the model's hard cores begin behind them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.data import covalent_radii

from scatterml_ase.graph import neighbours
from scatterml_ase.training.data import Frame


def closest_contact(frames: Sequence[Frame]) -> float:
    """Return the shortest distance of the data in sums of covalent radii; infinity if none is ≤ 1.

    Hot liquids press atoms far inside: 0.6 for molybdenum at 6000 K.
    """
    closest = np.inf
    for frame in frames:
        atoms = frame.atoms
        radii = covalent_radii[atoms.numbers]
        centres, others, shifts = neighbours(atoms, 2 * float(radii.max()))
        vectors = atoms.positions[others] - atoms.positions[centres] + shifts @ atoms.cell.array
        ratios = np.linalg.norm(vectors, axis=1) / (radii[centres] + radii[others])
        closest = min(closest, float(ratios.min(initial=np.inf)))
    return closest


def core_options(frames: Sequence[Frame]) -> dict[str, tuple[float, float]]:
    """Return ``core_span`` and ``repulsion_span`` that begin where the data end.

    The repulsion fades shortly beyond the closest contact, so that the network has the last word
    on all that is in the data; the network goes blind just inside of it, where nothing was
    learned. Both are never farther out than for a crystal at rest.
    """
    contact = closest_contact(frames)
    core, reach = min(contact, 0.82), min(contact, 1.06)
    return {
        "core_span": (round(0.6 * core, 2), round(0.97 * core, 2)),
        "repulsion_span": (round(0.7 * reach, 2), round(1.08 * reach, 2)),
    }
