"""Lattice dynamics against closed formulas and the symmetries every crystal has."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from scatterml_ase.physics import dynamics, lattice
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.units import (
    ROOT_EV_PER_AMU_TO_METRE_PER_SECOND,
    ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV,
)

RNG = np.random.default_rng(7)
Q = RNG.uniform(-0.5, 0.5, (12, 3))


def chain(masses, spring=3.0, period=4.0):
    """Atoms on a line, equally spaced, each tied to the next by a spring along the line."""
    n = len(masses)
    atoms = Atoms(
        f"H{n}",
        positions=[[period * k / n, 0, 0] for k in range(n)],
        cell=[period, 9, 9],
        pbc=True,
    )
    atoms.set_masses(masses)
    block = np.diag([spring, 0, 0])
    right = [(k, (k + 1) % n, (k + 1) // n) for k in range(n)]
    pairs = (
        [(i, j) for i, j, _ in right] + [(j, i) for i, j, _ in right] + [(k, k) for k in range(n)]
    )
    shifts = [(s, 0, 0) for _, _, s in right] + [(-s, 0, 0) for _, _, s in right] + [(0, 0, 0)] * n
    return ForceConstants(
        crystal=Crystal.from_atoms(atoms),
        pairs=np.array(pairs),
        cell_shifts=np.array(shifts),
        blocks=np.array([-block] * (2 * n) + [2 * block] * n),
    )


def cubic(stretch=2.0, bend=0.5, mass=10.0, a=3.0):
    """One atom on a simple cubic lattice with nearest neighbours."""
    axes = np.concatenate([np.eye(3, dtype=int), -np.eye(3, dtype=int)])
    blocks = [-(stretch * np.outer(s, s) + bend * (np.eye(3) - np.outer(s, s))) for s in axes]
    atoms = Atoms("X", cell=[a, a, a], pbc=True, masses=[mass])
    return ForceConstants(
        crystal=Crystal.from_atoms(atoms),
        pairs=np.zeros((7, 2), dtype=int),
        cell_shifts=np.concatenate([axes, np.zeros((1, 3), dtype=int)]),
        blocks=np.array([*blocks, -np.sum(blocks, axis=0)]),
    )


def test_diatomic_chain_has_its_textbook_dispersion():
    """ω² = K(1/m + 1/M) ± K √((1/m + 1/M)² − 4 sin²(qa/2)/mM)."""
    light, heavy, spring = 7.0, 35.0, 3.0
    q = np.linspace(-0.8, 0.8, 21)
    modes = chain([light, heavy], spring).modes(np.outer(q, [1, 0, 0]))
    total = 1 / light + 1 / heavy
    root = np.sqrt(total**2 - 4 * np.sin(np.pi * q) ** 2 / (light * heavy))
    squares = spring * np.stack([total - root, total + root], axis=1)
    expected = np.sqrt(np.maximum(squares, 0)) * ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV
    np.testing.assert_allclose(modes.frequencies[:, 4:], expected, atol=1e-6)
    np.testing.assert_allclose(modes.frequencies[:, :4], 0, atol=1e-6)


def test_monatomic_crystal_is_a_sine():
    """One atom per cell: ω = 2√(K/M) |sin(qa/2)| along a cube axis, at Γ exactly 0."""
    q = np.linspace(0, 1, 11)
    modes = cubic(stretch=2.0, bend=0.5, mass=10.0).modes(np.outer(q, [0, 0, 1]))
    sine = 2 * np.abs(np.sin(np.pi * q)) * ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV
    for mode, spring in enumerate((0.5, 0.5, 2.0)):
        expected = np.sqrt(spring / 10.0) * sine
        np.testing.assert_allclose(modes.frequencies[:, mode], expected, atol=1e-6)


def test_sound_is_the_elastic_limit():
    """A cubic lattice of springs carries sound at a√(K/M), along an axis."""
    velocities = cubic(stretch=2.0, bend=0.5, mass=10.0, a=3.0).sound_velocities((0, 0, 2))
    expected = 3.0 * np.sqrt(np.array([0.5, 0.5, 2.0]) / 10.0)
    expected *= ROOT_EV_PER_AMU_TO_METRE_PER_SECOND
    np.testing.assert_allclose(velocities, expected, rtol=1e-7)


def test_sound_is_the_slope_of_the_acoustic_branches(zincblende):
    """Internal strain of a crystal without inversion softens sound just as in the dispersion."""
    directions = np.array([[1.0, 0, 0], [1, 1, 0], [1, 1, 1], [0.3, -0.5, 0.8]])
    velocities = zincblende.sound_velocities(directions)
    units = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    q = 2e-3 * units @ zincblende.crystal.cell.T / (2 * np.pi)
    slopes = zincblende.modes(q, group_velocities=True).group_velocities[:, :3]
    along = np.sort(np.einsum("qma,qa->qm", slopes, units), axis=1)
    np.testing.assert_allclose(velocities, along, rtol=1e-4)


@pytest.mark.parametrize("name", ["zincblende", "wurtzite"])
def test_three_modes_at_gamma_cost_nothing(name, request):
    """Translation invariance: the acoustic sum rule gives three zero modes, the rest are not."""
    constants = request.getfixturevalue(name)
    assert constants.acoustic_residual() < 1e-4
    assert np.sort(np.abs(constants.modes([0, 0, 0]).frequencies[0]))[3] > 1.0


def test_the_dynamical_matrix_is_hermitian_and_conjugate_at_minus_q(wurtzite):
    matrices = wurtzite.dynamical_matrices(Q)
    np.testing.assert_allclose(matrices, matrices.conj().swapaxes(1, 2), atol=1e-15)
    np.testing.assert_allclose(matrices, wurtzite.dynamical_matrices(-Q).conj(), atol=1e-15)


def test_the_dynamical_matrix_is_the_sum_of_its_definition(wurtzite):
    """D_ij(q) = 1/√(M_i M_j) Σ Φ exp(2πi q·(S + x_j − x_i)), term by term."""
    crystal, q = wurtzite.crystal, Q[0]
    expected = np.zeros((len(crystal), 3, len(crystal), 3), dtype=complex)
    for (i, j), s, block in zip(wurtzite.pairs, wurtzite.cell_shifts, wurtzite.blocks, strict=True):
        x = s + crystal.scaled_positions[j] - crystal.scaled_positions[i]
        root = np.sqrt(crystal.masses[i] * crystal.masses[j])
        expected[i, :, j, :] += block / root * np.exp(2j * np.pi * q @ x)
    found = wurtzite.dynamical_matrices(q)[0]
    np.testing.assert_allclose(found, expected.reshape(found.shape), atol=1e-14)


def test_frequencies_are_periodic_in_q(wurtzite):
    shifted = Q + RNG.integers(-3, 4, Q.shape)
    expected = wurtzite.modes(Q).frequencies
    np.testing.assert_allclose(wurtzite.modes(shifted).frequencies, expected, atol=1e-9)


def test_eigenvectors_are_orthonormal_and_solve_their_equation(wurtzite):
    modes = wurtzite.modes(Q)
    vectors = modes.eigenvectors.reshape(len(Q), 12, 12)
    overlap = vectors.conj() @ vectors.swapaxes(1, 2)
    np.testing.assert_allclose(overlap, np.broadcast_to(np.eye(12), overlap.shape), atol=1e-12)
    values = np.sign(modes.frequencies) * modes.frequencies**2
    values /= ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV**2
    left = np.einsum("qab,qmb->qma", wurtzite.dynamical_matrices(Q), vectors)
    np.testing.assert_allclose(left, values[..., None] * vectors, atol=1e-13)


def test_equivalent_points_have_equal_frequencies(wurtzite):
    """A rotation of the space group takes q to a point with the same modes."""
    rotations = wurtzite.symmetry_operations.rotations
    assert len(rotations) == 12
    expected = wurtzite.modes(Q[:1]).frequencies[0]
    for rotation in rotations:
        image = Q[0] @ np.linalg.inv(rotation)
        np.testing.assert_allclose(wurtzite.modes(image).frequencies[0], expected, atol=1e-8)


@pytest.mark.parametrize("shift", [(0, 0, 0), (0.5, 0.5, 0.5), (0, 0, 0.5)])
@pytest.mark.parametrize("name", ["zincblende", "wurtzite"])
def test_irreducible_points_average_like_the_full_mesh(name, shift, request):
    """Frequencies, shares of atoms and tensors of atoms: all as on the full mesh."""
    constants = request.getfixturevalue(name)
    few = constants.mesh_modes((4, 4, 3), shift=shift)
    all_points = constants.mesh_modes((4, 4, 3), shift=shift, symmetry=False)
    assert len(few.weights) < len(all_points.weights) == 48
    np.testing.assert_allclose(few.frequencies[few.mesh_mapping], all_points.frequencies, atol=1e-6)

    def averages(modes):
        e = modes.eigenvectors
        weights = modes.weights[:, None] * modes.frequencies**2
        shares = np.einsum("qm,qmna,qmna->n", weights, e, e.conj()).real
        tensors = np.einsum("qm,qmna,qmnb->nab", weights, e, e.conj()).real
        return modes.site_average(shares), modes.site_average_tensors(tensors)

    for found, expected in zip(averages(few), averages(all_points), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-7)


def test_isotopes_lower_the_symmetry(zincblende):
    """A heavy isotope on one of two equal sites makes them different."""
    silicon = replace(zincblende, crystal=Crystal.from_atoms(bulk("Si")))
    heavy = bulk("Si")
    heavy.set_masses([28.0, 30.0])
    isotopic = replace(silicon, crystal=Crystal.from_atoms(heavy))
    assert len(isotopic.symmetry_operations.rotations) == 24
    assert len(silicon.symmetry_operations.rotations) == 48


def test_frequencies_go_as_one_over_root_mass(wurtzite):
    heavy = replace(wurtzite.crystal, masses=4 * wurtzite.crystal.masses)
    found = replace(wurtzite, crystal=heavy).modes(Q).frequencies
    np.testing.assert_allclose(found, wurtzite.modes(Q).frequencies / 2, atol=1e-9)


def test_a_shift_of_the_origin_changes_nothing_but_phases(wurtzite):
    crystal = wurtzite.crystal
    step = np.array([0.1, 0.2, -0.3])
    moved = replace(crystal, scaled_positions=crystal.scaled_positions + step)
    found = replace(wurtzite, crystal=moved).modes(Q)
    expected = wurtzite.modes(Q)
    np.testing.assert_allclose(found.frequencies, expected.frequencies, atol=1e-9)
    phase = np.exp(-2j * np.pi * Q @ step)[:, None, None, None]
    projectors = [np.einsum("qmna,qmlb->qmnalb", e, e.conj()) for e in (
        found.eigenvectors, expected.eigenvectors * phase)]  # fmt: skip
    np.testing.assert_allclose(*projectors, atol=1e-9)


def test_naming_another_image_of_an_atom_changes_no_frequency(zincblende):
    """Atom 1 taken from the next cell: its pairs change S, the crystal does not."""
    jump = np.array([1, -2, 1])
    positions = zincblende.crystal.scaled_positions + np.array([[0, 0, 0], jump])
    crystal = replace(zincblende.crystal, scaled_positions=positions)
    i, j = zincblende.pairs.T
    shifts = zincblende.cell_shifts + (i == 1)[:, None] * jump - (j == 1)[:, None] * jump
    found = replace(zincblende, crystal=crystal, cell_shifts=shifts).modes(Q).frequencies
    np.testing.assert_allclose(found, zincblende.modes(Q).frequencies, atol=1e-9)


def test_group_velocities_are_slopes_of_the_dispersion(wurtzite):
    """Hellmann–Feynman against central differences: 1 meV Å is 151.927 m/s."""
    found = wurtzite.modes(Q, group_velocities=True).group_velocities
    for axis in range(3):
        step = np.eye(3)[axis] @ wurtzite.crystal.cell.T / (2 * np.pi) * 1e-4
        ahead, behind = (wurtzite.modes(Q + s * step).frequencies for s in (1, -1))
        slopes = (ahead - behind) / 2e-4 * 151.92674
        np.testing.assert_allclose(found[..., axis], slopes, atol=0.05)


def test_degenerate_modes_split_along_their_own_slopes(zincblende):
    """On the line Γ–X both transverse branches move along the line, and equally fast."""
    velocities = zincblende.modes([0.2, 0, 0.2], group_velocities=True).group_velocities[0]
    along = np.array([0.2, 0, 0.2]) @ zincblende.crystal.reciprocal_cell
    along /= np.linalg.norm(along)
    np.testing.assert_allclose(velocities[0], velocities[1], atol=1e-4)
    np.testing.assert_allclose(velocities, np.outer(velocities @ along, along), atol=1e-4)


def test_three_flat_bands_of_einstein_oscillators_do_not_move():
    """Atoms bound to their sites alone: no sound, no velocity, one frequency."""
    constants = replace(cubic(), pairs=np.zeros((1, 2), int), cell_shifts=np.zeros((1, 3), int),
                        blocks=np.eye(3)[None])  # fmt: skip
    modes = constants.modes(Q, group_velocities=True)
    assert np.ptp(modes.frequencies) < 1e-12
    assert not modes.group_velocities.any()


def test_few_pairs_among_many_atoms_are_kept_sparse(wurtzite, monkeypatch):
    """The sparse and the dense table are the same sum."""
    expected = wurtzite.modes(Q).frequencies
    monkeypatch.setattr(lattice, "_DENSE_FILL", 2.0)
    sparse = replace(wurtzite)
    assert not isinstance(sparse._harmonic.table.even, np.ndarray)
    np.testing.assert_allclose(sparse.modes(Q).frequencies, expected, atol=1e-10)


def test_chunks_and_threads_change_nothing(wurtzite, monkeypatch):
    expected = wurtzite.modes(Q)
    monkeypatch.setattr(lattice, "CHUNK_BYTES", 16 * 12**2 * 5)
    monkeypatch.setattr(dynamics, "_threads", lambda atoms: 3)
    found = wurtzite.modes(Q)
    np.testing.assert_array_equal(found.frequencies, expected.frequencies)
    np.testing.assert_array_equal(found.eigenvectors, expected.eigenvectors)
