"""One-phonon scattering obeys sum rules, symmetry and its own definitions."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from scatterml_ase.errors import AccuracyWarning, InputError, StabilityWarning
from scatterml_ase.physics.broadening import SIGMA_TO_FWHM
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering import view
from scatterml_ase.scattering.instruments import Instrument
from scatterml_ase.scattering.one_phonon import one_phonon
from scatterml_ase.scattering.path import PathScattering
from scatterml_ase.scattering.powder import PowderScattering
from scatterml_ase.scattering.scatterer import Scatterer, mean_square_displacements
from scatterml_ase.testing import check_analyzer, check_result
from scatterml_ase.units import BOLTZMANN, HBAR2_PER_AMU

QUIET = {"progress": False}


def recoil(scatterer, Q):
    """(1/N) Σ_k |b_k|² ħ²Q²/(2M_k) exp(−2W_k), in mbarn meV."""
    exponents = np.einsum("qa,nab,qb->qn", Q, scatterer.displacements, Q)
    terms = np.abs(scatterer.lengths) ** 2 / scatterer.force_constants.crystal.masses
    squares = np.sum(Q**2, axis=1)
    return 10 * HBAR2_PER_AMU / 2 * squares * (np.exp(-exponents) @ terms) / scatterer.atoms


def vectors(count=200, size=5.0):
    return np.random.default_rng(2).uniform(-size, size, size=(count, 3))


@pytest.fixture(scope="module")
def powder(zincblende):
    """Make a coarse powder map with both signs of E."""
    return PowderScattering(
        300.0,
        q_edges=np.linspace(0, 6, 31),
        energy_edges=np.linspace(-150, 150, 601),
        tolerance=0.1,
        **QUIET,
    )(zincblende)


@pytest.mark.parametrize("temperature", [0.0, 300.0])
def test_first_moment_at_every_wavevector(zincblende, temperature):
    """Σ E S over loss and gain is the recoil energy times the Debye–Waller factor, at each Q."""
    scatterer = Scatterer.prepare(zincblende, temperature)
    found = one_phonon(zincblende, vectors(), temperature)
    moment = np.sum(found.frequencies * (found.loss - found.gain), axis=1)
    np.testing.assert_allclose(moment, recoil(scatterer, vectors()), rtol=1e-6)


def test_first_moment_of_the_binned_powder_map(zincblende, powder):
    """The same holds shell by shell for a histogram, to 1e-3."""
    scatterer = Scatterer.prepare(zincblende, 300.0)
    np.testing.assert_allclose(  # cubic sites: isotropic
        scatterer.displacements, scatterer.displacements[:, :1, :1] * np.eye(3), atol=1e-12
    )
    moment = np.nansum(powder.intensity * powder.energy_centres, axis=1) * 0.5
    fine = powder.q[:-1, None] + np.diff(powder.q)[:, None] * (np.arange(50) + 0.5) / 50
    along_x = fine.reshape(-1, 1) * np.array([[1.0, 0.0, 0.0]])
    expected = recoil(scatterer, along_x).reshape(fine.shape).mean(axis=1)
    assert np.abs(moment - expected).sum() < 1e-3 * expected.sum()


def test_detailed_balance(powder, zincblende):
    """S(Q, −E) = exp(−E/kT) S(Q, E): exact mode by mode, and in bins to their width."""
    found = one_phonon(zincblende, vectors(), 300.0)
    np.testing.assert_allclose(
        found.gain, found.loss * np.exp(-found.frequencies / (BOLTZMANN * 300.0)), rtol=1e-12
    )
    half = len(powder.energy_centres) // 2
    gain, loss = powder.intensity[:, :half][:, ::-1], powder.intensity[:, half:]
    factor = np.exp(-powder.energy_centres[half:] / (BOLTZMANN * 300.0))
    both = np.isfinite(gain) & np.isfinite(loss)
    assert both.mean() > 0.99
    np.testing.assert_allclose(
        gain[both], (loss * factor)[both], rtol=0.012, atol=1e-9 * np.nanmax(loss)
    )


def test_no_energy_gain_at_zero_temperature(zincblende):
    found = one_phonon(zincblende, vectors(), 0.0)
    assert not found.gain.any()
    assert found.loss.any()


def rotated(force_constants, rotation):
    crystal = force_constants.crystal
    return replace(
        force_constants,
        crystal=replace(crystal, cell=crystal.cell @ rotation.T),
        blocks=rotation @ force_constants.blocks @ rotation.T,
    )


def test_a_turned_crystal_scatters_into_turned_directions(zincblende):
    """S of the crystal at Q is S of the turned crystal at RQ."""
    rotation = Rotation.from_rotvec([0.4, -0.9, 0.3]).as_matrix()
    one = one_phonon(zincblende, vectors(), 300.0)
    two = one_phonon(rotated(zincblende, rotation), vectors() @ rotation.T, 300.0)
    np.testing.assert_allclose(two.frequencies, one.frequencies, rtol=1e-9)
    np.testing.assert_allclose(two.loss, one.loss, rtol=1e-6, atol=1e-9 * one.loss.max())


def test_the_origin_does_not_matter(zincblende):
    crystal = zincblende.crystal
    shift = np.array([0.13, 0.4, -0.27])
    moved = replace(
        zincblende,
        crystal=replace(crystal, scaled_positions=crystal.scaled_positions + shift),
    )
    one, two = (one_phonon(item, vectors(), 300.0) for item in (zincblende, moved))
    np.testing.assert_allclose(two.loss, one.loss, rtol=1e-6, atol=1e-9 * one.loss.max())


def test_equivalent_scattering_vectors(zincblende):
    """S(RQ) = S(Q) for every rotation of the crystal, and S(−Q) = S(Q)."""
    rotations = zincblende.symmetry_operations.cartesian(zincblende.crystal.cell)
    Q = vectors(1) + np.array([[2.0, 0, 0]])
    images = np.concatenate([rotations @ Q[0], -Q])
    found = one_phonon(zincblende, images, 300.0)
    totals = np.sum(found.loss * found.frequencies**2, axis=1)
    np.testing.assert_allclose(totals, totals[0], rtol=1e-9)


def test_isotopes_change_the_pattern(zincblende):
    """With opposite scattering lengths the sublattices interfere the other way."""
    Q = zincblende.crystal.reciprocal_cell.sum(axis=0)[None] * 1.5
    plain = one_phonon(zincblende, Q, 300.0, scattering_lengths={"Si": 5.0, "C": 5.0})
    other = one_phonon(zincblende, Q, 300.0, scattering_lengths={"Si": 5.0, "C": -5.0})
    moments = [np.sum(f.frequencies * (f.loss - f.gain)) for f in (plain, other)]
    assert moments[0] == pytest.approx(moments[1], rel=1e-9)
    assert not np.allclose(plain.loss, other.loss, rtol=0.2)


def test_debye_waller_tensors_are_converged(zincblende):
    """The extrapolated displacements differ from those of much denser meshes by under 0.1 %."""
    found = mean_square_displacements(zincblende, 300.0)
    dense = zincblende.thermal([300.0], mesh=(40, 40, 40)).displacement_tensors[0]
    np.testing.assert_allclose(found, dense, rtol=1e-3, atol=1e-9)


def test_bragg_peaks_leave_acoustic_modes_out(zincblende):
    """At Q = G acoustic modes have no energy and optic modes stay."""
    found = one_phonon(zincblende, np.array([[2.0, 0.0, 0.0]]), 300.0, reduced=True)
    assert np.count_nonzero(found.frequencies == 0) == 3
    assert np.isfinite(found.loss).all()
    assert found.loss[0, 3:].sum() > 0
    assert found.imaginary_share == 0


# -- powder ---------------------------------------------------------------------------------------


def test_powder_error_estimate_is_honest(zincblende):
    """The estimated error is that against a map with many more samples, within a factor two."""
    options = {"q_edges": np.linspace(2, 5, 13), "energy_edges": np.linspace(0, 140, 71), **QUIET}
    coarse = PowderScattering(300.0, tolerance=0.2, seed=1, **options)(zincblende)
    fine = PowderScattering(300.0, tolerance=0.02, **options)(zincblende)
    assert coarse.relative_error <= 0.2
    assert fine.relative_error <= 0.02
    assert fine.wavevectors > coarse.wavevectors
    actual = np.nansum(np.abs(coarse.intensity - fine.intensity)) / np.nansum(fine.intensity)
    assert 0.5 < actual / coarse.relative_error < 2


def test_directions_and_meshes_give_one_shell_average(zincblende):
    """A shell that meshes fill equals the one filled by single directions."""
    from scatterml_ase.scattering import sampling
    from scatterml_ase.scattering.powder_average import ShellSums, add_mesh, add_vectors

    scatterer = Scatterer.prepare(zincblende, 300.0)
    edges, energies = np.array([3.0, 3.4, 3.8]), np.linspace(1, 140, 21)
    generator = np.random.default_rng(0)
    by_mesh, by_direction = ShellSums(edges, energies), ShellSums(edges, energies)
    plan = sampling.Plan((48, 48, 48), 0, np.zeros(2, dtype=bool), np.ones(2))
    add_mesh(by_mesh, scatterer, plan, generator, lambda _: None)
    for inner, outer in pairwise(edges):
        Q = sampling.shell_vectors(inner, outer, 20000, generator)
        add_vectors(by_direction, scatterer, Q, lambda _: None)
    difference = np.abs(by_mesh.mean() - by_direction.mean()).sum()
    assert difference < 0.012 * by_direction.mean().sum()


def test_the_same_seed_gives_the_same_map(zincblende):
    options = {"q_edges": [2, 3], "energy_edges": np.linspace(0, 140, 36), "tolerance": 0.2}
    maps = [PowderScattering(300.0, seed=s, **options, **QUIET)(zincblende) for s in (0, 0, 1)]
    np.testing.assert_array_equal(maps[0].intensity, maps[1].intensity)
    assert not np.array_equal(maps[0].intensity, maps[2].intensity)


def test_complex_lengths_average_over_opposite_wavevectors(zincblende):
    """With absorption |F(Q)|² ≠ |F(−Q)|²; the powder has their mean."""
    from scatterml_ase.scattering.powder_average import ShellSums, add_vectors

    lengths = {"Si": 5.0 - 3.0j, "C": 2.0 + 1.0j}
    scatterer = Scatterer.prepare(zincblende, 300.0, scattering_lengths=lengths)
    Q = vectors(50)
    sums = ShellSums(np.array([0.0, 9.0]), np.array([0.0, 200.0]))
    add_vectors(sums, scatterer, Q, lambda _: None)
    one, two = (
        one_phonon(zincblende, sign * Q, 300.0, scattering_lengths=lengths).loss.sum(axis=1)
        for sign in (1, -1)
    )
    assert not np.allclose(one, two)
    assert sums.mean()[0, 0] == pytest.approx(np.mean((one + two) / 2), rel=1e-9)


def test_lengths_given_by_atom_break_the_symmetry(zincblende):
    scatterer = Scatterer.prepare(zincblende, 300.0, scattering_lengths={0: 1.0})
    assert scatterer.symmetric  # no operation exchanges Si and C
    assert scatterer.lengths[0] == 1.0


def test_displacements_that_differ_by_direction_break_the_symmetry(zincblende):
    """A cubic site moves alike in all directions; what says otherwise must not be folded."""
    even = np.broadcast_to(0.01 * np.eye(3), (2, 3, 3))
    assert Scatterer.prepare(zincblende, 300.0, displacements=even).symmetric
    uneven = even.copy()
    uneven[0, 2, 2] = 0.02
    assert not Scatterer.prepare(zincblende, 300.0, displacements=uneven).symmetric


@pytest.mark.parametrize("analyzer", [PowderScattering, PathScattering])
def test_a_width_beside_an_instrument_is_refused(zincblende, analyzer):
    """Neither may be dropped silently."""
    options = {"instrument": "ARCS", "incident_energy": 200.0, "energy_fwhm": 1.0}
    with pytest.raises(InputError, match="ARCS has a resolution of its own"):
        analyzer(300.0, **options)(zincblende)


def test_instrument_masks_what_it_cannot_see(zincblende):
    instrument = Instrument.custom([(5, 90)], relative_energy_fwhm=(0.04, -0.03))
    sqw = PowderScattering(
        300.0, instrument=instrument, incident_energy=200, tolerance=0.2, **QUIET
    )(zincblende)
    assert isinstance(sqw, SqwMap)
    assert 0.2 < sqw.mask.mean() < 0.95
    assert np.isnan(sqw.intensity[~sqw.mask]).all()
    assert np.isfinite(sqw.intensity[sqw.mask]).all()
    ki = np.sqrt(200 / 2.0721248)
    elastic = sqw.mask[:, 1]
    assert sqw.q_centres[elastic].max() == pytest.approx(2 * ki * np.sin(np.pi / 4), abs=0.1)
    assert sqw.provenance["powder"]["instrument"]["name"] == "custom"
    assert sqw.provenance["scattering_lengths_fm"]["C"] == (6.646, 0.0)


def test_resolution_conserves_the_content_of_the_map(zincblende):
    """Broadening moves intensity but keeps its integral over a wide enough energy axis."""
    options = {
        "q_edges": np.linspace(2, 4, 5), "energy_edges": np.linspace(-200, 200, 401),
        "tolerance": 0.2, **QUIET,
    }  # fmt: skip
    sharp = PowderScattering(300.0, **options)(zincblende)
    wide = PowderScattering(300.0, energy_fwhm=5.0, **options)(zincblende)
    totals = [np.nansum(sqw.intensity, axis=1) for sqw in (sharp, wide)]
    np.testing.assert_allclose(totals[1], totals[0], rtol=0.03)
    assert np.nanmax(wide.intensity) < np.nanmax(sharp.intensity)


def test_a_limit_too_low_is_said(zincblende):
    with pytest.warns(AccuracyWarning, match="maximum_wavevectors"):
        PowderScattering(
            300.0, q_edges=[2, 2.5], energy_edges=np.linspace(0, 140, 281), tolerance=0.001,
            maximum_wavevectors=3000, **QUIET,
        )(zincblende)  # fmt: skip


def test_imaginary_modes_are_counted_and_left_out(zincblende):
    """An unstable crystal still gives a finite map, and says how much of it is missing."""
    unstable = replace(zincblende, blocks=-np.asarray(zincblende.blocks))
    with pytest.warns(StabilityWarning, match=r"% of the sampled modes are imaginary"):
        sqw = PathScattering(300.0, path="GX", points=20, energy_edges=np.linspace(0, 50, 11))(
            unstable
        )
    assert sqw.imaginary_share > 0.9
    assert np.isfinite(sqw.intensity[sqw.mask]).all()
    assert not sqw.mask[1:, 0].any()


# -- paths ----------------------------------------------------------------------------------------


def test_path_columns_are_structure_factors(zincblende):
    """Each column integrates to the sum of loss intensities at its Q."""
    sqw = PathScattering(
        300.0, path="GXWKGL", zone=(2, 1, 0), points=60, energy_edges=np.linspace(0, 160, 321)
    )(zincblende)
    found = one_phonon(zincblende, sqw.q_reduced, 300.0, reduced=True)
    clear = found.frequencies.min(axis=1) > 15.0
    totals = sqw.intensity[clear].sum(axis=1) * 0.5
    np.testing.assert_allclose(totals, found.loss[clear].sum(axis=1), rtol=1e-6)
    assert [name for _, name in sqw.labels][:2] == ["Γ", "X"]
    assert sqw.axis == "path"


def test_path_masks_the_elastic_bin_of_bragg_peaks(zincblende):
    sqw = PathScattering(300.0, path="XGX", zone=(2, 0, 0), points=21)(zincblende)
    centre = np.flatnonzero(np.abs(sqw.q_reduced - [2, 0, 0]).max(axis=1) < 1e-9)
    assert len(centre)
    assert not sqw.mask[centre, 0].any()
    assert sqw.mask[:, 1:].all()


def test_standard_path_and_corners(zincblende):
    standard = PathScattering(300.0, points=50)(zincblende)
    assert {name for _, name in standard.labels} >= {"Γ", "X", "L"}
    corners = PathScattering(300.0, path=[[0, 0, 0], [0.5, 0, 0.5]], points=20)(zincblende)
    assert corners.intensity.shape[0] == 20


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -5}, "kelvin"),
        ({"instrument": "XYZ", "incident_energy": 60}, "ARCS"),
        ({"instrument": "ARCS"}, "incident_energy in meV"),
        ({"instrument": "ARCS", "incident_energy": 2}, "20 … 1500"),
        ({"instrument": "ARCS", "incident_energy": -60}, "cannot run"),
        ({"incident_energy": 60}, "without an instrument"),
        ({"q_edges": [3, 2, 1]}, "ascending"),
        ({"q_edges": [-1, 2]}, "length"),
        ({"energy_edges": [0]}, "ascending"),
        ({"tolerance": 0}, "tolerance"),
        ({"scattering_lengths": {"Ga": 7.0}}, "names Ga"),
        ({"displacements": np.eye(3)}, "3×3"),
        ({"temperature": [100, 300]}, "one"),
        ({"temperature": "hot"}, "kelvin"),
        ({"energy_fwhm": -1.0}, "width"),
        ({"energy_fwhm": np.nan}, "width"),
        (
            {"instrument": "ARCS", "incident_energy": 60, "q_edges": [30, 31]},
            "measures none of the bins",
        ),
        (
            {"instrument": "ARCS", "incident_energy": 60, "energy_edges": [70, 80]},
            "measures none of the bins",
        ),
    ],
)
def test_bad_options_are_explained(zincblende, options, message):
    with pytest.raises(InputError, match=message):
        PowderScattering(**options, **QUIET)(zincblende)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": np.nan}, "kelvin"),
        ({"path": "GQ"}, "special point"),
        ({"zone": (1, 2)}, "three components"),
        ({"instrument": "ARCS"}, "incident_energy in meV"),
    ],
)
def test_bad_path_options_are_explained(zincblende, options, message):
    with pytest.raises(InputError, match=message):
        PathScattering(**options)(zincblende)


def test_scattering_vectors_of_a_wrong_shape(zincblende):
    with pytest.raises(InputError, match="three finite components"):
        one_phonon(zincblende, np.zeros((2, 4)), 300.0)


def test_a_missing_isotope_is_explained(zincblende):
    strange = replace(zincblende, crystal=replace(zincblende.crystal, masses=[31.0, 12.011]))
    with pytest.raises(InputError, match="31Si"):
        PowderScattering(**QUIET)(strange)


@pytest.mark.parametrize(
    "analyzer",
    [
        PowderScattering(300.0, q_edges=[1, 2, 3], tolerance=0.2, **QUIET),
        PathScattering(300.0, path="GX", points=10),
    ],
    ids=lambda analyzer: type(analyzer).__name__,
)
def test_analyzers_and_their_results_keep_the_contract(zincblende, analyzer):
    check_analyzer(analyzer, zincblende)
    check_result(analyzer(zincblende))


def test_wide_shells_from_the_origin_hold_the_mean_over_length(zincblende):
    """The mean over 0 … 4 Å⁻¹ is the mean of the means over its four parts, to sampling error."""
    options = {"energy_edges": [5, 60, 150], "tolerance": 0.005, **QUIET}
    whole = PowderScattering(q_edges=[0, 4], **options)(zincblende)
    parts = PowderScattering(q_edges=[0, 1, 2, 3, 4], **options)(zincblende)
    assert np.isfinite(parts.intensity).all()
    np.testing.assert_allclose(whole.intensity[0], parts.intensity.mean(axis=0), rtol=0.02)


def test_narrow_bins_at_the_ends_cost_nothing(zincblende):
    """Broadening continues the bins beyond the ends, but not a million times."""
    edges = np.concatenate([[1.0, 1.00001], np.linspace(2, 100, 50)])
    energies = view.EnergyView.make(edges, view.energy_widths(None, None, 5.0))
    assert len(energies.inner_edges) < 1000
    assert energies.inner_edges[0] < 1 - 3.9 * 5.0 / SIGMA_TO_FWHM
    np.testing.assert_allclose(energies.smear.sum(axis=0).max(), 1.0, atol=1e-3)


@pytest.mark.parametrize("analyzer", [PowderScattering(**QUIET), PathScattering(path="GX")])
@pytest.mark.filterwarnings("ignore::scatterml_ase.errors.StabilityWarning")
def test_a_crystal_of_imaginary_modes_alone_is_refused(zincblende, analyzer):
    with pytest.raises(InputError, match="positive energy"):
        analyzer(replace(zincblende, blocks=-zincblende.blocks))


def test_provenance_keeps_lengths_given_by_atom(zincblende, tmp_path):
    lengths = {np.int64(0): 5.0 + 1.0j}
    twin = replace(
        zincblende, crystal=replace(zincblende.crystal, numbers=[14, 14], masses=[28.085] * 2)
    )
    sqw = PathScattering(path="GX", points=10, scattering_lengths=lengths)(twin)
    kept = sqw.provenance["scattering_lengths_fm"]
    assert kept["Si"] == (4.1491, 0.0)
    assert kept["Si (atom 0)"] == (5.0, 1.0)
    assert SqwMap.load(sqw.save(tmp_path / "sqw.nxs")).provenance == sqw.provenance


@pytest.mark.parametrize("tolerance", [0.025, 0.0225, 0.02, 0.0175])
def test_a_tolerance_just_missed_does_not_stall(zincblende, tolerance):
    """Each round solves a denser mesh: the same one again would repeat its own error for ever."""
    options = {"q_edges": np.linspace(2, 5, 13), "energy_edges": np.linspace(0, 140, 71)}
    sqw = PowderScattering(tolerance=tolerance, **options, **QUIET)(zincblende)
    assert sqw.relative_error <= tolerance
    assert sqw.wavevectors < 40_000
