"""What is chosen is new, what is known is left, and the same question has the same answer."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from scatterml_ase.errors import AccuracyWarning, InputError
from scatterml_ase.potential.model import E3NNPotential
from scatterml_ase.training.selection import require_format, select_structures
from scatterml_ase.training.surroundings import surroundings


def rattled(amplitude: float, count: int, *, seed: int, a: float = 3.6) -> list[Atoms]:
    random = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        atoms = bulk("Cu", a=a, cubic=True)
        atoms.positions += random.normal(0, amplitude, (4, 3))
        images.append(atoms)
    return images


@pytest.fixture(scope="module")
def pool() -> list[Atoms]:
    """Fourteen structures of a quiet crystal and, from 5 on, three that are something else."""
    quiet = rattled(0.03, 14, seed=0)
    return [*quiet[:5], bulk("Cu", a=4.2, cubic=True), *rattled(0.4, 2, seed=1), *quiet[5:]]


@pytest.fixture(scope="module")
def model() -> E3NNPotential:
    return E3NNPotential(
        E3NNPotential.Config(species=(13, 29), cutoff=4.5, channels=4, l_max=2, n_basis=4)
    )


@pytest.mark.parametrize("method", ["farthest", "leverage"])
def test_the_strange_ones_are_chosen_first(pool, model, method):
    known = rattled(0.03, 6, seed=5)
    chosen = select_structures(pool, 3, model=model, known=known, method=method)
    assert set(chosen.indices) == {5, 6, 7}
    assert all(np.diff(chosen.scores) <= 0) or method == "leverage"
    assert chosen.left < chosen.distances.min()
    assert [atoms.cell.volume for atoms in chosen.pick(pool)] == [
        pool[index].cell.volume for index in chosen.indices
    ]


def test_the_score_is_the_largest_distance_of_an_atom_to_a_known_one(pool):
    known = rattled(0.03, 6, seed=5)
    chosen = select_structures(pool, 1, known=known)
    in_pool, in_known = surroundings(None, pool, known)
    gaps = in_pool.points[:, None] - in_known.points
    nearest = np.linalg.norm(gaps, axis=2).min(axis=1).reshape(len(pool), 4)
    assert chosen.indices == (int(nearest.max(axis=1).argmax()),)
    assert chosen.scores[0] == pytest.approx(nearest.max(), rel=1e-6)
    assert chosen.atoms == (int(nearest[chosen.indices[0]].argmax()),)


def test_the_gain_is_the_rise_of_the_log_determinant(pool):
    """Two structures chosen one after the other gain what they gain together."""
    chosen = select_structures(pool, 2, method="leverage")
    (found,) = surroundings(None, pool)
    x = np.column_stack([found.points, np.ones(len(found.points))])
    prior = 1e-3 * np.trace(x.T @ x / len(x)) / x.shape[1] * np.eye(x.shape[1])
    both = x[np.isin(found.owner, chosen.indices)]
    rise = np.linalg.slogdet(prior + both.T @ both)[1] - np.linalg.slogdet(prior)[1]
    assert chosen.scores.sum() == pytest.approx(rise, rel=1e-6)


def test_every_species_has_its_part_of_the_gain(pool):
    """The blocks of the species give the log determinant of the whole matrix."""
    alloys = [atoms.copy() for atoms in pool]
    for number, atoms in enumerate(alloys):
        atoms.numbers[: number % 3] = 13
    chosen = select_structures(alloys, 2, known=alloys[5:7], method="leverage")
    found, known = surroundings(None, alloys, alloys[5:7])
    size = found.points.shape[1] + 1

    def rows(part):
        x = np.zeros((len(part.points), 2 * size))
        for row, (point, number) in enumerate(zip(part.points, part.numbers, strict=True)):
            start = size * (number == 29)
            x[row, start : start + size] = [*point, 1]
        return x

    x = rows(found)
    prior = 1e-3 * np.trace(x.T @ x / len(x)) / x.shape[1] * np.eye(x.shape[1])
    before = prior + rows(known).T @ rows(known)
    both = x[np.isin(found.owner, chosen.indices)]
    rise = np.linalg.slogdet(before + both.T @ both)[1] - np.linalg.slogdet(before)[1]
    assert chosen.scores.sum() == pytest.approx(rise, rel=1e-6)


def test_a_pool_that_is_too_small_is_not_called_too_poor(pool):
    with pytest.warns(AccuracyWarning, match=r"Only 2 of the 5.*the pool has no more than 2"):
        select_structures(pool[5:7], 5)


def test_a_pool_of_one_atom_can_be_chosen_from():
    assert select_structures([bulk("Cu")], 1).indices == (0,)


@pytest.mark.parametrize("name", ["x.nonsense", "x", "POSCAR"])
def test_a_file_that_cannot_hold_the_choice_is_refused(name):
    with pytest.raises(InputError, match=r"Cannot write .*\.extxyz or \.traj"):
        require_format(name)


def test_copies_of_what_is_known_are_never_chosen(pool):
    for method in ("farthest", "leverage"):
        with pytest.warns(AccuracyWarning, match="Only 2 of the 4"):
            chosen = select_structures(pool[:8], 4, known=[*pool[:5], pool[6]], method=method)
        assert set(chosen.indices) == {5, 7}
        assert chosen.left == pytest.approx(0, abs=1e-4)


def test_the_first_choice_without_knowledge_is_a_typical_structure(pool):
    chosen = select_structures(pool, 3)
    assert chosen.indices[0] not in {5, 6, 7}
    assert np.isinf(chosen.distances[0])
    assert set(chosen.indices[1:]) <= {5, 6, 7}


def test_turned_shifted_and_repeated_copies_are_copies(pool):
    turned = pool[6].copy()
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    turned.positions += 1.0
    with pytest.warns(AccuracyWarning, match="Only 0 of the 1"):
        select_structures([turned, pool[6].repeat((2, 1, 1))], 1, known=[pool[6]])


def test_an_unseen_species_comes_first(pool):
    other = pool[0].copy()
    other.numbers[2] = 13
    chosen = select_structures([*pool, other], 1, known=rattled(0.03, 3, seed=5))
    assert chosen.indices == (len(pool),)
    assert chosen.reasons == ("nothing like atom 2 (Al) was known",)


def test_uncertainty_weighs_the_scores(pool):
    known = rattled(0.03, 6, seed=5)
    plain = select_structures(pool, 1, known=known)
    favourite = (plain.indices[0] + 1) % len(pool)
    weighed = select_structures(
        pool, 1, known=known, uncertainty=lambda atoms: 1e3 * (atoms is pool[favourite])
    )
    assert weighed.indices == (favourite,)
    assert weighed.scores[0] == pytest.approx(1e3 * weighed.distances[0])


def test_the_same_question_has_the_same_answer(pool, model):
    for method in ("farthest", "leverage"):
        one, two = (select_structures(pool, 5, model=model, method=method) for _ in range(2))
        assert one.indices == two.indices
        np.testing.assert_array_equal(one.scores, two.scores)


def test_the_table_tells_why(pool):
    text = str(select_structures(pool, 2, known=pool[:3]))
    assert "(Cu) is" in text
    assert "farthest that is left" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pool": []}, "pool is empty"),
        ({"pool": [bulk("Cu"), Atoms()]}, "Structure 1 of the pool has no atoms"),
        ({"count": 0}, "0 structures"),
        ({"method": "random"}, "'random'"),
        ({"uncertainty": lambda _: float("nan")}, "uncertainty of structure 0 is nan"),
        ({"pool": [bulk("Si")], "model": True}, "does not know Si"),
    ],
)
def test_wrong_options_are_explained(pool, model, options, words):
    arguments = {"pool": pool, "count": 1} | options
    if options.get("model"):
        arguments["model"] = model
    with pytest.raises(InputError, match=words):
        select_structures(arguments.pop("pool"), arguments.pop("count"), **arguments)
