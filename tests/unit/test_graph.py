"""Graphs have the neighbours ASE finds, for every kind of structure, alone and batched."""

import time

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.neighborlist import primitive_neighbor_list

from scatterml_ase import neighbours as neighbours_module
from scatterml_ase.errors import InputError
from scatterml_ase.graph import batch_graphs, edge_vectors, graph_from_atoms, neighbours
from scatterml_ase.testing import structure_kinds

KINDS = structure_kinds("Si")
CUTOFFS = (2.6, 5.0, 8.5)


def as_set(centres, others, shifts):
    rows = np.column_stack([centres, others, shifts]).astype(int)
    assert len(rows) == len({tuple(row) for row in rows}), "an edge is listed twice"
    return {tuple(row) for row in rows}


def ase_neighbours(atoms, cutoff, quantities="ijS"):
    return primitive_neighbor_list(quantities, atoms.pbc, atoms.cell, atoms.positions, cutoff)


@pytest.mark.parametrize("cutoff", CUTOFFS)
@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_are_those_of_ase(kind, cutoff):
    atoms = KINDS[kind]
    assert as_set(*neighbours(atoms, cutoff)) == as_set(*ase_neighbours(atoms, cutoff))


@pytest.mark.parametrize("kind", KINDS)
def test_edge_vectors_are_those_of_ase(kind):
    atoms = KINDS[kind]
    graph = graph_from_atoms(atoms, 5.0)
    ours = np.column_stack([graph.edge_index.T, graph.cell_shifts, edge_vectors(graph)])
    i, j, shifts, vectors = ase_neighbours(atoms, 5.0, "ijSD")
    theirs = np.column_stack([i, j, shifts, vectors])
    ours, theirs = (rows[np.lexsort(rows[:, 4::-1].T)] for rows in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_neighbours_of_random_cells_with_any_pbc_are_those_of_ase():
    generator = np.random.default_rng(11)
    for _ in range(60):
        cell = generator.normal(size=(3, 3)) * generator.uniform(2, 6)
        if abs(np.linalg.det(cell)) < 4.0:
            continue
        scaled = generator.uniform(-3, 3, size=(generator.integers(1, 9), 3))
        pbc = generator.integers(0, 2, size=3).astype(bool)
        atoms = Atoms("H" * len(scaled), scaled_positions=scaled, cell=cell, pbc=pbc)
        assert as_set(*neighbours(atoms, 3.1)) == as_set(*ase_neighbours(atoms, 3.1))


SEARCHES = {  # the largest size that each of the searches before the wanted one takes
    "all pairs": {"_MOST_PAIRS": np.inf},
    "tree": {"_MOST_PAIRS": -1, "_MOST_BINS": -1, "_MOST_BINS_PER_ATOM": -1},
    "bins": {"_MOST_PAIRS": -1, "_MOST_BINS": np.inf},
}


@pytest.mark.parametrize("search", SEARCHES)
def test_every_search_finds_what_ase_finds_in_one_order(search, monkeypatch):
    for name, value in SEARCHES[search].items():
        monkeypatch.setattr(neighbours_module, name, value)
    for kind, atoms in KINDS.items():
        for cutoff in CUTOFFS:
            found = neighbours(atoms, cutoff)
            assert as_set(*found) == as_set(*ase_neighbours(atoms, cutoff)), (kind, cutoff)
            rows = np.column_stack(found)
            assert rows.dtype == np.int64
            np.testing.assert_array_equal(rows, rows[np.lexsort(rows.T[::-1])])
    test_neighbours_of_random_cells_with_any_pbc_are_those_of_ase()


def in_a_huge_box(size):
    """Two dimers, one across a corner of a skew box, one of them far outside of it."""
    cell = size * np.array([[1, 0, 0], [0.3, 1, 0], [0, 0.2, 1]])
    scaled = np.array([[0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [0, 0, 0], [1, 1, 1]])
    return Atoms("H4", scaled @ cell + [[0, 0, 0], [0.7, 0, 0], [0.3, 0, 0], [-0.4, 0, 0]],
                 cell=cell, pbc=True)  # fmt: skip


@pytest.mark.parametrize(
    "atoms",
    [
        in_a_huge_box(1e4),
        in_a_huge_box(1e5),
        Atoms("Si2", [[0, 0, 0], [0, 0, 2]], cell=[4, 4, 3e7], pbc=True),
        Atoms("Si500", np.arange(500)[:, None] * np.ones(3) * 2),  # a chain along the diagonal
        Atoms("H2", [[0, 0, 0], [0, 0, 1]], cell=[1e5, 9e4, 1], pbc=[True, True, False]),
    ],
    ids=["10 µm box", "0.1 mm box", "slab in 3 mm", "diagonal chain", "wide slab"],
)
def test_huge_empty_boxes_are_no_obstacle(atoms):
    start = time.perf_counter()
    edges = as_set(*neighbours(atoms, 5.0))  # a warning of matscipy would be an error here
    assert time.perf_counter() - start < 1.0
    assert edges and edges == as_set(*ase_neighbours(atoms, 5.0))


def test_a_tiny_cutoff_costs_nothing():
    start = time.perf_counter()
    assert len(neighbours(bulk("Si").repeat(4), 0.01)[0]) == 0
    assert time.perf_counter() - start < 1.0


def test_a_batch_has_the_edges_of_its_structures():
    graphs = [graph_from_atoms(atoms, 5.0) for atoms in KINDS.values()]
    batch = batch_graphs(graphs)
    assert batch.cell.shape == (len(KINDS), 3, 3) and batch.pbc.shape == (len(KINDS), 3)
    assert torch.equal(edge_vectors(batch), torch.cat([edge_vectors(graph) for graph in graphs]))
    for k, graph in enumerate(graphs):
        own = batch.batch[batch.edge_index[0]] == k
        assert torch.equal(batch.edge_index[:, own] - batch.ptr[k], graph.edge_index)


@pytest.mark.parametrize("kind", KINDS)
def test_edges_are_sorted_by_centre_and_come_in_both_directions(kind):
    graph = graph_from_atoms(KINDS[kind], 5.0)
    assert graph.edge_index.dtype == torch.int64 and graph.cell_shifts.dtype == torch.float64
    centre, other = graph.edge_index
    assert torch.all(centre[1:] >= centre[:-1])
    edges = as_set(centre, other, graph.cell_shifts)
    assert edges == {(j, i, -a, -b, -c) for i, j, a, b, c in edges}


def test_an_atom_in_a_small_cell_is_surrounded_by_its_own_images():
    """Simple cubic: 6 + 12 + 8 neighbours up to the space diagonal."""
    atoms = bulk("Po", "sc", a=3.0)
    assert [len(neighbours(atoms, c)[0]) for c in (2.9, 3.1, 4.3, 5.3)] == [0, 6, 18, 26]


def test_edge_vectors_are_differentiable_in_positions_and_cell():
    graph = batch_graphs([graph_from_atoms(KINDS[k], 3.0) for k in ("triclinic", "crystal")])

    def vectors(pos, cell):
        moved = graph.clone()
        moved.pos, moved.cell = pos, cell
        return edge_vectors(moved)

    inputs = (graph.pos.clone().requires_grad_(), graph.cell.clone().requires_grad_())
    assert torch.autograd.gradcheck(vectors, inputs)


def test_two_molecules_a_metre_apart_cost_no_more_than_two_side_by_side():
    near, far = molecule("H2O"), molecule("H2O")
    far.translate([0, 3e9, -1e10])
    edges = as_set(*neighbours(near, 4.0))
    expected = {(i + k, j + k, *shift) for k in (0, 3) for i, j, *shift in edges}
    assert as_set(*neighbours(near + far, 4.0)) == expected


def test_graphs_hold_their_own_numbers():
    """Moving the atoms later does not move the graph."""
    atoms = bulk("Si")
    graph = graph_from_atoms(atoms, 4.0)
    before = graph.pos.clone()
    atoms.positions += 1.0
    atoms.cell[:] = 9.0
    assert torch.equal(graph.pos, before) and graph.cell.max() < 9.0


def cell_of(cell, pbc=True):
    return Atoms("Si2", positions=[[0, 0, 0], [1, 1, 1]], cell=cell, pbc=pbc)


@pytest.mark.parametrize(
    ("atoms", "cutoff", "message"),
    [
        (Atoms(), 5.0, "no atoms"),
        (Atoms("SiO", positions=[[0, 0, 0], [0, np.nan, 0]]), 5.0, r"first atom 1 \(O\)"),
        (Atoms("Si", positions=[[np.inf, 0, 0]]), 5.0, "NaN or infinite"),
        (cell_of([[np.nan, 0, 0], [0, 5, 0], [0, 0, 5]], pbc=False), 5.0, "cell holds NaN"),
        (cell_of(None), 5.0, "PBC is on, but the cell is all zeros.*switch pbc off"),
        (cell_of([5, 5, 0]), 5.0, "periodic axis has a zero cell vector"),
        (cell_of([[4, 0, 0], [0, 4, 0], [4, 4, 0]]), 5.0, "enclose no volume"),
        (cell_of([4, 4, 1e-5]), 5.0, "enclose no volume"),
        (cell_of([[4, 4, 0], [4, 4, 1e-9], [1, 0, 0]], [True, True, False]), 5.0, "no volume"),
        (bulk("Si"), 0.0, "cutoff is 0.0"),
        (bulk("Si"), -1.0, "positive number"),
        (bulk("Si"), np.nan, "cutoff is nan"),
        ("Si.cif", 5.0, "Expected ase.Atoms, got str"),
    ],
)
def test_what_has_no_neighbours_is_refused_with_the_reason(atoms, cutoff, message):
    with pytest.raises(InputError, match=message):
        graph_from_atoms(atoms, cutoff)


def test_an_empty_list_makes_no_batch():
    with pytest.raises(InputError, match="list of structures is empty"):
        batch_graphs([])
