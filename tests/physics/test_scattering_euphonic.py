"""The same force constants in Euphonic give the same structure factors and powder maps."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from scatterml_ase.physics.debye_waller import displacement_tensors, symmetrize_tensors
from scatterml_ase.scattering import sampling
from scatterml_ase.scattering.one_phonon import one_phonon
from scatterml_ase.scattering.powder_average import ShellSums, add_mesh, add_vectors
from scatterml_ase.scattering.scatterer import Scatterer
from scatterml_ase.units import BOLTZMANN

pytest.importorskip("euphonic")
# Euphonic calls spglib, whose versions 2.7 and 2.8 announce a change on every call.
pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")

TEMPERATURE = 300.0


@pytest.fixture(scope="module")
def peer(zincblende):
    """Euphonic's object with the force constants of ``zincblende``."""
    return euphonic_force_constants(zincblende)


def euphonic_force_constants(force_constants, size=4):
    from euphonic import Crystal, ForceConstants, ureg

    crystal = force_constants.crystal
    n = len(crystal)
    origins = np.stack(np.unravel_index(np.arange(size**3), (size,) * 3), axis=1)
    blocks = np.zeros((size**3, n, 3, n, 3))
    cells = np.ravel_multi_index((force_constants.cell_shifts % size).T, (size,) * 3)
    for (i, j), cell, block in zip(
        force_constants.pairs, cells, force_constants.blocks, strict=True
    ):
        blocks[cell, i, :, j, :] += block
    peers_crystal = Crystal(
        crystal.cell * ureg("angstrom"),
        crystal.scaled_positions,
        np.array(crystal.symbols),
        crystal.masses * ureg("amu"),
    )
    return ForceConstants(
        peers_crystal,
        blocks.reshape(-1, 3 * n, 3 * n) * ureg("eV / angstrom**2"),
        size * np.eye(3, dtype=int),
        origins,
    )


def peers_lengths(scatterer):
    from euphonic import ureg

    return {
        name: float(b.real) * ureg("fm")
        for name, b in zip(scatterer.names, scatterer.lengths, strict=True)
    }


def peers_debye_waller(peer, mesh=6):
    """Debye–Waller factor from a mesh without Γ, as Euphonic sums it."""
    from euphonic import ureg
    from euphonic.util import mp_grid

    q = mp_grid((mesh, mesh, mesh))
    modes = peer.calculate_qpoint_phonon_modes(q, asr=None, use_c=False)
    return q, modes.calculate_debye_waller(TEMPERATURE * ureg("K"))


def scattering_vectors(count=150):
    return np.random.default_rng(5).uniform(-4, 4, size=(count, 3))


def merged(frequencies, values, digits=4):
    """Sum values over degenerate modes: a mode's own share is not defined within such a set."""
    result = []
    for energies, row in zip(frequencies, values, strict=True):
        _, inverse = np.unique(np.round(energies, digits), return_inverse=True)
        result.append(np.bincount(inverse.reshape(-1), row))
    return np.concatenate(result)


def test_displacement_tensors(zincblende, peer):
    q, debye_waller = peers_debye_waller(peer)
    modes = zincblende.modes(q)
    tensors = displacement_tensors(
        modes.frequencies, modes.eigenvectors, modes.weights, zincblende.crystal.masses,
        np.array([TEMPERATURE]),
    )  # fmt: skip
    tensors = symmetrize_tensors(tensors, zincblende.crystal.cell, zincblende.symmetry_operations)
    expected = 2 * debye_waller.debye_waller.to("angstrom**2").magnitude
    np.testing.assert_allclose(tensors[0], expected, rtol=1e-6, atol=1e-10)


def test_structure_factors_of_a_crystal_without_inversion(zincblende, peer):
    """Summed over degenerate modes, |F|² agrees to 1e-5, Debye–Waller factor included."""
    _, debye_waller = peers_debye_waller(peer)
    displacements = 2 * debye_waller.debye_waller.to("angstrom**2").magnitude
    hkl = scattering_vectors()
    ours = one_phonon(zincblende, hkl, TEMPERATURE, reduced=True, displacements=displacements)
    modes = peer.calculate_qpoint_phonon_modes(hkl, asr=None, use_c=False)
    lengths = peers_lengths(Scatterer.prepare(zincblende, TEMPERATURE, displacements=displacements))
    theirs = modes.calculate_structure_factor(scattering_lengths=lengths, dw=debye_waller)
    expected_energies = theirs.frequencies.to("meV").magnitude
    np.testing.assert_allclose(ours.frequencies, expected_energies, rtol=1e-6)
    expected = merged(expected_energies, theirs.structure_factors.to("mbarn").magnitude)
    values = merged(ours.frequencies, ours.loss - ours.gain)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-7 * expected.max())


def peers_map(peer, lengths, debye_waller, vectors, q_edges, energy_edges, weights=None):
    """Histogram of Euphonic's structure factors at the given Q, mean per shell."""
    cell = peer.crystal.cell_vectors.to("angstrom").magnitude
    modes = peer.calculate_qpoint_phonon_modes(
        vectors @ cell.T / (2 * np.pi), asr=None, use_c=False
    )
    factors = modes.calculate_structure_factor(scattering_lengths=lengths, dw=debye_waller)
    energies = factors.frequencies.to("meV").magnitude
    occupied = 1 / (1 - np.exp(-energies / (8.617333262e-2 * TEMPERATURE)))
    values = factors.structure_factors.to("mbarn").magnitude * occupied
    weights = np.ones(len(vectors)) if weights is None else weights
    length = np.linalg.norm(vectors, axis=1)
    counts, _ = np.histogram(length, q_edges, weights=weights)
    histogram, _, _ = np.histogram2d(
        np.repeat(length, energies.shape[1]),
        energies.reshape(-1),
        (q_edges, energy_edges),
        weights=(values * weights[:, None]).reshape(-1),
    )
    return histogram / counts[:, None]


def assert_same_map(ours, theirs):
    assert np.abs(ours - theirs).sum() < 1e-4 * theirs.sum()


@pytest.fixture(scope="module")
def setting(zincblende, peer):
    _, debye_waller = peers_debye_waller(peer)
    displacements = 2 * debye_waller.debye_waller.to("angstrom**2").magnitude
    scatterer = Scatterer.prepare(zincblende, TEMPERATURE, displacements=displacements)
    return scatterer, debye_waller, peers_lengths(scatterer)


def test_powder_map_at_equal_vectors(setting, peer):
    """Directly sampled shells: the same Q in both codes give the same map to 1e-4 (L1)."""
    scatterer, debye_waller, lengths = setting
    edges, energies = np.linspace(1, 5, 9), np.linspace(0, 150, 76)
    generator = np.random.default_rng(0)
    vectors = np.concatenate(
        [sampling.shell_vectors(a, b, 60, generator) for a, b in pairwise(edges)]
    )
    sums = ShellSums(edges, energies)
    add_vectors(sums, scatterer, vectors, lambda _: None)
    theirs = peers_map(peer, lengths, debye_waller, vectors, edges, energies)
    assert_same_map(sums.mean(), theirs)


def test_symmetry_reduced_mesh_equals_all_points_of_the_peer(setting, peer):
    """One q of each star stands for all of them: Euphonic at every q + G gives the same map."""
    scatterer, debye_waller, lengths = setting
    edges, energies = np.linspace(2.0, 4.0, 3), np.linspace(1, 150, 38)
    size = 5
    plan = sampling.Plan((size,) * 3, 10, np.zeros(2, dtype=bool), np.ones(2))
    sums = ShellSums(edges, energies)
    add_mesh(sums, scatterer, plan, np.random.default_rng(0), lambda _: None)
    reciprocal = scatterer.force_constants.crystal.reciprocal_cell
    everywhere = sampling.reciprocal_lattice(reciprocal / size, 4.0) @ reciprocal / size
    length = np.linalg.norm(everywhere, axis=1)
    vectors = everywhere[(length > 2.0) & (length < 4.0)]
    length = np.linalg.norm(vectors, axis=1)
    bragg = (
        np.abs(np.rint(vectors @ np.linalg.inv(reciprocal)) @ reciprocal - vectors).max(1) < 1e-9
    )
    centres = np.where(length < 3.0, 2.5, 3.5)
    # At Bragg points acoustic modes have no energy; Euphonic's 1/E is infinite there.
    moved = vectors + 1e-7 * bragg[:, None]
    theirs = peers_map(peer, lengths, debye_waller, moved, edges, energies, (centres / length) ** 2)
    assert_same_map(sums.mean(), theirs)


def test_structure_factors_of_a_polar_crystal(zincblende):
    """With Born charges the two independent dipole sums agree at any Q, folded or not."""
    from euphonic import ForceConstants, ureg

    born, dielectric = np.array([2.7, -2.7])[:, None, None] * np.eye(3), 6.5 * np.eye(3)
    polar = replace(zincblende, born_charges=born, dielectric=dielectric)
    total = euphonic_force_constants(zincblende)
    peer = ForceConstants.from_total_fc_with_dipole(
        total.crystal,
        total.force_constants,
        total.sc_matrix,
        total.cell_origins,
        born=born * ureg("e"),
        dielectric=dielectric * ureg("e**2 / (bohr * hartree)"),
    )
    hkl = scattering_vectors()
    hkl[:20] *= 0.02  # near Γ, where the dipole term is largest
    still = np.zeros((2, 3, 3))
    ours = one_phonon(polar, hkl, TEMPERATURE, reduced=True, displacements=still)
    modes = peer.calculate_qpoint_phonon_modes(hkl, asr=None, use_c=False)
    lengths = peers_lengths(Scatterer.prepare(polar, TEMPERATURE, displacements=still))
    theirs = modes.calculate_structure_factor(scattering_lengths=lengths)
    energies = theirs.frequencies.to("meV").magnitude
    np.testing.assert_allclose(ours.frequencies, energies, rtol=1e-6)
    plain = zincblende.modes(hkl).frequencies
    assert np.abs(plain - energies).max() > 10
    expected = merged(energies, theirs.structure_factors.to("mbarn").magnitude)
    values = merged(ours.frequencies, ours.loss - ours.gain)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-7 * expected.max())


def test_structure_factors_of_a_triclinic_crystal_without_any_symmetry(triclinic):
    """Three species at random places: no symmetry can hide a wrong phase or a wrong axis."""
    scatterer = Scatterer.prepare(triclinic, TEMPERATURE)
    Q = scattering_vectors(40)
    found = one_phonon(triclinic, Q, TEMPERATURE, displacements=np.zeros((3, 3, 3)))
    occupation = 1 / np.expm1(found.frequencies / (BOLTZMANN * TEMPERATURE))
    modes = euphonic_force_constants(triclinic).calculate_qpoint_phonon_modes(
        Q @ triclinic.crystal.cell.T / (2 * np.pi), asr=None, use_c=False
    )
    theirs = modes.calculate_structure_factor(scattering_lengths=peers_lengths(scatterer))
    theirs = theirs.structure_factors.to("mbarn").magnitude
    ours = found.loss / (occupation + 1)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6 * theirs.max())
