"""A kept neighbour list gives the edges of a new search, whatever happened to the structure."""

import copy
import pickle
import threading

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.geometry import wrap_positions

import scatterml_ase.verlet
from scatterml_ase.errors import InputError
from scatterml_ase.neighbours import neighbours
from scatterml_ase.testing import structure_kinds
from scatterml_ase.verlet import VerletList

KINDS = structure_kinds("Si")
CUTOFF = 4.2


def edge_set(graph):
    rows = torch.cat([graph.edge_index.T, graph.cell_shifts.long()], dim=1)
    edges = {tuple(row) for row in rows.tolist()}
    assert len(edges) == len(rows), "an edge is listed twice"
    return edges


def searched(atoms, cutoff=CUTOFF):
    centres, others, shifts = neighbours(atoms, cutoff)
    return {tuple(row) for row in np.column_stack([centres, others, shifts]).tolist()}


@pytest.fixture
def searches(monkeypatch):
    """Cutoffs of the neighbour searches, in their order."""
    found, search = [], scatterml_ase.verlet.neighbours

    def listening(atoms, cutoff):
        found.append(cutoff)
        return search(atoms, cutoff)

    monkeypatch.setattr(scatterml_ase.verlet, "neighbours", listening)
    return found


# -- what may happen to a structure between two calls ---------------------------------------------


def drift(atoms, rng):
    atoms.positions += rng.normal(scale=0.03, size=(len(atoms), 3))


def jump(atoms, rng):
    atoms.positions[rng.integers(len(atoms))] += rng.normal(scale=0.5, size=3)


def travel(atoms, rng):
    atoms.positions += rng.normal(scale=100.0, size=3)


def strain(atoms, rng):
    deformation = np.eye(3) + rng.normal(scale=0.01, size=(3, 3))
    atoms.set_cell(atoms.cell.array @ deformation, scale_atoms=bool(rng.integers(2)))


def strain_much(atoms, rng):
    deformation = np.eye(3) + rng.normal(scale=0.1, size=(3, 3))
    atoms.set_cell(atoms.cell.array @ deformation, scale_atoms=True)


def rotate(atoms, rng):
    atoms.rotate(rng.uniform(0, 360), rng.normal(size=3), rotate_cell=True)


def wrap(atoms, rng):
    atoms.positions = wrap_positions(
        atoms.positions + rng.normal(scale=0.01, size=3), atoms.cell, atoms.pbc
    )


def hop(atoms, rng):
    steps = rng.integers(-2, 3, size=(len(atoms), 3)) * atoms.pbc
    atoms.positions += (steps * rng.integers(0, 2, size=(len(atoms), 1))) @ atoms.cell.array


def permute(atoms, rng):
    atoms.positions = rng.permutation(atoms.positions)


def another_basis(atoms, rng):
    """Describe the same crystal by other cell vectors: shifts mean something else."""
    shear = np.eye(3)
    shear[0, 1] = rng.integers(-1, 2) * atoms.pbc[0] * atoms.pbc[1]
    atoms.set_cell(shear @ atoms.cell.array)


def switch_pbc(atoms, rng):
    axis = rng.integers(3)
    if atoms.cell.rank == 3:
        atoms.pbc[axis] = not atoms.pbc[axis]


def lose_an_atom(atoms, rng):
    if len(atoms) > 2:
        del atoms[int(rng.integers(len(atoms)))]


EVENTS = (
    *(drift,) * 12,
    *(strain,) * 6,
    *(wrap, hop) * 3,
    *(travel, rotate, jump, strain_much, permute, another_basis, switch_pbc, lose_an_atom),
)


@pytest.mark.parametrize("kind", KINDS)
def test_after_hundreds_of_events_the_edges_are_those_of_a_new_search(kind, searches):
    rng = np.random.default_rng(sum(map(ord, kind)))
    kept = VerletList(CUTOFF, skin=0.6)
    events = 0
    for _ in range(12):
        atoms = KINDS[kind].copy()
        for event in rng.choice(np.array(EVENTS, dtype=object), size=20):
            event(atoms, rng)
            assert edge_set(kept.graph(atoms)) == searched(atoms), event.__name__
            events += 1
    assert len(searches) < 0.75 * events, "the list is made anew too often to be of use"


def test_molecular_dynamics_of_a_breathing_cell_rarely_searches(searches):
    """The homogeneous part of a cell change costs no skin; only what atoms move beyond it does."""
    atoms = bulk("Si", cubic=True).repeat(2)
    kept, rng = VerletList(CUTOFF, skin=0.8), np.random.default_rng(5)
    positions, cell = atoms.get_scaled_positions(), atoms.cell.array
    for step in range(300):
        breath = np.eye(3) * (1 + 0.03 * np.sin(step / 20)) + np.diag([0.02 * np.sin(step / 9)], 2)
        atoms.set_cell(cell @ breath)
        atoms.set_scaled_positions(positions + rng.normal(scale=0.002, size=positions.shape))
        atoms.translate([0.5 * step, -step, 0.1])
        atoms.wrap()
        assert edge_set(kept.graph(atoms)) == searched(atoms)
    assert len(searches) <= 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_does_not_depend_on_what_came_before(kind):
    """Order, shifts and vectors are those of a new list to the last bit."""
    rng = np.random.default_rng(8)
    atoms, kept = KINDS[kind].copy(), VerletList(CUTOFF, skin=0.8)
    for event in (drift, drift, wrap, drift, strain, hop, drift, travel, drift):
        event(atoms, rng)
        old, new = kept.graph(atoms), VerletList(CUTOFF, skin=0.0).graph(atoms)
        for name, value in vars(new).items():
            assert torch.equal(getattr(old, name), value), (event.__name__, name)


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_positions_and_shifts(kind):
    atoms = KINDS[kind]
    graph = VerletList(CUTOFF, skin=0.5).graph(atoms)
    centre, other = graph.edge_index
    expected = graph.pos[other] - graph.pos[centre] + graph.cell_shifts @ graph.cell[0]
    torch.testing.assert_close(graph.vectors, expected, rtol=0, atol=1e-9)
    assert (graph.vectors.norm(dim=1) < CUTOFF).all()
    assert torch.all(centre[1:] >= centre[:-1])
    assert not any(value.is_inference() or value.requires_grad for value in vars(graph).values())


def test_the_bound_is_sharp(searches):
    """Two atoms may approach each other by the skin, and not by more."""
    start, skin = CUTOFF + 1.0, 1.0
    atoms = Atoms("Si2", positions=[[0, 0, 0], [start + 0.01, 0, 0]])
    kept = VerletList(CUTOFF, skin)
    kept.graph(atoms)
    edges = {}
    for approach in (0.0, 0.99, 1.01):
        atoms.positions[1, 0] = start - approach
        edges[approach] = kept.graph(atoms).num_edges, len(searches)
    assert edges == {0.0: (0, 2), 0.99: (0, 2), 1.01: (2, 3)}
    assert searches == [CUTOFF, CUTOFF + skin, CUTOFF + skin]


def test_a_cell_that_shrinks_brings_new_images_into_reach(searches):
    """One atom alone: nothing moves, all neighbours are images, and only the cell says so."""
    atoms = bulk("Po", "sc", a=CUTOFF + 0.2)
    kept = VerletList(CUTOFF, skin=0.3)
    for a in (0.2, 0.19, 0.1, 0.01, -0.01, -0.2):
        atoms.set_cell([CUTOFF + a] * 3)
        assert kept.graph(atoms).num_edges == (0 if a > 0 else 6)
    assert len(searches) <= 3


def test_a_single_structure_pays_for_no_skin(searches):
    atoms, kept = bulk("Si"), VerletList(CUTOFF, skin=1.0)
    kept.graph(atoms)
    kept.graph(atoms)
    assert searches == [CUTOFF]
    kept.graph(bulk("Si", a=5.6))  # nothing came nearer
    assert searches == [CUTOFF]
    kept.graph(bulk("Si", a=5.3))
    assert searches == [CUTOFF, CUTOFF + 1.0]
    kept.graph(KINDS["wire"])
    kept.graph(KINDS["crystal"])
    assert searches[2:] == [CUTOFF, CUTOFF]


def test_without_a_skin_every_move_is_searched(searches):
    atoms, kept = bulk("Si"), VerletList(CUTOFF, skin=0.0)
    for _ in range(3):
        atoms.positions[0, 0] += 1e-9
        kept.graph(atoms)
    assert searches == [CUTOFF] * 3


def test_species_may_change_on_a_kept_list(searches):
    atoms, kept = bulk("Si"), VerletList(CUTOFF, skin=0.5)
    kept.graph(atoms)
    atoms.numbers[0] = 6
    assert kept.graph(atoms).numbers.tolist() == [6, 14] and len(searches) == 1


def test_atoms_a_tenth_of_a_millimetre_from_home_keep_their_neighbours():
    atoms = KINDS["crystal"].copy()
    kept, rng = VerletList(CUTOFF, skin=0.5), np.random.default_rng(3)
    atoms.positions[::2] += 1e5 * atoms.cell.array[0]
    for _ in range(50):
        atoms.positions += rng.normal(scale=0.02, size=(len(atoms), 3))
        assert edge_set(kept.graph(atoms)) == searched(atoms)


def test_structures_without_neighbours_are_refused_after_good_ones():
    atoms, kept = bulk("Si"), VerletList(CUTOFF, skin=0.5)
    kept.graph(atoms)
    atoms.positions[0] = np.inf
    with pytest.raises(InputError, match="NaN or infinite"):
        kept.graph(atoms)
    atoms = bulk("Si")
    atoms.cell[2] = atoms.cell[1]
    with pytest.raises(InputError, match="no volume"):
        kept.graph(atoms)


@pytest.mark.parametrize("skin", [-0.1, np.nan, np.inf])
def test_a_skin_is_a_length(skin):
    with pytest.raises(InputError, match="The skin is"):
        VerletList(CUTOFF, skin)


def test_copies_and_pickles_are_empty_lists():
    kept = VerletList(CUTOFF, 0.5)
    kept.graph(bulk("Si").repeat(4))
    assert len(pickle.dumps(kept)) < 200
    for twin in (copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):
        assert repr(twin) == repr(kept) == "VerletList(cutoff=4.2 Å, skin=0.5 Å)"
        assert twin._reference is None


def test_threads_may_share_a_list():
    kept = VerletList(CUTOFF, skin=0.5)
    wrong = []

    def work(kind, seed):
        atoms, rng = KINDS[kind].copy(), np.random.default_rng(seed)
        for _ in range(60):
            drift(atoms, rng)
            if edge_set(kept.graph(atoms)) != searched(atoms):
                wrong.append(kind)

    kinds = ["crystal", "oblique cell", "unwrapped positions", "molecule without a cell"]
    threads = [threading.Thread(target=work, args=(kind, k)) for k, kind in enumerate(kinds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
