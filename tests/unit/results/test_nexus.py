"""Result files: complete round trips, the rules of NXdata, and clear words for bad files."""

import importlib
import json
from dataclasses import fields

import h5py
import numpy as np
import pytest
from ase.build import bulk

from scatterml_ase import load_result
from scatterml_ase.errors import InputError
from scatterml_ase.results import nexus
from scatterml_ase.results.base import Result
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.dos import PhononDOS
from scatterml_ase.results.modes import PhononModes
from scatterml_ase.results.thermal import ThermalProperties

CRYSTAL = Crystal.from_atoms(bulk("NaCl", "rocksalt", a=5.6))
PLAIN = {"zero_point_energy": 12.5, "debye_temperature": 300.0, "mesh": (2, 1, 1)}
SIZES = {
    "q": 2,
    "mode": 6,
    "atom": 2,
    "energy": 4,
    "temperature": 3,
    "xyz": 3,
    "grid": 2,
    "sample": 5,
}


def filled(cls: type[Result], *, optional: bool) -> Result:
    """Return a result of ``cls`` with random arrays of the declared dimensions."""
    rng = np.random.default_rng(1)
    values = {}
    for item in fields(cls):
        if "dims" in item.metadata and (optional or item.default is not None):
            shape = [
                int(dim) if dim.isdigit() else SIZES[dim.removesuffix("+1")] + dim.endswith("+1")
                for dim in item.metadata["dims"]
            ]
            values[item.name] = rng.normal(size=shape)
            if item.name == "eigenvectors":
                values[item.name] = values[item.name] + 1j * rng.normal(size=shape)
        elif item.name == "crystal":
            values["crystal"] = CRYSTAL
        elif item.name in PLAIN:
            values[item.name] = PLAIN[item.name]
    return cls(**values, provenance={"model": {"name": "si", "layers": [1, 2]}})


@pytest.mark.parametrize("optional", [True, False])
@pytest.mark.parametrize("cls", [Crystal, PhononModes, PhononDOS, ThermalProperties])
def test_what_is_saved_is_what_is_loaded(cls, optional, tmp_path):
    result = filled(cls, optional=optional)
    again = load_result(result.save(tmp_path / "result.nxs"))
    assert type(again) is cls
    for item in fields(cls):
        ours, theirs = getattr(result, item.name), getattr(again, item.name)
        if isinstance(ours, np.ndarray):
            assert theirs.dtype == ours.dtype
            np.testing.assert_array_equal(ours, theirs)
        elif not isinstance(ours, Crystal):
            assert ours == theirs
    assert again.provenance["model"] == {"name": "si", "layers": (1, 2)}


def test_the_unit_is_saved_too(tmp_path):
    dos = filled(PhononDOS, optional=True).to("THz")
    again = PhononDOS.load(dos.save(tmp_path / "dos.nxs"))
    assert again.unit_of("total") == "1/THz"
    np.testing.assert_array_equal(again.crystal.cell, CRYSTAL.cell)


def test_a_viewer_finds_signal_and_axes_by_the_rules_of_nexus(tmp_path):
    with h5py.File(filled(PhononDOS, optional=True).save(tmp_path / "dos.nxs")) as file:
        assert file.attrs["NX_class"] == "NXroot"
        entry = file[file.attrs["default"]]
        assert entry.attrs["NX_class"] == "NXentry"
        data = entry[entry.attrs["default"]]
        assert data.attrs["NX_class"] == "NXdata"
        signal = data[data.attrs["signal"]]
        (axis,) = (data[name] for name in data.attrs["axes"])
        assert signal.attrs["units"] == "1/meV"
        assert axis.attrs["units"] == "meV"
        assert len(axis) == len(signal) + 1  # edges of a histogram
        assert data.attrs["energy_edges_indices"] == 0
        assert file[signal.attrs["target"]] == signal
        assert all(item.dtype.kind == "f" for item in data.values())  # numbers, no text
        np.testing.assert_array_equal(data[f"{data.attrs['signal']}_errors"], entry["result/error"])
    with h5py.File(filled(PhononDOS, optional=False).save(tmp_path / "sharp.nxs")) as file:
        assert set(file["entry/data"]) == {"total", "energy_edges"}


@pytest.mark.parametrize(("name", "module"), nexus.CLASSES.items())
def test_every_class_in_the_table_has_axes_that_fit_its_signal(name, module):
    cls = getattr(importlib.import_module(f"scatterml_ase.results.{module}"), name)
    dims = {item: found for item, found, _ in cls.declared()}
    assert cls.signal in dims
    if isinstance(cls.axes, property):  # chosen by the object: check_result looks at those
        return
    assert len(cls.axes) == len(dims[cls.signal])
    for axis, dim in zip(cls.axes, dims[cls.signal], strict=True):
        assert not axis or dims[axis] in {(dim,), (f"{dim}+1",)}


# -- bad files ---------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    return filled(PhononDOS, optional=True).save(tmp_path / "dos.nxs")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"There is no file .*absent.nxs"):
        load_result(tmp_path / "absent.nxs")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"damaged or not a result file.*save"):
        load_result(path)


def test_foreign_files_are_refused(tmp_path):
    foreign = tmp_path / "foreign.nxs"
    foreign.write_text("not HDF5")
    with pytest.raises(InputError, match="not a result file"):
        load_result(foreign)
    with h5py.File(foreign, "w") as file:
        file["entry/data"] = [1, 2, 3]
    with pytest.raises(InputError, match="not a result file"):
        load_result(foreign)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("scatterml_format", nexus.FORMAT + 1, "newer version.*pip install --upgrade"),
        ("scatterml_class", "os.system", "unknown class 'os.system'"),
    ],
)
def test_an_edited_header_is_refused(path, key, value, message):
    with h5py.File(path, "r+") as file:
        file["entry/result"].attrs[key] = value
    with pytest.raises(InputError, match=message):
        load_result(path)


def test_damaged_contents_are_refused(path):
    with h5py.File(path, "r+") as file:
        del file["entry/result/total"]
    with pytest.raises(InputError, match=r"damaged.*total"):
        load_result(path)


def test_numbers_that_do_not_fit_are_refused(path):
    with h5py.File(path, "r+") as file:
        del file["entry/result/total"]
        file["entry/result/total"] = np.ones(99)
        file["entry/result/total"].attrs["is_array"] = True
    with pytest.raises(InputError, match=r"damaged.*total has shape \(99,\)"):
        load_result(path)


def test_text_where_numbers_belong_is_data_and_never_code(path):
    with h5py.File(path, "r+") as file:
        del file["entry/result/provenance"]
        file["entry/result/provenance"] = "__import__('os').getcwd()"
    with pytest.raises(InputError, match="damaged"):
        load_result(path)


def test_another_class_is_refused_by_name(path):
    with pytest.raises(InputError, match=r"holds PhononDOS, not Crystal.*PhononDOS.load"):
        Crystal.load(path)
    assert type(Result.load(path)) is PhononDOS


def test_provenance_may_hold_numpy_and_paths(tmp_path):
    provenance = {"mesh": np.arange(3), "energy": np.float64(1.5), "path": tmp_path}
    crystal = Crystal(**{**CRYSTAL.__dict__, "provenance": provenance})
    again = Crystal.load(crystal.save(tmp_path / "c.nxs"))
    assert again.provenance["mesh"] == (0, 1, 2)
    assert again.provenance["energy"] == 1.5
    assert again.provenance["path"] == str(tmp_path)
    json.dumps(dict(again.provenance))


def test_a_class_outside_the_table_is_not_written(tmp_path, monkeypatch):
    monkeypatch.delitem(nexus.CLASSES, "Crystal")
    with pytest.raises(InputError, match="Crystal cannot be saved"):
        CRYSTAL.save(tmp_path / "c.nxs")
    assert not list(tmp_path.iterdir())
