"""What a sample takes from its own scattering: limits known by formula, and neutrons one by one."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from scipy.special import iv, modstruve

from scatterml_ase import Crystal, SqwMap
from scatterml_ase.errors import AccuracyWarning, InputError
from scatterml_ase.physics.kinematics import scattering_angles, wavevector_transfer
from scatterml_ase.physics.self_shielding import cylinder_factor, plate_factor
from scatterml_ase.scattering.attenuation import Attenuation
from scatterml_ase.scattering.self_shielding import Cylinder, FlatPlate
from scatterml_ase.testing import check_analyzer, check_result

VANADIUM = Crystal.from_atoms(bulk("V", a=3.024))
ANGLES = np.array([0.0, 20.0, 60.0, 100.0, 150.0, 180.0])
DIRECT = {"geometry": "direct", "fixed_energy": 60.0}
INDIRECT = {"geometry": "indirect", "fixed_energy": 4.0}


# -- attenuation ----------------------------------------------------------------------------------


def test_vanadium_weakens_a_beam_as_its_tables_say():
    """0.0723 atoms/Å³ of 5.1 + 5.08 barn at 25.3 meV: 0.074 per mm; absorption goes as 1/v."""
    vanadium = Attenuation.of(VANADIUM)
    assert vanadium.at(25.299) == pytest.approx(0.0723 * (5.10 + 5.08) * 0.1, rel=2e-3)
    assert vanadium.at(4 * 25.299) == pytest.approx(0.0723 * (5.10 + 2.54) * 0.1, rel=2e-3)
    powder = Attenuation.of(VANADIUM, 0.6)
    assert powder.at(5.0) == pytest.approx(0.6 * vanadium.at(5.0))
    assert np.isnan(vanadium.at([0.0, -1.0])).all()


def test_isotopes_change_the_attenuation():
    hydride = Crystal.from_atoms(bulk("LiH", "rocksalt", a=4.08))
    natural, pure = (Attenuation.of(c) for c in (hydride, hydride.substituted("H->D, Li->7Li")))
    assert natural.scattering / pure.scattering == pytest.approx(
        (82.02 + 1.37) / (7.64 + 1.40), rel=0.01
    )
    assert natural.absorption > 1000 * pure.absorption
    own = Attenuation.of(hydride, absorption_cross_sections={"Li": 0.0})
    assert own.absorption == pytest.approx(natural.absorption * 0.3326 / (70.5 + 0.3326))


# -- plate ----------------------------------------------------------------------------------------


def test_a_plate_across_the_beam_transmits_what_a_beam_keeps():
    """Elastic and forward, every way is the thickness: A = exp(−μt)."""
    assert plate_factor(0.0, (0.3, 0.3), 2.0, 0.0) == pytest.approx(np.exp(-0.6), rel=1e-12)
    plate = FlatPlate(2.0)
    expected = np.exp(-2.0 * plate.attenuation(VANADIUM).at(25.0))
    assert plate.factor(VANADIUM, 0.0, 25.0) == pytest.approx(expected, rel=1e-12)


def test_a_plate_reflects_from_half_its_depth():
    """Backwards: (1 − exp(−2μt))/2μt, and of a thick plate 1/2μt."""
    assert plate_factor(180.0, (0.3, 0.3), 2.0, 0.0) == pytest.approx(-np.expm1(-1.2) / 1.2)
    assert plate_factor(180.0, (5.0, 5.0), 20.0, 0.0) == pytest.approx(1 / 200)


def test_a_plate_at_45_degrees_hides_what_leaves_along_it():
    """At 2θ = 135° neutrons leave along the plate: nothing comes out of an infinite one."""
    assert plate_factor(135.0, (0.1, 0.1), 1.0, 45.0) == pytest.approx(0.0, abs=1e-12)
    symmetric = plate_factor(90.0, (0.1, 0.1), 1.0, 45.0)
    assert symmetric == pytest.approx(np.exp(-0.1 * np.sqrt(2)), rel=1e-12)


@pytest.mark.parametrize("angle", [-30.0, 0.0, 50.0])
def test_the_formula_of_the_plate_is_the_mean_over_its_depth(angle):
    incoming, outgoing, thickness = 0.4, 0.9, 1.5
    depth = (np.arange(4000) + 0.5) / 4000 * thickness
    out = np.cos(np.radians(ANGLES - angle))
    way_out = np.where(out[:, None] > 0, thickness - depth, depth) / np.abs(out)[:, None]
    way_in = depth / np.cos(np.radians(angle))
    expected = np.exp(-incoming * way_in - outgoing * way_out).mean(axis=1)
    found = plate_factor(ANGLES, (incoming, outgoing), thickness, angle)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-12)


# -- cylinder -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0.01, 0.3, 1.0, 2.0])
def test_forward_a_cylinder_is_a_struve_function(size):
    """Elastic at 2θ = 0 each way is a chord: A = 2 [I0 − L0 − (I1 − L1)/x], x = 2μR."""
    x = 2 * size
    expected = 2 * (iv(0, x) - modstruve(0, x) - (iv(1, x) - modstruve(1, x)) / x)
    assert cylinder_factor(0.0, (size, size), 1.0)[0] == pytest.approx(expected, rel=5e-5)


@pytest.mark.parametrize(("incoming", "outgoing"), [(0.5, 0.5), (0.3, 1.2), (2.0, 0.6)])
def test_neutrons_one_by_one_agree_with_the_quadrature(incoming, outgoing):
    """Random points of the section, ways to the circle by geometry."""
    rng = np.random.default_rng(7)
    points = rng.uniform(-1, 1, (400_000, 2))
    points = points[(points**2).sum(axis=1) < 1]

    def way(direction):
        along = points @ direction
        return np.sqrt(1 - (points**2).sum(axis=1) + along**2) - along

    for angle in (30.0, 90.0, 155.0):
        out = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
        weights = np.exp(-incoming * way(np.array([-1.0, 0.0])) - outgoing * way(out))
        error = weights.std() / np.sqrt(len(weights))
        found = cylinder_factor(angle, (incoming * 2.5, outgoing * 2.5), 0.4)[0]
        assert abs(found - weights.mean()) < 4 * error
        assert error < 2e-3 * weights.mean()


@pytest.mark.parametrize("size", [1e3, 1e4, 1e6])
def test_nothing_comes_through_a_black_cylinder(size):
    """Gadolinium and cold neutrons: what a number can hold ends before the sample does."""
    forward, backward = cylinder_factor(np.array([[0.0], [180.0]]), (size, size), 1.0)[:, 0]
    assert 0 <= forward < 1e-40
    assert 0 <= backward < 1 / size


def test_in_and_out_can_be_exchanged():
    """A neutron run backwards takes the same ways."""
    one = cylinder_factor(ANGLES, (0.4, 1.5), 1.0)
    np.testing.assert_allclose(one, cylinder_factor(ANGLES, (1.5, 0.4), 1.0), rtol=1e-4)


# -- either ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", [FlatPlate(1e-6, angle=30), Cylinder(1e-6)])
def test_a_thin_sample_hides_nothing(sample):
    np.testing.assert_allclose(sample.factor(VANADIUM, ANGLES, 25.0, 5.0), 1.0, atol=1e-6)


@pytest.mark.parametrize("sample", [FlatPlate(2.0, angle=20), Cylinder(2.0)])
def test_more_of_a_sample_hides_more(sample):
    dense = sample.factor(VANADIUM, ANGLES, 25.0, 15.0)
    loose = replace(sample, packing=0.5).factor(VANADIUM, ANGLES, 25.0, 15.0)
    assert np.all((dense > 0) & (dense < loose) & (loose < 1))
    assert np.all(sample.factor(VANADIUM, ANGLES, 25.0, 5.0) < dense)  # slower ones are absorbed


def powder_map(kinematics, **changes):
    shape = (5, 6)
    parts = np.stack([np.full(shape, 0.5), np.full(shape, 1.5)])
    values = {
        "crystal": VANADIUM, "q": np.linspace(1, 6, 6), "energy_transfer": np.linspace(-3, 57, 7),
        "intensity": np.full(shape, 2.0), "error": np.full(shape, 0.1), "temperature": 300.0,
        "parts": parts, "part_names": ("coherent 1", "incoherent 1"), "kinematics": kinematics,
        "provenance": {"made": "here"},
    }  # fmt: skip
    return SqwMap(**{**values, **changes})


@pytest.mark.parametrize("kinematics", [DIRECT, INDIRECT])
@pytest.mark.parametrize("sample", [FlatPlate(3.0, angle=10), Cylinder(3.0, packing=0.6)])
def test_each_bin_of_a_map_has_the_factor_of_its_angle_and_energies(sample, kinematics):
    sqw = powder_map(kinematics)
    found = sample(sqw)
    energy = sqw.energy_centres[2]
    incident, final = (60.0, 60 - energy) if kinematics is DIRECT else (4 + energy, 4.0)
    angle = scattering_angles(sqw.q_centres, np.array([energy]), kinematics["fixed_energy"],
                              kinematics["geometry"])[3, 0]  # fmt: skip
    expected = sample.factor(VANADIUM, angle, incident, final)
    assert 0 < expected < 0.9
    assert found.intensity[3, 2] == pytest.approx(2 * expected, rel=1e-9)
    assert found.error[3, 2] == pytest.approx(0.1 * expected, rel=1e-9)
    assert found.parts[1, 3, 2] == pytest.approx(1.5 * expected, rel=1e-9)
    told = found.provenance["self_shielding"]
    assert told["sample"] == type(sample).__name__
    assert told["packing"] == sample.packing
    assert found.provenance["made"] == "here"


def test_units_of_the_map_do_not_matter():
    sqw, sample = powder_map(DIRECT), Cylinder(3.0)
    there = sample(sqw.to("THz").to("nm^-1"))
    assert there.units["energy"] == "THz"
    np.testing.assert_allclose(there.to("meV").intensity, sample(sqw).intensity, rtol=1e-9)


def test_bins_without_neutrons_stay_unmeasured():
    sqw = powder_map({**DIRECT, "fixed_energy": 40.0})
    found = FlatPlate(1.0)(sqw)
    np.testing.assert_array_equal(found.mask.all(axis=0), sqw.energy_centres < 40)


def test_angles_are_those_of_the_wavevectors():
    q = wavevector_transfer(60.0, 42.0, np.array([10.0, 70.0, 130.0]))
    found = scattering_angles(q, np.array([18.0]), 60.0, "direct")
    np.testing.assert_allclose(found[:, 0], [10, 70, 130], rtol=1e-9)
    assert scattering_angles([50.0], np.array([18.0]), 60.0, "direct") == 180


@pytest.mark.parametrize("sample", [FlatPlate(2.0), Cylinder(2.0)])
def test_samples_keep_the_contract_of_analyzers(sample):
    check_analyzer(sample, powder_map(DIRECT))
    check_result(sample(powder_map(DIRECT)))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"axis": "path"}, "map along a path"),
        ({"crystal": None}, "crystal of this map is not known"),
        ({"kinematics": None}, "energies of the neutrons of this map are not known"),
        ({"kinematics": {"geometry": "direct"}}, "are not known.*dataclasses.replace"),
        ({"provenance": {"self_shielding": {}}}, "shielded already"),
        ({"crystal": Crystal.from_atoms(bulk("Po", "sc", a=3.3))}, "no scattering length of 'Po'"),
    ],
)
def test_what_cannot_be_shielded_is_explained(change, reason):
    with pytest.raises(InputError, match=reason):
        FlatPlate(1.0)(powder_map(**{"kinematics": DIRECT, **change}))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: FlatPlate(0.0), "thickness=0.0 is no size"),
        (lambda: Cylinder(-1.0), "radius=-1.0 is no size"),
        (lambda: FlatPlate(1.0, angle=90), "along the beam"),
        (lambda: FlatPlate(1.0).factor(VANADIUM, 0.0, 25.0, -1.0), "25 and -1 meV cannot be"),
        (lambda: FlatPlate(1.0, packing=60).factor(VANADIUM, 0.0, 25.0), "packing=60"),
        (
            lambda: Cylinder(1.0, scattering_lengths={"V": "13V"}).factor(VANADIUM, 0.0, 25.0),
            "no scattering length of '13V'",
        ),
    ],
)
def test_impossible_samples_are_explained(make, reason):
    with pytest.raises(InputError, match=reason):
        make()


def test_a_cylinder_that_lets_nothing_through_is_warned_of():
    gadolinium = Crystal.from_atoms(bulk("Gd"))
    with pytest.warns(AccuracyWarning, match="μ times radius reaches"):
        factor = Cylinder(1.0).factor(gadolinium, 120.0, 25.0)
    assert 0 < factor < 0.01


def test_missing_absorption_is_explained():
    """Lengths of the user's own do not tell how strongly an element absorbs."""
    crystal = Crystal.from_atoms(bulk("Po", "sc", a=3.35))
    own = {"scattering_lengths": {"Po": 5.0}, "incoherent_cross_sections": {"Po": 0.0}}
    with pytest.raises(InputError, match=r"no absorption cross-section of Po .*absorption_cross_s"):
        Attenuation.of(crystal, **own)
    found = Attenuation.of(crystal, **own, absorption_cross_sections={"Po": 2.0})
    assert found.absorption == pytest.approx(2.0 / 3.35**3 / 10)
