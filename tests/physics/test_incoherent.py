"""Everything a powder scatters: coherent, incoherent, by one phonon and by many."""

from dataclasses import replace

import numpy as np
import pytest

from scatterml_ase import IncoherentScattering, PowderScattering
from scatterml_ase.errors import AccuracyWarning, InputError, StabilityWarning
from scatterml_ase.physics.lengths import nuclide
from scatterml_ase.scattering import converged_dos
from scatterml_ase.testing import check_analyzer
from scatterml_ase.units import HBAR2_PER_AMU

QUIET = {"progress": False}
BINS = {"q_edges": np.linspace(3, 9, 7), "energy_edges": np.linspace(-160, 400, 281)}
OWN = {"incoherent_cross_sections": {"Si": 0.8, "C": 0.3}}  # as large as the coherent ones


@pytest.fixture(scope="module")
def everything(zincblende):
    return PowderScattering(
        300.0, tolerance=0.05, order="all", incoherent=True, **OWN, **BINS, **QUIET
    )(zincblende)


def test_one_call_gives_all_parts(everything):
    assert everything.part_names == (
        "coherent 1", "incoherent 1", "2 phonons", "3 phonons", "4 phonons", "beyond",
    )  # fmt: skip
    told = everything.provenance
    assert told["powder"]["truncation_error"] < 1e-12
    assert told["powder"]["dos_mesh"] > (10, 10, 10)
    assert told["incoherent_cross_sections_barn"] == {"Si": 0.8, "C": 0.3}
    shares = np.nansum(everything.parts, axis=(1, 2))
    assert (shares > 0).all()


def test_the_coherent_part_is_what_it_is_alone(everything, zincblende):
    alone = PowderScattering(300.0, tolerance=0.05, **BINS, **QUIET)(zincblende)
    np.testing.assert_array_equal(alone.mask, everything.mask)
    np.testing.assert_array_equal(alone.intensity, everything.parts[0])
    assert alone.parts is None
    assert everything.relative_error < alone.relative_error


def test_the_rest_is_that_of_incoherent_scattering(everything, zincblende):
    rest = IncoherentScattering(300.0, **OWN, **BINS)(zincblende)
    found = np.where(everything.mask, everything.parts[1:], 0.0)
    expected = np.where(everything.mask, rest.parts, 0.0)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_first_moment_of_everything_is_the_recoil_energy(everything, zincblende):
    """No Debye–Waller factor is left: what it takes from one phonon others give back."""
    moment = np.nansum(everything.intensity * everything.energy_centres, axis=1) * 2.0
    q = everything.q
    squares = np.diff(q**3) / 3 / np.diff(q)
    strengths = [
        (abs(nuclide(name).coherent_length) ** 2 / 100 + sigma / (4 * np.pi)) / mass
        for (name, sigma), mass in zip(
            OWN["incoherent_cross_sections"].items(), zincblende.crystal.masses, strict=True
        )
    ]
    expected = 1000 * HBAR2_PER_AMU / 2 * squares * np.mean(strengths)
    np.testing.assert_allclose(moment, expected, rtol=0.01)
    assert moment.sum() == pytest.approx(expected.sum(), rel=2e-3)


@pytest.mark.parametrize(
    ("order", "incoherent", "names"),
    [
        (1, True, ("coherent 1", "incoherent 1")),
        (3, False, ("coherent 1", "2 phonons", "3 phonons")),
        (2, True, ("coherent 1", "incoherent 1", "2 phonons")),
    ],
)
def test_orders_and_incoherence_are_chosen_apart(zincblende, order, incoherent, names):
    options = {"q_edges": [3, 5], "energy_edges": np.linspace(5, 250, 50), "tolerance": 0.3}
    sqw = PowderScattering(order=order, incoherent=incoherent, **options, **QUIET)(zincblende)
    assert sqw.part_names == names


def test_without_incoherence_only_lengths_count(zincblende):
    """σ_coh alone beyond one phonon; the table is not asked for σ_inc."""
    options = {"q_edges": [6, 8], "energy_edges": np.linspace(5, 250, 50), "tolerance": 0.3}
    coherent = PowderScattering(order=2, **options, **QUIET)(zincblende)
    both = PowderScattering(order=2, incoherent=True, **OWN, **options, **QUIET)(zincblende)
    assert np.nansum(both.part("2 phonons").intensity) > 1.1 * np.nansum(
        coherent.part("2 phonons").intensity
    )


def test_uniaxial_crystals_keep_the_recoil(wurtzite):
    """The Debye–Waller factor is averaged over directions; the first moment stays."""
    edges = np.linspace(-350, 650, 1001)
    sqw = IncoherentScattering(
        300.0, one_phonon="total", q_edges=[6, 7], energy_edges=edges,
        incoherent_cross_sections={"Zn": 1.0, "O": 1.0},
        scattering_lengths={"Zn": 0.0, "O": 0.0},
    )(wurtzite)  # fmt: skip
    moment = np.sum(sqw.intensity * sqw.energy_centres * np.diff(edges), axis=1)[0]
    masses = wurtzite.crystal.masses
    squares = (7**3 - 6**3) / 3
    expected = 1000 / (4 * np.pi) * HBAR2_PER_AMU / 2 * squares * np.mean(1 / masses)
    assert moment == pytest.approx(expected, rel=1e-4)


def test_anisotropy_changes_the_map(wurtzite):
    """By little here; force constants know it, their density of states does not."""
    options = {"q_edges": [9, 10], "energy_edges": np.linspace(0, 150, 31), **{"order": 2}}
    tensors = IncoherentScattering(600.0, **options)(wurtzite)
    isotropic = IncoherentScattering(600.0, **options)(converged_dos.converged_dos(wurtzite))
    difference = np.abs(tensors.intensity - isotropic.intensity).sum()
    assert 1e-5 < difference / isotropic.intensity.sum() < 0.05


def test_the_density_of_states_is_converged(zincblende):
    dos = converged_dos.converged_dos(zincblende)
    dense = zincblende.dos((44, 44, 44))
    assert converged_dos.change(dos, dense) < 0.01
    np.testing.assert_allclose(np.sum(dos.partial * dos.widths, axis=1), 3.0, rtol=1e-9)


def test_a_mesh_that_cannot_be_made_denser_is_judged_by_a_coarser_one(zincblende, monkeypatch):
    """In large cells the first mesh is the last: how good it is is told all the same."""
    monkeypatch.setattr(converged_dos, "_MOST_MODES", 1.0)
    monkeypatch.setattr(converged_dos, "_TOLERABLE", 1e-4)
    with pytest.warns(AccuracyWarning, match="still changes by"):
        converged_dos.converged_dos(zincblende)


def test_displacements_of_ones_own_do_not_fit_many_phonons(zincblende):
    displacements = np.tile(0.005 * np.eye(3), (2, 1, 1))
    for options in ({"order": "all"}, {"incoherent": True}):
        with pytest.raises(InputError, match="follow from the same modes"):
            PowderScattering(displacements=displacements, **options, **QUIET)(zincblende)


@pytest.mark.parametrize("order", [0, -1, "every", True])
def test_bad_orders_are_explained(zincblende, order):
    with pytest.raises(InputError, match="number of phonons"):
        PowderScattering(order=order, **QUIET)(zincblende)


def test_imaginary_modes_are_missing_from_all_parts(zincblende):
    blocks = np.array(zincblende.blocks)
    own = (zincblende.pairs[:, 0] == zincblende.pairs[:, 1]) & ~zincblende.cell_shifts.any(axis=1)
    blocks[own] -= 8.0 * np.eye(3)  # a negative spring to the ground
    soft = replace(zincblende, blocks=blocks)
    with pytest.warns(StabilityWarning, match="of the sampled modes are imaginary"):
        sqw = IncoherentScattering(300.0, q_edges=[2, 3], energy_edges=[5, 50, 150])(soft)
    assert 0.0 < sqw.imaginary_share < 1.0
    assert np.isfinite(sqw.intensity).all()


def test_the_contract(zincblende):
    options = {"q_edges": [1, 2], "energy_edges": [5, 60, 150], "tolerance": 0.3}
    check_analyzer(PowderScattering(order="all", incoherent=True, **options, **QUIET), zincblende)
