"""Elastic scattering of powders: Bragg peaks and incoherent scattering in absolute units."""

import tracemalloc
from itertools import permutations

import numpy as np
import pytest
from ase.build import bulk
from ase.spacegroup import crystal

from scatterml_ase.errors import InputError
from scatterml_ase.physics.bragg import lines_in_bins, powder_lines
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.scattering.elastic import ElasticLine
from scatterml_ase.scattering.nuclei import Nuclei


def elastic_line(atoms, u=0.0):
    known = Crystal.from_atoms(atoms)
    tensors = np.broadcast_to(u * np.eye(3), (len(atoms), 3, 3))
    return ElasticLine(known, Nuclei.of(known), tensors)


def sharp(q):
    return np.zeros_like(q)


# Miller indices, multiplicity, |F|²/b² of the conventional cell.
LINES = {
    "Si": (5.431, 4.1491, 8, [((1, 1, 1), 8, 32), ((2, 2, 0), 12, 64), ((3, 1, 1), 24, 32),
                              ((4, 0, 0), 6, 64), ((3, 3, 1), 24, 32), ((4, 2, 2), 24, 64)]),
    "Al": (4.0496, 3.449, 4, [((1, 1, 1), 8, 16), ((2, 0, 0), 6, 16), ((2, 2, 0), 12, 16),
                              ((3, 1, 1), 24, 16), ((2, 2, 2), 8, 16)]),
}  # fmt: skip


@pytest.mark.parametrize("symbol", LINES)
def test_bragg_peaks_are_where_they_should_be(symbol):
    """At 2π √(h² + k² + l²)/a; what the diamond lattice extinguishes has no strength."""
    a, _, _, lines = LINES[symbol]
    expected = [2 * np.pi / a * np.linalg.norm(hkl) for hkl, _, _ in lines]
    places, strengths = elastic_line(bulk(symbol, a=a)).lines(expected[-1] + 0.01)
    np.testing.assert_allclose(places[strengths > 1e-9 * strengths.max()], expected, rtol=1e-9)


@pytest.mark.parametrize("symbol", LINES)
def test_bragg_peaks_have_the_strength_of_debye_scherrer_cones(symbol):
    """Over the cone at wavelength λ: λ³ m |F|² exp(−2W)/(4 V sin θ) per conventional cell."""
    a, b, atoms, lines = LINES[symbol]
    u, wavelength = 0.006, 1.2
    k = 2 * np.pi / wavelength
    places, strengths = elastic_line(bulk(symbol, a=a), u).lines(6.0)
    for hkl, multiplicity, factor in lines:
        norm = 2 * np.pi / a * np.linalg.norm(hkl)
        sine = norm / (2 * k)
        damped = multiplicity * factor * b**2 * np.exp(-(norm**2) * u)
        cone = wavelength**3 * damped / (4 * a**3 * sine) * 10  # fm² -> mbarn
        # ∫ dΩ of a line in |Q|: 2π sin 2θ d2θ = 2π Q dQ/k²
        found = strengths[np.argmin(np.abs(places - norm))] * 2 * np.pi * norm / k**2
        assert found * atoms == pytest.approx(cone, rel=1e-4)


def test_bragg_peaks_average_to_the_sum_of_squares():
    """Far out, F is random: the mean over |Q| tends to b² per atom, without Debye–Waller factor."""
    line = elastic_line(bulk("Al", a=4.05))
    edges = np.array([25.0, 35.0])
    assert line.bragg(edges, sharp)[0] == pytest.approx(10 * 3.449**2, rel=5e-3)


def test_multiplicities_are_counted():
    """The (321) line of a primitive cubic crystal has 48 members."""
    assert len(set(permutations([1, 2, 3]))) * 8 == 48
    places, strengths = elastic_line(bulk("Al", "sc", a=3.0)).lines(8.0)
    norm = 2 * np.pi / 3.0 * np.sqrt([9, 14])
    first, second = (strengths[np.argmin(np.abs(places - x))] * x**2 for x in norm)
    assert second / first == pytest.approx(48 / 30, rel=1e-9)  # (300) and (221) coincide


def test_lines_keep_their_integral_however_wide():
    edges = np.linspace(0, 12, 121)
    places, strengths, sigma = np.array([3.03, 7.0]), np.array([2.0, 5.0]), np.array([0.0, 0.4])
    density = lines_in_bins(places, strengths, edges, sigma)
    assert density.sum() * 0.1 == pytest.approx(7.0, rel=1e-9)
    assert density[30] == pytest.approx(20.0)
    centres = (edges[1:] + edges[:-1]) / 2
    wide = density * (centres > 4)
    mean = np.average(centres, weights=wide)
    assert mean == pytest.approx(7.0, abs=1e-3)
    assert np.sqrt(np.average((centres - mean) ** 2, weights=wide)) == pytest.approx(0.4, rel=6e-3)


def test_incoherent_elastic_intensity():
    """σ_inc/4π exp(−Q²U), 5.08 barn of vanadium in mbarn/sr."""
    q = np.array([0.0, 2.0, 5.0])
    found = elastic_line(bulk("V"), 0.007).incoherent(q)
    np.testing.assert_allclose(found, 5080 / (4 * np.pi) * np.exp(-(q**2) * 0.007), rtol=1e-9)


def test_incoherent_elastic_intensity_of_uniaxial_motion():
    """The mean over directions of exp(−Q²(U_x sin² + U_z cos²)), per atom of a compound."""
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    known = Crystal.from_atoms(atoms)
    tensors = np.array([np.diag([0.01, 0.01, 0.05]), 0.02 * np.eye(3)])
    q = np.array([1.0, 4.0, 8.0])
    cosine = (np.arange(4000) + 0.5) / 4000
    width = 0.01 * (1 - cosine**2) + 0.05 * cosine**2
    sodium = np.exp(-(q[:, None] ** 2) * width).mean(axis=1)
    chlorine = np.exp(-(q**2) * 0.02)
    nuclei = Nuclei.of(known)
    expected = (nuclei.incoherent[0] * sodium + nuclei.incoherent[1] * chlorine) / (8 * np.pi) * 1e3
    found = ElasticLine(known, nuclei, tensors).incoherent(q)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def corundum():
    return crystal(
        ["Al", "O"], [(0, 0, 0.35218), (0.69375, 0, 0.75)], spacegroup=167,
        cellpar=[4.757, 4.757, 12.9877, 90, 90, 120], primitive_cell=True,
    )  # fmt: skip


# Cross-sections in barn per atom at three energies in meV, coherent and incoherent, and ⟨u²⟩ along
# one direction in Å², at 300 K: NCrystal 4.4.6 (Al_sg225, NaCl_sg225, Al2O3_sg167).
PEER = {
    "Al": (
        bulk("Al", a=4.04958),
        {"Al": 0.010013058893612672},
        [(5.0, 1.6664439166985696, 0.007816216715487248),
         (25.3, 1.2016136930605898, 0.0064854817860483405),
         (100.0, 0.6391929906858028, 0.0036283385247651433)],
    ),
    "NaCl": (
        bulk("NaCl", "rocksalt", a=5.6401),
        {"Na": 0.024379809848872058, "Cl": 0.020690830503391964},
        [(5.0, 3.2008092948902083, 3.1239123108692812),
         (25.3, 3.793631926547628, 2.141247913522118),
         (100.0, 1.525194610019274, 0.82180656848165)],
    ),
    "Al2O3": (
        corundum(),
        {"Al": 0.0034057707238727085, "O": 0.00352509260644172},
        [(5.0, 2.4643862140301684, 0.003698601482181036),
         (25.3, 2.4534291886827315, 0.0034626827091971193),
         (100.0, 2.205108302967613, 0.0027520333499172376)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PEER)
def test_elastic_cross_sections_are_those_of_ncrystal(name):
    """Over all angles, dΩ = 2π Q dQ/k²: the same to 1e-6, which is what constants differ by."""
    atoms, motion, expected = PEER[name]
    known = Crystal.from_atoms(atoms)
    tensors = np.array([motion[symbol] * np.eye(3) for symbol in known.symbols])
    line = ElasticLine(known, Nuclei.of(known), tensors)
    for energy, coherent, incoherent in expected:
        k = np.sqrt(energy / 2.0721248)
        places, strengths = line.lines(2 * k)
        found = 2 * np.pi * (places @ strengths) / k**2 / 1000
        assert found == pytest.approx(coherent, rel=1e-6)
        q = np.linspace(0, 2 * k, 4001)
        found = 2 * np.pi * np.trapezoid(q * line.incoherent(q), q) / k**2 / 1000
        assert found == pytest.approx(incoherent, rel=1e-6)


def test_memory_does_not_grow_with_the_number_of_reflections():
    """A large cell far out: 100 000 reflections of 30 atoms would be some 50 MB for each array."""
    rng = np.random.default_rng(0)
    G, positions = rng.normal(size=(100_000, 3)) * 10, rng.random((30, 3)) * 10
    tensors = np.broadcast_to(0.001 * np.eye(3), (30, 3, 3))
    edges = np.linspace(0, 60, 301)
    tracemalloc.start()
    places, strengths = powder_lines(G, positions, np.ones(30), tensors, 1000.0)
    density = lines_in_bins(places, strengths, edges, np.full_like(places, 0.05))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6
    assert density @ np.diff(edges) == pytest.approx(strengths.sum(), rel=1e-3)
    few = powder_lines(G[:123], positions, np.ones(30), tensors, 1000.0)[1].sum()
    rest = powder_lines(G[123:], positions, np.ones(30), tensors, 1000.0)[1].sum()
    assert strengths.sum() == pytest.approx(few + rest, rel=1e-9)


def test_displacements_of_another_crystal():
    known = Crystal.from_atoms(bulk("Si"))
    with pytest.raises(InputError, match="needed for each of 2 atoms"):
        ElasticLine(known, Nuclei.of(known), np.eye(3)[None])
