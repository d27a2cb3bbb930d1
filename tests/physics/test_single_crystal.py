"""Planes and grids of a single crystal are one-phonon scattering, bin by bin."""

import re
from dataclasses import replace

import h5py
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.special import ndtr

from scatterml_ase.errors import InputError, StabilityWarning
from scatterml_ase.physics import unit_cell
from scatterml_ase.physics.broadening import SIGMA_TO_FWHM
from scatterml_ase.physics.gaussian_points import gaussian_points
from scatterml_ase.physics.orientation import Orientation
from scatterml_ase.physics.star_folding import fold
from scatterml_ase.results.sqw_grid import SqwGrid
from scatterml_ase.scattering.grid import GridScattering
from scatterml_ase.scattering.instruments import Instrument
from scatterml_ase.scattering.one_phonon import one_phonon
from scatterml_ase.scattering.path import PathScattering
from scatterml_ase.scattering.plane import PlaneScattering
from scatterml_ase.testing import check_analyzer, check_result
from scatterml_ase.units import BOLTZMANN

ENERGIES = np.linspace(-60, 120, 46)
PLANE = PlaneScattering(
    300.0,
    axes=((1, 1, 0), (0, 0, 1)),
    ranges=((-2, 2), (-1, 3)),
    bins=(8, 10),
    energy_edges=ENERGIES,
    energy_fwhm=0.0,
    progress=False,
)
GRID = GridScattering(
    300.0,
    ranges=((-2, 2), (-1, 1), (-1, 2)),
    bins=(8, 5, 6),
    energy_edges=ENERGIES,
    progress=False,
)


TURNED = {"instrument": "ARCS", "incident_energy": 80.0, "psi": (0, 90)}


def by_hand(force_constants, plane, **options):
    """S at every bin's centre: a histogram of its own modes, none shared, (energy, x, y)."""
    hkl = plane.q_reduced.reshape(-1, 3)
    found = one_phonon(force_constants, hkl, 300.0, reduced=True, **options)
    counts = [
        np.histogram(np.concatenate([e, -e]), ENERGIES, weights=np.concatenate([loss, gain]))[0]
        for e, loss, gain in zip(found.frequencies, found.loss, found.gain, strict=True)
    ]
    density = np.array(counts).T / np.diff(ENERGIES)[:, None]
    return density.reshape(plane.intensity.shape)


@pytest.mark.parametrize("crystal", ["zincblende", "wurtzite"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scattering_lengths": {0: 7.0 - 2.0j}},  # equivalent atoms of wurtzite differ
        {"displacements": "uneven"},
    ],
    ids=["symmetric", "one complex length", "uneven displacements"],
)
def test_a_plane_is_one_phonon_scattering_at_the_centres_of_its_bins(crystal, options, request):
    """Sharing wavevectors among equivalent ones changes nothing, also where symmetry is broken."""
    force_constants = request.getfixturevalue(crystal)
    if "displacements" in options:
        tensors = np.tile(0.004 * np.eye(3), (len(force_constants.crystal), 1, 1))
        tensors[0, 0, 0] = 0.03
        options = {"displacements": tensors}
    plane = replace(PLANE, **options)(force_constants)
    expected = by_hand(force_constants, plane, **options)
    known = plane.mask
    np.testing.assert_allclose(
        plane.intensity[known], expected[known], rtol=0, atol=1e-10 * expected[known].max()
    )
    assert known.mean() > 0.9


def test_symmetry_saves_most_wavevectors(zincblende):
    plane = replace(PLANE, bins=(40, 40))(zincblende)
    assert plane.points == 1600
    assert plane.wavevectors < 60
    none = replace(PLANE, bins=(40, 40), symmetry=False)(zincblende)
    assert none.wavevectors > 2 * plane.wavevectors  # what differs by lattice vectors is one yet
    np.testing.assert_allclose(
        plane.intensity, none.intensity, rtol=0, atol=1e-10 * np.nanmax(none.intensity)
    )


def test_folding_keeps_every_vector_equivalent_to_itself(wurtzite):
    rotations = wurtzite.symmetry_operations.rotations
    hkl = np.random.default_rng(0).integers(-20, 20, size=(300, 3)) / 8
    folded = fold(hkl, rotations, inversion=True)
    reciprocal = wurtzite.crystal.reciprocal_cell
    np.testing.assert_allclose(  # a rotation
        np.linalg.norm(folded.images @ reciprocal, axis=1), np.linalg.norm(hkl @ reciprocal, axis=1)
    )
    shifts = folded.images - folded.q_reduced[folded.solution]
    np.testing.assert_allclose(shifts, np.rint(shifts), atol=1e-12)
    mesh = wurtzite.mesh_modes((8, 8, 8), eigenvectors=False)
    assert len(folded.q_reduced) <= len(mesh.q_reduced)
    assert folded.counts.sum() == 300


def test_detailed_balance_between_slices(zincblende):
    """A slice of gain is the slice of loss times exp(−E/kT), but for the width of the slice."""
    loss, gain = (
        replace(PLANE, energy_edges=None, energy=pair)(zincblende)
        for pair in ((38.0, 42.0), (-42.0, -38.0))
    )
    assert np.nanmax(gain.intensity) > 0
    factor = np.exp(-40 / (BOLTZMANN * 300))
    np.testing.assert_allclose(gain.intensity, loss.intensity * factor, rtol=0.09)  # exp(2 meV/kT)


def test_a_turned_or_shifted_crystal_shows_the_same_plane(zincblende):
    rotation = Rotation.from_rotvec([0.4, -0.9, 0.3]).as_matrix()
    crystal = zincblende.crystal
    turned = replace(
        zincblende,
        crystal=replace(
            crystal,
            cell=crystal.cell @ rotation.T,
            scaled_positions=crystal.scaled_positions + np.array([0.13, 0.4, -0.27]),
        ),
        blocks=rotation @ zincblende.blocks @ rotation.T,
    )
    options = replace(PLANE, cell=[[-1, 1, 1], [1, -1, 1], [1, 1, -1]], energy_fwhm=3.0)
    one, two = options(zincblende), options(turned)
    np.testing.assert_allclose(
        two.intensity, one.intensity, rtol=0, atol=1e-6 * np.nanmax(one.intensity)
    )


def test_conventional_and_primitive_units_name_the_same_points(zincblende):
    plane = PLANE(zincblende)
    matrix = plane.transformation
    u, v = (tuple(unit_cell.to_primitive(axis, matrix)) for axis in PLANE.axes)
    again = replace(PLANE, cell="primitive", axes=(u, v))(zincblende)
    np.testing.assert_allclose(again.q_reduced, plane.q_reduced, atol=1e-12)
    np.testing.assert_allclose(
        again.intensity, plane.intensity, rtol=0, atol=1e-9 * np.nanmax(plane.intensity)
    )


def test_thick_planes_and_wide_bins_are_means(zincblende):
    """Samples of a bin lie within it, and the mean of what they give is its intensity."""
    smooth = replace(PLANE, energy_fwhm=4.0, energy_edges=None, energy=(30.0, 40.0))
    thick = replace(smooth, thickness=0.2, samples=(2, 1, 2))(zincblende)
    fine = replace(smooth, bins=(16, 10))
    normal = np.array([1, -1, 0]) / np.sqrt(2) / (2 * np.pi / 4.35)
    parts = [
        replace(fine, origin=tuple(shift * normal))(zincblende).intensity for shift in (-0.05, 0.05)
    ]
    mean = np.mean(parts, axis=0).reshape(1, 8, 2, 10).mean(axis=2)
    np.testing.assert_allclose(thick.intensity, mean, rtol=0, atol=1e-9 * np.nanmax(mean))
    assert thick.points == 4 * 80


@pytest.mark.parametrize("linewidths", [None, 0.3, 3.0], ids=["sharp", "narrow", "broad"])
def test_a_slice_is_the_mean_of_thinner_slices(zincblende, linewidths):
    """How lines are broadened does not depend on the bins they are shown in."""
    options = {"energy_fwhm": 2.0, "linewidths": linewidths}
    thin = replace(PLANE, energy_edges=np.linspace(20, 24, 81), **options)(zincblende)
    thick = replace(PLANE, energy_edges=None, energy=(20.0, 24.0), **options)(zincblende)
    np.testing.assert_allclose(
        thick.intensity[0], thin.intensity.mean(axis=0), rtol=0, atol=3e-3 * thin.intensity.max()
    )


def test_a_line_is_a_gaussian_where_its_mode_is(zincblende):
    """Also in bins as wide as the line: nothing is moved to their centres first."""
    edges = np.arange(20.0, 120.0, 2.0)
    path = PathScattering(300.0, path=[[0.1, 0.2, 0.3], [0.4, 0.3, 0.1]], points=5, zone=(1, 1, 0),
                          energy_edges=edges, energy_fwhm=2.0)  # fmt: skip
    sqw = path(zincblende)
    found = one_phonon(zincblende, sqw.q_reduced, 300.0, reduced=True)
    shares = np.diff(ndtr((edges - found.frequencies[..., None]) * SIGMA_TO_FWHM / 2.0))
    expected = np.einsum("qm,qme->qe", found.loss, shares) / 2.0
    np.testing.assert_allclose(sqw.intensity, expected, rtol=0, atol=1e-6 * expected.max())


def test_a_path_on_an_instrument_knows_its_neutrons(zincblende, tmp_path):
    """So that k_f/k_i can be put into it, and stays known in its file."""
    path = PathScattering(300.0, path="GX", zone=(2, 2, 0), points=5, instrument="MERLIN",
                          incident_energy=200.0)  # fmt: skip
    sqw = path(zincblende)
    raw = sqw.with_ki_over_kf(applied=False)
    expected = sqw.intensity * np.sqrt(1 - sqw.energy_centres / 200.0)
    np.testing.assert_allclose(raw.intensity, expected, rtol=1e-12)
    assert type(sqw).load(sqw.save(tmp_path / "path.nxs")).kinematics == sqw.kinematics


def test_an_instrument_shows_what_turning_the_crystal_reaches(zincblende):
    """More is seen the further the crystal turns; by u and v or by its UB matrix alike."""
    custom = Instrument.custom([(3, 60)], relative_energy_fwhm=0.03)
    options = replace(
        PLANE, energy_edges=None, energy=(28.0, 32.0), energy_fwhm=None,
        instrument=custom, incident_energy=90.0, bins=(20, 20),
    )  # fmt: skip
    free = options(zincblende)
    narrow, wide = (replace(options, psi=psi)(zincblende) for psi in ((0, 30), (0, 90)))
    assert narrow.mask.sum() < wide.mask.sum() < free.mask.sum() < free.mask.size
    assert not (narrow.mask & ~wide.mask).any()
    assert free.points == free.mask.sum()  # nothing else is calculated
    reciprocal = 2 * np.pi / 4.35 * np.eye(3)
    ub = Orientation.from_vectors((1, 1, 0), (0, 0, 1), reciprocal).ub
    told = replace(options, psi=(0, 30), orientation=ub)(zincblende)
    np.testing.assert_array_equal(told.mask, narrow.mask)
    np.testing.assert_allclose(told.kinematics["ub"], ub, atol=1e-12)
    np.testing.assert_allclose(
        narrow.intensity[narrow.mask], free.intensity[narrow.mask], rtol=1e-9
    )


def test_a_grid_in_slabs_is_the_grid_in_one(zincblende, tmp_path):
    one = GRID.write(zincblende, tmp_path / "one.nxs")
    layer = 8 * 5 * (40 * 45 + 400)
    small = (150_000_000 + 2.5 * layer) / 2**30
    many = replace(GRID, memory=small).write(zincblende, tmp_path / "many.nxs")
    assert many.facts["wavevectors"] > one.facts["wavevectors"]  # there were several slabs
    np.testing.assert_allclose(many[...], one[...], rtol=0, atol=1e-10 * np.nanmax(one[...]))
    assert one.shape == one[...].shape == (8, 5, 6, 45)
    np.testing.assert_array_equal(one[2, :, 3], one[...][2, :, 3])
    np.testing.assert_array_equal(one[..., 7], one[...][..., 7])
    assert {path.name for path in tmp_path.iterdir()} == {"one.nxs", "many.nxs"}


def test_a_plane_of_a_grid_is_that_plane(zincblende, tmp_path):
    grid = SqwGrid.open(GRID.write(zincblende, tmp_path / "grid.nxs").path)
    plane = grid.plane("y", (-0.1, 0.1), (-60, 120))
    check_result(plane)
    direct = replace(
        PLANE, axes=((1, 0, 0), (0, 0, 1)), ranges=((-2, 2), (-1, 2)), bins=(8, 6),
        energy_fwhm=None,
    )(zincblende)  # fmt: skip
    np.testing.assert_allclose(
        plane.intensity, direct.intensity, rtol=0, atol=1e-10 * np.nanmax(direct.intensity)
    )
    assert plane.thickness == pytest.approx(0.4 * 2 * np.pi / 4.35)
    both = grid.plane("y", (-0.1, 0.5), (30, 40))
    np.testing.assert_allclose(both.origin, [0, 0.2, 0], atol=1e-12)
    assert both.energy_transfer[[0, -1]] == pytest.approx([28, 40])


def test_grids_are_laid_out_as_mantid_reads_them(zincblende, tmp_path):
    path = GRID.write(zincblende, tmp_path / "grid.nxs").path
    with h5py.File(path) as file:
        data = file["MDHistoWorkspace/data"]
        names = [data[f"D{k}"].attrs["long_name"].decode() for k in range(4)]
        units = [data[f"D{k}"].attrs["units"].decode() for k in range(4)]
        assert data["signal"].attrs["axes"] == b"D3:D2:D1:D0"
        assert data["signal"].shape == data["errors_squared"].shape == (45, 6, 5, 8)
        np.testing.assert_array_equal(np.isnan(data["signal"][()]), data["mask"][()] == 1)
    assert names == ["[H,0,0]", "[0,K,0]", "[0,0,L]", "DeltaE"]
    assert units == ["r.l.u."] * 3 + ["meV"]


def test_a_grid_that_fails_leaves_no_file(zincblende, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("scatterml_ase.scattering.grid.point_spectra", fail)
    with pytest.raises(KeyboardInterrupt):
        GRID.write(zincblende, tmp_path / "grid.nxs")
    assert not list(tmp_path.iterdir())


def test_imaginary_modes_are_counted(zincblende):
    """Of unstable force constants all modes are imaginary where the stable ones were real."""
    unstable = replace(zincblende, blocks=-zincblende.blocks)
    options = replace(PLANE, displacements=np.zeros((2, 3, 3)), bins=(3, 3))
    with pytest.warns(StabilityWarning, match="100 % of the sampled modes are imaginary"):
        plane = options(unstable)
    assert plane.imaginary_modes == 6 * 9
    assert plane.imaginary_share == 1.0
    elastic = (ENERGIES[:-1] <= 0) & (ENERGIES[1:] >= 0)
    assert not plane.mask[elastic].any()


def test_damped_modes_keep_their_first_moment(zincblende):
    """Along a path: ∫ E S dE is the same with wide lines as with sharp ones."""
    far = np.geomspace(151, 5000, 120)
    edges = np.concatenate([-far[::-1], np.linspace(-150, 150, 601), far])
    centres = (edges[1:] + edges[:-1]) / 2
    path = PathScattering(300.0, path="XK", zone=(1, 0, 1), points=4, energy_edges=edges,
                          energy_fwhm=0.0)  # fmt: skip
    sharp = path(zincblende)
    damped = replace(path, linewidths=3.0)(zincblende)
    assert np.nanmax(damped.intensity) < 0.5 * np.nanmax(sharp.intensity)
    weights = centres * np.diff(edges)
    moments = [np.nansum(sqw.intensity * weights, axis=1) for sqw in (sharp, damped)]
    np.testing.assert_allclose(moments[1], moments[0], rtol=5e-3)


def test_damped_planes_are_damped_paths(zincblende):
    """The same points, with widths by branch and by a function, give the same spectra."""
    widths = np.array([1.0, 1.0, 2.0, 3.0, 3.0, 4.0])
    line = replace(PLANE, bins=(8, 1), ranges=((-2, 2), (0, 1)), linewidths=widths)
    plane = line(zincblende)
    by_function = replace(line, linewidths=lambda q, energies: widths + 0 * energies)(zincblende)
    np.testing.assert_allclose(by_function.intensity, plane.intensity, rtol=1e-12)
    ends = plane.hkl[[0, -1], 0]
    path = PathScattering(300.0, path=ends, points=8, energy_edges=ENERGIES, energy_fwhm=0.0,
                          cell="conventional", linewidths=widths)(zincblende)  # fmt: skip
    np.testing.assert_allclose(path.q_reduced, plane.q_reduced[:, 0], atol=1e-12)
    np.testing.assert_allclose(path.intensity, plane.intensity[:, :, 0].T, rtol=1e-6, atol=1e-6)


def test_planes_and_their_analyzer_keep_their_contracts(zincblende):
    plane = PLANE(zincblende)
    check_result(plane)
    check_analyzer(PLANE, zincblende)
    per_cell = plane.per("cell")
    np.testing.assert_allclose(per_cell.intensity, 2 * plane.intensity)
    slice_ = plane.at(41.0)
    assert slice_.energy_transfer.tolist() == [40.0, 44.0]
    np.testing.assert_array_equal(slice_.intensity[0], plane.intensity[25])


def test_equal_lengths_are_drawn_equally_long(zincblende, wurtzite):
    ax = PLANE(zincblende).plot(energy=41.0)
    assert ax.get_aspect() == pytest.approx(1 / np.sqrt(2))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("[H, H, 0] (r.l.u.)", "[0, 0, L] (r.l.u.)")
    ax = replace(PLANE, axes=((1, 0, 0), (0, 1, 0)))(wurtzite).plot(energy=41.0)  # 60°
    assert ax.get_aspect() == pytest.approx(np.sqrt(3) / 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"energy": (1.0, 2.0)}, "both energy and energy_edges"),
        ({"energy_edges": None}, "no energy is given"),
        ({"energy_edges": None, "energy": (2.0, 1.0)}, "is no slice"),
        ({"energy_edges": None, "energy": (1.0, 2.0, 3.0)}, "is no slice"),
        ({"axes": ((1, 0, 0), (2, 0, 0))}, "independent directions"),
        ({"axes": ((1, 0, 0),)}, "independent directions"),
        ({"ranges": ((1, 0), (0, 1))}, "axis 1 has the range"),
        ({"ranges": ((0, 1),)}, "do not describe 2 axes"),
        ({"bins": (0, 3)}, "axis 1 has 0 bins"),
        ({"bins": (np.nan, 3)}, "axis 1 has nan bins"),
        ({"bins": 20}, "do not describe 2 axes"),
        ({"origin": (0, 0)}, "no point of reciprocal space"),
        ({"samples": (1, 0, 1)}, "cannot be taken"),
        ({"samples": (1, 1, np.nan)}, "cannot be taken"),
        ({"samples": 5}, "cannot be taken"),
        ({"thickness": -1.0}, "no thickness"),
        ({"q_fwhm": -0.1}, "q_fwhm=-0.1 is no width"),
        ({"q_fwhm": (0.1, 0.1, 0.1)}, "is no width"),
        ({"q_fwhm": 0.1, "q_samples": 9}, "q_samples=9"),
        ({"cell": "cubic"}, "not known"),
        ({"psi": (0, 90)}, "without an instrument"),
        ({"orientation": ((1, 0, 0), (0, 1, 0))}, "without psi"),
        ({"elevation": (-5, 5)}, "without psi"),
        ({"linewidths": -1.0}, "linewidths go down to -1"),
        ({"linewidths": [1.0, 2.0]}, "do not fit modes"),
        ({"linewidths": np.ones((80, 6))}, "cannot be used for planes"),
        (
            {"instrument": "ARCS", "incident_energy": 80.0, "ranges": ((0, 0.1), (0, 0.1))},
            "measures none of the bins",
        ),
        (
            {"instrument": "ARCS", "incident_energy": 80.0, "psi": (0, 0), "bins": (2, 2)},
            "no angle psi",
        ),
        (
            {"instrument": "ARCS", "incident_energy": 80.0, "psi": (0, 1), "orientation": [1, 2]},
            "orientation of shape",
        ),
        ({**TURNED, "horizontal": ((60, 10),)}, "are no ranges"),
        ({**TURNED, "horizontal": (10, 60)}, "are no ranges"),
        ({**TURNED, "psi": "all"}, "no range"),
    ],
)
def test_bad_input_is_explained(zincblende, options, message):
    with pytest.raises(InputError, match=message):
        replace(PLANE, **options)(zincblende)


def test_what_cannot_become_or_be_a_grid_is_explained(zincblende, tmp_path):
    with pytest.raises(InputError, match="does not suffice for a layer of 8 × 5 bins"):
        replace(GRID, memory=0.001).write(zincblende, tmp_path / "grid.nxs")
    (tmp_path / "other.nxs").write_text("no HDF5")
    with pytest.raises(InputError, match=re.escape("Cannot read the grid")):
        SqwGrid.open(tmp_path / "other.nxs")
    grid = GRID.write(zincblende, tmp_path / "grid.nxs")
    with pytest.raises(InputError, match="no axis of the grid"):
        grid.plane("energy", (0, 1), (0, 1))
    with pytest.raises(InputError, match="No bin of z lies in"):
        grid.plane("z", (5, 6), (0, 10))


def test_resolution_in_q_is_a_gaussian_mean(zincblende):
    """The mean over Gaussian weights on a fine lattice of points around Q, along a path."""
    line = PathScattering(300.0, path=[[0.2, 0.1, 0.3], [0.5, 0.3, 0.2]], points=3, zone=(2, 1, 1),
                          energy_edges=np.arange(5.0, 130.0, 2.5), energy_fwhm=6.0)  # fmt: skip
    along, across = 0.10, 0.16
    found = replace(line, q_fwhm=(along, across), q_samples=256)(zincblende)
    exact = line(zincblende)
    reciprocal = zincblende.crystal.reciprocal_cell
    steps = np.linspace(-3, 3, 13)
    lattice = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    weights = np.exp(-(lattice**2).sum(axis=1) / 2)
    sigma = np.array([along, across, across]) / SIGMA_TO_FWHM
    edges = exact.energy_transfer
    expected = np.empty_like(exact.intensity)
    for row, hkl in enumerate(exact.q_reduced):
        Q = hkl @ reciprocal
        frame = np.linalg.qr(np.stack([Q, [1, 0, 0], [0, 1, 0]], axis=1))[0].T
        modes = one_phonon(zincblende, Q + (lattice * sigma) @ frame, 300.0)
        shares = np.diff(ndtr((edges - modes.frequencies[..., None]) * SIGMA_TO_FWHM / 6.0))
        density = np.einsum("qm,qme->qe", modes.loss, shares) / 2.5
        expected[row] = weights @ density / weights.sum()
    size = expected.sum()
    assert np.abs(found.intensity - expected).sum() < 0.02 * size
    assert np.abs(exact.intensity - expected).sum() > 0.1 * size  # it does something


def test_points_of_a_gaussian_have_its_moments():
    for pairs in (4, 32):
        points = gaussian_points(pairs)
        assert points.shape == (2 * pairs, 3)
        np.testing.assert_allclose(points.mean(axis=0), 0.0, atol=1e-12)
        np.testing.assert_allclose(points.T @ points / len(points), np.eye(3), atol=1e-12)
        for row in np.eye(3):  # on every axis all are different
            assert np.diff(np.sort(points @ row)).min() > 1e-6


def test_resolution_in_q_is_that_of_the_point_in_planes_grids_and_paths(zincblende, tmp_path):
    """The same Q has the same spectrum in each, with little width that of the point."""
    options = {"q_fwhm": (0.05, 0.1), "q_samples": 16, "energy_fwhm": 4.0}
    plane = replace(PLANE, bins=(4, 1), ranges=((-2, 2), (0, 1)), **options)(zincblende)
    assert plane.points == 4 * 16
    ends = plane.hkl[[0, -1], 0]
    path = PathScattering(300.0, path=ends, points=4, energy_edges=ENERGIES, cell="conventional",
                          **options)(zincblende)  # fmt: skip
    np.testing.assert_allclose(path.intensity, plane.intensity[:, :, 0].T, rtol=1e-9)
    grid = replace(GRID, axes=((1, 1, 0), (0, 0, 1), (1, 0, 0)), bins=(4, 1, 1),
                   ranges=((-2, 2), (0, 1), (-1, 1)), **options)  # fmt: skip
    written = grid.write(zincblende, tmp_path / "grid.nxs")
    np.testing.assert_allclose(written[:, :, 0].transpose(2, 0, 1), plane.intensity, rtol=1e-9)
    sharp = replace(PLANE, bins=(4, 1), ranges=((-2, 2), (0, 1)), energy_fwhm=4.0)
    nearly = replace(sharp, q_fwhm=1e-6)(zincblende)
    np.testing.assert_allclose(nearly.intensity, sharp(zincblende).intensity, rtol=1e-4, atol=1e-9)


def test_resolution_in_q_turns_with_the_crystal(zincblende):
    turn = Rotation.from_rotvec([0.3, -0.5, 0.9]).as_matrix()
    crystal = zincblende.crystal
    turned = replace(
        zincblende,
        crystal=replace(crystal, cell=crystal.cell @ turn.T),
        blocks=turn @ zincblende.blocks @ turn.T,
    )
    options = {"q_fwhm": (0.08, 0.03), "energy_fwhm": 8.0, "q_samples": 512, "bins": (3, 4)}
    one, two = (replace(PLANE, **options)(each).intensity for each in (zincblende, turned))
    assert np.nanmax(np.abs(one - two)) < 0.03 * np.nanmax(one)
