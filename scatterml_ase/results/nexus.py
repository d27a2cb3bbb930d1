"""NeXus-style HDF5 files of results: NXdata for the arrays, JSON text for the rest.

Nothing is ever unpickled: a file holds numbers, text, and the name of one of the classes below.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from scatterml_ase.errors import InputError, explain

if TYPE_CHECKING:
    from scatterml_ase.results.base import Result

FORMAT = 1
# The closed table of what a file may hold.
CLASSES = {
    "Crystal": "crystal",
    "ForceConstants": "force_constants",
    "PhononBands": "bands",
    "PhononDOS": "dos",
    "PhononModes": "modes",
    "SqwMap": "sqw",
    "ThermalProperties": "thermal",
}


def write(path: Path, result: Result) -> None:
    """Write ``result`` into the new file ``path`` (see :meth:`Result.save`)."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"NX_class": "NXroot", "default": "entry"})
        entry = file.create_group("entry")
        entry.attrs.update({"NX_class": "NXentry", "default": "data"})
        entry["title"] = type(result).__name__
        _write_object(entry.create_group("data"), result)


def read(path: Path) -> Result:
    """Read the result in ``path``, whatever its class.

    Raises
    ------
    InputError
        If the file is missing, is no HDF5 file, or was not written by this package.
    """
    fix = "Give a file written by the save() method of a scatterml_ase result"
    if not path.is_file():
        raise InputError(explain(f"There is no file {str(path)!r}", "nothing to read", fix))
    try:
        with h5py.File(path, "r") as file:
            return _read_object(file["entry/data"])
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        why = f"it is damaged or not a result file ({error})"
        raise InputError(explain(f"Cannot read {str(path)!r}", why, fix)) from error


def _write_object(group: h5py.Group, result: Result) -> None:
    group.attrs.update(
        {
            "NX_class": "NXdata",
            "scatterml_class": type(result).__name__,
            "scatterml_format": FORMAT,
        }
    )
    for item in fields(result):
        value = getattr(result, item.name)
        if value is None:
            continue
        if "dims" in item.metadata:
            _write_array(group, item.name, value, result)
        elif is_dataclass(value):
            _write_object(group.create_group(item.name), value)  # type: ignore[arg-type]
        else:
            group.create_dataset(item.name, data=json.dumps(value, default=_plain))
    if result.signal:
        group.attrs["signal"] = result.signal
        group.attrs["axes"] = [name or "." for name in result.axes]


def _write_array(group: h5py.Group, name: str, value: np.ndarray, result: Result) -> None:
    compression = {"compression": "gzip", "compression_opts": 4} if value.size > 1000 else {}
    dataset = group.create_dataset(name, data=value, **compression)
    dataset.attrs["units"] = result.unit_of(name)
    dataset.attrs["is_array"] = True


def _read_object(group: h5py.Group) -> Any:
    name = group.attrs.get("scatterml_class")
    if name not in CLASSES:
        raise KeyError(f"unknown class {name!r}")
    if group.attrs["scatterml_format"] > FORMAT:
        raise KeyError("written by a newer version of scatterml_ase: update the package")
    module = importlib.import_module(f"scatterml_ase.results.{CLASSES[name]}")
    values: dict[str, Any] = {}
    for key, item in group.items():
        if isinstance(item, h5py.Group):
            values[key] = _read_object(item)
        elif "is_array" in item.attrs:
            values[key] = item[()]
        else:
            values[key] = json.loads(item.asstr()[()])
    return getattr(module, name)(**values)


def _plain(value: Any) -> Any:
    """Turn what provenance may hold into JSON."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "items"):
        return dict(value)
    return str(value)
