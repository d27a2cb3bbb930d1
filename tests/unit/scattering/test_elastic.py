"""Elastic scattering of powders: Bragg peaks and incoherent scattering in absolute units."""

from itertools import permutations

import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase.errors import InputError
from scatterml_ase.physics.bragg import lines_in_bins
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.scattering.elastic import ElasticLine
from scatterml_ase.scattering.nuclei import Nuclei


def elastic_line(atoms, u=0.0):
    crystal = Crystal.from_atoms(atoms)
    tensors = np.broadcast_to(u * np.eye(3), (len(atoms), 3, 3))
    return ElasticLine(crystal, Nuclei.of(crystal), tensors)


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
    crystal = Crystal.from_atoms(atoms)
    tensors = np.array([np.diag([0.01, 0.01, 0.05]), 0.02 * np.eye(3)])
    q = np.array([1.0, 4.0, 8.0])
    cosine = (np.arange(4000) + 0.5) / 4000
    width = 0.01 * (1 - cosine**2) + 0.05 * cosine**2
    sodium = np.exp(-(q[:, None] ** 2) * width).mean(axis=1)
    chlorine = np.exp(-(q**2) * 0.02)
    nuclei = Nuclei.of(crystal)
    expected = (nuclei.incoherent[0] * sodium + nuclei.incoherent[1] * chlorine) / (8 * np.pi) * 1e3
    found = ElasticLine(crystal, nuclei, tensors).incoherent(q)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_displacements_of_another_crystal():
    crystal = Crystal.from_atoms(bulk("Si"))
    with pytest.raises(InputError, match="needed for each of 2 atoms"):
        ElasticLine(crystal, Nuclei.of(crystal), np.eye(3)[None])
