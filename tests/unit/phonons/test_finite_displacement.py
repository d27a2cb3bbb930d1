import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT

from scatterml_ase import FiniteDisplacementPhonons, ForceConstants
from scatterml_ase.errors import AccuracyWarning, InputError, StabilityWarning
from scatterml_ase.phonons.supercell import choose_supercell, shortest_image, supercell_matrix


@pytest.fixture
def copper():
    atoms = bulk("Cu", "fcc", a=3.5897)  # the EMT lattice constant
    atoms.calc = EMT()
    return atoms


class Batched(EMT):
    """EMT that remembers what it was asked for in batches."""

    cutoff = 3.0

    def evaluate(self, images):
        self.sizes = [*getattr(self, "sizes", []), len(images)]
        return [{"forces": self.get_forces(atoms)} for atoms in images]


def test_a_calculator_that_can_is_asked_in_batches(copper):
    one_by_one = FiniteDisplacementPhonons(supercell=(3, 3, 3))(copper)
    copper.calc = Batched()
    batched = FiniteDisplacementPhonons(supercell=(3, 3, 3))(copper)
    assert copper.calc.sizes == [1]
    np.testing.assert_allclose(batched.blocks, one_by_one.blocks, atol=1e-12)


def test_many_displacements_are_cut_into_bounded_batches(copper):
    atoms = copper.repeat((2, 1, 1))
    atoms.symbols[0] = "Ag"
    atoms.calc = Batched()
    analyzer = FiniteDisplacementPhonons(
        supercell=(3, 6, 6), force_tolerance=10, stress_tolerance=10
    )
    analyzer.phonopy(atoms)
    assert max(atoms.calc.sizes) * 2 * 3 * 6 * 6 <= 1000


def test_the_atoms_are_left_as_they_were(copper):
    before = copper.copy()
    calculator = copper.calc
    FiniteDisplacementPhonons(supercell=(2, 2, 2))(copper)
    assert copper == before
    assert copper.calc is calculator


def test_provenance_names_calculator_options_and_formula(copper):
    provenance = FiniteDisplacementPhonons(supercell=(2, 2, 2))(copper).provenance
    assert provenance["formula"] == "Cu"
    assert provenance["calculator"]["class"] == "EMT"
    assert provenance["FiniteDisplacementPhonons"]["displacement"] == 0.01
    assert provenance["version"].startswith("scatterml_ase")


def test_the_phonopy_object_is_at_hand(copper):
    phonopy = FiniteDisplacementPhonons(supercell=(2, 2, 2)).phonopy(copper)
    assert len(phonopy.supercell) == 8
    again = ForceConstants.from_phonopy(phonopy)
    assert again.modes([[0.5, 0.5, 0]]).frequencies.min() > 0


def test_a_progress_bar_is_shown_on_request(copper, capsys):
    FiniteDisplacementPhonons(supercell=(2, 2, 2), progress=True)(copper)
    assert "displacements" in capsys.readouterr().err
    FiniteDisplacementPhonons(supercell=(2, 2, 2))(copper)
    assert capsys.readouterr().err == ""


def test_isotope_masses_reach_the_force_constants(copper):
    copper.set_masses([65.0])
    force_constants = FiniteDisplacementPhonons(supercell=(2, 2, 2))(copper)
    np.testing.assert_allclose(force_constants.crystal.masses, [65.0])


# -- refusals and warnings ------------------------------------------------------------------------


def test_without_calculator_it_says_how_to_attach_one():
    with pytest.raises(InputError, match=r"no calculator.*atoms\.calc = "):
        FiniteDisplacementPhonons()(bulk("Si"))


def test_forces_above_the_limit_are_refused(copper):
    atoms = copper.repeat((2, 1, 1))
    atoms.positions[0] += [0.1, 0, 0]
    atoms.calc = EMT()
    with pytest.raises(InputError, match=r"force of .* eV/Å.*relax"):
        FiniteDisplacementPhonons(supercell=(2, 2, 2))(atoms)


def test_residual_stress_warns_and_names_the_remedy():
    atoms = bulk("Cu", "fcc", a=3.7)
    atoms.calc = EMT()
    with pytest.warns(StabilityWarning, match=r"GPa.*relax") as caught:
        FiniteDisplacementPhonons(supercell=(2, 2, 2))(atoms)
    assert caught[0].filename == __file__


def test_a_calculator_without_stress_is_fine(copper):
    class NoStress(EMT):
        implemented_properties = ["energy", "forces"]  # noqa: RUF012

    copper.calc = NoStress()
    assert FiniteDisplacementPhonons(supercell=(2, 2, 2))(copper).blocks.shape[1:] == (3, 3)


@pytest.mark.parametrize(
    "atoms",
    [molecule("N2"), fcc111("Cu", (1, 1, 3), vacuum=5), Atoms("Cu", pbc=True)],
    ids=["molecule", "slab", "crystal without a cell"],
)
def test_what_is_no_crystal_is_refused(atoms):
    atoms.calc = EMT()
    with pytest.raises(InputError, match="no three-dimensional crystal"):
        FiniteDisplacementPhonons(supercell=(2, 2, 2))(atoms)


def test_empty_and_nan_structures_are_refused(copper):
    with pytest.raises(InputError, match="empty"):
        FiniteDisplacementPhonons()(Atoms(cell=[3, 3, 3], pbc=True, calculator=EMT()))
    copper.positions[0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        FiniteDisplacementPhonons()(copper)


@pytest.mark.parametrize(
    ("supercell", "reason"),
    [
        ((0, 4, 4), "less than once"),
        ((2.5, 2, 2), "whole-number"),
        ((2, 2), "shape"),
        ("big", "no array"),
        (((1, 0, 0), (1, 0, 0), (0, 0, 1)), "determinant is 0"),
        (((0, 1, 0), (1, 0, 0), (0, 0, 1)), "determinant is -1"),
        ((2, 2, np.nan), "whole-number"),
    ],
)
def test_wrong_supercells_say_what_is_wrong(copper, supercell, reason):
    with pytest.raises(InputError, match=rf"{reason}.*\(4, 4, 4\)"):
        FiniteDisplacementPhonons(supercell=supercell)(copper)


@pytest.mark.parametrize("displacement", [0, -0.01, 1.0, np.nan])
def test_absurd_displacements_are_refused(copper, displacement):
    with pytest.raises(InputError, match="displacement"):
        FiniteDisplacementPhonons(supercell=(2, 2, 2), displacement=displacement)(copper)


def test_a_supercell_smaller_than_twice_the_cutoff_warns(copper):
    copper.calc = Batched()
    with pytest.warns(AccuracyWarning, match="fold"):
        FiniteDisplacementPhonons(supercell=(2, 2, 2))(copper)


# -- supercells -----------------------------------------------------------------------------------


def test_rows_of_a_supercell_matrix_are_supercell_vectors(copper):
    """A non-diagonal supercell: rows, as everywhere in this package, not phonopy's columns."""
    rows = np.array([[2, 0, 0], [1, 2, 0], [0, 0, 2]])
    with pytest.warns(AccuracyWarning, match="rotations of the crystal"):
        phonopy = FiniteDisplacementPhonons(supercell=rows).phonopy(copper)
    np.testing.assert_allclose(phonopy.supercell.cell, rows @ copper.cell.array, atol=1e-12)
    np.testing.assert_array_equal(supercell_matrix((2, 3, 4)), np.diag([2, 3, 4]))


@pytest.mark.parametrize(
    "atoms",
    [
        bulk("Si"),
        bulk("Fe"),
        bulk("Mg"),
        bulk("Po", "sc", a=3.3),
        bulk("ZnO", "wurtzite", a=3.25, c=5.2),
        bulk("Sn", "bct", a=5.8, c=3.18),
    ],
    ids=lambda atoms: str(atoms.symbols),
)
def test_a_chosen_supercell_is_long_enough_and_not_wasteful(atoms):
    matrix = choose_supercell(atoms, 12.0, 1e-4)
    assert shortest_image(matrix @ atoms.cell.array) >= 12.0
    volume = np.linalg.det(matrix) * atoms.get_volume()
    assert volume < 2.5 * 12.0**3


def test_a_turned_crystal_gets_the_same_supercell():
    atoms = bulk("Si")
    expected = choose_supercell(atoms, 12.0, 1e-4)
    atoms.rotate(37, (1, 2, 3), rotate_cell=True)
    np.testing.assert_array_equal(choose_supercell(atoms, 12.0, 1e-4), expected)


def test_without_supercell_a_conventional_cell_is_reduced_first(copper):
    conventional = bulk("Cu", "fcc", a=3.5897, cubic=True)
    conventional.calc = copper.calc
    analyzer = FiniteDisplacementPhonons(minimum_length=7.0)
    assert len(analyzer.phonopy(conventional).supercell) == len(analyzer.phonopy(copper).supercell)


@pytest.mark.parametrize("length", [0, -1, np.nan])
def test_an_absurd_minimum_length_is_refused(copper, length):
    with pytest.raises(InputError, match="minimum_length"):
        FiniteDisplacementPhonons(minimum_length=length)(copper)


# -- polar crystals -------------------------------------------------------------------------------


def test_born_charges_need_the_dielectric_tensor(copper):
    with pytest.raises(InputError, match="belong together"):
        FiniteDisplacementPhonons(supercell=(2, 2, 2), born_charges=np.zeros((1, 3, 3)))(copper)


def test_born_charges_are_kept_symmetric_and_neutral():
    """CuAu in CsCl structure with made-up charges: the sum over atoms vanishes."""
    atoms = bulk("CuAu", "cesiumchloride", a=3.0)
    atoms.calc = EMT()
    born = np.array([1.05 * np.eye(3), -0.95 * np.eye(3)])
    analyzer = FiniteDisplacementPhonons(
        supercell=(2, 2, 2), born_charges=born, dielectric=3 * np.eye(3), stress_tolerance=10
    )
    force_constants = analyzer(atoms)
    np.testing.assert_allclose(force_constants.born_charges.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(force_constants.dielectric, 3 * np.eye(3))
    assert force_constants.born_charges[0, 0, 0] == pytest.approx(1.0)


def test_isotopes_are_not_folded_into_one_atom():
    """One ⁶⁵Cu among three Cu: the primitive cell of the forces is not that of the masses."""
    atoms = bulk("Cu", "fcc", a=3.5897, cubic=True)
    atoms.set_masses([64.928, None, None, None])
    atoms.calc = EMT()
    crystal = FiniteDisplacementPhonons(supercell=(2, 2, 2))(atoms).crystal
    np.testing.assert_allclose(np.sort(crystal.masses), [63.546, 63.546, 63.546, 64.928])
    atoms.set_masses("defaults")
    assert len(FiniteDisplacementPhonons(supercell=(2, 2, 2))(atoms).crystal) == 1


def test_a_left_handed_cell_is_refused_with_the_remedy(copper):
    copper.set_cell(copper.cell.array[[1, 0, 2]])
    with pytest.raises(InputError, match=r"set_cell\(atoms\.cell\.array\[\[1, 0, 2\]\]\)"):
        FiniteDisplacementPhonons(supercell=(2, 2, 2))(copper)
    copper.set_cell(copper.cell.array[[1, 0, 2]])
    FiniteDisplacementPhonons(supercell=(2, 2, 2))(copper)


def test_the_chosen_supercell_is_three_cutoffs_wide(copper, monkeypatch):
    """A calculator that says how far it acts gets a supercell without folded interactions."""
    usual = FiniteDisplacementPhonons().phonopy(copper)
    monkeypatch.setattr(copper.calc, "cutoff", 6.0, raising=False)
    wider = FiniteDisplacementPhonons().phonopy(copper)
    assert shortest_image(usual.supercell.cell) >= 15
    assert shortest_image(wider.supercell.cell) >= 18
    assert len(wider.supercell) > len(usual.supercell)
