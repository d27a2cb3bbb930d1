"""What counts as far from the training set."""

import numpy as np
from ase.build import bulk

from scatterml_ase.graph import edge_vectors, graph_from_atoms
from scatterml_ase.potential.features import FeatureReader
from scatterml_ase.training.data import Frame
from scatterml_ase.training.known_ground import fit_measure


def frame(atoms) -> Frame:
    zeros = np.zeros((len(atoms), 3))
    return Frame(atoms, 0.0, zeros, np.zeros((3, 3)), np.ones((3, 3), dtype=bool), "", "")


def test_a_hair_is_not_far_from_atoms_that_are_all_alike(random_potential):
    """The training atoms have no spread of their own to measure distances in."""
    reader = FeatureReader(random_potential)
    crystal = bulk("Si")
    measure = fit_measure(reader, [frame(crystal)] * 3, [frame(crystal)])
    crystal.positions[0, 0] += 1e-7
    graph = graph_from_atoms(crystal, random_potential.cutoff)
    features = reader(edge_vectors(graph), graph.edge_index, graph.numbers)
    grades = measure.grades(features.invariants, graph.numbers)
    assert bool((grades < 1).all())
