"""Properties of crystals against laws, against ASE, and against each other."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc100, fcc110, fcc111
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from matscipy.neighbours import neighbour_list

from scatterml_ase import PotentialCalculator, relax
from scatterml_ase.calculator import TorchCalculator
from scatterml_ase.errors import AccuracyWarning, InputError
from scatterml_ase.units import EV_PER_ANGSTROM3_TO_GPA
from scatterml_ase.workflows.properties.defects import surface_energy, vacancy_formation_energy
from scatterml_ase.workflows.properties.dynamics import (
    BlowUpError,
    check_alive,
    set_temperature,
    simulation_cell,
    timestep_for,
)
from scatterml_ase.workflows.properties.elastic import elastic_constants
from scatterml_ase.workflows.properties.equation_of_state import equation_of_state
from scatterml_ase.workflows.properties.melt import melt, pair_distribution
from scatterml_ase.workflows.properties.reference import references
from scatterml_ase.workflows.properties.special_points import crystal_kind, special_frequencies
from scatterml_ase.workflows.properties.thermal_expansion import thermal_expansion

SHORT = {"picoseconds": 0.1, "equilibration": 0.1, "minimum_length": 6.0}


@pytest.fixture(scope="module")
def copper():
    return relax(bulk("Cu"), EMT())


@pytest.fixture(scope="module")
def silicon():
    return relax(bulk("Si"), PotentialCalculator("si"))


@pytest.fixture
def morse(morse_model):
    """Make a close-packed crystal of pair potentials, at its minimum."""
    atoms = bulk("Si", "fcc", a=2.95315)
    atoms.calc = TorchCalculator(morse_model)
    return atoms


# -- elasticity and E(V) --------------------------------------------------------------------------


def test_stresses_and_energies_give_one_bulk_modulus(copper):
    c11, c12, _ = elastic_constants(copper).cubic
    curve = equation_of_state(copper)
    assert (c11 + 2 * c12) / 3 == pytest.approx(curve.bulk_modulus, rel=0.01)
    assert curve.volume == pytest.approx(copper.get_volume(), rel=1e-3)


def test_the_shear_constant_is_the_curvature_of_the_energy(copper):
    """E(γ) = V C44 γ²/2 for a shear γ of two axes."""
    energies = []
    for shear in (-0.004, 0.0, 0.004):
        image = copper.copy()
        strain = np.array([[1, 0, 0], [0, 1, shear / 2], [0, shear / 2, 1]])
        image.set_cell(copper.cell.array @ strain, scale_atoms=True)
        image.calc = EMT()
        energies.append(image.get_potential_energy())
    curvature = (energies[0] - 2 * energies[1] + energies[2]) / 0.004**2
    expected = curvature / copper.get_volume() * EV_PER_ANGSTROM3_TO_GPA
    assert elastic_constants(copper, strain=0.002).cubic[2] == pytest.approx(expected, rel=0.01)


def test_the_stiffness_turns_with_the_crystal(copper):
    turned = copper.copy()
    turned.rotate(45, "z", rotate_cell=True)
    turned.calc = EMT()
    c11, c12, c44 = elastic_constants(copper).cubic
    result = elastic_constants(turned)
    assert result.stiffness[0, 0] == pytest.approx((c11 + c12) / 2 + c44, rel=1e-3)
    assert result.stiffness[5, 5] == pytest.approx((c11 - c12) / 2, rel=1e-3)
    assert result.bulk_modulus == pytest.approx((c11 + 2 * c12) / 3, rel=1e-3)
    assert result.stable


def test_the_atoms_of_diamond_follow_a_shear_but_no_stretch(silicon):
    relaxed, clamped = (elastic_constants(silicon, relax_ions=r).cubic for r in (True, False))
    assert relaxed[:2] == pytest.approx(clamped[:2], rel=1e-3)
    assert relaxed[2] < 0.9 * clamped[2]


def test_silicon_has_the_elastic_constants_of_the_data_it_learned(silicon):
    found = dict(zip(("c11", "c12", "c44_clamped"),
                     elastic_constants(silicon, relax_ions=False).cubic, strict=True))  # fmt: skip
    for name, value in found.items():
        known = next(r for r in references("Si", name) if r.source == "mlearn")
        assert value == pytest.approx(known.value, rel=0.05)


def test_a_strain_must_be_small(copper):
    with pytest.raises(InputError, match=r"strain=0\.5"):
        elastic_constants(copper, strain=0.5)


# -- defects --------------------------------------------------------------------------------------


def test_a_vacancy_of_pair_potentials_costs_the_energy_of_an_atom(morse):
    """Removing an atom breaks its bonds, 2e; putting it back elsewhere in the bulk wins e."""
    found = vacancy_formation_energy(morse, minimum_length=7.0)
    energy = morse.get_potential_energy() / len(morse)
    assert found.unrelaxed == pytest.approx(-energy, rel=1e-6)
    assert found.relaxed < found.unrelaxed
    assert np.linalg.norm(found.atoms.get_forces(), axis=1).max() < 5e-3


def test_a_left_handed_cell_has_the_same_surfaces(copper):
    mirrored = copper.copy()
    mirrored.set_cell(copper.cell.array[[1, 0, 2]])
    mirrored.calc = EMT()
    assert mirrored.cell.handedness == -1
    right, left = (surface_energy(atoms, (1, 1, 1)) for atoms in (copper, mirrored))
    assert left.unrelaxed == pytest.approx(right.unrelaxed, rel=1e-6)
    assert left.atoms.get_volume() == pytest.approx(right.atoms.get_volume())


@pytest.mark.parametrize("sizes", [{"thickness": 0.0}, {"vacuum": -1.0}])
def test_a_slab_needs_thickness_and_vacuum(copper, sizes):
    with pytest.raises(InputError, match="make no slab"):
        surface_energy(copper, (1, 1, 1), **sizes)


@pytest.mark.parametrize(
    ("face", "build"), [((1, 1, 1), fcc111), ((1, 0, 0), fcc100), ((1, 1, 0), fcc110)]
)
def test_slabs_are_those_of_ase(copper, face, build):
    layers = 9
    slab = build("Cu", (1, 1, layers), a=(4 * copper.get_volume()) ** (1 / 3), vacuum=8)
    slab.calc = EMT()
    area = 2 * np.linalg.norm(np.cross(slab.cell[0], slab.cell[1]))
    energy = slab.get_potential_energy() - layers * copper.get_potential_energy()
    found = surface_energy(copper, face)
    assert found.unrelaxed == pytest.approx(16.02176634 * energy / area, rel=1e-4)
    assert found.relaxed <= found.unrelaxed


def test_the_face_of_diamond_breaks_one_bond_per_atom(silicon):
    slab = surface_energy(silicon, (1, 1, 1)).atoms
    bonds = np.bincount(neighbour_list("i", slab, 2.7), minlength=len(slab))
    assert sorted(bonds)[:2] == [3, 3]
    assert set(bonds[np.argsort(bonds)[2:]]) == {4}


def test_compounds_have_no_energies_of_defects_without_chemical_potentials():
    salt = bulk("NaCl", "rocksalt", a=5.6)
    with pytest.raises(InputError, match="chemical potentials"):
        vacancy_formation_energy(salt)
    with pytest.raises(InputError, match="chemical potentials"):
        surface_energy(salt, (1, 0, 0))


def test_a_face_needs_indices(copper):
    with pytest.raises(InputError, match="no face"):
        surface_energy(copper, (0, 0, 0))


# -- special points -------------------------------------------------------------------------------


def test_special_points_are_found_in_any_description_of_the_crystal(copper):
    from scatterml_ase import FiniteDisplacementPhonons

    analyzer = FiniteDisplacementPhonons(supercell=(3, 3, 3))
    force_constants = analyzer(copper)
    direct = force_constants.modes([(0.5, 0.5, 0), (0.5, 0.5, 0.5)]).to("THz").frequencies
    found = {(f.point, f.branch): f.frequency for f in special_frequencies(force_constants)}
    expected = [direct[0, 0], direct[0, 2], direct[1, 0], direct[1, 2]]
    assert list(found.values()) == pytest.approx(expected)
    assert list(found) == [("X", "T"), ("X", "L"), ("L", "T"), ("L", "L")]
    assert crystal_kind(bulk("Cu", cubic=True)) == "fcc"
    assert crystal_kind(bulk("Fe")) == "bcc"
    assert crystal_kind(bulk("Ge")) == "diamond"
    assert crystal_kind(bulk("NaCl", "rocksalt", a=5.6)) is None
    assert crystal_kind(bulk("Mg")) is None


# -- molecular dynamics ---------------------------------------------------------------------------


def test_an_ideal_gas_has_no_structure():
    generator = np.random.default_rng(0)
    frames = [
        Atoms("Ar200", scaled_positions=generator.uniform(size=(200, 3)), cell=3 * [12.0], pbc=True)
        for _ in range(20)
    ]
    result = pair_distribution(frames, 300, r_edges=np.arange(1.0, 6.1, 0.5))
    np.testing.assert_allclose(result.g, 199 / 200, atol=0.04)
    assert result.coordination(5.0) == pytest.approx(
        199 / 12**3 * 4 / 3 * np.pi * (125 - 1), rel=0.02
    )


def test_the_first_shell_of_a_close_packed_crystal_has_twelve_atoms():
    crystal = bulk("Cu", cubic=True, a=3.6).repeat(3)
    result = pair_distribution([crystal], 0)
    assert result.coordination(3.0) == pytest.approx(12)
    assert result.r_edges[-1] == pytest.approx(5.4)
    assert result.first_peak[0] == pytest.approx(3.6 / np.sqrt(2), abs=0.05)


def test_the_same_seed_gives_the_same_volumes_and_another_seed_others(morse):
    first, again, other = (
        thermal_expansion(morse, (400.0,), seed=seed, **SHORT) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.volumes, again.volumes)
    assert first.volumes[0] != other.volumes[0]
    assert first.volume_errors[0] > 0
    assert first.static_volume == pytest.approx(morse.get_volume())
    assert first.volumes[0] == pytest.approx(first.static_volume, rel=0.1)


def test_momenta_have_the_temperature_and_no_net_motion(morse):
    cell = morse.repeat(6)
    set_temperature(cell, 500.0, seed=3)
    assert cell.get_temperature() == pytest.approx(500, rel=0.1)
    np.testing.assert_allclose(cell.get_momenta().sum(axis=0), 0, atol=1e-9)


def test_the_coefficient_is_the_weighted_slope_from_the_static_crystal(morse):
    from dataclasses import replace

    result = thermal_expansion(morse, (400.0,), **SHORT)
    known = replace(
        result,
        temperatures=np.array([200.0, 400.0]),
        volumes=result.static_volume * np.array([1.001, 1.002]) ** 3,
        volume_errors=np.array([0.01, 0.02]),
    )
    assert known.coefficient.value == pytest.approx(5e-6)
    np.testing.assert_allclose(known.linear_expansion()[0], [0.001, 0.002])


def test_a_melt_has_a_first_shell_and_the_density_that_was_asked_for(morse):
    result = melt(morse, 20000.0, volume_per_atom=14.0, **SHORT)
    assert result.density == pytest.approx(1 / 14)
    assert result.g[result.r < 1.2].max() == 0
    assert result.first_peak[1] > 1
    assert result.picoseconds == 0.1
    assert result.provenance["melt"]["seed"] == 0


def test_a_crystal_that_does_not_melt_is_no_liquid(morse):
    with pytest.warns(AccuracyWarning, match=r"did not melt at 50 K.*Raise the temperature"):
        melt(morse, 50.0, **SHORT)


def test_a_blown_up_simulation_is_told_from_a_hot_one(morse):
    cell = simulation_cell(morse, 6.0)
    set_temperature(cell, 1000.0, seed=0)
    check_alive(cell, 1.0, 1000.0)
    with pytest.raises(BlowUpError, match=r"K where 100 K is kept"):
        check_alive(cell, 1.0, 100.0)
    cell.positions[1] = cell.positions[0] + 0.3
    with pytest.raises(BlowUpError, match=r"less than 1\.00 Å apart.*time step"):
        check_alive(cell, 1.0, 1000.0)


def test_light_atoms_get_short_time_steps():
    steps = [timestep_for(Atoms(symbol)) for symbol in ("H", "Li", "Si", "Mo")]
    assert steps == [0.4, 1.0, 2.0, 3.7]


def test_dynamics_needs_a_temperature(morse):
    for temperatures in ((), np.array([]), np.array([300.0, -1.0]), (np.nan,)):
        with pytest.raises(InputError, match="temperatures="):
            thermal_expansion(morse, temperatures)
    with pytest.raises(InputError, match="cannot be run"):
        melt(morse, -300.0)


def test_temperatures_may_be_an_array(morse):
    short = {**SHORT, "picoseconds": 0.09}
    assert len(thermal_expansion(morse, np.array([300.0, 400.0]), **short).volumes) == 2


def test_a_melt_that_runs_away_is_stopped(morse):
    """Forces that pump energy in heat the atoms far beyond the thermostat."""

    class Heater(Calculator):
        implemented_properties = ["energy", "forces"]  # noqa: RUF012
        generator = np.random.default_rng(0)

        def calculate(self, atoms=None, properties=("energy",), system_changes=()):
            forces = self.generator.normal(scale=30, size=(len(atoms), 3))
            self.results = {"energy": 0.0, "forces": forces}

    with pytest.raises(BlowUpError, match=r"K where 90 K is kept"):
        melt(morse, 60.0, calculator=Heater(), **SHORT)


def test_snapshots_without_a_volume_have_no_pair_distribution():
    with pytest.raises(InputError, match="Not all snapshots are periodic"):
        pair_distribution([Atoms("Ar2", [[0, 0, 0], [0, 0, 3]])], 300)
