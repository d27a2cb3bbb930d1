"""Multiple scattering as a background: its shape, and its share in a fit."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase import Crystal, IncoherentScattering, PhononDOS
from scatterml_ase.errors import InputError
from scatterml_ase.scattering.multiple import MultipleScattering
from scatterml_ase.testing import check_analyzer, check_result

EDGES = np.linspace(-100, 100, 201)


@pytest.fixture(scope="module")
def dos():
    """Make a Debye spectrum up to 40 meV."""
    edges = np.linspace(0.0, 40.0, 161)
    total = 3 * np.diff(edges**3) / 40.0**3 / np.diff(edges)
    return PhononDOS(
        crystal=Crystal.from_atoms(bulk("V", a=3.024)), energy_edges=edges, total=total,
        partial=total[None], provenance={"source": "a test"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def once(dos):
    bins = {"q_edges": np.linspace(2, 5, 13), "energy_edges": EDGES}
    return IncoherentScattering(300, order=1, **bins)(dos)


def test_two_collisions_fold_the_spectrum_of_one_with_itself(dos):
    one, two = (
        MultipleScattering(300, phonons=n, energy_edges=EDGES)(dos).intensity[0] for n in (1, 2)
    )
    folded = np.convolve(one, one)  # centres of bins add up to edges
    folded = (folded[99:299] + folded[100:300]) / 2
    np.testing.assert_allclose(two / two.sum(), folded / folded.sum(), atol=2e-3 * two.max())


def test_energies_reach_as_far_as_the_phonons_together(dos):
    """At 0 K neutrons only lose energy: up to that of two phonons, twice that of one."""
    centres = (EDGES[1:] + EDGES[:-1]) / 2
    for phonons, top in ((1, 40.0), (2, 80.0)):
        shape = MultipleScattering(0.0, phonons=phonons, energy_edges=EDGES)(dos).intensity[0]
        assert np.all(shape[(centres < -1) | (centres > top + 1)] < 1e-9 * shape.max())
        assert shape[np.abs(centres - 0.9 * top).argmin()] > 1e-3 * shape.max()


def test_the_shape_is_the_same_at_every_q(dos):
    shape = MultipleScattering(300, energy_edges=EDGES)(dos)
    fine = shape.rebinned(np.linspace(0.3, 12, 14))
    assert fine.mask.all()
    assert np.ptp(fine.intensity, axis=0).max() == pytest.approx(0, abs=1e-12)


def test_its_share_is_found_again(dos, once):
    """Scale · once + strength · multiple + a constant, with noise: each within its error."""
    multiple = MultipleScattering(300, energy_edges=EDGES, q_max=5.0)(dos)
    truth = 30 * once.intensity + 120 * multiple.intensity + 0.4
    error = np.full(truth.shape, 0.003 * truth.max())
    noise = error * np.random.default_rng(1).normal(size=truth.shape)
    measured = replace(
        once, intensity=truth + noise, error=error, parts=None, part_names=(), scale="arbitrary"
    )
    found = once.compare(measured, components={"multiple": multiple})
    assert abs(found.scale - 30) < 4 * found.scale_error
    assert abs(found.component_scales[0] - 120) < 4 * found.component_errors[0]
    assert found.component_errors[0] < 3
    assert np.all(np.abs(found.background - 0.4) < 4 * found.background_error)
    assert found.chi2_per_degree == pytest.approx(1, abs=0.1)
    assert found.degrees_of_freedom == truth.size - 3
    without = once.compare(measured)
    assert without.chi2 > 1.5 * found.chi2
    assert abs(without.scale - 30) > 10 * without.scale_error


def test_components_are_part_of_the_fit_and_of_the_picture(dos, once, tmp_path):
    multiple = MultipleScattering(300, energy_edges=EDGES)(dos)
    measured = replace(
        once, intensity=once.intensity + 0.3 * multiple.intensity, parts=None, part_names=()
    )
    found = once.compare(measured, background="none", components={"twice": multiple})
    assert found.component_scales[0] == pytest.approx(0.3, rel=1e-6)
    np.testing.assert_allclose(
        found.fitted, found.scale * once.intensity + found.components[0], rtol=1e-9
    )
    labels = [line.get_label() for line in found.plot().get_lines()]
    assert "twice" in labels
    assert "1 × simulated + twice + background" in labels
    check_result(found)
    assert "multiple_scattering" in found.provenance["components"]["twice"]


def test_a_negative_share_is_warned_of(dos, once):
    multiple = MultipleScattering(300, energy_edges=EDGES)(dos)
    measured = replace(
        once, intensity=once.intensity - 0.3 * multiple.intensity, parts=None, part_names=()
    )
    with pytest.warns(UserWarning, match=r"The twice fits with a scale of -0\.3"):
        once.compare(measured, background="none", components={"twice": multiple})


def test_equal_components_cannot_be_told_apart(dos, once):
    multiple = MultipleScattering(300, energy_edges=EDGES)(dos)
    with pytest.raises(InputError, match="cannot be told apart"):
        once.compare(once, components={"a": multiple, "b": multiple})


def test_contract_and_default_bins(dos):
    check_analyzer(MultipleScattering(300, energy_edges=EDGES), dos)
    sqw = MultipleScattering(300)(dos)
    check_result(sqw)
    assert (sqw.energy_transfer[0], sqw.energy_transfer[-1]) == (-80.0, 80.0)


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"phonons": 3}, "phonons=3 is not known"), ({"q_max": 0.0}, "q_max=0.0 is no length")],
)
def test_impossible_options_are_explained(dos, options, reason):
    with pytest.raises(InputError, match=reason):
        MultipleScattering(300, **options)(dos)
