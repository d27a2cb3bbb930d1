"""Trajectories scatter as theory says: harmonic crystals, ideal gases, sum rules."""

import numpy as np
import pytest
from ase import Atoms
from ase.units import fs, kB
from scipy.special import ndtr, ndtri

from scatterml_ase.physics.broadening import SIGMA_TO_FWHM
from scatterml_ase.physics.correlations import PLANCK
from scatterml_ase.physics.supercell import commensurate_points
from scatterml_ase.scattering.one_phonon import one_phonon
from scatterml_ase.scattering.trajectory.analyzer import analyze_trajectory
from scatterml_ase.scattering.trajectory.density_of_states import TrajectoryDOS
from scatterml_ase.scattering.trajectory.intermediate import TrajectoryCorrelations
from scatterml_ase.scattering.trajectory.spectrum import TrajectoryScattering
from scatterml_ase.units import BOLTZMANN, FM2_TO_MBARN, HBAR2_PER_AMU

QUIET = {"progress": False}
REPEATS = (3, 2, 2)
TIMESTEP, FWHM, TEMPERATURE = 5.0, 1.2, 8.0  # fs, meV, K
Q_POINTS = np.array([[5 / 3, 0.5, 1], [7 / 3, 1.5, -0.5], [-2 / 3, 2.0, 2.5], [8 / 3, -1.5, 2]])


def harmonic_trajectory(force_constants, frames, *, seed, width=0.0, lines=1):
    """Superpose all normal modes that fit the cell, each with the classical energy kT on average.

    A mode is a bundle of ``lines`` of Gaussian ``width`` (meV, standard deviation) with random
    phases: it forgets phase and amplitude as a phonon of finite lifetime does. Waves along q and
    −q are independent of each other.
    """
    generator = np.random.default_rng(seed)
    unit = force_constants.crystal.to_atoms()
    ideal = unit.repeat(REPEATS)
    q = commensurate_points(np.diag(REPEATS))
    modes = force_constants.modes(q)
    energies = modes.frequencies.ravel()
    sites = np.tile(np.arange(len(unit)), len(q))
    phases = np.exp(1j * (q @ force_constants.crystal.reciprocal_cell) @ ideal.positions.T)
    shapes = modes.eigenvectors[:, :, sites] * phases[:, None, :, None]  # [q, mode, atom, xyz]
    shapes = shapes.reshape(len(energies), -1) / np.sqrt(np.repeat(ideal.get_masses(), 3) * len(q))
    moving = energies > 0.1  # not the three translations
    energies, shapes = energies[moving], shapes[moving]
    size = np.sqrt(HBAR2_PER_AMU * BOLTZMANN * TEMPERATURE / 2) / energies  # ⟨|A|²⟩ = kT/2ω²
    turns = generator.uniform(size=(len(energies), lines))
    amplitudes = size[:, None] * np.exp(2j * np.pi * turns) / np.sqrt(lines)
    strata = (np.arange(lines) + generator.uniform(size=(len(energies), lines))) / lines
    shifted = energies[:, None] + width * ndtri(strata)
    omega = 2 * np.pi * shifted / PLANCK
    times = TIMESTEP * np.arange(frames)
    displacements = np.zeros((frames, 3 * len(ideal)))
    velocities = np.zeros_like(displacements)
    for line in range(lines):
        waves = amplitudes[:, line] * np.exp(-1j * np.outer(times, omega[:, line]))
        displacements += 2 * (waves @ shapes).real
        velocities += 2 * (waves * (-1j * omega[:, line] / fs) @ shapes).real
    return [
        moved(ideal, displacement.reshape(-1, 3), velocity.reshape(-1, 3))
        for displacement, velocity in zip(displacements, velocities, strict=True)
    ]


def moved(ideal, displacement, velocities):
    atoms = ideal.copy()
    atoms.positions += displacement
    atoms.set_velocities(velocities)
    return atoms


def mean_squares(frames, sites):
    """⟨uu⟩ of each site in Å², shape (sites, 3, 3)."""
    positions = np.array([atoms.positions for atoms in frames[::5]])
    apart = positions - positions.mean(axis=0)
    each = np.einsum("tia,tib->iab", apart, apart) / len(positions)
    return each.reshape(-1, sites, 3, 3).mean(axis=0)  # repeated cells follow each other


def one_phonon_map(force_constants, sqw, sigma, displacements):
    """One-phonon intensities at the wavevectors of a map, on its bins."""
    factors = one_phonon(
        force_constants, sqw.q_reduced, TEMPERATURE, reduced=True, displacements=displacements
    )
    edges = sqw.energy_transfer[None, :, None]
    below = ndtr((edges - factors.frequencies[:, None]) / sigma)
    shares = np.diff(below, axis=1) / np.diff(sqw.energy_transfer)[None, :, None]
    return np.einsum("qem,qm->qe", shares, factors.loss)


@pytest.fixture(scope="module")
def sharp(triclinic):
    """Lines without width: every mode keeps exactly its mean energy."""
    return harmonic_trajectory(triclinic, 5000, seed=4)


def test_a_harmonic_crystal_scatters_as_lattice_dynamics_says(triclinic, sharp):
    """Peak by peak, in absolute units; what is left are beats of close modes over 25 ps."""
    sqw = TrajectoryScattering(
        timestep=TIMESTEP, unit_cell=REPEATS, q_points=Q_POINTS, energy_fwhm=FWHM, **QUIET
    )(sharp)
    np.testing.assert_allclose(sqw.q_reduced, Q_POINTS, atol=1e-12)
    assert sqw.temperature == pytest.approx(TEMPERATURE, rel=0.01)
    displacements = mean_squares(sharp, len(triclinic.crystal))
    expected = one_phonon_map(triclinic, sqw, FWHM / SIGMA_TO_FWHM, displacements)
    widths = np.diff(sqw.energy_transfer)
    np.testing.assert_allclose(sqw.intensity @ widths, expected @ widths, rtol=0.035)
    assert np.all(np.abs(sqw.intensity - expected) @ widths < 0.06 * expected @ widths)


def test_the_density_of_states_is_that_of_the_modes_that_fit(triclinic, sharp):
    """From velocities and from positions alike, site by site."""
    edges = np.linspace(0, 75, 76)
    options = {"timestep": TIMESTEP, "unit_cell": REPEATS, "energy_edges": edges, **QUIET}
    stored, differences = analyze_trajectory(
        sharp,
        TrajectoryDOS(energy_fwhm=FWHM, velocities="stored", **options),
        TrajectoryDOS(energy_fwhm=FWHM, velocities="positions", **options),
    )
    modes = triclinic.modes(commensurate_points(np.diag(REPEATS)))
    moving = modes.frequencies > 0.1
    shares = np.sum(np.abs(modes.eigenvectors) ** 2, axis=3)[moving]
    below = ndtr((edges[:, None] - modes.frequencies[moving]) / (FWHM / SIGMA_TO_FWHM))
    expected = (np.diff(below, axis=0) @ shares).T
    expected *= 3 / expected.sum(axis=1, keepdims=True)  # three translations stand still
    assert np.abs(stored.partial - expected).sum() < 0.03 * expected.sum()
    assert np.abs(differences.partial - stored.partial).sum() < 0.01 * expected.sum()
    assert stored.total.sum() == pytest.approx(3 * len(triclinic.crystal), rel=1e-3)


@pytest.mark.parametrize("triclinic", ["right-handed"], indirect=True)
def test_error_bars_are_those_of_phonons_of_finite_lifetime(triclinic):
    """Differences from lattice dynamics are as large as the error bars say."""
    width, fwhm = 1.5, 3.0
    frames = harmonic_trajectory(triclinic, 4000, seed=0, width=width, lines=12)
    sqw = TrajectoryScattering(
        timestep=TIMESTEP, unit_cell=REPEATS, q_points=Q_POINTS, energy_fwhm=fwhm, **QUIET
    )(frames)
    displacements = mean_squares(frames, len(triclinic.crystal))
    sigma = np.hypot(width, fwhm / SIGMA_TO_FWHM)
    expected = one_phonon_map(triclinic, sqw, sigma, displacements)
    peaks = expected > 0.15 * expected.max(axis=1, keepdims=True)
    deviations = ((sqw.intensity - expected) / sqw.error)[peaks]
    assert 0.6 < np.sqrt(np.mean(deviations**2)) < 1.7
    assert np.median(sqw.error[peaks] / expected[peaks]) < 0.3


# -- an ideal gas ----------------------------------------------------------------------------------

GAS_TEMPERATURE, GAS_ATOMS, BOX = 300.0, 300, 22.0
SHELLS = np.array([0.8, 1.2, 1.8, 2.2])


@pytest.fixture(scope="module")
def gas():
    """Atoms that fly straight on, wrapped into their box."""
    generator = np.random.default_rng(8)
    atoms = Atoms(f"Ar{GAS_ATOMS}", cell=np.diag([BOX, BOX, BOX]), pbc=True)
    atoms.positions = generator.uniform(0, BOX, size=(GAS_ATOMS, 3))
    speed = np.sqrt(kB * GAS_TEMPERATURE / atoms.get_masses()[0])
    strata = generator.permuted(np.tile(np.arange(GAS_ATOMS) + 0.5, (3, 1)), axis=1) / GAS_ATOMS
    velocities = speed * ndtri(strata).T  # a Gaussian with little noise
    frames = []
    for number in range(800):
        frame = moved(atoms, velocities * number * 10 * fs, velocities)
        frame.positions %= BOX
        frames.append(frame)
    return frames


GAS = {"timestep": 10.0, "q_edges": SHELLS, "remove_drift": False, **QUIET}
ARGON_INCOHERENT = 225.0 / (4 * np.pi)  # 0.225 barn
ARGON_COHERENT = FM2_TO_MBARN * 1.909**2


def test_the_intermediate_function_of_an_ideal_gas_is_gaussian(gas):
    """F_s = exp(−Q²⟨v²⟩t²/2); atoms know nothing of each other, so that F is the same."""
    alone, together = analyze_trajectory(
        gas,
        TrajectoryCorrelations(scattering="incoherent", longest_time=1000, **GAS),
        TrajectoryCorrelations(longest_time=1000, points_per_shell=60, **GAS),
    )
    np.testing.assert_allclose(alone.structure_factor[[0, 2]], 1, rtol=1e-9)
    expected = np.exp(-0.5 * (ballistic_rate(alone.q_centres)[:, None] * alone.time) ** 2)
    np.testing.assert_allclose(alone.normalized, expected, atol=0.06)
    np.testing.assert_allclose(alone.uncorrelated, ARGON_INCOHERENT, rtol=1e-6)
    np.testing.assert_allclose(together.uncorrelated, ARGON_COHERENT, rtol=1e-3)
    deviation = (together.intensity / together.uncorrelated[:, None] - expected)[[0, 2]]
    assert np.abs(deviation).max() < 0.15


def ballistic_rate(q):
    """Q √(kT/M) in 1/fs."""
    return q * np.sqrt(kB * GAS_TEMPERATURE / 39.948) * fs


def test_the_spectrum_of_an_ideal_gas_has_its_moments(gas):
    """∫S dE = σ/4π exactly; ⟨E²⟩ = ħ²Q²kT/M; with the correction ⟨E⟩ is the recoil energy."""
    edges = np.linspace(-60, 60, 241)
    classical, quantum = analyze_trajectory(
        gas,
        *(
            TrajectoryScattering(
                scattering="incoherent",
                energy_edges=edges,
                energy_fwhm=5.0,
                quantum_correction=correction,
                **GAS,
            )
            for correction in ("none", "harmonic")
        ),
    )
    widths, energies = np.diff(edges), classical.energy_centres
    total = classical.intensity @ widths
    np.testing.assert_allclose(total, ARGON_INCOHERENT, rtol=1e-4)
    second = classical.intensity @ (widths * energies**2) / total
    resolution = (5.0 / SIGMA_TO_FWHM) ** 2
    thermal = (PLANCK / (2 * np.pi) * ballistic_rate(classical.q_centres)) ** 2
    np.testing.assert_allclose(second, thermal + resolution, rtol=0.08)
    first = quantum.intensity @ (widths * energies) / total
    temperature = quantum.temperature
    recoil = HBAR2_PER_AMU * classical.q_centres**2 / (2 * 39.948)
    assert temperature == pytest.approx(GAS_TEMPERATURE, rel=0.03)
    exact = recoil + resolution / (2 * BOLTZMANN * temperature)  # the resolution is corrected too
    np.testing.assert_allclose(first, exact, rtol=0.08)


def test_total_scattering_is_the_sum_of_both_parts(gas):
    maps = analyze_trajectory(
        gas,
        *(
            TrajectoryScattering(
                scattering=part, energy_fwhm=5.0, quantum_correction="none",
                energy_edges=np.linspace(-5, 20, 26), points_per_shell=3, **GAS,
            )
            for part in ("coherent", "incoherent", "total")
        ),
    )  # fmt: skip
    coherent, incoherent, total = (sqw.intensity for sqw in maps)
    np.testing.assert_allclose(total, coherent + incoherent, rtol=1e-12)


def test_the_spectrum_is_the_transform_of_the_intermediate_function(gas):
    """Both come from one trajectory by different ways: segments with a taper, and time origins."""
    options = {**GAS, "q_edges": SHELLS[2:], "points_per_shell": 30}
    sqw, function = analyze_trajectory(
        gas,
        TrajectoryScattering(energy_fwhm=5.0, quantum_correction="none", **options),
        TrajectoryCorrelations(longest_time=1500, **options),
    )
    sigma = 5.0 / SIGMA_TO_FWHM
    hbar = PLANCK / (2 * np.pi)
    window = np.exp(-0.5 * (sigma * function.time / hbar) ** 2)
    window[0] /= 2  # trapezium
    phases = np.cos(np.outer(sqw.energy_centres, function.time) / hbar)
    transform = phases @ (window * function.intensity[0]) * function.time[1] / (np.pi * hbar)
    np.testing.assert_allclose(sqw.intensity[0], transform, atol=0.12 * transform.max())
