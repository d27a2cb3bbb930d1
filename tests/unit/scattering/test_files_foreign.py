"""Files as other programs write them, imitated number by number."""

import h5py
import matplotlib.pyplot as plt
import numpy as np
import pytest

from scatterml_ase.errors import InputError
from scatterml_ase.scattering.files import read_detectors, read_sqw

Q, E = np.linspace(0, 2, 5), np.linspace(-10, 20, 4)
I = np.arange(12.0).reshape(4, 3) + 1  # noqa: E741
VARIANCE = (I / 10) ** 2


def holes(values, *places):
    values = np.array(values, dtype=float)
    for place in places:
        values[place] = np.nan
    return values


def iqe(path, *, turned=False, text=np.bytes_, units=True, centres_only=False):
    """Write an ARCS histogram: ``errors`` holds variances, byte strings or str, axes by index."""
    axes = (("Q", Q, "1e+10*m**-1"), ("energy", E, "1.60218e-22*m**2*kg*s**-2"))
    with h5py.File(path, "w") as file:
        data, variance = holes(I, (0, 0)), holes(VARIANCE, (0, 0))
        data[1, 1] = variance[1, 1] = 0
        file["IQE/data"] = data.T if turned else data
        file["IQE/errors"] = variance.T if turned else variance
        for index, (name, edges, unit) in enumerate(axes):
            axis = file.create_group(f"IQE/grid/{name}")
            axis.attrs["index"] = 1 - index if turned else index
            axis.attrs["name"] = text(name)
            if units:
                axis.attrs["unit"] = text(unit)
            axis["bin centers"] = (edges[1:] + edges[:-1]) / 2
            if not centres_only:
                axis["bin boundaries"] = edges
    return path


@pytest.mark.parametrize("options", [{}, {"turned": True}, {"text": str}, {"centres_only": True}])
def test_iqe_errors_are_variances_and_zero_with_zero_error_is_unknown(options, tmp_path):
    sqw = read_sqw(iqe(tmp_path / "iqe.h5", **options), fixed_energy=80, temperature=300)
    np.testing.assert_allclose(sqw.q, Q, atol=1e-12)
    np.testing.assert_allclose(sqw.energy_transfer, E, atol=1e-12)
    assert not sqw.mask[0, 0]
    assert not sqw.mask[1, 1]
    assert sqw.mask.sum() == 10
    np.testing.assert_allclose(sqw.error[sqw.mask], np.sqrt(VARIANCE)[sqw.mask])
    assert sqw.kinematics["fixed_energy"] == 80
    assert sqw.temperature == 300
    assert (sqw.scale, sqw.ki_over_kf, sqw.crystal) == ("arbitrary", None, None)


def test_missing_units_are_asked_for(tmp_path):
    path = iqe(tmp_path / "iqe.h5", units=False)
    with pytest.raises(InputError, match=r"unit of the wavevector axis 'Q'.*units="):
        read_sqw(path)
    sqw = read_sqw(path, units={"energy": "THz", "wavevector": "nm^-1"})
    np.testing.assert_allclose(sqw.q, Q / 10)
    np.testing.assert_allclose(sqw.energy_transfer, E * 4.135667696, rtol=1e-8)


def mdhisto(path, names=("|Q|", "DeltaE"), units=("Angstrom^-1", "meV"), extra=0):
    """Write a histogram of Mantid: axes D0, D1, …, data reversed, NaN and masked bins."""
    with h5py.File(path, "w") as file:
        entry = file.create_group("MDHistoWorkspace")
        data = entry.create_group("data")
        edges = [Q, E, *(np.array([-0.1, 0.1]) for _ in range(extra))]
        for k, (values, name, unit) in enumerate(zip(edges, names, units, strict=True)):
            data[f"D{k}"] = values
            data[f"D{k}"].attrs["long_name"] = np.bytes_(name)
            data[f"D{k}"].attrs["units"] = np.bytes_(unit)
        shape = (*(1,) * extra, 3, 4)
        data["signal"] = holes(I, (0, 0)).T.reshape(shape)
        data["signal"].attrs["axes"] = np.bytes_(":".join(f"D{k}" for k in range(len(edges))[::-1]))
        data["errors_squared"] = VARIANCE.T.reshape(shape)
        masked = np.zeros((4, 3), dtype=np.int8)
        masked[2, 1] = 1
        data["mask"] = masked.T.reshape(shape)
        entry["experiment0/logs/Ei/value"] = np.array([61.5])
    return path


def test_mdhisto_is_turned_round_and_its_masks_are_kept(tmp_path):
    sqw = read_sqw(mdhisto(tmp_path / "slice.nxs"))
    np.testing.assert_allclose(sqw.intensity[sqw.mask], I[sqw.mask])
    np.testing.assert_allclose(sqw.error[sqw.mask], I[sqw.mask] / 10)
    assert sorted(map(tuple, np.argwhere(~sqw.mask))) == [(0, 0), (2, 1)]
    assert sqw.kinematics["fixed_energy"] == 61.5
    assert sqw.axis == "powder"


@pytest.mark.parametrize(("normalization", "events_count"), [(0, False), (1, False), (2, True)])
def test_sums_over_events_become_means_where_mantid_shows_means(
    normalization, events_count, tmp_path
):
    """BinMD adds up events: how many came into a bin says nothing of how strongly it scatters."""
    path = mdhisto(tmp_path / "slice.nxs")
    events = 1.0 + np.arange(12.0).reshape(4, 3)
    events[3, 0] = 0
    with h5py.File(path, "a") as file:
        entry = file["MDHistoWorkspace"]
        entry["visual_normalization"] = np.array([normalization], dtype=np.uint32)
        entry["data/num_events"] = events.T
    sqw = read_sqw(path)
    assert sqw.mask[3, 0] is np.bool_(not events_count)
    expected = I[sqw.mask] / (events[sqw.mask] if events_count else 1)
    np.testing.assert_allclose(sqw.intensity[sqw.mask], expected)
    np.testing.assert_allclose(sqw.error[sqw.mask], expected / 10)


def test_errors_that_are_all_zero_are_none(tmp_path):
    """Formats that must hold errors hold zeros where nobody knew any; then a count of 0 is one."""
    path = nxspe(tmp_path / "a.nxspe")
    with h5py.File(path, "a") as file:
        file["MAR1234_spe/data/error"][...] = 0
    assert read_detectors(path).error is None
    assert read_sqw(path).error is None
    path = iqe(tmp_path / "iqe.h5")
    with h5py.File(path, "a") as file:
        name = next(n for n in (*file, *(f"{k}/errors" for k in file)) if n.endswith("errors"))
        file[name][...] = 0
    assert read_sqw(path).error is None


def test_a_cut_through_a_crystal_has_axes_of_one_bin(tmp_path):
    names = ("[H,0,0]", "DeltaE", "[0,K,0]", "[0,0,L]")
    units = ("in 1.5 A^-1", "meV", "in 1.5 A^-1", "in 1.5 A^-1")
    sqw = read_sqw(mdhisto(tmp_path / "slice.nxs", names, units, extra=2))
    np.testing.assert_allclose(sqw.q, 1.5 * Q)
    assert sqw.axis == "path"
    ax = sqw.plot()
    assert ax.get_xlabel().startswith("Wavevector")
    plt.close(ax.figure)


def test_reciprocal_lattice_units_need_their_length(tmp_path):
    path = mdhisto(tmp_path / "slice.nxs", ("[H,0,0]", "DeltaE"), ("r.l.u.", "meV"))
    with pytest.raises(InputError, match=r"'r\.l\.u\.' is not known.*Give units"):
        read_sqw(path)
    sqw = read_sqw(path, units={"wavevector": "1.5 A^-1"})
    np.testing.assert_allclose(sqw.q, 1.5 * Q)


def test_an_axis_that_is_neither_q_nor_energy_is_named(tmp_path):
    path = mdhisto(tmp_path / "heating.nxs", ("T", "DeltaE"), ("K", "meV"))
    with pytest.raises(InputError, match=r"wavevector axis 'T'.*'K' is not known"):
        read_sqw(path)
    path = mdhisto(tmp_path / "elastic.nxs", ("|Q|", "T"), ("Angstrom^-1", "K"))
    with pytest.raises(InputError, match=r"'T' \(3 bins\), '\|Q\|' \(4 bins\) is no map"):
        read_sqw(path)


def test_a_volume_is_no_map(tmp_path):
    names, units = ("[H,0,0]", "DeltaE", "[0,K,0]"), ("in 1.5 A^-1", "meV", "in 1.5 A^-1")
    path = mdhisto(tmp_path / "volume.nxs", names, units, extra=1)
    with h5py.File(path, "a") as file:
        data = file["MDHistoWorkspace/data"]
        del data["D2"]
        data["D2"] = np.array([-0.1, 0.0, 0.1])
        data["D2"].attrs["long_name"], data["D2"].attrs["units"] = "[0,K,0]", "in 1.5 A^-1"
    with pytest.raises(InputError, match=r"\[0,K,0\]' \(2 bins\).*Integrate"):
        read_sqw(path)


def nxspe(path, *, turned=False, scaling=1, text=np.bytes_, energies=(50.0,), without=()):
    """Write what detectors measured: a dead one, a masked one, empty bins of those that count."""
    polar = np.array([10.0, 20, 30, 40, 50, 60])
    edges = np.linspace(-10, 30, 9)
    intensity = np.tile(np.arange(8.0), (6, 1))
    error = np.sqrt(intensity)
    intensity[1] = error[1] = 0  # dead
    intensity[2], error[2] = np.nan, 0
    intensity[3], error[3] = -1e30, 0
    values = {
        "polar": polar,
        "polar_width": np.full(6, 10.0),
        "azimuthal": np.zeros(6),
        "azimuthal_width": np.full(6, 360.0),
        "energy": edges,
        "data": intensity.T if turned else intensity,
        "error": error.T if turned else error,
    }
    with h5py.File(path, "w") as file:
        entry = file.create_group("MAR1234_spe")
        entry["definition"] = np.array([b"NXSPE"]) if text is np.bytes_ else "NXSPE"
        entry["program_name"] = np.array([b"mantid"]) if text is np.bytes_ else "mantid"
        entry["NXSPE_info/fixed_energy"] = np.array(energies)
        entry["NXSPE_info/psi"] = np.nan
        if scaling is not None:
            entry["NXSPE_info/ki_over_kf_scaling"] = np.array([scaling], dtype=np.int32)
        entry["instrument/name"] = text("MARI")
        for name in values.keys() - set(without):
            entry[f"data/{name}"] = values[name]
    return path


@pytest.mark.parametrize("options", [{}, {"turned": True}, {"text": str}])
def test_nxspe_tells_dead_detectors_from_empty_bins(options, tmp_path):
    detectors = read_detectors(nxspe(tmp_path / "a.nxspe", **options), temperature=100)
    np.testing.assert_array_equal(
        detectors.mask.any(axis=1), [True, False, False, False, True, True]
    )
    assert detectors.mask[0].all()  # a bin without counts of a detector that counts is measured
    assert detectors.provenance["instrument"] == "MARI"
    assert detectors.temperature == 100
    assert detectors.ki_over_kf is True
    sqw = read_sqw(tmp_path / "a.nxspe", q=np.arange(0, 6, 0.25))
    assert not sqw.mask[:, 0].any()  # zero counts with zero error: nothing is known
    assert sqw.mask[:, 1:].any(axis=0).all()


@pytest.mark.parametrize(("scaling", "flag"), [(0, False), (None, None)])
def test_nxspe_says_whether_kf_over_ki_is_in(scaling, flag, tmp_path):
    assert read_sqw(nxspe(tmp_path / "a.nxspe", scaling=scaling)).ki_over_kf is flag


def test_nxspe_of_several_analysers_is_refused(tmp_path):
    path = nxspe(tmp_path / "a.nxspe", energies=[2.0, 2.0, 5.0])
    with pytest.raises(InputError, match="fixed energies from 2 to 5 meV"):
        read_sqw(path)
    with pytest.raises(InputError, match="does not say the energy"):
        read_sqw(nxspe(tmp_path / "b.nxspe", energies=[np.nan]))
    found = read_detectors(tmp_path / "b.nxspe", fixed_energy=2.0)
    assert found.geometry == "indirect"  # neutrons lose up to 30 meV


@pytest.mark.parametrize("name", ["error", "polar_width", "energy"])
def test_what_is_missing_in_nxspe_is_named(name, tmp_path):
    with pytest.raises(InputError, match=f"as 'nxspe'.*no data set '{name}'"):
        read_sqw(nxspe(tmp_path / "a.nxspe", without=[name]))


def nxdata(path, *, style="attributes", turned=False, error="data_errors"):
    with h5py.File(path, "w") as file:
        group = file.create_group("run/plot")
        group.attrs["NX_class"] = "NXdata"
        group["data"] = I.T if turned else I
        group["mod_q"], group["hw"] = Q, (E[1:] + E[:-1]) / 2
        group["mod_q"].attrs["units"], group["hw"].attrs["units"] = "1/angstrom", "meV"
        names = ["hw", "mod_q"] if turned else ["mod_q", "hw"]
        if style == "attributes":
            group.attrs["signal"], group.attrs["axes"] = "data", names
        elif style == "old":
            group["data"].attrs["signal"] = np.int32(1)
            group["data"].attrs["axes"] = np.bytes_("[" + ",".join(names) + "]")
        else:
            group["data"].attrs["signal"] = np.bytes_("1")
            for k, name in enumerate(names):
                group[name].attrs["axis"] = k + 1
        if error:
            group[error] = (
                (VARIANCE if "squared" in error else I / 10).T
                if turned
                else (VARIANCE if "squared" in error else I / 10)
            )
    return path


@pytest.mark.parametrize("style", ["attributes", "old", "numbered"])
@pytest.mark.parametrize("turned", [True, False])
@pytest.mark.parametrize("error", ["data_errors", "errors", "errors_squared"])
def test_nxdata_of_any_style(style, turned, error, tmp_path):
    sqw = read_sqw(nxdata(tmp_path / "a.h5", style=style, turned=turned, error=error))
    np.testing.assert_allclose(sqw.intensity, I)
    np.testing.assert_allclose(sqw.error, I / 10)
    np.testing.assert_allclose(sqw.energy_transfer, E)


def test_nxdata_without_errors_knows_its_zeros(tmp_path):
    with h5py.File(nxdata(tmp_path / "a.h5", error=None), "a") as file:
        file["run/plot/data"][0, 0] = 0
    sqw = read_sqw(tmp_path / "a.h5")
    assert sqw.error is None
    assert sqw.mask.all()


@pytest.mark.parametrize(("unit", "factor"), [("DeltaE", 1.0), ("DeltaE_inWavenumber", 0.1239842)])
def test_processed_workspaces_of_mantid_name_the_quantity_as_unit(unit, factor, tmp_path):
    path = tmp_path / "processed.nxs"
    with h5py.File(path, "w") as file:
        group = file.create_group("mantid_workspace_1/workspace")
        group.attrs["NX_class"] = np.bytes_("NXdata")
        group["values"], group["errors"] = holes(I, (3, 0)), I / 10
        group["values"].attrs["signal"] = np.int32(1)
        group["values"].attrs["axes"] = np.bytes_("axis2,axis1")
        group["axis1"], group["axis2"] = E, Q
        group["axis1"].attrs["units"] = np.bytes_(unit)
        group["axis2"].attrs["units"] = np.bytes_("MomentumTransfer")
    sqw = read_sqw(path)
    np.testing.assert_allclose(sqw.energy_transfer, factor * E, rtol=1e-6)
    np.testing.assert_allclose(sqw.q, Q)
    assert sqw.mask.sum() == 11
    with h5py.File(path, "a") as file:
        file["mantid_workspace_1/workspace/axis2"].attrs["units"] = np.bytes_("spectraNumber")
    with pytest.raises(InputError, match="'axis2' is neither Q nor energy"):
        read_sqw(path)


SPE = "\n".join(
    [
        "       2       3",
        "### Phi Grid",
        "{grid}",
        "### Energy Grid",
        "-10.000   0.000     10.000    20.000    ",
        "### S(Phi,w)",
        "1.000     -1.000e+30-2.345E-05",
        "### Errors",
        "0.100     0.000     1.000E-06 ",
        "### S(Phi,w)",
        "0.000     2.000     3.000     ",
        "### Errors",
        "0.000     0.200     0.300     \n",
    ]
)


@pytest.mark.parametrize("beside", [".par", ".phx"])
def test_spe_takes_its_angles_from_the_file_beside(beside, tmp_path):
    path = tmp_path / "run.spe"
    path.write_text(SPE.format(grid="0.500     1.500     2.500     "))
    with pytest.raises(InputError, match=r"angles of 'run.spe'.*run\.par or run\.phx"):
        read_detectors(path, fixed_energy=50)
    rows = {
        ".par": "2\n4.0 10.0 0.0 0.1396 0.3 1\n4.0 40.0 90.0 0.1396 0.3 2\n",
        ".phx": "2\n10.0 0 10.0 0.0 2.0 4.0 1\n10.0 0 40.0 90.0 2.0 4.0 2\n",
    }
    path.with_suffix(beside).write_text(rows[beside])
    with pytest.raises(InputError, match="Give fixed_energy"):
        read_detectors(path)
    detectors = read_detectors(path, fixed_energy=50)
    np.testing.assert_array_equal(detectors.polar, [10, 40])
    np.testing.assert_allclose(detectors.polar_width, 2, rtol=1e-3)
    np.testing.assert_array_equal(detectors.mask, [[True, False, True], [True, True, True]])
    assert detectors.intensity[0, 2] == -2.345e-5  # fields of ten characters may touch


def test_spe_of_rings_says_the_angles_itself(tmp_path):
    path = tmp_path / "rings.spe"
    path.write_text(SPE.format(grid="5.000     10.000    20.000    "))
    detectors = read_detectors(path, fixed_energy=50)
    np.testing.assert_array_equal(detectors.polar, [7.5, 15])
    np.testing.assert_array_equal(detectors.polar_width, [5, 10])


def test_spe_of_q_is_a_map(tmp_path):
    path = tmp_path / "sofq.spe"
    path.write_text(
        SPE.format(grid="0.500     1.000     1.500     ").replace("Phi Grid", "|Q| Grid")
    )
    sqw = read_sqw(path)
    np.testing.assert_array_equal(sqw.q, [0.5, 1, 1.5])
    np.testing.assert_array_equal(sqw.mask, [[True, False, True], [False, True, True]])
    with pytest.raises(InputError, match="not detectors"):
        read_detectors(path)


TABLES = {
    "csv": ("Q (1/A),hw (meV),S,sigma\n", ","),
    "comment": ("# made by hand\n# Q[Å⁻¹] E[meV] intensity err\n", " "),
    "semicolons": ("|Q| (1/angstrom);Energy (meV);counts;uncertainty\n", ";"),
    "bare": ("", "\t"),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_columns(name, tmp_path):
    header, mark = TABLES[name]
    q, e = ((edges[1:] + edges[:-1]) / 2 for edges in (Q, E))
    rows = [
        mark.join(f"{value:.9g}" for value in (q[i], e[j], I[i, j], I[i, j] / 10))
        for j in range(3)
        for i in range(4)
        if (i, j) != (2, 1)
    ]
    path = tmp_path / f"{name}.txt"
    path.write_text(header + "\n".join(rows) + "\n")
    if name == "bare":
        with pytest.raises(InputError, match="unit"):
            read_sqw(path)
    sqw = read_sqw(path, units={"energy": "meV", "wavevector": "angstrom^-1"})
    np.testing.assert_allclose(sqw.q, Q)
    np.testing.assert_allclose(sqw.energy_transfer, E)
    assert list(map(tuple, np.argwhere(~sqw.mask))) == [(2, 1)]
    np.testing.assert_allclose(sqw.intensity[sqw.mask], I[sqw.mask])
    np.testing.assert_allclose(sqw.error[sqw.mask], I[sqw.mask] / 10)


def test_npz_with_the_usual_names(tmp_path):
    path = tmp_path / "map.npz"
    mask = np.ones((4, 3), dtype=bool)
    mask[1, 2] = False
    np.savez(path, Q=Q, E=E, I=I, var=VARIANCE, mask=mask, Ei=80.0, T=300.0, sample="Al",
             instrument=np.bytes_("MARI"))  # fmt: skip
    sqw = read_sqw(path)
    np.testing.assert_allclose(sqw.error[mask], I[mask] / 10)
    np.testing.assert_array_equal(sqw.mask, mask)
    assert sqw.kinematics == {"geometry": "direct", "fixed_energy": 80.0}
    assert sqw.temperature == 300
    assert sqw.provenance["sample"] == "Al"
    assert sqw.provenance["instrument"] == "MARI"


def test_bins_of_q_can_be_chosen(tmp_path):
    sqw = read_sqw(iqe(tmp_path / "iqe.h5"), q=np.array([0.0, 1.0, 2.0]))
    np.testing.assert_allclose(sqw.intensity[1], I[2:].mean(axis=0))
