"""NeXus-style HDF5 files of results: numbers, JSON text and the name of a class.

Layout::

    /                 NXroot, default = entry
    /entry            NXentry, default = data
    /entry/data       NXdata: what a viewer shows, links to the signal, its errors and its axes
    /entry/result     NXcollection: every field of the result; a result within it likewise

The collection is what :func:`read` reads; the NXdata group only points into it, so that the rules
for plottable data never limit what a result may hold. Nothing is ever unpickled.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from scatterml_ase import __version__
from scatterml_ase.errors import InputError, explain

if TYPE_CHECKING:
    from scatterml_ase.results.base import Result

FORMAT = 1
# The closed table of what a file may hold.
CLASSES = {
    "Crystal": "crystal",
    "DetectorMap": "detector_map",
    "ElasticConstants": "elastic",
    "EnergyVolume": "energy_volume",
    "ForceConstants": "force_constants",
    "IntermediateScattering": "intermediate",
    "PairDistribution": "pair_distribution",
    "PhononBands": "bands",
    "PhononDOS": "dos",
    "PhononModes": "modes",
    "SqwComparison": "sqw_comparison",
    "SqwCut": "cut",
    "SqwMap": "sqw",
    "SqwPlane": "sqw_plane",
    "ThermalExpansion": "thermal_expansion",
    "ThermalProperties": "thermal",
}
_FIX = "Give a file written by the save() method of a scatterml_ase result"


def write(path: Path, result: Result) -> None:
    """Write ``result`` into the new file ``path`` (see :meth:`Result.save`)."""
    name = type(result).__name__
    if name not in CLASSES:
        why = f"results.nexus.CLASSES knows {', '.join(CLASSES)}"
        raise InputError(explain(f"{name} cannot be saved", why, "Add the class to that table"))
    with h5py.File(path, "w") as file:
        file.attrs.update(
            {"NX_class": "NXroot", "default": "entry", "creator": f"scatterml_ase {__version__}"}
        )
        entry = file.create_group("entry")
        entry.attrs.update({"NX_class": "NXentry", "default": "data"})
        entry["title"] = name
        _write_object(entry.create_group("result"), result)
        _link_signal(entry, result)


def read(path: Path) -> Result:
    """Read the result in ``path``, whatever its class.

    Raises
    ------
    InputError
        If the file is missing, is no HDF5 file, or was not written by this package.
    """
    if not path.is_file():
        raise InputError(explain(f"There is no file {str(path)!r}", "nothing to read", _FIX))
    try:
        with h5py.File(path, "r") as file:
            return _read_object(file["entry/result"])
    except NewerFormatError as error:
        why = f"a newer version of scatterml_ase wrote it (format {error.args[0]}, not {FORMAT})"
        fix = "Run: pip install --upgrade scatterml-ase"
        raise InputError(explain(f"Cannot read {str(path)!r}", why, fix)) from None
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        why = f"it is damaged or not a result file ({error})"
        raise InputError(explain(f"Cannot read {str(path)!r}", why, _FIX)) from error


class NewerFormatError(Exception):
    """The file is of a format this version does not know."""


def plain(value: Any) -> Any:
    """Turn what provenance may hold into JSON."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return dict(value) if isinstance(value, Mapping) else str(value)


def _write_object(group: h5py.Group, result: Result) -> None:
    group.attrs.update(
        {
            "NX_class": "NXcollection",
            "scatterml_class": type(result).__name__,
            "scatterml_format": FORMAT,
        }
    )
    for item in fields(result):
        value = getattr(result, item.name)
        if "dims" in item.metadata:
            if value is not None:
                _write_array(group, item.name, value, result.unit_of(item.name))
        elif is_dataclass(value):
            _write_object(group.create_group(item.name), value)  # type: ignore[arg-type]
        else:
            group.create_dataset(item.name, data=json.dumps(value, default=plain))


def _write_array(group: h5py.Group, name: str, value: np.ndarray, unit: str) -> None:
    compression = {"compression": "gzip", "compression_opts": 4} if value.size > 1000 else {}
    dataset = group.create_dataset(name, data=value, **compression)
    dataset.attrs["units"] = unit
    dataset.attrs["is_array"] = True


def _link_signal(entry: h5py.Group, result: Result) -> None:
    """Give viewers the plottable part, by the rules of NXdata (edges are one longer than bins)."""
    group = entry.create_group("data")
    group.attrs["NX_class"] = "NXdata"
    if not result.signal or getattr(result, result.signal) is None:
        return
    group.attrs["signal"] = result.signal
    group.attrs["axes"] = [name or "." for name in result.axes]
    for dim, name in enumerate(result.axes):
        if name:
            group.attrs[f"{name}_indices"] = dim
    links = {name: name for name in (result.signal, *filter(None, result.axes))}
    error = getattr(result, "error", None)
    if error is not None and error.shape == getattr(result, result.signal).shape:
        links[f"{result.signal}_errors"] = "error"
    for name, original in links.items():
        dataset = entry["result"][original]
        dataset.attrs["target"] = dataset.name  # how NeXus marks the original of a link
        group[name] = dataset


def _read_object(group: h5py.Group) -> Any:
    name = group.attrs.get("scatterml_class")
    if name not in CLASSES:
        raise KeyError(f"unknown class {name!r}")
    if group.attrs["scatterml_format"] > FORMAT:
        raise NewerFormatError(group.attrs["scatterml_format"])
    module = importlib.import_module(f"scatterml_ase.results.{CLASSES[name]}")
    return getattr(module, name)(**{key: _read_field(item) for key, item in group.items()})


def _read_field(item: h5py.Group | h5py.Dataset) -> Any:
    if isinstance(item, h5py.Group):
        return _read_object(item)
    return item[()] if "is_array" in item.attrs else json.loads(item.asstr()[()])
