"""Wrong units, signs and structures are found from the data alone, and good data stay silent."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.io import write
from ase.stress import voigt_6_to_full_3x3_stress

from scatterml_ase.errors import AccuracyWarning, InputError
from scatterml_ase.training.checks import check_data, check_frames
from scatterml_ase.training.config import DataConfig
from scatterml_ase.training.data import Frame, label_frame
from scatterml_ase.training.wrong_units import name_force_factor, name_stress_factor

KEYS = DataConfig(train=())


def labelled(atoms: Atoms, calculator, origin: str, *, stress: bool = True) -> Frame:
    atoms.calc = calculator
    known = np.full((3, 3), stress)
    tension = atoms.get_stress(voigt=False) if stress else np.zeros((3, 3))
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    return Frame(bare, energy, forces, tension, known, "", origin)


@pytest.fixture(scope="module")
def crystal() -> list[Frame]:
    """Rattled crystals of one cell, then a series of strains, of copper in effective medium."""
    random = np.random.default_rng(0)
    frames = []
    for number in range(24):
        atoms = bulk("Cu", cubic=True).repeat((2, 1, 1))
        atoms.positions += random.normal(0, 0.04, (8, 3))
        frames.append(labelled(atoms, EMT(), f"cu.extxyz, structure {number}"))
    for number, strain in enumerate(np.linspace(-0.06, 0.06, 13)):
        atoms = bulk("Cu", cubic=True)
        atoms.set_cell(atoms.cell * (1 + strain), scale_atoms=True)
        frames.append(labelled(atoms, EMT(), f"cu.extxyz, structure {24 + number}"))
    return frames


@pytest.fixture(scope="module")
def mixture() -> list[Frame]:
    """Copper and gold on disordered places: no two structures are alike, the cells neither."""
    random = np.random.default_rng(1)
    frames = []
    for number in range(30):
        atoms = bulk("Cu", a=3.8 + 0.02 * (number % 5), cubic=True).repeat((2, 2, 1))
        atoms.numbers[random.permutation(16)[: number % 7 + 2]] = 79
        atoms.rattle(0.25, rng=random)
        frames.append(labelled(atoms, EMT(), f"cuau.extxyz, structure {number}", stress=False))
    return frames


def changed(frames, *, energy=1.0, forces=1.0, stress=1.0, lengths=1.0) -> list[Frame]:
    frames = [
        dataclasses.replace(
            frame,
            atoms=frame.atoms.copy(),
            energy=energy * frame.energy,
            forces=forces * frame.forces,
            stress=stress * frame.stress,
        )
        for frame in frames
    ]
    for frame in frames:
        frame.atoms.set_cell(frame.atoms.cell * lengths, scale_atoms=True)
    return frames


def only(frames, check: str) -> str:
    """Return the message of the one finding, which must be of this check."""
    report = check_frames(frames)
    assert [finding.check for finding in report.findings] == [check], str(report)
    (finding,) = report.findings
    return finding.message


def test_good_data_are_silent(crystal, mixture):
    for frames in (crystal, mixture):
        report = check_frames(frames)
        assert report.ok
        assert report.findings == ()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            report.warn()
        assert report.consistency.forces.value == pytest.approx(1, rel=0.05)
    assert "nothing is wrong" in str(report)


def test_the_work_of_the_stress_is_found_too(crystal):
    slopes = check_frames(crystal).consistency
    assert slopes.forces.method == slopes.stress.method == "pairs"
    assert slopes.stress.value == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize(
    ("change", "factor", "cause"),
    [
        ({"forces": units.Bohr / units.Hartree}, 51.422, "forces in Hartree/bohr"),
        ({"forces": units.Bohr}, 1.8897, "forces in eV/bohr"),
        ({"forces": units.mol / units.kcal}, 23.06, "forces in kcal/mol/Å"),
        ({"forces": -1.0}, None, "gradients"),
        ({"energy": units.mol / units.kcal}, 23.06, "energies in kcal/mol"),
        ({"energy": 1 / units.Hartree}, 27.211, "energies in Hartree"),
        (
            {"energy": 1 / units.Rydberg, "forces": units.Bohr / units.Rydberg},
            1.8897,
            "energies in Rydberg and forces in Rydberg/bohr",
        ),
    ],
)
def test_a_wrong_unit_is_named_with_its_factor(crystal, change, factor, cause):
    message = only(changed(crystal, **change), "units")
    assert f"Likely {cause}" in message
    if factor is None:
        assert "wrong sign" in message
    else:
        told = float(message.partition(" times too")[0].rpartition(" ")[2])
        assert told == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize(
    ("factor", "cause"),
    [
        (1 / units.GPa, "Likely stress in GPa."),
        (-10 / units.GPa, "Likely stress in kbar, and the sign of a pressure"),
        (-1.0, "Likely the sign of a pressure"),
    ],
)
def test_a_wrong_stress_is_named(crystal, factor, cause):
    assert cause in only(changed(crystal, stress=factor), "units")


def test_one_file_of_several_is_named(crystal):
    good = [dataclasses.replace(f, origin=f.origin.replace("cu", "good")) for f in crystal[::2]]
    message = only([*good, *changed(crystal[1::2], forces=-1.0)], "units")
    assert message.startswith("cu.extxyz: The forces have the wrong sign")


def test_lengths_in_bohr_are_found_by_distances_and_by_work(crystal):
    report = check_frames(changed(crystal, lengths=1 / units.Bohr))
    assert {finding.check for finding in report.findings} == {"units", "lengths"}
    for finding in report.findings:
        assert "bohr" in finding.message


def test_energies_per_atom_are_found_in_cells_of_one_size_and_of_several(crystal):
    for frames in (crystal[:24], crystal):
        wrong = [dataclasses.replace(f, energy=f.energy / len(f.atoms)) for f in frames]
        assert "seem to be per atom" in only(wrong, "units")


def test_without_similar_structures_a_quick_potential_tells(mixture):
    report = check_frames(changed(mixture, forces=units.Bohr / units.Hartree))
    assert report.consistency.forces.method == "trial fit"
    assert report.consistency.forces.value == pytest.approx(51.42, rel=0.1)
    (finding,) = report.findings
    assert "forces in Hartree/bohr" in finding.message


def test_forces_of_other_structures_are_noticed(crystal):
    forces = [frame.forces for frame in crystal[:24]]
    wrong = [
        dataclasses.replace(frame, forces=other)
        for frame, other in zip(crystal[:24], forces[7:] + forces[:7], strict=True)
    ]
    assert "nothing to do with each other" in only(wrong, "units")


def test_pairs_of_molecules_without_a_cell_count_as_well():
    random = np.random.default_rng(2)
    frames = []
    for number in range(20):
        atoms = Atoms("Cu4", 1.826 * np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]]))
        atoms.positions += random.normal(0, 0.02, (4, 3))
        frames.append(
            labelled(atoms, LennardJones(sigma=2.3, rc=8), f"structure {number}", stress=False)
        )
    assert check_frames(frames).consistency.forces.value == pytest.approx(1, rel=0.05)
    assert "wrong sign" in only(changed(frames, forces=-1), "units")


def test_another_level_of_theory_shows_as_a_shift_between_files(crystal):
    other = [
        dataclasses.replace(
            frame,
            energy=frame.energy + 2.0 * len(frame.atoms),
            atoms=frame.atoms.copy(),
            origin=frame.origin.replace("cu", "b3lyp"),
        )
        for frame in crystal[:12]
    ]
    message = only([*crystal[12:], *other], "energies")
    assert "b3lyp.extxyz" in message
    assert "+2 eV/atom" in message


def test_an_energy_far_off_is_named(crystal):
    wrong = dataclasses.replace(crystal[3], energy=crystal[3].energy + 120)
    message = only([*crystal[:3], wrong, *crystal[4:]], "energies")
    assert "cu.extxyz, structure 3, +15 eV/atom" in message


def test_an_outside_pull_is_noticed(crystal):
    pulled = [dataclasses.replace(frame, forces=frame.forces + 0.3) for frame in crystal[:24]]
    assert "do not sum to zero" in only(pulled, "net force")


def test_a_species_in_one_structure_only_is_named(mixture, crystal):
    assert "Au occurs in one structure only (Au: cuau" in only([*crystal, mixture[0]], "species")


def test_copies_are_told(crystal):
    assert "structure 0 = cu.extxyz, structure 0" in only([*crystal, crystal[0]], "duplicates")


def test_zeros_of_constraints_are_not_learned_unseen(tmp_path):
    images = []
    for seed in range(4):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=seed)
        atoms.calc = EMT()
        forces = atoms.get_forces()
        forces[0] = 0.0  # what get_forces() gives under the constraint
        atoms.set_constraint(FixAtoms([0]))
        atoms.calc = SinglePointCalculator(
            atoms, energy=atoms.get_potential_energy(), forces=forces
        )
        images.append(atoms)
    write(tmp_path / "fixed.traj", images)
    (finding,) = check_data([tmp_path / "fixed.traj"]).findings
    assert finding.check == "constraints"
    assert "apply_constraint=False" in finding.message


def test_true_forces_under_a_constraint_are_read_and_fine(tmp_path):
    """ASE hides them in get_forces(); the file has them."""
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=0)
    atoms.calc = EMT()
    true = atoms.get_forces()
    atoms.set_constraint(FixAtoms([0]))
    for name in ("fixed.traj", "fixed.extxyz", "fixed.db"):
        write(tmp_path / name, atoms)
        report = check_data([tmp_path / name])
        assert report.ok, str(report)
    frame = label_frame(atoms, KEYS)
    np.testing.assert_array_equal(frame.forces, true)


def test_the_free_energy_is_what_forces_belong_to():
    frames = []
    for k in range(3):
        atoms = bulk("Cu", a=3.6 + 0.1 * k)
        atoms.calc = SinglePointCalculator(
            atoms, energy=-3.0 + k, free_energy=-3.02 + k, forces=np.zeros((1, 3))
        )
        frames.append(label_frame(atoms, KEYS))
    messages = [f.message for f in check_frames(frames).findings if f.check == "free energy"]
    assert 'energy = "free_energy"' in messages[0]
    assert "20 meV/atom" in messages[0]
    keys = dataclasses.replace(KEYS, energy="free_energy")
    assert label_frame(atoms, keys).energy == pytest.approx(-1.02)
    assert label_frame(atoms, keys).hints.free_energy is None


def test_magnetic_moments_are_a_note_not_a_warning():
    atoms = bulk("Fe")
    atoms.calc = SinglePointCalculator(
        atoms, energy=-8.0, forces=np.zeros((1, 3)), magmoms=np.array([2.2])
    )
    report = check_frames([label_frame(atoms, KEYS)])
    assert [finding.severity for finding in report.findings] == ["note"]
    assert report.ok
    report.warn()


def test_every_fault_of_a_file_is_told_once_with_its_places(tmp_path):
    images = []
    for k in range(6):
        atoms = bulk("Si", a=5.3 + 0.1 * k)
        forces = np.full((2, 3), np.nan) if k == 5 else np.zeros((2, 3))
        labels = {"energy": -1.0 - k} | ({"forces": forces} if k not in (1, 3) else {})
        atoms.calc = SinglePointCalculator(atoms, **labels)
        images.append(atoms)
    write(tmp_path / "holes.traj", images)
    report = check_data([tmp_path / "holes.traj"])
    errors = [f.message for f in report.findings if f.severity == "error"]
    assert len(errors) == 2
    assert "holes.traj, structure 1; holes.traj, structure 3 has no 'forces'" in errors[0]
    assert "holes.traj, structure 5" in errors[1]
    assert report.structures == 3
    with pytest.raises(InputError, match="no 'forces'"):
        report.warn()


def test_findings_become_warnings_when_training_starts(crystal):
    with pytest.warns(AccuracyWarning, match="wrong sign"):
        check_frames(changed(crystal, forces=-1.0)).warn()


def test_overlapping_atoms_are_named(crystal):
    near = crystal[5].atoms.copy()
    near.positions[1] = near.positions[0] + [0.5, 0, 0]
    frames = [*crystal[:5], dataclasses.replace(crystal[5], atoms=near), *crystal[6:]]
    messages = [f.message for f in check_frames(frames).findings if f.check == "lengths"]
    assert "on top of each other (worst: cu.extxyz, structure 5" in messages[0]


def test_factors_have_the_names_of_their_units():
    assert name_force_factor(51.42, 0.02) == (["forces in Hartree/bohr"], False)
    assert name_force_factor(1 / 27.2114, 0.01, 1 / 27.2114)[0] == ["energies in Hartree"]
    assert name_force_factor(2.7, 0.01) == ([], False)
    assert name_stress_factor(1 / 160.22, 0.01, 50.0) == ["stress in GPa"]
    assert name_stress_factor(1 / 47.0, 0.01, 47.0) == ["virial (eV) instead of stress"]


def test_stress_in_voigt_order_enters_the_work_right():
    """A sheared crystal whose stress is labelled by ASE: the work of the shear is its energy."""
    frames = []
    for number, shear in enumerate(np.linspace(-0.05, 0.05, 9)):
        atoms = bulk("Cu", cubic=True)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + shear * np.eye(3, k=1)), scale_atoms=True)
        frame = labelled(atoms, EMT(), f"structure {number}")
        np.testing.assert_allclose(voigt_6_to_full_3x3_stress(atoms.get_stress()), frame.stress)
        frames.append(frame)
    assert check_frames(frames).consistency.stress.value == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize("seed", [705, 805])
def test_a_handful_of_pairs_is_no_ground_for_suspicion(seed):
    random = np.random.default_rng(seed)
    frames = []
    for number in range(5):
        atoms = bulk("Cu", cubic=True, a=3.6 * (1 + 0.02 * random.normal()))
        atoms.positions += random.normal(0, 0.06, (4, 3))
        frames.append(labelled(atoms, EMT(), f"cu.extxyz, structure {number}"))
    assert check_frames(frames).ok
