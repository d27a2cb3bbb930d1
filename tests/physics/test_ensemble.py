"""Spectra with error bars: how members of an ensemble disagree is what the band shows."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from scatterml_ase import (
    FiniteDisplacementPhonons,
    PathScattering,
    PlaneScattering,
    PowderScattering,
    load_result,
)
from scatterml_ase.errors import InputError
from scatterml_ase.results.spread import mean_and_spread
from scatterml_ase.testing import check_result
from scatterml_ase.workflows.ensemble import Ensemble

STEP = 0.002
STILL = np.zeros((2, 3, 3))
PATH = PathScattering(
    300.0, path="GX", zone=(2, 2, 0), points=20, energy_fwhm=4.0, displacements=STILL
)


def scaled(force_constants, factor):
    """All springs stronger by a factor: all energies are those times its root."""
    return replace(force_constants, blocks=factor * force_constants.blocks)


@pytest.fixture(scope="module")
def ensemble(zincblende):
    return Ensemble(tuple(scaled(zincblende, 1 + step) for step in (-STEP, 0.0, STEP)))


def test_the_band_of_the_dos_is_the_standard_deviation_over_members(zincblende, ensemble):
    dos = ensemble.dos(6)
    one_by_one = [member.dos(6, energy_edges=dos.energy_edges).total for member in ensemble.members]
    np.testing.assert_allclose(dos.total, np.mean(one_by_one, axis=0), rtol=1e-12)
    np.testing.assert_allclose(dos.error, np.std(one_by_one, axis=0, ddof=1), atol=1e-12)
    assert dos.total @ dos.widths == pytest.approx(6.0, rel=1e-9)
    np.testing.assert_allclose(dos.partial.sum(axis=0), dos.total, rtol=1e-9)
    highest = np.sqrt(1 + STEP) * zincblende.mesh_modes(6).frequencies.max()
    assert dos.energy_edges[0] == 0
    assert dos.energy_edges[-1] > highest


def test_the_band_of_a_map_is_its_slope_times_the_spread_of_the_springs(ensemble):
    """Springs of 1 − s, 1, 1 + s spread by s: to first order the map by |∂S/∂s| s."""
    sqw = ensemble(PATH)
    bins = replace(PATH, energy_edges=sqw.energy_transfer)
    low, middle, high = (bins(member).intensity for member in ensemble.members)
    known = sqw.mask
    np.testing.assert_allclose(sqw.intensity[known], (low + middle + high)[known] / 3, rtol=1e-12)
    expected = (np.abs(high - low) / 2)[known]
    # Each line moves by a thirtieth of its width: curvature adds a little.
    assert np.abs(sqw.error[known] - expected).sum() < 0.05 * expected.sum()
    assert expected.sum() > 0.001 * sqw.intensity[known].sum()


def test_equal_members_have_no_band(zincblende):
    sqw = Ensemble((zincblende, zincblende))(PATH)
    np.testing.assert_array_equal(sqw.error[sqw.mask], 0.0)
    np.testing.assert_allclose(
        sqw.intensity[sqw.mask], PATH(zincblende).intensity[sqw.mask], rtol=1e-12
    )


def test_a_powder_map_keeps_what_belongs_to_all_and_says_who_its_members_were(zincblende, tmp_path):
    options = {"q_edges": np.linspace(2, 4, 3), "tolerance": 0.5, "maximum_wavevectors": 2000,
               "energy_fwhm": 5.0, "displacements": STILL, "progress": False}  # fmt: skip
    members = tuple(
        replace(scaled(zincblende, factor), provenance={"calculator": name})
        for factor, name in ((1.0, "one"), (1.1, "two"))
    )
    sqw = Ensemble(members)(PowderScattering(300.0, **options))
    highest = zincblende.mesh_modes(6).frequencies.max() * np.sqrt(1.1)
    assert sqw.energy_transfer[-1] > highest  # the bins are those of the stiffer one
    assert sqw.error.shape == sqw.intensity.shape
    assert np.nansum(sqw.error) > 0
    assert sqw.wavevectors > 2 * 100
    sqw.save(tmp_path / "band.nxs")
    again = load_result(tmp_path / "band.nxs")
    np.testing.assert_array_equal(again.error, sqw.error)
    apart = again.provenance["ensemble"]["members"]
    assert [member["calculator"] for member in apart] == ["one", "two"]
    assert again.provenance["scattering_length_table"] == "Sears 1992"


def test_planes_keep_the_band_in_files_units_and_slices(ensemble, tmp_path):
    """One slice, or several; what is per atom becomes per formula unit with its error."""
    plane = PlaneScattering(
        300.0, energy=(40.0, 60.0), bins=(6, 6), energy_fwhm=4.0, progress=False
    )
    found = ensemble(plane)
    each = [plane(member).intensity for member in ensemble.members]
    np.testing.assert_allclose(found.intensity, np.mean(each, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.error, np.std(each, axis=0, ddof=1), atol=1e-12)
    assert found.error.max() > 1e-4 * found.intensity.max()
    assert found.points == 3 * 36
    check_result(found)
    back = load_result(found.save(tmp_path / "plane.nxs"))
    np.testing.assert_array_equal(back.error, found.error)
    np.testing.assert_allclose(found.per("formula_unit").error, 2 * found.error, rtol=1e-12)
    np.testing.assert_allclose(
        found.to("THz").error / found.to("THz").intensity, found.error / found.intensity, rtol=1e-9
    )
    slices = ensemble(replace(plane, energy=None, energy_edges=[20.0, 40.0, 60.0]))
    np.testing.assert_array_equal(slices.at(50.0).error[0], slices.error[1])
    assert slices.at(50.0).error == pytest.approx(found.error, abs=1e-12)


def test_the_band_of_a_cut_is_that_of_the_members_cuts(ensemble):
    """Bins move together: taken as independent, their errors would cancel too well."""
    total = (0.0, 200.0)
    sqw = ensemble(PATH)
    cut = ensemble(PATH, then=lambda one: one.cut(energy=total))
    naive = sqw.cut(energy=total)
    np.testing.assert_allclose(cut.intensity, naive.intensity, rtol=1e-12)
    bins = replace(PATH, energy_edges=sqw.energy_transfer)
    cuts = [bins(member).cut(energy=total).intensity for member in ensemble.members]
    np.testing.assert_allclose(cut.error, np.std(cuts, axis=0, ddof=1), rtol=1e-9)
    assert not np.allclose(cut.error, naive.error, rtol=0.1)


class Softer(EMT):
    """EMT with all energies multiplied."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def calculate(self, *arguments, **options):
        super().calculate(*arguments, **options)
        self.results = {name: self.factor * value for name, value in self.results.items()}


class Committee(EMT):
    members = (Softer(0.9), Softer(1.1))


def test_calculators_or_a_committee_make_the_members():
    phonons = FiniteDisplacementPhonons(supercell=(2, 2, 2), stress_tolerance=1.0)
    atoms = bulk("Cu", a=3.59)
    atoms.calc = Committee()
    ensemble = Ensemble.of(atoms, phonons=phonons)
    listed = Ensemble.of(atoms, [Softer(0.9), Softer(1.1)], phonons=phonons)
    for one, other in zip(ensemble.members, listed.members, strict=True):
        np.testing.assert_allclose(one.blocks, other.blocks, atol=1e-12)
    soft, stiff = (member.blocks for member in ensemble.members)
    np.testing.assert_allclose(stiff / 1.1, soft / 0.9, atol=1e-6)
    assert np.abs(soft).max() > 1
    assert isinstance(atoms.calc, Committee)  # the atoms are as they were


def test_what_follows_from_the_dos_is_as_unsure_as_the_members_say(ensemble):
    """Springs stronger by a step raise all energies, and the Debye temperature, by half of it."""
    thermal = ensemble.dos(6, energy_step=0.02).thermal([0.0, 300.0])
    expected = STEP / 2 * thermal.debye_temperature  # the deviation of -1, 0, 1 is 1
    assert thermal.debye_temperature_error == pytest.approx(expected, rel=0.01)
    assert thermal.free_energy_error[0] == pytest.approx(
        STEP / 2 * thermal.zero_point_energy, rel=0.01
    )
    np.testing.assert_allclose(
        thermal.entropy_error[1], STEP / 2 * thermal.heat_capacity[1], rtol=0.01
    )


def test_the_picture_of_a_dos_shows_the_band(ensemble):
    from matplotlib.figure import Figure

    dos = ensemble.dos(4)
    with_band = dos.plot(Figure().subplots(), species=False)
    without = replace(dos, error=None).plot(Figure().subplots(), species=False)
    assert len(with_band.collections) == len(without.collections) + 1
    assert with_band.get_ylim()[1] > (dos.total + dos.error).max()
    assert replace(dos, samples=None).broadened(1.0).error is None
    assert dos.broadened(1.0).error.max() < dos.error.max()
    assert dos.to("THz").error.sum() == pytest.approx(4.13567 * dos.error.sum(), rel=1e-5)


def test_what_has_no_spread_is_refused(zincblende, wurtzite, ensemble):
    with pytest.raises(InputError, match="An ensemble of 1"):
        Ensemble((zincblende,))
    with pytest.raises(InputError, match="different crystals"):
        Ensemble((zincblende, wurtzite))
    with pytest.raises(InputError, match="NoneType is no committee"):
        Ensemble.of(bulk("Cu"))
    with pytest.raises(InputError, match="1 results"):
        mean_and_spread([ensemble.dos(4)])
    with pytest.raises(InputError, match="ForceConstants cannot be averaged"):
        mean_and_spread(ensemble.members)
    dos = ensemble.dos(4)
    with pytest.raises(InputError, match="different units"):
        mean_and_spread([dos, dos.to("THz")])
    with pytest.raises(InputError, match="no partial"):
        mean_and_spread([dos, replace(dos, partial=None)])
    with pytest.raises(InputError, match="energy_edges differs"):
        mean_and_spread([dos, replace(dos, energy_edges=1.1 * dos.energy_edges)])
