"""Where the data end: how close atoms come, and how lonely they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from ase.data import covalent_radii

from scatterml_ase.graph import edge_vectors, graph_from_atoms, neighbours
from scatterml_ase.nn.cutoff import PolynomialCutoff
from scatterml_ase.nn.encoder import SpeciesIndex
from scatterml_ase.potential.binding import BondGate
from scatterml_ase.training.data import Frame

# At rest, touching atoms are about this many sums of covalent radii apart.
_AT_REST = 1.06


def closest_contact(frames: Sequence[Frame], scales: Mapping[int, float] | None = None) -> float:
    """Return the shortest distance of the data in contact distances; infinity if none is ≤ 1.

    Hot liquids press atoms far inside: 0.6 for molybdenum at 6000 K. Contact distances are sums of
    covalent radii, times the ``scales`` of atomic numbers that have one.
    """
    closest = _closest_contacts(frames, scales or {})
    return float(min(closest.values(), default=np.inf))


def core_options(frames: Sequence[Frame], species: Sequence[int]) -> dict[str, tuple[float, ...]]:
    """Return ``contact_scales``, ``core_span`` and ``repulsion_span`` that begin where data end.

    The scales make the closest contacts of like atoms equally far in units of their contact
    distance. The repulsion fades shortly beyond the closest contact of all, so that the network
    has the last word on all that is in the data; the network goes blind just inside of it, where
    nothing was learned. Both are never farther out than for a crystal at rest.
    """
    closest = _closest_contacts(frames, {})
    alike = {z: min(closest.get((z, z), _AT_REST), _AT_REST) for z in species}
    scales = {z: round(contact / max(alike.values()), 3) for z, contact in alike.items()}
    contact = closest_contact(frames, scales)
    core, reach = min(contact, 0.82), min(contact, _AT_REST)
    return {
        "contact_scales": tuple(scales[z] for z in species),
        "core_span": (round(0.6 * core, 2), round(0.97 * core, 2)),
        "repulsion_span": (round(0.7 * reach, 2), round(1.08 * reach, 2)),
    }


def _closest_contacts(
    frames: Sequence[Frame], scales: Mapping[int, float]
) -> dict[tuple[int, int], float]:
    """Return the shortest distance of each pair of species, smaller number first, if it is ≤ 1."""
    radii = np.array(covalent_radii)
    for number, scale in scales.items():
        radii[number] *= scale
    closest: dict[tuple[int, int], float] = {}
    for frame in frames:
        atoms = frame.atoms
        own = radii[atoms.numbers]
        centres, others, shifts = neighbours(atoms, 2 * float(own.max()))
        vectors = atoms.positions[others] - atoms.positions[centres] + shifts @ atoms.cell.array
        contacts = np.linalg.norm(vectors, axis=1) / (own[centres] + own[others])
        pairs = np.sort(atoms.numbers[np.stack([centres, others], axis=1)], axis=1)
        for first, second in np.unique(pairs, axis=0):
            alike = (pairs == (first, second)).all(axis=1)
            pair = (int(first), int(second))
            closest[pair] = min(closest.get(pair, np.inf), float(contacts[alike].min()))
    return closest


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
