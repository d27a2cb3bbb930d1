import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.spacegroup.symmetrize import check_symmetry

from scatterml_ase import relax
from scatterml_ase.errors import InputError


def space_group(atoms, precision=1e-5):
    return check_symmetry(atoms, symprec=precision).number


def test_copper_comes_to_its_emt_minimum():
    """The lattice constant at the minimum of the energy over a scan of volumes."""
    relaxed = relax(bulk("Cu", "fcc", a=3.75), EMT())
    lattice_constant = (4 * relaxed.get_volume()) ** (1 / 3)
    scan = np.linspace(3.57, 3.61, 21)
    energies = []
    for a in scan:
        atoms = bulk("Cu", "fcc", a=a)
        atoms.calc = EMT()
        energies.append(atoms.get_potential_energy())
    c2, c1, _ = np.polyfit(scan, energies, 2)
    assert lattice_constant == pytest.approx(-c1 / (2 * c2), abs=1e-3)
    assert np.abs(relaxed.get_stress()).max() < 1e-5


def test_the_input_is_left_alone_and_the_calculator_is_attached():
    atoms = bulk("Cu", "fcc", a=3.7)
    before = atoms.copy()
    calculator = EMT()
    relaxed = relax(atoms, calculator)
    assert atoms == before
    assert atoms.calc is None
    assert relaxed.calc is calculator
    assert relaxed.constraints == []


def test_the_calculator_of_the_atoms_is_taken_if_none_is_given():
    atoms = bulk("Cu", "fcc", a=3.7)
    atoms.calc = EMT()
    assert relax(atoms).calc is atoms.calc
    assert isinstance(relax(bulk("Cu"), "emt").calc, EMT)


def test_the_space_group_of_a_rounded_structure_is_found_refined_and_kept():
    """Hexagonal copper with coordinates rounded to three digits stays P6_3/mmc (194) exactly."""
    atoms = bulk("Cu", "hcp", a=2.56, c=4.2)
    atoms.set_scaled_positions([[0.333, 0.667, 0.25], [0.667, 0.333, 0.75]])
    assert space_group(atoms) != 194
    relaxed = relax(atoms, EMT())
    assert space_group(relaxed) == 194
    assert np.abs(relaxed.get_forces()).max() < 1e-4


def test_symmetry_can_be_let_go():
    """Displaced out of the high symmetry beyond the tolerance, the atoms come back by force."""
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
    atoms.rattle(0.05, seed=1)
    relaxed = relax(atoms, EMT(), symmetry_precision=None, force_tolerance=1e-3)
    assert np.linalg.norm(relaxed.get_forces(), axis=1).max() < 1e-3
    assert space_group(relaxed, 0.02) == 225


def test_the_cell_stays_when_asked():
    atoms = bulk("Cu", "fcc", a=3.7)
    relaxed = relax(atoms, EMT(), cell=False)
    np.testing.assert_allclose(relaxed.cell.array, atoms.cell.array, atol=1e-12)


def test_a_molecule_and_a_slab_relax_their_positions_only():
    assert relax(molecule("N2"), EMT()).get_distance(0, 1) == pytest.approx(1.0, abs=0.15)
    slab = fcc111("Cu", (1, 1, 3), vacuum=6)
    relaxed = relax(slab, EMT())
    np.testing.assert_array_equal(relaxed.cell.array, slab.cell.array)
    assert np.ptp(relaxed.positions[:, 2]) < np.ptp(slab.positions[:, 2])


def test_constraints_of_the_user_are_obeyed_and_kept():
    slab = fcc111("Cu", (1, 1, 3), vacuum=6)
    slab.set_constraint(FixAtoms([0]))
    relaxed = relax(slab, EMT())
    np.testing.assert_array_equal(relaxed.positions[0], slab.positions[0])
    assert len(relaxed.constraints) == 1


def test_a_progress_bar_is_shown_on_request(capsys):
    relax(bulk("Cu", "fcc", a=3.7), EMT(), progress=True)
    assert "relaxing" in capsys.readouterr().err
    relax(bulk("Cu", "fcc", a=3.7), EMT())
    assert capsys.readouterr().err == ""


def test_not_coming_to_rest_is_an_explained_error():
    atoms = bulk("Cu", "fcc", a=3.9)
    with pytest.raises(InputError, match=r"did not come to rest in 1 steps.*GPa.*max_steps"):
        relax(atoms, EMT(), max_steps=1)


def test_a_calculator_without_stress_can_relax_positions():
    class NoStress(EMT):
        implemented_properties = ["energy", "forces"]  # noqa: RUF012

    atoms = bulk("Cu", "fcc", a=3.6)
    with pytest.raises(InputError, match="cell=False"):
        relax(atoms, NoStress())
    relax(atoms, NoStress(), cell=False)


def test_impossible_structures_are_refused_before_anything_runs():
    with pytest.raises(InputError, match="no atoms"):
        relax(Atoms(), EMT())
    overlapping = Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 0.2]], cell=[4, 4, 4], pbc=True)
    with pytest.raises(InputError, match=r"0\.200 Å apart"):
        relax(overlapping, EMT())
    with pytest.raises(InputError, match="EMT cannot compute"):
        relax(bulk("Si"), EMT())


def test_the_calculator_is_required():
    with pytest.raises(InputError, match="No shipped potential covers Pu"):
        relax(bulk("Pu", "fcc", a=4.6))
