"""Energies of free atoms are given, found in the data, or zero; the rest is binding."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule

from scatterml_ase.errors import AccuracyWarning, InputError
from scatterml_ase.training.data import Frame
from scatterml_ase.training.energies import (
    SpeciesEnergies,
    fit_energies,
    free_atoms,
    is_free_atom,
    shift_energies,
)
from scatterml_ase.training.prepare import build_model

MEAN = {8: -6.0, 14: -5.0}  # eV per atom in crystals


def frame(atoms: Atoms, energy: float | None = None) -> Frame:
    if energy is None:
        energy = sum(MEAN[z] for z in atoms.numbers)
    none = np.zeros((3, 3), dtype=bool)
    return Frame(atoms, energy, np.zeros((len(atoms), 3)), np.zeros((3, 3)), none, "", "here")


CRYSTALS = [frame(bulk("Si")), frame(bulk("SiO", "zincblende", a=4.4)), frame(bulk("Si", a=5.6))]
SPECIES = (8, 14)


def test_without_free_atoms_all_energy_is_binding():
    energies = fit_energies(CRYSTALS, SPECIES, {})
    assert energies.reference == (0.0, 0.0)
    np.testing.assert_allclose(energies.binding, (-6.0, -5.0), rtol=1e-12)


def test_free_atoms_are_given_by_symbol_or_found_in_the_data():
    in_a_box = frame(Atoms("O", cell=[12.0] * 3, pbc=True), -1.5)
    free = free_atoms([*CRYSTALS, in_a_box], {"Si": -0.8}, species=SPECIES, cutoff=5.0)
    assert free == {8: -1.5, 14: -0.8}
    energies = fit_energies(CRYSTALS, SPECIES, free)
    assert energies.reference == (-1.5, -0.8)
    np.testing.assert_allclose(energies.binding, (-4.5, -4.2), rtol=1e-12)


def test_a_primitive_cell_of_one_atom_is_no_free_atom():
    assert not is_free_atom(frame(bulk("Al"), -3.0), cutoff=5.0)
    assert is_free_atom(frame(Atoms("Al"), 0.0), cutoff=5.0)
    assert not is_free_atom(frame(molecule("O2")), cutoff=5.0)


def test_two_energies_for_one_free_atom_are_told():
    atom = frame(Atoms("O"), -1.5)
    with pytest.warns(AccuracyWarning, match=r"O has -1\.9000 eV.*-1\.5000 eV in here"):
        assert free_atoms([atom], {"O": -1.9}, species=SPECIES, cutoff=5.0) == {8: -1.9}


@pytest.mark.parametrize("symbol", ["Fe", "Xx"])
def test_a_symbol_that_is_no_species_is_named(symbol):
    with pytest.raises(InputError, match=rf"'{symbol}'.*O, Si"):
        free_atoms([], {symbol: 0.0}, species=SPECIES, cutoff=5.0)


def test_a_shift_goes_where_it_moves_no_force():
    """Species with a known free atom, and new ones, are bound differently; others move whole."""
    before = SpeciesEnergies(reference=(0.0, -1.0), binding=(0.0, -3.0))
    arguments = {"species": SPECIES, "known": (14,)}
    predicted = [sum({8: 0.0, 14: -4.0}[z] for z in f.atoms.numbers) for f in CRYSTALS]
    after = shift_energies(CRYSTALS, predicted, before, free={}, **arguments)
    np.testing.assert_allclose(after.reference, (0.0, -2.0), atol=1e-12)
    np.testing.assert_allclose(after.binding, (-6.0, -3.0), atol=1e-12)
    after = shift_energies(CRYSTALS, predicted, before, free={14: -0.5}, **arguments)
    np.testing.assert_allclose(after.reference, (0.0, -0.5), atol=1e-12)
    np.testing.assert_allclose(after.binding, (-6.0, -4.5), atol=1e-12)


def test_species_without_data_stay_as_they_are():
    before = SpeciesEnergies(reference=(0.5, 0.0), binding=(-2.0, -4.0))
    silicon = [CRYSTALS[0]]
    after = shift_energies(silicon, [-8.0], before, species=SPECIES, known=SPECIES, free={})
    assert after.reference[0] == 0.5
    assert after.binding == before.binding
    free = {8: -1.5}
    after = shift_energies(silicon, [-8.0], before, species=SPECIES, known=SPECIES, free=free)
    assert (after.reference[0], after.binding[0]) == (-1.5, -2.0)
    assert fit_energies([], SPECIES, free) == SpeciesEnergies((-1.5, 0.0), (0.0, 0.0))


def test_the_model_has_the_energies_of_the_training_file(config):
    frames = [frame(bulk("Cu", cubic=True), -14.0)]
    table = dataclasses.replace(config.model, reference_energies={"Cu": -0.5})
    build = {"seed": 0, "dtype": torch.float64}
    built = build_model(table, frames, **build).config
    assert built.reference_energies == (-0.5,)
    assert built.binding_energies == pytest.approx((-3.0,))
    by_list = dataclasses.replace(
        config.model, options={**config.model.options, "reference_energies": [-0.5]}
    )
    assert build_model(by_list, frames, **build).config == built
    twice = dataclasses.replace(by_list, reference_energies={"Cu": -0.5})
    with pytest.raises(InputError, match="given twice"):
        build_model(twice, frames, **build)
