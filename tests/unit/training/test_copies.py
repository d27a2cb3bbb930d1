"""One structure counts once, and not on both sides of the border to validation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.singlepoint import SinglePointCalculator

from scatterml_ase.errors import AccuracyWarning, InputError
from scatterml_ase.training.config import DataConfig
from scatterml_ase.training.copies import drop_duplicates, drop_leaks, duplicates
from scatterml_ase.training.data import label_frame

KEYS = DataConfig(train=())


def with_labels(atoms: Atoms, energy: float = -1.0):
    copy = atoms.copy()
    forces = np.zeros((len(atoms), 3))
    copy.calc = SinglePointCalculator(copy, energy=energy, forces=forces)
    return copy


def test_copies_are_dropped_with_a_warning_and_contradictions_refused():
    frames = [label_frame(with_labels(bulk("Si", a=a)), KEYS) for a in (5.4, 5.5, 5.4)]
    with pytest.warns(AccuracyWarning, match="1 of 3 structures are copies"):
        assert len(drop_duplicates(frames)) == 2
    frames.append(label_frame(with_labels(bulk("Si", a=5.5), energy=-2.0), KEYS))
    with pytest.raises(InputError, match=r"-1\.000000 and -2\.000000 eV"):
        drop_duplicates(frames)


def test_a_validation_structure_is_not_trained_on():
    train = [label_frame(with_labels(bulk("Si", a=a)), KEYS) for a in (5.4, 5.5)]
    with pytest.warns(AccuracyWarning, match="1 training structures"):
        assert drop_leaks(train, train[:1]) == train[1:]


@pytest.mark.parametrize("atoms", [bulk("SiC", "zincblende", a=4.4), fcc111("Cu", (2, 2, 2), 3.6)])
def test_atoms_moved_by_lattice_vectors_make_a_copy(atoms):
    """Trajectories are written wrapped or unwrapped."""
    atoms = atoms.copy()
    atoms.rattle(0.1, seed=1)
    moved = atoms.copy()
    moved.positions[1] += 2 * atoms.cell[0] - atoms.cell[1]
    one, other = (label_frame(with_labels(a), KEYS) for a in (atoms, moved))
    assert duplicates([one, other]) == [(one, other)]
    with pytest.warns(AccuracyWarning, match="also validation structures"):
        assert drop_leaks([one], [other]) == []


def test_another_place_in_the_vacuum_or_a_small_step_is_no_copy():
    atoms = molecule("H2O")
    moved, pressed, turned = atoms.copy(), atoms.copy(), fcc111("Cu", (1, 1, 2), 3.6, vacuum=5)
    moved.positions[0, 2] += 1.0
    pressed.positions[0, 2] += 1e-4
    higher = turned.copy()
    higher.positions[0, 2] -= turned.cell[2, 2]  # the third axis is not periodic
    frames = [label_frame(with_labels(a), KEYS) for a in (atoms, moved, pressed, turned, higher)]
    assert duplicates(frames) == []


def test_copies_with_other_forces_contradict_each_other():
    one = label_frame(with_labels(bulk("Si")), KEYS)
    other = dataclasses.replace(one, forces=one.forces + 0.5)
    with pytest.raises(InputError, match=r"forces that differ by up to 0\.5 eV/Å"):
        drop_duplicates([one, other])
    with pytest.raises(InputError, match="a potential cannot give both"):
        drop_leaks([one], [other])
