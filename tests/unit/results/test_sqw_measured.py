"""Maps of unknown crystals, in arbitrary units, with or without k_f/k_i, on other bins."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase import Crystal, SqwMap
from scatterml_ase.errors import InputError
from scatterml_ase.physics.kinematics import wavenumber
from scatterml_ase.results.cut import SqwCut


def measured(**changes):
    rng = np.random.default_rng(0)
    values = {
        "q": np.linspace(0, 6, 13),
        "energy_transfer": np.linspace(-10, 40, 51),
        "intensity": rng.uniform(1, 2, size=(12, 50)),
        "error": rng.uniform(0.1, 0.2, size=(12, 50)),
        "scale": "arbitrary",
        "ki_over_kf": None,
        "kinematics": {"geometry": "direct", "fixed_energy": 60.0},
    }
    return SqwMap(**{**values, **changes})


def test_per_what_an_unknown_crystal_scatters_is_asked_for():
    sqw = measured(scale="atom")
    assert sqw.per("atom").scale == "atom"
    with pytest.raises(InputError, match=r"unknown crystal.*crystal=Crystal"):
        sqw.per("formula_unit")
    known = replace(sqw, crystal=Crystal.from_atoms(bulk("NaCl", "rocksalt", a=5.64)))
    np.testing.assert_allclose(known.per("cell").intensity, 2 * sqw.intensity)


def test_arbitrary_units_stay_arbitrary():
    sqw = measured(crystal=Crystal.from_atoms(bulk("Cu")))
    with pytest.raises(InputError, match=r"arbitrary units.*compare"):
        sqw.per("atom")
    with pytest.raises(InputError, match="'arbitrary' is not known"):
        replace(sqw, scale="atom").per("arbitrary")


def test_units_labels_and_names_say_what_is_not_known(tmp_path):
    sqw = measured().to("THz")
    assert sqw.unit_of("intensity") == "arbitrary/THz"
    assert sqw.unit_of("q") == "angstrom^-1"
    assert "arbitrary/THz" in sqw.to_csv(tmp_path / "map.csv").read_text().splitlines()[0]
    assert repr(sqw) == "SqwMap(q=12, energy=50)"
    total = np.sum(sqw.intensity * np.diff(sqw.energy_transfer))
    assert total == pytest.approx(np.sum(measured().intensity * 1.0))


def test_cuts_know_what_the_map_does_not(tmp_path):
    cut = measured(ki_over_kf=False).cut(q=(1, 3))
    assert (cut.crystal, cut.scale, cut.ki_over_kf) == (None, "arbitrary", False)
    assert cut.unit_of("intensity") == "arbitrary/meV"
    again = SqwCut.load(cut.save(tmp_path / "cut.nxs"))
    assert (again.crystal, again.scale, again.ki_over_kf) == (None, "arbitrary", False)
    ax = cut.plot()
    assert "k_f/k_i" in ax.get_ylabel()
    assert "arb. units" in ax.get_ylabel()
    plt.close(ax.figure)


def test_the_borders_are_drawn_where_angles_are_known():
    two_theta = ((3.0, 135.0),)
    without = measured().plot()
    assert len(without.lines) == 0
    known = {"geometry": "direct", "fixed_energy": 60.0, "two_theta": two_theta}
    assert len(measured(kinematics=known).plot().lines) == 2
    assert "arb. units" in without.figure.axes[1].get_ylabel()
    plt.close("all")


def test_kf_over_ki_goes_in_and_out():
    sqw = measured(ki_over_kf=True).to("cm^-1")
    raw = sqw.with_ki_over_kf(applied=False)
    energies = measured().energy_centres
    ratio = wavenumber(60 - energies) / wavenumber(60.0)
    np.testing.assert_allclose(raw.intensity, sqw.intensity * ratio)
    np.testing.assert_allclose(raw.error, sqw.error * ratio)
    assert raw.ki_over_kf is False
    np.testing.assert_array_equal(raw.with_ki_over_kf(applied=False).intensity, raw.intensity)
    np.testing.assert_allclose(raw.with_ki_over_kf().intensity, sqw.intensity)


def test_indirect_geometry_has_its_own_kf_over_ki():
    kinematics = {"geometry": "indirect", "fixed_energy": 4.0}
    sqw = measured(kinematics=kinematics, ki_over_kf=True)
    raw = sqw.with_ki_over_kf(applied=False)
    impossible = sqw.energy_centres < -4  # the neutron would come with less than nothing
    assert not raw.mask[:, impossible].any()
    energy = sqw.energy_centres[~impossible]
    ratio = wavenumber(4.0) / wavenumber(4 + energy)
    np.testing.assert_allclose(raw.intensity[:, ~impossible], sqw.intensity[:, ~impossible] * ratio)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ki_over_kf": None}, "is not known"),
        ({"ki_over_kf": True, "kinematics": None}, "energy of the incident"),
    ],
)
def test_kf_over_ki_needs_to_be_known(changes, message):
    with pytest.raises(InputError, match=message):
        measured(**changes).with_ki_over_kf(applied=False)


def test_rebinning_averages_and_takes_units():
    sqw = measured().to("THz")
    coarse = sqw.rebinned(np.array([0.0, 1.0, 3.0]), sqw.energy_transfer[::5])
    assert coarse.intensity[1, 1] == pytest.approx(sqw.intensity[2:6, 5:10].mean())
    error = np.sqrt(np.sum(sqw.error[2:6, 5:10] ** 2)) / 20
    assert coarse.error[1, 1] == pytest.approx(error)
    assert coarse.ki_over_kf is None


def test_a_new_bin_is_known_where_all_of_it_was():
    mask = np.ones((12, 50), bool)
    mask[3, 7] = False
    sqw = measured(mask=mask)
    coarse = sqw.rebinned(np.linspace(0, 8, 5))
    assert not coarse.mask[0, 7]
    assert coarse.mask[1].all()
    assert not coarse.mask[3].any()
    most = sqw.rebinned(np.linspace(0, 8, 5), minimum_coverage=0.6)
    assert most.mask[0, 7]


def test_rebinning_leaves_the_points_of_a_path_behind():
    sqw = measured(axis="path", distance=np.arange(12.0), labels=((0, "Γ"),))
    assert sqw.rebinned(np.linspace(0, 6, 4)).distance is None
    kept = sqw.rebinned(energy_transfer=np.linspace(0, 40, 5))
    np.testing.assert_array_equal(kept.distance, sqw.distance)
