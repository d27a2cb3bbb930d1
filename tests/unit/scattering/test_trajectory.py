"""What a trajectory must be, which wavevectors are taken, and what is said if one is off."""

import tracemalloc
import warnings

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.io.trajectory import Trajectory
from ase.md.verlet import VelocityVerlet
from ase.units import fs

from scatterml_ase.errors import AccuracyWarning, InputError
from scatterml_ase.scattering.trajectory.analyzer import analyze_trajectory
from scatterml_ase.scattering.trajectory.commensurate import CommensurateQ
from scatterml_ase.scattering.trajectory.density_of_states import TrajectoryDOS
from scatterml_ase.scattering.trajectory.frames import TrajectoryFrames
from scatterml_ase.scattering.trajectory.intermediate import TrajectoryCorrelations
from scatterml_ase.scattering.trajectory.simulated_crystal import SimulatedCrystal
from scatterml_ase.scattering.trajectory.spectrum import TrajectoryScattering
from scatterml_ase.testing import check_analyzer, check_result

QUIET = {"progress": False}
SHORT = {"energy_fwhm": 100.0, "q_edges": [0.5, 1.5, 2.5], "timestep": 5.0, **QUIET}


def wobbling(atoms, frames=60, *, amplitude=0.05, seed=0, velocities=True):
    """Independent oscillators of 20 meV, in closed form."""
    generator = np.random.default_rng(seed)
    phases = generator.uniform(0, 2 * np.pi, size=(len(atoms), 3))
    rate = 2 * np.pi * 20 / 4135.667
    found = []
    for number in range(frames):
        frame = atoms.copy()
        frame.positions += amplitude * np.sin(rate * 5.0 * number + phases)
        if velocities:
            frame.set_velocities(amplitude * rate * np.cos(rate * 5.0 * number + phases) / fs)
        found.append(frame)
    return found


@pytest.fixture(scope="module")
def copper():
    return bulk("Cu", cubic=True).repeat(2)


@pytest.fixture(scope="module")
def frames(copper):
    return wobbling(copper)


# -- results ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "analyzer",
    [
        TrajectoryScattering(**SHORT),
        TrajectoryScattering(**{**SHORT, "q_edges": None}, q_points=[[1, 0, 0.5]], unit_cell=2),
        TrajectoryCorrelations(timestep=5.0, longest_time=50, scattering="total", **QUIET),
        TrajectoryDOS(timestep=5.0, energy_fwhm=100.0, **QUIET),
    ],
    ids=["powder", "one point", "correlations", "dos"],
)
def test_the_analyzers_keep_their_contract(analyzer, frames):
    check_analyzer(analyzer, frames)
    check_result(analyzer(frames))


def test_frames_may_come_from_a_generator_or_a_file(frames, tmp_path):
    """One reading: from memory, streamed, extxyz and ASE's own format give the same map."""
    ase.io.write(tmp_path / "md.extxyz", frames)
    with Trajectory(tmp_path / "md.traj", "w") as writer:
        for frame in frames:
            writer.write(frame)
    analyzer = TrajectoryScattering(**SHORT)
    expected = analyzer(frames)
    for source in (iter(frames), tmp_path / "md.traj", str(tmp_path / "md.extxyz")):
        found = analyzer(source)
        np.testing.assert_allclose(found.intensity, expected.intensity, rtol=1e-3, atol=1e-6)
        assert found.provenance["frames"] == 60


def test_the_time_step_is_read_from_the_dynamics_of_ase(tmp_path):
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True)
    atoms.calc = LennardJones(sigma=3.4, epsilon=0.0104, rc=6.0)
    atoms.rattle(0.05, seed=1)
    path = tmp_path / "md.traj"
    VelocityVerlet(atoms, 4 * fs, trajectory=str(path), loginterval=5).run(10)
    assert TrajectoryFrames(path).timestep == pytest.approx(20.0)


def test_frames_may_come_from_the_dynamics_itself():
    """The generator changes one object on the way; nothing but the analysis keeps a frame."""

    def argon():
        atoms = bulk("Ar", "fcc", a=5.3, cubic=True)
        atoms.calc = LennardJones(sigma=3.4, epsilon=0.0104, rc=6.0)
        atoms.set_velocities(np.random.default_rng(2).normal(0, 0.02, size=(4, 3)))
        return atoms

    def running(atoms):
        dynamics = VelocityVerlet(atoms, 10 * fs)
        for _ in dynamics.irun(39):
            yield atoms

    analyzer = TrajectoryDOS(timestep=10.0, energy_fwhm=80.0, **QUIET)
    kept = [atoms.copy() for atoms in running(argon())]
    np.testing.assert_array_equal(analyzer(running(argon())).total, analyzer(kept).total)


def test_a_trajectory_may_be_larger_than_memory(copper):
    """Four times as many frames take no more of it: each is read once and forgotten."""

    def peak(count):
        phases = np.random.default_rng(0).uniform(0, 2 * np.pi, size=(len(copper), 3))

        def moving():
            for number in range(count):
                atoms = copper.copy()
                atoms.positions += 0.05 * np.sin(0.3 * number + phases)
                yield atoms

        options = {"timestep": 10.0, "progress": False}
        where = {"q_edges": [0.0, 1.5, 3.0], "points_per_shell": 1, **options}
        tracemalloc.start()
        analyze_trajectory(
            moving(),
            TrajectoryScattering(scattering="total", temperature=300.0, energy_fwhm=25.0, **where),
            TrajectoryCorrelations(longest_time=200.0, **where),
            TrajectoryDOS(energy_fwhm=25.0, **options),
        )
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(200)  # what is loaded and cached counts once
    assert peak(800) < 1.2 * peak(200)  # sums for errors grow as the logarithm


def test_one_atom_has_no_temperature_of_its_own():
    with pytest.raises(InputError, match="There is no temperature"):
        TrajectoryScattering(**SHORT)(wobbling(bulk("Cu", cubic=True)[:1]))


def test_wrapped_positions_are_unwrapped_and_the_drift_is_taken_out(frames, copper):
    """The density of states from positions cannot tell them from those that were never wrapped."""
    analyzer = TrajectoryDOS(timestep=5.0, energy_fwhm=100.0, velocities="positions", **QUIET)
    drifting = []
    for number, frame in enumerate(frames):
        moved = frame.copy()
        moved.positions += [0.2 * number, 0, 0]
        moved.wrap()
        moved.set_velocities(np.add(frame.get_velocities(), [0.2 / (5 * fs), 0, 0]))
        drifting.append(moved)
    np.testing.assert_allclose(analyzer(drifting).total, analyzer(frames).total, rtol=1e-9)


def test_the_same_seed_draws_the_same_wavevectors(frames):
    options = {**SHORT, "points_per_shell": 3}
    first, again = (TrajectoryScattering(**options)(frames).intensity for _ in range(2))
    other = TrajectoryScattering(**options, seed=1)(frames).intensity
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_amplitudes_of_the_users_own_take_the_place_of_lengths(frames):
    """A constant amplitude is a scattering length; one that falls with Q weakens outer shells."""
    table = TrajectoryScattering(**SHORT)(frames)
    same = TrajectoryScattering(
        **SHORT, amplitudes=lambda numbers, q: np.full((len(q), len(numbers)), 7.718)
    )(frames)
    np.testing.assert_allclose(same.intensity, table.intensity, rtol=1e-9)
    weaker = TrajectoryScattering(
        **SHORT, amplitudes=lambda numbers, q: 7.718 * np.exp(-np.outer(q, np.ones(len(numbers))))
    )(frames)
    assert np.all(weaker.intensity[1] < 0.05 * same.intensity[1])


def test_x_rays_see_electrons(frames):
    """Forward, an atom scatters r_e Z; the shape of F(Q, t) does not know what scatters."""
    options = {"timestep": 5.0, "longest_time": 50, "q_edges": [0.5, 1.8], **QUIET}
    xray = TrajectoryCorrelations(probe="xray", **options)(frames)
    neutron = TrajectoryCorrelations(**options)(frames)
    forward = 10 * (29 * 2.8179) ** 2
    assert 0.6 * forward < xray.uncorrelated[0] < forward
    np.testing.assert_allclose(xray.normalized, neutron.normalized, atol=0.02)
    assert xray.provenance["form_factors"] == ("Cu",)
    with pytest.raises(InputError, match="no incoherent part"):
        TrajectoryCorrelations(probe="xray", scattering="total", **options)(frames)


def test_complex_lengths_add_the_parts_of_their_own(frames):
    def intensity(length):
        return TrajectoryScattering(**SHORT, scattering_lengths={"Cu": length})(frames).intensity

    np.testing.assert_allclose(intensity(3 - 4j), intensity(3) + intensity(4), rtol=1e-9)


# -- wavevectors -----------------------------------------------------------------------------------


def test_a_path_takes_the_points_that_fit():
    unit = bulk("Cu")
    crystal = SimulatedCrystal.of(unit.repeat(4), unit)
    options = TrajectoryScattering(path="GXWKG", zone=(2, 2, 0), unit_cell=unit)
    points = options.wavevectors(crystal)
    expected = [[0, 0, 0], [1, 0, 1], [2, 0, 2], [2, 1, 3], [1, 1, 2], [0, 0, 0]]
    found = 4 * (points.q_reduced - [2, 2, 0])
    assert all(any(np.allclose(row, want) for row in found) for want in expected)
    np.testing.assert_allclose(found, np.rint(found), atol=1e-9)
    assert [name for _, name in points.labels] == ["Γ", "X", "W", "Γ"]  # K does not fit
    assert np.all(np.diff(points.edges) > 0)


def test_a_primitive_cell_may_be_strained_and_shifted(copper):
    """Its zone is scaled to the simulated cell, and each site gets its atoms."""
    salt = bulk("NaCl", "rocksalt", a=5.6)
    simulated = salt.repeat(3)
    simulated.set_cell(simulated.cell * 1.02, scale_atoms=True)
    simulated.positions += 0.7
    found = SimulatedCrystal.of(simulated, salt)
    np.testing.assert_allclose(found.crystal.cell, salt.cell * 1.02, rtol=1e-12)
    np.testing.assert_array_equal(found.sites, np.tile([0, 1], 27))
    folded = SimulatedCrystal.of(copper, 2)
    assert folded.crystal.formula == "Cu4"
    np.testing.assert_array_equal(np.bincount(folded.sites), [8, 8, 8, 8])


def test_shells_hold_only_wavevectors_of_their_length(copper):
    crystal = SimulatedCrystal.of(copper, None)
    edges = np.array([0.0, 0.5, 1.5, 2.5])
    points = CommensurateQ.in_shells(crystal, edges, 10, 0)
    lengths = np.linalg.norm(points.indices @ crystal.crystal.reciprocal_cell, axis=1)
    np.testing.assert_allclose(lengths, points.lengths, rtol=1e-12)
    np.testing.assert_array_equal(points.known, [False, True, True])
    mean = points.average @ points.lengths
    assert 0.5 < mean[1] < 1.5 < mean[2] < 2.5
    assert np.diff(points.average.indptr).max() <= 10
    assert np.diff(points.thinned(2).average.indptr).tolist() == [0, 2, 2]


# -- refusals --------------------------------------------------------------------------------------


def grown(frames):
    changed = [frame.copy() for frame in frames]
    changed[7].set_cell(frames[0].cell * 1.01, scale_atoms=True)
    return changed


def with_times(frames):
    changed = [frame.copy() for frame in frames]
    for number, frame in enumerate(changed):
        frame.info["time"] = 5.0 * number + (number > 20)
    return changed


def broken(frames):
    changed = [frame.copy() for frame in frames]
    changed[3].positions[0, 0] = np.nan
    return changed


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (grown, {}, "The cell changes: that of frame 7"),
        (with_times, {}, "Frame 21 comes 6 after the one before"),
        (broken, {}, "Frame 3 has positions that are NaN"),
        (lambda f: [*f[:4], f[4][1:], *f[5:]], {}, "Frame 4 has Cu31"),
        (lambda f: f, {"timestep": None}, "does not say how far its frames are apart in time"),
        (with_times, {"timestep": None}, "is there, but not its unit"),
        (lambda f: f, {"timestep": -1.0}, "timestep=-1.0 fs is not possible"),
        (lambda f: f[:15], {}, "15 frames, 5 fs apart, are too few"),
        (lambda f: iter(f[:15]), {}, "15 frames, 5 fs apart, are too few"),
        (lambda f: [*f[:10], "not looked at"], {}, "11 frames, 5 fs apart, are too few"),
        (lambda f: 5, {}, "int is no trajectory"),
        (lambda f: f, {"timestep": "5 fs"}, "timestep='5 fs' fs is not possible"),
        (lambda f: f, {"points_per_shell": 2.5}, "with 2.5 points per shell"),
        (lambda f: f, {"q_edges": None, "q_points": "GX"}, "are no wavevectors"),
        (lambda f: f[0], {}, "One structure is no trajectory"),
        (lambda f: [], {}, "has no frame with atoms"),
        (lambda f: [Atoms("He", positions=[[0, 0, 0]])], {}, "cell of rank 0"),
        (lambda f: "nowhere.traj", {}, "There is no file 'nowhere.traj'"),
        (lambda f: f, {"energy_edges": [0, 500.0]}, "energies up to 413.6 meV"),
        (lambda f: f, {"energy_fwhm": 0.0}, "energy_fwhm=0.0 meV is not possible"),
        (lambda f: f, {"quantum_correction": "no"}, "'no' is not known"),
        (lambda f: f, {"temperature": 0.0}, "no classical dynamics"),
        (lambda f: f, {"scattering": "elastic"}, "scattering='elastic' is not known"),
        (lambda f: f, {"path": "GX"}, "path and q_edges are given together"),
        (lambda f: f, {"q_edges": None, "path": "GX"}, "not of which unit cell"),
        (lambda f: f, {"q_edges": None, "q_points": [[0.3, 0, 0]], "unit_cell": 2},
         r"nearest that fits is \[0.5, 0.0, 0.0\]"),
        (lambda f: f, {"unit_cell": bulk("Al")}, "not made of unit_cell"),
        (lambda f: f, {"unit_cell": (3, 1, 1)}, "do not fold onto a unit cell"),
        (lambda f: f, {"unit_cell": "Cu"}, "does not say how unit cells fill"),
        (lambda f: f, {"q_edges": [0.0, 0.1]}, "No wavevector between 0 and 0.1"),
        (lambda f: f, {"scattering_lengths": {"Si": 4.0}}, "scattering_lengths names Si"),
        (lambda f: f, {"amplitudes": lambda n, q: np.ones(3)}, "returned shape"),
        (lambda f: f, {"amplitudes": lambda n, q: np.ones((len(q), 1)), "scattering": "total"},
         "no incoherent part"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_explained(change, options, message, frames):
    with pytest.raises(InputError, match=message):
        TrajectoryScattering(**{**SHORT, **options})(change(frames))


def test_without_velocities_a_temperature_is_asked_for(copper):
    still = wobbling(copper, velocities=False)
    with pytest.raises(InputError, match="There is no temperature"):
        TrajectoryScattering(**SHORT)(still)
    assert np.isnan(TrajectoryScattering(**SHORT, quantum_correction="none")(still).temperature)
    assert TrajectoryScattering(**SHORT, temperature=90)(still).temperature == 90
    with pytest.raises(InputError, match="The first frame has no velocities"):
        TrajectoryDOS(timestep=5.0, velocities="stored", **QUIET)(still)


def test_an_isotope_without_table_is_named(frames):
    heavy = [frame.copy() for frame in frames]
    for frame in heavy:
        frame.set_masses([70.0] * len(frame))
    with pytest.raises(InputError, match="70Cu"):
        TrajectoryScattering(**SHORT)(heavy)


def test_a_damaged_file_names_its_frame(frames, tmp_path):
    ase.io.write(tmp_path / "md.extxyz", frames[:5])
    lines = (tmp_path / "md.extxyz").read_text().splitlines()
    (tmp_path / "md.extxyz").write_text("\n".join(lines[: 3 * 34 + 10]))
    with pytest.raises(InputError, match="Cannot read frame"):
        TrajectoryScattering(**SHORT)(tmp_path / "md.extxyz")


def test_analyzers_that_disagree_on_the_frames_are_refused(frames):
    with pytest.raises(InputError, match="2 sets of"):
        analyze_trajectory(frames, TrajectoryDOS(timestep=5.0), TrajectoryDOS(timestep=4.0))


# -- warnings --------------------------------------------------------------------------------------


def test_a_time_step_that_does_not_fit_the_velocities_is_noticed(frames):
    with pytest.warns(AccuracyWarning, match="times velocity · timestep"):
        TrajectoryScattering(**{**SHORT, "timestep": 2.5, "energy_fwhm": 200.0})(frames)


def test_frames_too_far_apart_are_noticed(copper):
    """Motion faster than the Nyquist energy of the frames lies at its end, or jumps too far."""
    fast = wobbling(copper, 20 * 60, velocities=False)[::20]  # 100 fs apart: 20.7 meV at most
    with pytest.warns(AccuracyWarning, match=r"of the motion is near 20\.68 meV"):
        TrajectoryDOS(timestep=100.0, energy_fwhm=6.0, **QUIET)(fast)


def test_jumps_of_nearly_half_the_cell_are_noticed(copper):
    jumping = wobbling(copper, velocities=False)
    for frame in jumping[30:]:
        frame.positions[5] += 0.45 * copper.cell[1]
    with pytest.warns(AccuracyWarning, match=r"moves by 0\.45 of the cell"):
        TrajectoryCorrelations(timestep=5.0, longest_time=50, q_edges=[0.5, 1.5], **QUIET)(jumping)


def test_few_segments_are_noticed_and_many_are_not(frames):
    with pytest.warns(AccuracyWarning, match="error bars need 8 or more"):
        found = TrajectoryScattering(**{**SHORT, "energy_fwhm": 50.0})(frames)
    assert found.error is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TrajectoryScattering(**SHORT)(frames)
