"""What follows from a density of states takes its uncertainty on."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase import Crystal, PhononDOS, load_result
from scatterml_ase.errors import InputError
from scatterml_ase.results.spread import mean_and_spread
from scatterml_ase.results.thermal import GAS_CONSTANT
from scatterml_ase.testing import check_result
from scatterml_ase.units import BOLTZMANN

EDGES = np.linspace(0, 60, 2401)
STRETCHES = 1 + 0.02 * np.array([-1.5, -0.5, 0.5, 1.5]) / np.std([-1.5, -0.5, 0.5, 1.5], ddof=1)


def peak(energy):
    """Return an Einstein peak of three modes at an energy in meV for each of two atoms."""
    place = np.searchsorted(EDGES, energy) - 1
    density = np.zeros((2, len(EDGES) - 1))
    # shared among two bins so that the mean is exact
    centres = (EDGES[1:] + EDGES[:-1]) / 2
    other = place + (1 if energy > centres[place] else -1)
    share = abs(energy - centres[place]) / abs(centres[other] - centres[place])
    width = EDGES[1] - EDGES[0]
    density[:, place], density[:, other] = 3 * (1 - share) / width, 3 * share / width
    return density


@pytest.fixture(scope="module")
def dos():
    mean = peak(30.0)
    samples = np.array([peak(30.0 * stretch) for stretch in STRETCHES])
    return PhononDOS(
        crystal=Crystal.from_atoms(bulk("Si")),
        energy_edges=EDGES,
        total=mean.sum(axis=0),
        partial=mean,
        samples=samples,
        error=samples.sum(axis=1).std(axis=0, ddof=1),
    )


def einstein_capacity(energy, temperature):
    u = energy / (BOLTZMANN * temperature)
    return 6 * GAS_CONSTANT * (u / (2 * np.sinh(u / 2))) ** 2


def test_the_heat_capacity_is_as_unsure_as_its_slope_says(dos):
    """Two per cent on every frequency give 2 % of dC/dlnω."""
    thermal = dos.thermal([100.0, 300.0])
    for temperature, error in zip((100.0, 300.0), thermal.heat_capacity_error, strict=True):
        higher, lower = (einstein_capacity(30 * x, temperature) for x in (1.001, 0.999))
        assert error == pytest.approx(0.02 * abs(higher - lower) / 0.002, rel=0.02)


def test_the_entropy_is_as_unsure_as_the_heat_capacity_is_large(dos):
    """Entropies depend on ω/T alone: dS/dlnω = −dS/dlnT = −C."""
    temperatures = np.array([100.0, 300.0, 3000.0])
    thermal = dos.thermal(temperatures)
    capacity = einstein_capacity(30.0, temperatures)
    np.testing.assert_allclose(thermal.entropy_error, 0.02 * capacity, rtol=0.01)


def test_at_absolute_zero_only_the_zero_point_energy_is_unsure(dos):
    thermal = dos.thermal(0.0)
    assert thermal.heat_capacity_error[0] == thermal.entropy_error[0] == 0
    assert thermal.free_energy_error[0] == pytest.approx(0.02 * thermal.zero_point_energy, rel=1e-3)
    assert thermal.internal_energy_error[0] == thermal.free_energy_error[0]


def test_each_error_is_the_spread_of_the_samples_own_properties(dos):
    """All samples at once give what they give one by one."""
    temperatures = [0.0, 20.0, 300.0]
    alone = [
        replace(dos, total=one.sum(axis=0), partial=one, samples=None, error=None).thermal(
            temperatures
        )
        for one in dos.samples
    ]
    together = dos.thermal(temperatures)
    names = ("heat_capacity", "entropy", "free_energy", "internal_energy")
    for name in (*names, "debye_temperature"):
        expected = np.std([getattr(one, name) for one in alone], axis=0, ddof=1)
        found = getattr(together, f"{name}_error")
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    expected = np.std([one.isotropic_displacements for one in alone], axis=0, ddof=1)
    np.testing.assert_allclose(together.isotropic_displacement_error, expected, rtol=1e-9)


def test_atoms_have_their_own_errors(dos):
    """U goes as coth(x/2)/ω, x = ħω/kT: dlnU/dlnω = −(1 + x/sinh x)."""
    samples = np.array(dos.samples)
    samples[:, 0] = dos.partial[0]
    thermal = replace(dos, samples=samples).thermal([300.0])
    sure, unsure = thermal.isotropic_displacement_error[0]
    assert sure < 1e-12
    x = 30 / (BOLTZMANN * 300)
    slope = 1 + x / np.sinh(x)
    expected = 0.02 * slope * thermal.isotropic_displacements[0, 1]
    assert unsure == pytest.approx(expected, rel=0.01)


def test_the_mean_energy_has_an_error_in_the_unit_of_the_dos(dos):
    assert dos.mean_energy_error == pytest.approx(0.02 * 30, rel=1e-3)
    assert dos.to("THz").mean_energy_error == pytest.approx(0.02 * 30 / 4.135667, rel=1e-3)


def test_nothing_is_unsure_without_samples(dos):
    sure = replace(dos, samples=None)
    thermal = sure.thermal([300.0])
    errors = [name for name in vars(thermal) if name.endswith("_error")]
    assert len(errors) == 6
    assert all(getattr(thermal, name) is None for name in errors)
    assert sure.mean_energy_error is None


def test_hot_crystals_have_sure_heat_capacities_and_unsure_free_energies(dos):
    """At high temperature C is classical, and F shifts by kT for each relative shift of ω."""
    thermal = dos.thermal([3000.0])
    assert thermal.heat_capacity_error[0] < 1e-3 * thermal.heat_capacity[0]
    expected = 6 * GAS_CONSTANT * 3000 * 0.02 * 1e-3  # kJ/mol
    assert thermal.free_energy_error[0] == pytest.approx(expected, rel=0.01)
    assert thermal.debye_temperature_error == pytest.approx(
        0.02 * thermal.debye_temperature, rel=0.01
    )
    displacement = thermal.isotropic_displacements[0]
    np.testing.assert_allclose(
        thermal.isotropic_displacement_error[0], 0.04 * displacement, rtol=0.02
    )


def test_errors_follow_the_basis(dos):
    cell, atom = (dos.thermal([200.0]).per(basis) for basis in ("cell", "atom"))
    np.testing.assert_allclose(atom.entropy_error, cell.entropy_error / 2)
    assert atom.debye_temperature_error == cell.debye_temperature_error


def test_errors_and_samples_survive_files_and_units(dos, tmp_path):
    dos.save(tmp_path / "dos.nxs")
    again = load_result(tmp_path / "dos.nxs")
    np.testing.assert_allclose(again.samples, dos.samples)
    thermal = again.thermal([100.0])
    thermal.save(tmp_path / "thermal.nxs")
    read = load_result(tmp_path / "thermal.nxs")
    np.testing.assert_allclose(read.heat_capacity_error, thermal.heat_capacity_error)
    converted = dos.to("THz")
    edges = converted.energy_edges
    np.testing.assert_allclose((converted.samples * np.diff(edges)).sum(axis=2), 3)


def test_a_broadened_density_keeps_samples_and_its_error(dos):
    broad = dos.broadened(2.0)
    np.testing.assert_allclose(broad.error, broad.samples.sum(axis=1).std(axis=0, ddof=1))
    assert broad.error.max() < dos.error.max()


def test_what_has_samples_keeps_the_contract_of_results(dos):
    coarse = replace(
        dos,
        energy_edges=EDGES[::200],
        **{
            name: getattr(dos, name).reshape(*getattr(dos, name).shape[:-1], -1, 200).mean(axis=-1)
            for name in ("total", "partial", "samples", "error")
        },
    )
    check_result(coarse)
    check_result(coarse.thermal([0.0, 100.0, 300.0]))
    plt.close("all")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda samples: samples[:1], "takes two samples"),
        (lambda samples: samples[:0], "takes two samples"),
        (lambda samples: samples[0], "3 dimensions"),
        (lambda samples: samples[..., :-1], "'energy' has size 2400"),
        (lambda samples: samples[:, :1], "'atom' has size 2"),
    ],
)
def test_samples_of_other_shapes_are_refused(dos, change, message):
    with pytest.raises(InputError, match=message):
        replace(dos, samples=change(dos.samples))


def test_samples_of_another_crystal_are_refused(dos):
    with pytest.raises(InputError, match="has 2 atoms in its primitive cell"):
        replace(dos, partial=None, samples=dos.samples[:, :1])


# -- several results ---------------------------------------------------------------------------


def test_the_members_of_an_ensemble_become_the_samples_of_their_mean(dos):
    """So heat capacities of a committee have standard deviations too."""
    members = [
        replace(dos, total=one.sum(axis=0), partial=one, samples=None, error=None)
        for one in dos.samples
    ]
    mean = mean_and_spread(members)
    np.testing.assert_array_equal(mean.samples, dos.samples)
    np.testing.assert_allclose(mean.error, dos.error)
    np.testing.assert_allclose(
        mean.thermal(200.0).heat_capacity_error, dos.thermal(200.0).heat_capacity_error
    )
    bare = [replace(one, partial=None) for one in members]
    assert mean_and_spread(bare).samples is None


def test_samples_of_members_are_taken_together(dos):
    """Equal members do not make sure what each of them is unsure of."""
    both = mean_and_spread([dos, dos])
    assert both.samples.shape == (8, *dos.partial.shape)
    np.testing.assert_allclose(both.error, np.sqrt(8 / 7 * 3 / 4) * dos.error)
    np.testing.assert_allclose(both.error, both.samples.sum(axis=1).std(axis=0, ddof=1))
    with pytest.raises(InputError, match=r"have 4, 3 samples.*as many"):
        mean_and_spread([dos, replace(dos, samples=dos.samples[1:])])
    with pytest.raises(InputError, match="1 of 2 results have no samples"):
        mean_and_spread([dos, replace(dos, samples=None)])


# -- pictures ----------------------------------------------------------------------------------


def test_thermal_properties_are_drawn_with_their_bands(dos):
    thermal = dos.thermal([100.0, 200.0, 300.0])
    left = thermal.plot()
    right = left.figure.axes[1]
    assert [len(left.collections), len(right.collections)] == [2, 1]
    outline = left.collections[0].get_paths()[0].vertices[:, 1]
    highest = (thermal.heat_capacity + thermal.heat_capacity_error).max()
    assert outline.max() == pytest.approx(highest)
    sure = replace(dos, samples=None).thermal([100.0, 200.0, 300.0]).plot()
    assert len(sure.collections) == 0
    plt.close("all")


def test_a_single_temperature_is_drawn_with_its_error(dos):
    thermal = dos.thermal(100.0)
    left = thermal.plot()
    label = left.get_legend().get_texts()[0].get_text()
    assert label.endswith(f"± {thermal.heat_capacity_error[0]:.2g}")
    assert len(left.collections) == 2  # the bars of C and S
    plt.close("all")
