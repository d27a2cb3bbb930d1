"""The shipped predictors: silicon and salts, which they were never trained on, and isotopes."""

import warnings

import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase import ForceConstantsPredictor, PhononDOSPredictor
from scatterml_ase.errors import AccuracyWarning, StabilityWarning
from scatterml_ase.testing import check_analyzer
from scatterml_ase.units import THZ_TO_MEV

# Crystals, and the mean of their frequencies in THz by DFT-PBEsol.
CRYSTALS = {
    "Si": (bulk("Si", a=5.431), 10.2),
    "NaCl": (bulk("NaCl", "rocksalt", a=5.57), 4.3),
    "MgO": (bulk("MgO", "rocksalt", a=4.21), 12.6),
}
for_crystals = pytest.mark.parametrize("name", CRYSTALS)


@pytest.fixture(scope="module")
def fast():
    return PhononDOSPredictor()


@for_crystals
def test_force_constants_are_near_dft(name):
    atoms, mean = CRYSTALS[name]
    modes = ForceConstantsPredictor()(atoms).mesh_modes((8, 8, 8), shift=(0.5, 0.5, 0.5))
    assert modes.frequencies.min() > 0, "the crystal is stable"
    found = (modes.weights @ modes.frequencies).mean() / THZ_TO_MEV
    assert found == pytest.approx(mean, rel=0.15)


@for_crystals
def test_densities_are_near_dft_and_know_how_near(name, fast):
    atoms, mean = CRYSTALS[name]
    dos = fast(atoms)
    np.testing.assert_allclose((dos.partial * dos.widths).sum(axis=1), 3, rtol=1e-6)
    assert dos.mean_energy / THZ_TO_MEV == pytest.approx(mean, rel=0.15)
    thermal = dos.thermal([300])
    assert 0 < thermal.heat_capacity_error[0] < 0.1 * thermal.heat_capacity[0]


def test_both_methods_tell_of_the_same_crystal(fast):
    atoms, _ = CRYSTALS["NaCl"]
    sharp = PhononDOSPredictor(method="force_constants", mesh=12)(atoms)
    assert fast(atoms).mean_energy == pytest.approx(sharp.mean_energy, rel=0.1)


def test_a_list_gives_what_one_by_one_gives(fast):
    many = [atoms for atoms, _ in CRYSTALS.values()]
    for one, atoms in zip(fast(many), many, strict=True):
        np.testing.assert_allclose(one.total, fast(atoms).total, rtol=1e-3, atol=1e-5)


def test_the_bins_are_the_users(fast):
    edges = np.linspace(0, 50, 26)
    atoms, _ = CRYSTALS["NaCl"]
    coarse = PhononDOSPredictor(energy_edges=edges)(atoms)
    np.testing.assert_array_equal(coarse.energy_edges, edges)
    fine = fast(atoms)
    assert coarse.mean_energy == pytest.approx(fine.mean_energy, rel=0.01)


def test_deuterium_vibrates_slower_by_the_root_of_its_mass(fast):
    """In LiH the light atom's modes go as 1/√M; the other's hardly change."""
    light = bulk("LiH", "rocksalt", a=4.02)
    heavy = light.copy()
    heavy.set_masses(np.where(heavy.numbers == 1, 2.014, heavy.get_masses()))

    def means(atoms):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", (AccuracyWarning, StabilityWarning))
            dos = fast(atoms)
        centres = (dos.energy_edges[1:] + dos.energy_edges[:-1]) / 2
        return (dos.partial * dos.widths) @ centres / 3

    lithium, hydrogen = means(heavy) / means(light)
    assert hydrogen == pytest.approx((1.008 / 2.014) ** 0.5, abs=0.08)
    assert lithium == pytest.approx(1, abs=0.08)


def test_predictors_are_analyzers(fast):
    atoms, _ = CRYSTALS["Si"]
    check_analyzer(fast, atoms)
    check_analyzer(ForceConstantsPredictor(), atoms)
