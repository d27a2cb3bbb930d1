"""Every result and every analyzer keeps its contract."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from scatterml_ase.phonons.finite_displacement import FiniteDisplacementPhonons
from scatterml_ase.physics.equation_of_state import BirchMurnaghan
from scatterml_ase.results import nexus
from scatterml_ase.results.detector_map import DetectorMap
from scatterml_ase.results.elastic import ElasticConstants
from scatterml_ase.results.energy_volume import EnergyVolume
from scatterml_ase.results.intermediate import IntermediateScattering
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.results.sqw_plane import SqwPlane
from scatterml_ase.results.thermal_expansion import ThermalExpansion
from scatterml_ase.testing import check_analyzer, check_result
from scatterml_ase.workflows.properties.melt import pair_distribution

PHONONS = FiniteDisplacementPhonons(supercell=(4, 4, 4))


@pytest.fixture(scope="module")
def copper():
    atoms = bulk("Cu", a=3.5898)  # EMT's own lattice constant
    atoms.calc = EMT()
    return atoms


@pytest.fixture(scope="module")
def force_constants(copper):
    return PHONONS(copper)


def sqw_map(crystal):
    generator = np.random.default_rng(2)
    mask = generator.uniform(size=(4, 6)) > 0.2
    return SqwMap(
        crystal=crystal,
        q=np.linspace(0, 4, 5),
        energy_transfer=np.linspace(-10, 50, 7),
        intensity=generator.uniform(0, 3, size=(4, 6)),
        error=generator.uniform(0, 0.1, size=(4, 6)),
        mask=mask,
        temperature=300.0,
        kinematics={"geometry": "direct", "fixed_energy": 60.0, "two_theta": ((3.0, 135.0),)},
    )


def plane(crystal):
    generator = np.random.default_rng(4)
    return SqwPlane(
        crystal=crystal,
        transformation=[[-1, 1, 1], [1, -1, 1], [1, 1, -1]],
        origin=[0, 0, 2],
        u=[1, 1, 0],
        v=[0, 0, 1],
        x=np.linspace(-2, 2, 5),
        y=np.linspace(-1, 1, 4),
        energy_transfer=[10, 12, 14],
        intensity=generator.uniform(0, 3, size=(2, 4, 3)),
        mask=generator.uniform(size=(2, 4, 3)) > 0.2,
        temperature=300.0,
        imaginary_modes=2,
        imaginary_share=0.01,
    )


def detectors():
    generator = np.random.default_rng(3)
    return DetectorMap(
        polar=np.linspace(5, 120, 9),
        polar_width=np.full(9, 12.0),
        energy_transfer=np.linspace(-10, 50, 7),
        intensity=generator.uniform(0, 3, size=(9, 6)),
        error=generator.uniform(0.1, 0.2, size=(9, 6)),
        fixed_energy=60.0,
    )


def comparison(crystal):
    simulated = sqw_map(crystal)
    measured = replace(simulated, intensity=2 * simulated.intensity + 0.1, scale="arbitrary")
    return simulated.compare(replace(measured, crystal=None, ki_over_kf=None))


def elastic(crystal):
    stiffness = np.diag([150.0, 150, 150, 80, 80, 80])
    stiffness[:3, :3] += 60
    return ElasticConstants(crystal=crystal, stiffness=stiffness)


def energy_volume(crystal):
    fit = BirchMurnaghan(volume=11.6, energy=-0.01, bulk_modulus=0.85, derivative=4.2)
    volumes = np.linspace(10, 13, 9)
    return EnergyVolume(crystal=crystal, volumes=volumes, energies=fit(volumes))


def expansion(crystal):
    return ThermalExpansion(
        crystal=crystal,
        temperatures=np.array([300.0, 600.0]),
        volumes=np.array([11.7, 11.9]),
        volume_errors=np.array([0.01, 0.02]),
        picoseconds=8.0,
    )


def intermediate(crystal):
    times = np.linspace(0, 500, 6)
    return IntermediateScattering(
        crystal=crystal,
        q=np.array([0.5, 1.0, 1.5]),
        time=times,
        intensity=np.exp(-np.outer([1.0, 3.0], times) / 500),
        error=np.full((2, 6), 0.01),
        uncorrelated=np.ones(2),
    )


MAKERS = {
    "Crystal": lambda fc: fc.crystal,
    "DetectorMap": lambda fc: detectors(),
    "ElasticConstants": lambda fc: elastic(fc.crystal),
    "EnergyVolume": lambda fc: energy_volume(fc.crystal),
    "ForceConstants": lambda fc: fc,
    "IntermediateScattering": lambda fc: intermediate(fc.crystal),
    "PairDistribution": lambda fc: pair_distribution([fc.crystal.to_atoms().repeat(4)], 300),
    "PhononBands": lambda fc: fc.bands(),
    "PhononDOS": lambda fc: fc.dos((6, 6, 6)),
    "PhononModes": lambda fc: fc.mesh_modes((3, 3, 3)),
    "SqwComparison": lambda fc: comparison(fc.crystal),
    "SqwCut": lambda fc: sqw_map(fc.crystal).cut(q=(1.0, 3.0)),
    "SqwMap": lambda fc: sqw_map(fc.crystal),
    "SqwPlane": lambda fc: plane(fc.crystal),
    "ThermalExpansion": lambda fc: expansion(fc.crystal),
    "ThermalProperties": lambda fc: fc.thermal((100, 300), mesh=(6, 6, 6)),
}


def test_every_class_of_result_is_checked_here():
    assert set(MAKERS) == set(nexus.CLASSES)


@pytest.mark.parametrize("name", MAKERS)
def test_the_results_of_a_crystal(name, force_constants):
    result = MAKERS[name](force_constants)
    assert type(result).__name__ == name
    check_result(result)


@pytest.mark.parametrize("name", ["PhononBands", "PhononDOS", "PhononModes", "ThermalProperties"])
def test_what_is_derived_knows_what_its_force_constants_came_from(name, force_constants):
    found = MAKERS[name](force_constants).provenance
    assert found.items() >= force_constants.provenance.items()


def test_a_measured_map_of_an_unknown_crystal(force_constants):
    check_result(replace(sqw_map(force_constants.crystal), crystal=None, scale="arbitrary"))


def test_finite_displacements_keep_the_contract_of_analyzers(copper):
    check_analyzer(PHONONS, copper)
