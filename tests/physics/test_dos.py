"""Densities of states against spectra that are known in closed form, and against phonopy."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from ase import Atoms
from scipy.special import ellipk

from scatterml_ase.errors import AccuracyWarning, InputError, StabilityWarning
from scatterml_ase.physics import density_of_states as physics
from scatterml_ase.results.counted_dos import phonon_dos
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.dos import PhononDOS
from scatterml_ase.results.modes import PhononModes
from scatterml_ase.results.thermal import thermal_properties
from scatterml_ase.testing import check_result
from scatterml_ase.units import THZ_TO_MEV

ONE_ATOM = Crystal.from_atoms(Atoms("Al", cell=np.eye(3) * 3, pbc=True))


def debye_dos(debye_energy: float = 40.0, bins: int = 200, atoms: int = 1) -> PhononDOS:
    """Return g(E) = 9n E²/E_D³, each bin holding its exact integral."""
    edges = np.linspace(0, debye_energy, bins + 1)
    partial = np.tile(3 * np.diff(edges**3) / debye_energy**3 / np.diff(edges), (atoms, 1))
    crystal = Crystal.from_atoms(Atoms(f"Al{atoms}", cell=np.eye(3) * 3, pbc=True))
    return PhononDOS(
        crystal=crystal, energy_edges=edges, total=partial.sum(axis=0), partial=partial
    )


# -- counting ----------------------------------------------------------------------------------


def test_one_tetrahedron_holds_what_random_points_in_it_find():
    """The part of a tetrahedron below E is what uniformly random points in it find."""
    energies = np.array([1.0, 2.0, 4.0, 7.0])
    points = np.random.default_rng(0).dirichlet(np.ones(4), 400_000) @ energies
    edges = np.arange(0, 8.5, 0.5)
    counts = physics.count_tetrahedra(
        energies[:, None], np.ones((4, 1, 1)), np.arange(4)[None], np.ones(1), edges
    )
    random = np.histogram(points, edges)[0] / len(points)
    np.testing.assert_allclose(counts[0], random, atol=2e-3)
    assert counts.sum() == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("energies", [[3, 3, 3, 3], [1, 1, 1, 2], [1, 2, 2, 2], [1, 1, 2, 2]])
def test_degenerate_corners_lose_nothing(energies):
    energies = np.array(energies, dtype=float)[:, None]
    edges = np.linspace(0, 4, 83)
    counts = physics.count_tetrahedra(
        energies, np.ones((4, 1, 1)), np.arange(4)[None], np.ones(1), edges
    )
    assert np.isfinite(counts).all()
    assert (counts > -1e-14).all()
    assert counts.sum() == pytest.approx(1, abs=1e-13)
    mean = counts[0] @ (edges[1:] + edges[:-1]) / 2
    assert mean == pytest.approx(energies.mean(), abs=edges[1] / 2)


def test_tetrahedra_fill_the_zone():
    mapping = np.arange(3 * 4 * 5)
    corners, weights = physics.tetrahedra((3, 4, 5), mapping, np.diag([1.0, 2.0, 1.5]))
    assert len(corners) == 6 * 60
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(np.bincount(corners.ravel(), np.repeat(weights, 4)), 4 / 60)


def test_a_square_lattice_has_its_logarithmic_singularity():
    """E = 2 − cos x − cos y has g(E) = K(1 − (E−2)²/4)/π² with K the elliptic integral."""
    n = 60
    angles = 2 * np.pi * np.arange(n) / n
    energy = 2 - np.cos(angles)[:, None] - np.cos(angles)
    corners, weights = physics.tetrahedra((n, n, 1), np.arange(n * n), np.eye(3))
    edges = np.linspace(-0.01, 4.01, 202)
    counts = physics.count_tetrahedra(
        energy.reshape(-1, 1), np.ones((n * n, 1, 1)), corners, weights, edges
    )[0]
    centres = (edges[1:] + edges[:-1]) / 2
    expected = ellipk(1 - (centres - 2) ** 2 / 4) / np.pi**2
    smooth = (centres > 0.1) & (centres < 3.9) & (np.abs(centres - 2) > 0.15)
    np.testing.assert_allclose((counts / np.diff(edges))[smooth], expected[smooth], rtol=0.02)


def test_broadening_keeps_integrals_and_gives_the_width_it_names():
    edges = np.linspace(0, 100, 1001)
    matrix = physics.broadening_matrix(edges, 5.0)
    np.testing.assert_allclose(matrix.sum(axis=0), 1, rtol=1e-12)
    line = matrix[:, 500]
    above = np.flatnonzero(line > line.max() / 2)
    assert edges[above[-1] + 1] - edges[above[0]] == pytest.approx(5.0, abs=0.2)


def test_bins_have_round_widths_and_an_edge_at_zero():
    stable, unstable = physics.nice_edges(0.0, 64.0), physics.nice_edges(-5.0, 64.0)
    assert stable[0] == 0
    assert stable[1] == pytest.approx(0.2)
    assert unstable[0] < -5
    assert np.abs(unstable).min() == 0
    assert stable[-1] > 64


# -- of crystals -------------------------------------------------------------------------------


def test_there_are_three_modes_per_atom_and_partials_sum_to_the_total(zincblende, wurtzite):
    for constants in (zincblende, wurtzite):
        for method in ("tetrahedron", "points"):
            dos = phonon_dos(constants.mesh_modes(6), method=method)
            modes = 3 * len(constants.crystal)
            assert dos.total @ dos.widths == pytest.approx(modes, rel=1e-12)
            np.testing.assert_allclose(dos.partial @ dos.widths, 3, rtol=0.02)
            np.testing.assert_allclose(sum(dos.by_species().values()), dos.total, atol=1e-14)


@pytest.mark.parametrize("method", ["tetrahedron", "points"])
def test_an_irreducible_mesh_gives_the_dos_of_the_full_one(wurtzite, method):
    """The squared eigenvectors of equivalent atoms change places between equivalent q-points."""
    edges = np.arange(-1, 110, 1.0)
    reduced, full = (
        phonon_dos(wurtzite.mesh_modes(6, symmetry=s), energy_edges=edges, method=method, fwhm=0)
        for s in (True, False)
    )
    np.testing.assert_allclose(reduced.total, full.total, atol=1e-10)
    for symbol, curve in full.by_species().items():
        np.testing.assert_allclose(reduced.by_species()[symbol], curve, atol=1e-10)
    if method == "points":  # tetrahedra do not have the symmetry of the crystal, atom by atom
        np.testing.assert_allclose(reduced.partial, full.partial, atol=1e-10)


def test_the_total_is_that_of_phonopys_tetrahedra(wurtzite):
    """Phonopy gives the density at points, so 20 of its points make one of our bins."""
    phonopy = wurtzite.to_phonopy()
    phonopy.run_mesh([8, 8, 8], is_gamma_center=True)
    edges = np.arange(0, 75.5, 0.5)
    points = (np.arange(20 * (len(edges) - 1)) + 0.5) * 0.025 / THZ_TO_MEV
    phonopy.run_total_dos(
        freq_min=points[0], freq_max=points[-1] + 1e-9, freq_pitch=points[1] - points[0]
    )
    theirs = phonopy.total_dos.dos / THZ_TO_MEV
    theirs = theirs[: len(points)].reshape(-1, 20).mean(axis=1)
    ours = phonon_dos(wurtzite.mesh_modes(8), energy_edges=edges).total
    assert np.abs(theirs - ours).sum() / ours.sum() < 0.015


def test_tetrahedra_converge_faster_than_points(zincblende):
    edges = np.arange(0, 140, 1.0)
    best = phonon_dos(zincblende.mesh_modes(36), energy_edges=edges)
    modes = zincblende.mesh_modes(12)
    error = {
        method: np.abs(
            phonon_dos(modes, energy_edges=edges, method=method, fwhm=0).total - best.total
        ).sum()
        / best.total.sum()
        for method in ("tetrahedron", "points")
    }
    assert error["tetrahedron"] < 0.08
    assert error["tetrahedron"] < error["points"] / 4


def test_thermal_properties_from_the_dos_are_those_of_the_modes(zincblende):
    modes = zincblende.mesh_modes(16)
    from_dos = phonon_dos(modes).thermal([0, 100, 300, 800])
    exact = thermal_properties(modes, [0, 100, 300, 800], coarse=zincblende.mesh_modes(8))
    np.testing.assert_allclose(from_dos.heat_capacity, exact.heat_capacity, rtol=4e-3)
    np.testing.assert_allclose(from_dos.entropy[2:], exact.entropy[2:], rtol=1e-3)
    np.testing.assert_allclose(from_dos.entropy, exact.entropy, rtol=0.012)
    np.testing.assert_allclose(from_dos.free_energy, exact.free_energy, rtol=2e-3)
    np.testing.assert_allclose(
        from_dos.isotropic_displacements, exact.isotropic_displacements, rtol=0.03
    )
    assert from_dos.debye_temperature == pytest.approx(exact.debye_temperature, rel=1e-3)


# -- of a Debye solid --------------------------------------------------------------------------


def test_moments_of_a_debye_spectrum():
    """⟨E⟩ = 3/4 E_D and ⟨E²⟩ = 3/5 E_D²; the Debye temperature is E_D/k."""
    dos = debye_dos(40.0)
    assert dos.mean_energy == pytest.approx(30, rel=1e-6)
    assert dos.moment(2) == pytest.approx(0.6 * 1600, rel=1e-6)
    assert dos.debye_temperature == pytest.approx(40 / 8.617333e-2, rel=1e-6)
    assert dos.to("THz").debye_temperature == pytest.approx(dos.debye_temperature)
    assert dos.to("THz").mean_energy == pytest.approx(30 / THZ_TO_MEV, rel=1e-6)


def test_zero_point_energy_and_displacement_of_a_debye_spectrum():
    """The zero-point energy is 9/8 E_D per atom and ⟨u²⟩/3 = 3ħ²/(4 M E_D) at T = 0."""
    thermal = debye_dos(40.0, atoms=2).thermal(0)
    assert thermal.zero_point_energy == pytest.approx(2 * 9 / 8 * 40 * 0.0964853, rel=1e-6)
    expected = 3 * 4.1801593 / (4 * 26.9815385 * 40)
    np.testing.assert_allclose(thermal.isotropic_displacements, expected, rtol=1e-6)


# -- behaviour ---------------------------------------------------------------------------------


def made_up_modes(frequencies: np.ndarray, **fields) -> PhononModes:
    rng = np.random.default_rng(0)
    q = len(frequencies)
    return PhononModes(
        crystal=ONE_ATOM,
        q_reduced=rng.uniform(0.1, 0.4, (q, 3)),
        weights=np.full(q, 1 / q),
        frequencies=frequencies,
        **fields,
    )


def test_imaginary_modes_stand_at_negative_energies():
    dos = phonon_dos(made_up_modes(np.array([[-4.0, 10, 20], [5, 10, 20]])), fwhm=0)
    negative = dos.energies < 0
    assert dos.total[negative] @ dos.widths[negative] == pytest.approx(0.5)
    with pytest.warns(StabilityWarning, match=r"imaginary \(lowest -3.9"):
        thermal = dos.thermal(300)
    assert thermal.imaginary_share == pytest.approx(0.5 / 3)


def test_rounding_at_gamma_is_no_instability():
    dos = phonon_dos(made_up_modes(np.array([[-1e-6, -1e-9, 0.0], [5, 10, 20]])))
    assert dos.energy_edges[0] == 0
    assert dos.total @ dos.widths == pytest.approx(3)


def test_modes_without_eigenvectors_have_a_total_only():
    dos = PhononDOS.from_modes(made_up_modes(np.array([[5.0, 10, 20]])))
    assert dos.partial is None
    assert dos.thermal(300).displacement_tensors is None
    with pytest.raises(InputError, match=r"no partial part.*eigenvectors=True"):
        dos.by_species()


def test_neutron_weighting_is_cross_section_over_mass(zincblende):
    dos = phonon_dos(zincblende.mesh_modes(4))
    only_carbon = dos.neutron_weighted([0.0, 5.551])
    np.testing.assert_allclose(only_carbon, 5.551 / 12.011 * dos.partial[1], rtol=1e-12)


def test_broadening_smooths_and_keeps_the_modes(zincblende):
    dos = phonon_dos(zincblende.mesh_modes(8))
    wide = dos.broadened(4.0)
    assert wide.total @ wide.widths == pytest.approx(6)
    np.testing.assert_allclose(wide.partial.sum(axis=0), wide.total, atol=1e-14)
    assert np.abs(np.diff(wide.total)).max() < np.abs(np.diff(dos.total)).max() / 3
    same = dos.broadened(np.full(len(dos.total), 4.0))
    np.testing.assert_allclose(same.total, wide.total, rtol=1e-12)


def test_bad_input_is_refused():
    modes = made_up_modes(np.array([[5.0, 10, 20]]))
    with pytest.raises(InputError, match=r"needs modes on a regular mesh.*method='points'"):
        phonon_dos(modes, method="tetrahedron")
    with pytest.raises(InputError, match="no bin edges"):
        phonon_dos(modes, energy_edges=[3, 2, 1])
    with pytest.raises(InputError, match="energy_step = -1"):
        phonon_dos(modes, energy_step=-1)
    with pytest.raises(InputError, match="cannot be broadened by fwhm = -1"):
        phonon_dos(modes).broadened(-1)
    with pytest.warns(AccuracyWarning, match=r"33.33% of the modes lie outside"):
        phonon_dos(modes, energy_edges=np.arange(12.0), fwhm=0)


@pytest.mark.parametrize("orientation", ["horizontal", "vertical"])
def test_the_picture_has_species_and_units(wurtzite, orientation):
    ax = phonon_dos(wurtzite.mesh_modes(4)).to("THz").plot(orientation=orientation)
    labels = {ax.get_xlabel(), ax.get_ylabel()}
    assert labels == {"Frequency (THz)", "DOS (states/THz)"}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Zn", "O", "total"]
    plt.close(ax.figure)


def test_the_dos_keeps_the_contract_of_results(zincblende):
    check_result(phonon_dos(zincblende.mesh_modes(4)))
    plt.close("all")
    check_result(debye_dos(bins=20))
    plt.close("all")
