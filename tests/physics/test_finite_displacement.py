"""Phonons by finite displacements against analytic crystals and against ASE's own phonon code."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.neighborlist import neighbor_list
from ase.optimize import BFGS
from ase.phonons import Phonons

from scatterml_ase import FiniteDisplacementPhonons
from scatterml_ase.units import ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV


class NearestNeighbourSprings(Calculator):
    """Central springs of strength k (eV/Å²) at rest at the nearest-neighbour distance (Å)."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, strength, distance):
        super().__init__()
        self.strength, self.distance = strength, distance

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        i, _, d, D = neighbor_list("ijdD", atoms, 1.2 * self.distance)
        pull = self.strength * (d - self.distance)
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, i, (pull / d)[:, None] * D)
        energy = 0.25 * np.sum(pull * (d - self.distance))
        self.results = {"energy": energy, "forces": forces, "stress": np.zeros(6)}


@pytest.fixture
def spring_crystal():
    """Fcc with springs: M ω² = 8k at X (longitudinal), 4k (transverse); at L 8k and 2k."""
    atoms = bulk("Al", "fcc", a=4.0)
    atoms.calc = NearestNeighbourSprings(strength=1.3, distance=4.0 / np.sqrt(2))
    return atoms


def test_fcc_springs_have_the_textbook_frequencies(spring_crystal):
    """A fcc crystal of nearest-neighbour springs has ω² = (2k, 4k, 8k)/M at X and L."""
    force_constants = FiniteDisplacementPhonons(supercell=(4, 4, 4))(spring_crystal)
    unit = ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV * np.sqrt(1.3 / 26.9815385)
    at_x, at_l = force_constants.modes([[0.5, 0.5, 0], [0.5, 0.5, 0.5]]).frequencies
    np.testing.assert_allclose(at_x, unit * np.sqrt([4, 4, 8]), rtol=1e-4)
    np.testing.assert_allclose(at_l, unit * np.sqrt([2, 2, 8]), rtol=1e-4)


@pytest.mark.parametrize("displacement", [0.005, 0.02])
def test_the_displacement_does_not_matter_in_the_harmonic_range(spring_crystal, displacement):
    analyzer = FiniteDisplacementPhonons(supercell=(2, 2, 2), displacement=displacement)
    reference = FiniteDisplacementPhonons(supercell=(2, 2, 2))(spring_crystal)
    other = analyzer(spring_crystal)
    q = [[0.1, 0.2, 0.3]]
    np.testing.assert_allclose(
        other.modes(q).frequencies, reference.modes(q).frequencies, rtol=2e-4
    )


def test_a_conventional_cell_gives_the_phonons_of_the_primitive_cell(spring_crystal):
    """Supercells 4×4×4 of one atom and 2×2×2 of four: same q, same frequencies, one atom."""
    conventional = bulk("Al", "fcc", a=4.0, cubic=True)
    conventional.calc = spring_crystal.calc
    a = FiniteDisplacementPhonons(supercell=(4, 4, 4))(spring_crystal)
    b = FiniteDisplacementPhonons(supercell=(2, 2, 2))(conventional)
    assert len(a.crystal) == len(b.crystal) == 1
    # The same wavevectors (Å⁻¹), each in the reciprocal cell of its own primitive cell.
    q = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.0]]) @ a.crystal.reciprocal_cell
    in_b = q @ np.linalg.inv(b.crystal.reciprocal_cell)
    in_a = q @ np.linalg.inv(a.crystal.reciprocal_cell)
    np.testing.assert_allclose(b.modes(in_b).frequencies, a.modes(in_a).frequencies, atol=2e-3)


def relaxed(atoms):
    atoms.calc = EMT()
    BFGS(atoms, logfile=None).run(fmax=1e-4)
    return atoms


def test_phonons_of_an_alloy_agree_with_ase(tmp_path):
    """Cu3Au with EMT: same displacements, same supercell, an independent dynamical matrix."""
    atoms = bulk("Cu", "fcc", a=3.78, cubic=True)
    atoms.symbols[0] = "Au"
    relaxed(atoms)
    ours = FiniteDisplacementPhonons(supercell=(3, 3, 3), stress_tolerance=1.0)(atoms)
    theirs = Phonons(atoms, EMT(), supercell=(3, 3, 3), delta=0.01, name=str(tmp_path / "phonon"))
    theirs.run()
    theirs.read(acoustic=True, symmetrize=10)
    # Wavevectors that fit the supercell: there both are exact, whatever they do with images.
    q = np.array([[0, 0, 0], [1 / 3, 0, 0], [1 / 3, 1 / 3, 0], [1 / 3, -1 / 3, 1 / 3]])
    reference = 1e3 * theirs.band_structure(q, verbose=False)
    np.testing.assert_allclose(ours.modes(q).frequencies, reference, atol=0.02)


def test_symmetrised_force_constants_obey_all_their_rules():
    """Acoustic sum rule and permutation symmetry hold to rounding, also in a low symmetry."""
    atoms = relaxed(bulk("Cu", "hcp", a=2.56, c=4.2))
    phonopy = FiniteDisplacementPhonons(supercell=(3, 3, 2), stress_tolerance=1.0).phonopy(atoms)
    compact = phonopy.force_constants  # [primitive atom, supercell atom, 3, 3]
    assert np.abs(compact.sum(axis=1)).max() < 1e-10
    on_site = [compact[k, s] for k, s in enumerate(phonopy.primitive.p2s_map)]
    np.testing.assert_allclose(on_site, np.transpose(on_site, (0, 2, 1)), atol=1e-10)
    force_constants = FiniteDisplacementPhonons(supercell=(3, 3, 2), stress_tolerance=1.0)(atoms)
    assert np.abs(force_constants.modes([[0, 0, 0]]).frequencies[0, :3]).max() < 1e-4


def test_large_cells_of_low_symmetry_obey_the_rules_without_the_large_fit(monkeypatch):
    """108 atoms without symmetry have 52,000 free constants: their fit would take 20 GB."""
    atoms = relaxed(bulk("Cu", "hcp", a=2.56, c=4.2))
    phonons = FiniteDisplacementPhonons(supercell=(3, 3, 2), stress_tolerance=1.0)
    fitted = phonons(atoms)
    monkeypatch.setattr("scatterml_ase.phonons.finite_displacement._MOST_FITTED", 0)
    compact = phonons.phonopy(atoms).force_constants
    assert np.abs(compact.sum(axis=1)).max() < 1e-10
    in_turn = phonons(atoms)
    q = [[0, 0, 0], [1 / 3, 0, 0], [1 / 3, 1 / 3, 1 / 2]]
    expected = fitted.modes(q).frequencies
    np.testing.assert_allclose(in_turn.modes(q).frequencies, expected, atol=0.02)


def test_without_symmetrisation_the_forces_speak_for_themselves(spring_crystal):
    raw = FiniteDisplacementPhonons(supercell=(3, 3, 3), symmetrize=False)(spring_crystal)
    fitted = FiniteDisplacementPhonons(supercell=(3, 3, 3))(spring_crystal)
    q = [[1 / 3, 0, 0], [1 / 3, 1 / 3, 0]]
    np.testing.assert_allclose(raw.modes(q).frequencies, fitted.modes(q).frequencies, rtol=1e-3)


def test_what_is_left_of_the_forces_is_no_response():
    """A residual force below the tolerance is subtracted, or it would count as a force constant.

    Displacements are one-sided where symmetry allows it: without the subtraction, 0.005 eV/Å
    over 0.01 Å would add 0.5 eV/Å².
    """
    atoms = relaxed(bulk("Cu", "fcc", a=3.6, cubic=True))
    exact = FiniteDisplacementPhonons(supercell=(2, 2, 2), stress_tolerance=1.0)(atoms)

    class Biased(EMT):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            self.results["forces"] = self.results["forces"] + [0.005, -0.002, 0.003]

    biased = Atoms(atoms)
    biased.calc = Biased()
    found = FiniteDisplacementPhonons(supercell=(2, 2, 2), stress_tolerance=1.0)(biased)
    q = [[0.5, 0.5, 0.0], [0.1, 0.3, 0.2]]
    np.testing.assert_allclose(found.modes(q).frequencies, exact.modes(q).frequencies, atol=1e-6)
