"""Incoherent scattering of powders from densities of states: units, parts, bins, bad input."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from scatterml_ase import IncoherentScattering, Instrument, SqwMap
from scatterml_ase.errors import InputError, StabilityWarning
from scatterml_ase.physics import multiphonon
from scatterml_ase.physics.lengths import incoherent_cross_sections, nuclide
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.dos import PhononDOS
from scatterml_ase.testing import check_analyzer, check_result
from scatterml_ase.units import HBAR2_PER_AMU

BINS = {"q_edges": np.linspace(0, 12, 13), "energy_edges": np.linspace(-150, 400, 276)}


def debye(top, edges):
    """Return a Debye spectrum of three modes on bins."""
    return 3 * np.diff(np.minimum(edges, top) ** 3) / top**3 / np.diff(edges)


@pytest.fixture
def hydride():
    """ZrH2 in the fluorite structure: heavy atoms below 25 meV, hydrogen around 140 meV."""
    atoms = bulk("ZrH2", "fluorite", a=4.78)
    edges = np.linspace(0.0, 160.0, 321)
    optic = np.exp(-(((edges[1:] + edges[:-1]) / 2 - 140) ** 2) / 50)
    hydrogen = 0.03 * debye(25.0, edges) + 0.97 * 3 * optic / optic.sum() / 0.5
    partial = np.array([debye(25.0, edges), hydrogen, hydrogen])
    return PhononDOS(
        crystal=Crystal.from_atoms(atoms),
        energy_edges=edges,
        total=partial.sum(axis=0),
        partial=partial,
        provenance={"source": "a test"},
    )


def test_absolute_units(hydride):
    """Integrated over energy, all orders are σ/4π (1 − exp(−2W)), summed over atoms, per atom."""
    sqw = IncoherentScattering(
        20.0, one_phonon="total", q_edges=[5.99, 6.01], energy_edges=np.linspace(-50, 4000, 811)
    )(hydride)
    total = np.sum(sqw.intensity * np.diff(sqw.energy_transfer))
    counts = hydride.partial * hydride.widths / 3
    expected = 0.0
    for number, share in zip(("Zr", "H", "H"), counts, strict=True):
        mass = {"Zr": 91.224, "H": 1.008}[number]
        one = multiphonon.one_phonon_spectrum(hydride.energy_edges, share, 20.0, 0.1)
        sigma = nuclide(number)
        barn = 4 * np.pi * abs(sigma.coherent_length) ** 2 / 100 + sigma.incoherent_cross_section
        expected += barn / (4 * np.pi) * -np.expm1(-36 * one.displacement(mass)) * 1000 / 3
    assert total == pytest.approx(expected, rel=2e-4)


def test_first_moment_of_the_map(hydride):
    """∫ E S dE is Σ σ/4π ħ²Q²/2M: every shell, all energies that can be reached."""
    edges = np.concatenate([np.arange(-400, 800), np.linspace(800, 6000, 261)])
    sqw = IncoherentScattering(
        300.0, one_phonon="total", q_edges=BINS["q_edges"], energy_edges=edges
    )(hydride)
    moment = np.sum(sqw.intensity * sqw.energy_centres * np.diff(edges), axis=1)
    squares = np.diff(sqw.q**3) / 3 / np.diff(sqw.q)
    expected = sum(
        (4 * np.pi * abs(n.coherent_length) ** 2 / 100 + n.incoherent_cross_section) / m
        for n, m in zip(map(nuclide, ("Zr", "H", "H")), hydride.crystal.masses, strict=True)
    )
    expected = expected / (4 * np.pi) * 1000 / 3 * HBAR2_PER_AMU / 2 * squares
    np.testing.assert_allclose(moment, expected, rtol=3e-5)


def test_parts_add_up_and_are_what_their_names_say(hydride):
    sqw = IncoherentScattering(100.0, **BINS)(hydride)
    names = ("incoherent 1", "2 phonons", "3 phonons", "4 phonons", "beyond")
    assert sqw.part_names == names
    np.testing.assert_allclose(sqw.parts.sum(axis=0), sqw.intensity)
    for order in (1, 2, 4, 7):
        some = IncoherentScattering(100.0, order=order, **BINS)(hydride)
        assert some.part_names == (names[:order] if order < 5 else names)
        count = min(order, 4)
        np.testing.assert_allclose(
            some.parts[:count], sqw.parts[:count], rtol=1e-9, atol=1e-12 * sqw.intensity.max()
        )
    assert (some.parts[-1] <= sqw.parts[-1] * (1 + 1e-9) + 1e-12 * sqw.intensity.max()).all()
    assert sqw.parts[1].max() > 0.05 * sqw.parts[0].max()


def test_one_phonon_scatters_with_the_incoherent_cross_section(hydride):
    """The two choices differ by (σ_coh + σ_inc)/σ_inc where one kind of atom scatters alone."""
    options = {"q_edges": [5, 6], "energy_edges": [120, 160], "order": 1}
    inc = IncoherentScattering(20.0, **options)(hydride)
    total = IncoherentScattering(20.0, one_phonon="total", **options)(hydride)
    assert inc.part_names == ("incoherent 1",)
    assert total.part_names == ("1 phonon",)
    ratio = total.intensity[0, 0] / inc.intensity[0, 0]
    assert ratio == pytest.approx((1.7568 + 80.26) / 80.26, rel=1e-4)


def test_deuterium_scatters_as_itself(hydride):
    """By name or by mass: σ_inc of ²H, not of hydrogen."""
    options = {"q_edges": [5, 6], "energy_edges": [120, 160], "order": 1}
    light = IncoherentScattering(20.0, **options)(hydride)
    named = IncoherentScattering(20.0, scattering_lengths={"H": "D"}, **options)(hydride)
    assert named.intensity[0, 0] / light.intensity[0, 0] == pytest.approx(2.05 / 80.26, rel=1e-6)
    assert named.provenance["incoherent_cross_sections_barn"]["2H"] == 2.05
    masses = [91.224, 2.014, 2.014]
    heavy = replace(hydride, crystal=replace(hydride.crystal, masses=masses))
    by_mass = IncoherentScattering(20.0, **options)(heavy)
    assert by_mass.provenance["incoherent_cross_sections_barn"]["2H"] == 2.05
    # Heavier: 2W is half, so that exp(−2W) 2W is not.
    assert by_mass.intensity[0, 0] != pytest.approx(named.intensity[0, 0], rel=0.1)


def test_own_cross_sections():
    names = ["V", "51V", "H", "H"]
    found = incoherent_cross_sections(names, {"V": 5.2, 3: 0.0})
    np.testing.assert_allclose(found, [5.2, 5.07, 80.26, 0.0])


@pytest.mark.parametrize(
    ("overrides", "message"), [({"Fe": 1.0}, "names Fe"), ({"V": -1.0}, "not possible")]
)
def test_bad_cross_sections_are_explained(overrides, message):
    with pytest.raises(InputError, match=message):
        incoherent_cross_sections(["V"], overrides)


def test_an_atom_without_a_cross_section_is_explained(hydride):
    """Its length may be the user's own: then the table is still asked for σ_inc."""
    crystal = replace(hydride.crystal, numbers=[84, 1, 1], masses=[209.0, 1.008, 1.008])
    options = {"scattering_lengths": {"Po": 5.0}, "q_edges": [1, 2], "energy_edges": [0, 10]}
    dos = replace(hydride, crystal=crystal)
    with pytest.raises(InputError, match="Po"):
        IncoherentScattering(20.0, **options)(dos)
    own = IncoherentScattering(20.0, incoherent_cross_sections={"Po": 0.1}, **options)(dos)
    assert np.isfinite(own.intensity).all()


def test_equivalent_atoms_count_once_and_scatter_twice(hydride):
    """The same crystal with its two hydrogen atoms told apart gives the same map."""
    options = {"temperature": 20.0, "q_edges": [3, 4], "energy_edges": np.linspace(0, 300, 61)}
    one = IncoherentScattering(**options)(hydride)
    given = {1: 80.26, 2: 80.26}
    two = IncoherentScattering(incoherent_cross_sections=given, **options)(hydride)
    np.testing.assert_allclose(one.intensity, two.intensity, rtol=1e-12)
    half = IncoherentScattering(incoherent_cross_sections={1: 0.0, "Zr": 0.02}, **options)(hydride)
    assert half.intensity.sum() < one.intensity.sum()


def test_resolution_keeps_the_content_of_every_part(hydride):
    sharp = IncoherentScattering(20.0, **BINS)(hydride)
    wide = IncoherentScattering(20.0, energy_fwhm=6.0, **BINS)(hydride)
    for one, two in zip(sharp.parts[:2], wide.parts[:2], strict=True):  # three reach the end
        np.testing.assert_allclose(two.sum(axis=1)[2:], one.sum(axis=1)[2:], rtol=1e-3)
    assert wide.parts[0].max() < sharp.parts[0].max()


def test_tosca_sees_two_banks(hydride):
    """An instrument of indirect geometry masks what it cannot see, in every part."""
    sqw = IncoherentScattering(20.0, instrument="TOSCA")(hydride)
    assert 0.0 < sqw.mask.mean() < 0.2
    assert np.isnan(sqw.parts[:, ~sqw.mask]).all()
    assert np.isfinite(sqw.parts[:, sqw.mask]).all()
    assert sqw.kinematics["geometry"] == "indirect"
    assert sqw.energy_transfer[-1] > 1.5 * 160
    assert sqw.provenance["incoherent"]["instrument"]["name"].startswith("TOSCA")


def test_zero_temperature(hydride):
    sqw = IncoherentScattering(0.0, **BINS)(hydride)
    assert sqw.intensity[:, sqw.energy_transfer[1:] <= -4].max() == 0.0
    assert sqw.intensity[:, sqw.energy_transfer[:-1] >= 0].sum() > 0


def test_orders_and_truncation_are_told(hydride):
    sqw = IncoherentScattering(20.0, **BINS)(hydride)
    told = sqw.provenance["incoherent"]
    assert told["order"] == "all"
    assert told["orders"] > 5
    assert told["truncation_error"] < 1e-12
    few = IncoherentScattering(20.0, order=2, **BINS)(hydride).provenance["incoherent"]
    assert few["orders"] == 2
    assert few["truncation_error"] > 0.1
    assert IncoherentScattering(20.0, order=10**6, **BINS)(hydride).provenance["incoherent"] == {
        **told, "order": 10**6,
    }  # fmt: skip


def test_units_of_the_density_do_not_matter(hydride):
    one, two = (IncoherentScattering(20.0, **BINS)(dos) for dos in (hydride, hydride.to("THz")))
    np.testing.assert_allclose(two.intensity, one.intensity, rtol=1e-6, atol=1e-9)


def test_imaginary_modes_are_said_and_left_out(hydride):
    edges = np.concatenate([[-5.0], hydride.energy_edges])
    partial = np.concatenate([np.full((3, 1), 0.06), 0.9 * hydride.partial], axis=1)
    soft = replace(hydride, energy_edges=edges, partial=partial, total=partial.sum(axis=0))
    with pytest.warns(StabilityWarning, match=r"10 % of the sampled modes"):
        sqw = IncoherentScattering(20.0, q_edges=[1, 2], energy_edges=[1, 50, 200])(soft)
    assert sqw.imaginary_share == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -5.0}, "kelvin"),
        ({"order": 0}, "number of phonons"),
        ({"order": 1.5}, "number of phonons"),
        ({"order": "some"}, "number of phonons"),
        ({"one_phonon": "coherent"}, "which cross-section"),
        ({"instrument": "ARCS"}, "incident_energy in meV"),
        ({"instrument": "TOSCA", "incident_energy": 50.0}, "TOSCA"),
        ({"incident_energy": 60}, "without an instrument"),
        ({"q_edges": [3, 2, 1]}, "ascending"),
        ({"q_edges": [-1, 2]}, "length"),
        ({"energy_fwhm": -1.0}, "width"),
        ({"instrument": "TOSCA", "energy_fwhm": 1.0}, "TOSCA has a resolution of its own"),
        ({"scattering_lengths": {"Ga": 7.0}}, "names Ga"),
        ({"q_edges": [0, 3000]}, "smaller"),
    ],
)
def test_bad_options_are_explained(hydride, options, message):
    with pytest.raises(InputError, match=message):
        IncoherentScattering(**options)(hydride)


def test_a_density_without_atoms_is_explained(hydride):
    with pytest.raises(InputError, match="partial part"):
        IncoherentScattering(20.0)(replace(hydride, partial=None))


def test_a_negative_density_is_explained(hydride):
    with pytest.raises(InputError, match="not negative"):
        IncoherentScattering(20.0)(replace(hydride, partial=-hydride.partial))


def test_an_atom_at_rest_is_explained(hydride):
    with pytest.raises(InputError, match="Atom 1 has a partial DOS of zero"):
        IncoherentScattering(20.0)(replace(hydride, partial=hydride.partial * [[1], [0], [1]]))


def test_at_absolute_zero_no_energy_is_gained(hydride):
    """Not even in bins finer than the lattice of energies; warm, both sides differ by exp(E/kT)."""
    bins = {"q_edges": [3, 4], "energy_edges": np.linspace(-0.5, 0.5, 11)}
    cold = IncoherentScattering(0.0, **bins)(hydride)
    assert not cold.intensity[:, :5].any()
    assert cold.intensity[0, 5] > 0
    cool = IncoherentScattering(1.0, **bins)(hydride)
    ratio = cool.intensity[0, 4] / cool.intensity[0, 5]
    assert np.exp(-0.1 / 0.0862) < ratio < 1


def test_the_contract_and_files(hydride, tmp_path):
    analyzer = IncoherentScattering(20.0, q_edges=[1, 2, 3], energy_edges=np.linspace(0, 200, 21))
    check_analyzer(analyzer, hydride)
    sqw = analyzer(hydride)
    check_result(sqw)
    check_result(sqw.cut(q=(1, 3)))
    back = SqwMap.load(sqw.save(tmp_path / "sqw.nxs"))
    assert back.part_names == sqw.part_names
    np.testing.assert_array_equal(back.parts, sqw.parts)


# -- parts of maps --------------------------------------------------------------------------------


@pytest.fixture
def parted(hydride):
    arcs = Instrument.load("ARCS", chopper_frequency=480)
    return IncoherentScattering(300.0, instrument=arcs, incident_energy=400.0)(hydride)


@pytest.mark.parametrize(
    "change",
    [
        lambda sqw: sqw.per("formula_unit"),
        lambda sqw: sqw.to("THz"),
        lambda sqw: sqw.to("cm^-1"),
        lambda sqw: sqw.broadened(energy_fwhm=5.0, q_fwhm=0.3),
        lambda sqw: sqw.with_ki_over_kf(applied=False),
        lambda sqw: sqw.rebinned(q=np.linspace(4, 8, 9)),
        lambda sqw: sqw.rebinned(energy_transfer=np.linspace(0, 200, 41)),
        lambda sqw: sqw.cut(q=(5, 8)),
        lambda sqw: sqw.cut(energy=(100, 150)),
    ],
)
def test_parts_stay_the_sum(parted, change):
    """Whatever is done to the intensity is done to its parts."""
    changed = change(parted)
    assert changed.part_names == parted.part_names
    total = changed.parts.sum(axis=0)
    np.testing.assert_allclose(total, changed.intensity, rtol=1e-9, atol=1e-12)
    assert np.isfinite(changed.intensity).any()
    assert not np.array_equal(changed.parts, parted.parts)


def test_a_part_is_a_map_of_its_own(parted):
    two = parted.part("2 phonons")
    np.testing.assert_array_equal(two.intensity, parted.parts[1])
    assert two.parts is None
    cut = parted.cut(q=(5, 8), part="2 phonons")
    np.testing.assert_allclose(cut.intensity, parted.cut(q=(5, 8)).parts[1])
    with pytest.raises(InputError, match="'2 phonons', '3 phonons'"):
        parted.part("5 phonons")
    with pytest.raises(InputError, match="not taken apart"):
        two.part("2 phonons")


def test_parts_that_do_not_add_up_are_refused(parted):
    with pytest.raises(InputError, match="do not add up"):
        replace(parted, parts=2 * parted.parts)
    with pytest.raises(InputError, match="name of its own"):
        replace(parted, part_names=("one", "two"))
    with pytest.raises(InputError, match="name of its own"):
        replace(parted, parts=None)


def test_stacked_picture(parted):
    import matplotlib.pyplot as plt

    ax = parted.cut(q=(5, 8)).plot_parts()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert set(labels) == {*parted.part_names, "total"}
    ax.figure.canvas.draw()
    plt.close(ax.figure)
    with pytest.raises(InputError, match="no parts"):
        parted.part("beyond").cut(q=(5, 8)).plot_parts()


def test_many_atoms_of_no_symmetry():
    """Every atom is a kind of its own; the map is the mean over them."""
    generator = np.random.default_rng(4)
    atoms = Atoms("HCNO", scaled_positions=generator.uniform(size=(4, 3)), cell=np.diag([5, 6, 7]))
    atoms.pbc = True
    edges = np.linspace(0, 100, 101)
    partial = np.array([debye(top, edges) for top in (90.0, 60.0, 50.0, 40.0)])
    dos = PhononDOS(
        crystal=Crystal.from_atoms(atoms), energy_edges=edges, total=partial.sum(axis=0),
        partial=partial, provenance={"source": "a test"},
    )  # fmt: skip
    options = {"temperature": 50.0, "q_edges": [3, 4], "energy_edges": np.linspace(0, 200, 41)}
    whole = IncoherentScattering(one_phonon="total", **options)(dos)
    singles = []
    for index, symbol in enumerate("HCNO"):
        own = PhononDOS(
            crystal=Crystal.from_atoms(atoms[[index]]), energy_edges=edges,
            total=partial[index], partial=partial[[index]], provenance={"source": "a test"},
        )  # fmt: skip
        singles.append(IncoherentScattering(one_phonon="total", **options)(own).intensity)
        assert own.crystal.symbols == (symbol,)
    np.testing.assert_allclose(whole.intensity, np.mean(singles, axis=0), rtol=2e-3, atol=1e-3)
