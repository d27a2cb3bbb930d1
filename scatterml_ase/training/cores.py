"""Where the data end: how close atoms come, and how lonely they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from ase.data import covalent_radii

from scatterml_ase.graph import edge_vectors, graph_from_atoms, neighbours
from scatterml_ase.nn.cutoff import PolynomialCutoff
from scatterml_ase.nn.encoder import SpeciesIndex
from scatterml_ase.potential.binding import BondGate
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


def bond_options(
    frames: Sequence[Frame], species: Sequence[int], *, cutoff: float, envelope_power: int
) -> dict[str, tuple[float, ...]]:
    """Return ``rest_densities`` and ``binding_span``: gates open up to the loneliest bound atom.

    An atom at rest is the median of its species; free atoms do not count.
    """
    gate = BondGate(species, [1.0] * len(species), (0.0, 1.0)).double()
    envelope, index = PolynomialCutoff(cutoff, envelope_power), SpeciesIndex(species)
    found: dict[int, list[torch.Tensor]] = {z: [] for z in range(len(species))}
    for frame in frames:
        graph = graph_from_atoms(frame.atoms, cutoff)
        if graph.num_edges == 0:
            continue
        kinds, lengths = index(graph.numbers), edge_vectors(graph).norm(dim=1)
        x = gate.density(lengths, envelope(lengths), graph.edge_index, kinds)
        for kind in found:
            found[kind].append(x[(kinds == kind) & (x > 0)])
    bound = {kind: torch.cat(parts) for kind, parts in found.items() if parts}
    rest = {kind: float(x.median()) for kind, x in bound.items() if len(x)}
    lowest = min((float(bound[kind].min()) / value for kind, value in rest.items()), default=0.5)
    return {
        "rest_densities": tuple(rest.get(kind, 1.0) for kind in range(len(species))),
        "binding_span": (0.0, round(min(0.9 * lowest, 0.45), 3)),
    }
