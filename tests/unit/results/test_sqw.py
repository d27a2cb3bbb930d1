"""S(Q, E) maps: units, cuts, files, pictures."""

import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase import load_result
from scatterml_ase.errors import InputError
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.cut import SqwCut
from scatterml_ase.results.sqw import SqwMap


def make_map(**changes):
    q, energy = np.linspace(0, 6, 13), np.linspace(-10, 40, 51)
    x, y = np.meshgrid((q[1:] + q[:-1]) / 2, (energy[1:] + energy[:-1]) / 2, indexing="ij")
    fields = {
        "crystal": Crystal.from_atoms(bulk("NaCl", "rocksalt", a=5.64)),
        "q": q,
        "energy_transfer": energy,
        "intensity": x**2 * np.exp(-((y - 15) ** 2) / 20),
        "mask": x < 5,
        "temperature": 300.0,
    }
    return SqwMap(**{**fields, **changes})


def test_what_is_not_measured_is_nan():
    sqw = make_map()
    assert np.isnan(sqw.intensity[~sqw.mask]).all()
    assert np.isfinite(sqw.intensity[sqw.mask]).all()


def test_without_a_mask_nan_means_not_measured():
    intensity = np.ones((12, 50))
    intensity[3, 4] = np.nan
    sqw = make_map(intensity=intensity, mask=None)
    assert sqw.mask.sum() == 599


def test_units_take_the_jacobian():
    """The integral over energy is what it was."""
    sqw = make_map()
    other = sqw.to("THz")
    assert other.unit_of("intensity") == "mbarn/sr/THz"
    one = np.nansum(sqw.intensity * np.diff(sqw.energy_transfer))
    two = np.nansum(other.intensity * np.diff(other.energy_transfer))
    assert two == pytest.approx(one, rel=1e-12)


def test_per_formula_unit_and_back():
    sqw = make_map(error=np.ones((12, 50)))
    formula = sqw.per("formula_unit")
    np.testing.assert_allclose(formula.intensity, 2 * sqw.intensity)
    np.testing.assert_allclose(formula.error, 2 * sqw.error)
    np.testing.assert_allclose(formula.per("atom").intensity, sqw.intensity)
    with pytest.raises(InputError, match="formula_unit"):
        sqw.per("mole")


def test_cut_along_energy_is_the_mean_over_q():
    sqw = make_map()
    cut = sqw.cut(q=(2, 4))
    chosen = (sqw.q_centres > 2) & (sqw.q_centres < 4)
    np.testing.assert_allclose(cut.intensity, sqw.intensity[chosen].mean(axis=0))
    np.testing.assert_array_equal(cut.energy_transfer, sqw.energy_transfer)
    assert cut.q is None
    np.testing.assert_array_equal(cut.q_range, (2, 4))
    assert cut.energy_range is None


def test_cut_along_q_skips_what_is_not_measured():
    cut = make_map().cut(energy=(10, 20))
    assert np.isnan(cut.intensity[-2:]).all()
    assert np.isfinite(cut.intensity[:-2]).all()


def test_cuts_propagate_errors():
    cut = make_map(error=np.full((12, 50), 0.2)).cut(q=(1, 3))
    np.testing.assert_allclose(cut.error, 0.2 / 2)


@pytest.mark.parametrize("ranges", [{}, {"q": (1, 2), "energy": (1, 2)}])
def test_a_cut_needs_one_range(ranges):
    with pytest.raises(InputError, match="one range"):
        make_map().cut(**ranges)


def test_an_empty_cut_is_explained():
    with pytest.raises(InputError, match="holds no bin"):
        make_map().cut(q=(50, 60))


def test_broadening_in_both_directions():
    sqw = make_map(mask=None)
    wide = sqw.broadened(energy_fwhm=3.0, q_fwhm=lambda q: 0.1 + 0 * q)
    middle = slice(2, -2)
    np.testing.assert_allclose(
        wide.intensity.sum(axis=1)[middle], sqw.intensity.sum(axis=1)[middle], rtol=0.02
    )
    assert wide.intensity.max() < sqw.intensity.max()


@pytest.mark.parametrize("name", ["q", "energy_transfer"])
def test_edges_must_ascend(name):
    for edges in ([3, 2, 1], "abc", [[0, 1], [2]]):
        with pytest.raises(InputError, match="bin edges"):
            make_map(**{name: edges})


def test_shapes_must_fit():
    with pytest.raises(InputError, match="intensity"):
        make_map(intensity=np.ones((3, 3)), mask=None)


def test_files_keep_everything(tmp_path):
    kinematics = {"geometry": "direct", "fixed_energy": 60.0, "two_theta": [[3, 135]]}
    sqw = make_map(kinematics=kinematics, relative_error=0.03, labels=((0, "Γ"),))
    back = load_result(sqw.save(tmp_path / "map.nxs"))
    np.testing.assert_array_equal(back.intensity, sqw.intensity)
    np.testing.assert_array_equal(back.mask, sqw.mask)
    assert back.mask.dtype == bool
    assert back.relative_error == 0.03
    assert dict(back.kinematics)["fixed_energy"] == 60.0
    cut = sqw.cut(q=(1, 3))
    again = SqwCut.load(cut.save(tmp_path / "cut.nxs"))
    np.testing.assert_array_equal(again.intensity, cut.intensity)
    assert again.axes == ("energy_transfer",)


def test_csv_and_xarray(tmp_path):
    sqw = make_map()
    lines = sqw.to_csv(tmp_path / "map.csv").read_text().splitlines()
    assert len(lines) == 601
    assert sqw.to_xarray()["intensity"].attrs["units"] == "mbarn/sr/meV"
    assert len(sqw.cut(energy=(0, 20)).to_csv(tmp_path / "cut.csv").read_text().splitlines()) == 13


def test_powder_picture_has_units_borders_and_a_colour_bar():
    import matplotlib.pyplot as plt

    kinematics = {"geometry": "direct", "fixed_energy": 60.0, "two_theta": [[3, 135]]}
    ax = make_map(kinematics=kinematics).plot()
    assert "Å" in ax.get_xlabel()
    assert "meV" in ax.get_ylabel()
    assert len(ax.lines) == 2
    assert "mbarn" in ax.figure.axes[1].get_ylabel()
    ax.figure.canvas.draw()
    plt.close(ax.figure)


def test_path_picture_names_special_points():
    import matplotlib.pyplot as plt

    sqw = make_map(
        axis="path",
        distance=np.linspace(0, 6, 12),
        labels=((0, "Γ"), (5, "X"), (5, "X"), (11, "L")),
    )
    ax = sqw.plot(log=True)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["Γ", "X", "L"]
    ax.figure.canvas.draw()
    plt.close(ax.figure)


def test_cut_pictures():
    import matplotlib.pyplot as plt

    sqw = make_map(error=np.full((12, 50), 0.2))
    figure, (left, right) = plt.subplots(1, 2)
    assert "Energy" in sqw.cut(q=(1, 3)).plot(left).get_xlabel()
    assert "|Q|" in sqw.cut(energy=(10, 20)).plot(right).get_xlabel()
    figure.canvas.draw()
    plt.close(figure)


def test_the_range_of_a_cut_is_converted_like_its_axes(tmp_path):
    cut = make_map().cut(energy=(10, 20)).to("eV").to("nm^-1")
    np.testing.assert_allclose(cut.energy_range, (0.01, 0.02))
    back = SqwCut.load(cut.save(tmp_path / "cut.nxs"))
    np.testing.assert_array_equal(back.energy_range, cut.energy_range)
    np.testing.assert_allclose(make_map().cut(q=(1, 3)).to("nm^-1").q_range, (10, 30))


def test_a_cut_through_a_single_bin_can_be_drawn():
    import matplotlib.pyplot as plt

    cut = (
        make_map(q=[1, 2], energy_transfer=[5, 50], intensity=[[3.0]], mask=None)
        .per("cell")
        .cut(q=(1, 2))
    )
    ax = cut.plot()
    ax.figure.canvas.draw()
    assert ax.get_xlim() == (5, 50)
    assert ax.lines[0].get_marker() == "o"
    assert "/ cell" in ax.get_ylabel()
    plt.close(ax.figure)


def test_a_cut_along_a_path_is_no_function_of_the_length_of_q():
    import matplotlib.pyplot as plt

    ax = make_map(axis="path").cut(energy=(10, 20)).plot()
    assert "|Q|" not in ax.get_xlabel() + ax.get_ylabel()
    plt.close(ax.figure)
