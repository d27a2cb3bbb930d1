"""NXdata of any origin: a signal of two dimensions with axes of Q and energy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering.files.axes import Kind, in_our_unit, kind_of
from scatterml_ase.scattering.files.content import Told, edges_of, measured_map, standard_deviation
from scatterml_ase.scattering.files.hdf5 import attribute, dataset, groups, text_of

_SIGNALS = ("signal", "data", "intensity", "counts", "sqw", "s", "i")


class _Axis(NamedTuple):
    name: str
    kind: Kind
    values: np.ndarray


def recognises(file: h5py.File) -> bool:
    """Tell whether an open HDF5 file holds a two-dimensional NXdata."""
    return _data(file) is not None


def read(path: Path, told: Told) -> SqwMap:
    """Read the signal, its axes whichever way round, and errors or variances where there are."""
    with h5py.File(path, "r") as file:
        group = _data(file)
        assert group is not None
        signal = _signal(group)
        assert signal is not None
        intensity = np.asarray(signal[()], dtype=float)
        axes = [_axis(group, name, told) for name in _axis_names(group, signal)]
        error = _error(group, signal)
    kinds = [axis.kind for axis in axes]
    if sorted(kinds) != ["energy", "wavevector"]:
        raise ValueError(f"its axes are of {kinds}, not of wavevector and energy")
    q, energy = (axes[kinds.index(kind)].values for kind in ("wavevector", "energy"))
    order = [len(axis.values) for axis in axes]
    turned = kinds[0] == "energy"
    if not _fits(intensity.shape, order) and _fits(intensity.shape, order[::-1]):
        turned = not turned
    if turned:
        intensity, error = intensity.T, None if error is None else error.T
    return measured_map(
        edges_of(q, intensity.shape[0]),
        edges_of(energy, intensity.shape[1]),
        intensity,
        error,
        provenance={"source": path.name, "format": "nxdata"},
    )


def _data(file: h5py.File) -> h5py.Group | None:
    """Return the NXdata the file names as default, else the first one."""
    here: h5py.Group = file
    while (name := attribute(here, "default")) and isinstance(here.get(name), h5py.Group):
        here = here[name]
    candidates = [here, *groups(file)]
    return next((group for group in candidates if _signal(group) is not None), None)


def _signal(group: h5py.Group) -> h5py.Dataset | None:
    """Return the two-dimensional signal of a group, by attribute of either style, or by name."""
    marked = [item for item in group.values() if _is_signal(item)]
    named = dataset(group, name) if (name := attribute(group, "signal")) else None
    usual = dataset(group, *_SIGNALS) if attribute(group, "NX_class") == "NXdata" else None
    for item in (named, *marked, usual):
        if item is not None and item.ndim == 2:
            return item
    return None


def _is_signal(item: h5py.Group | h5py.Dataset) -> bool:
    return isinstance(item, h5py.Dataset) and text_of(item.attrs.get("signal")) == "1"


def _axis_names(group: h5py.Group, signal: h5py.Dataset) -> list[str]:
    """Return the names of the axes: of the group, of the signal, or numbered on themselves."""
    if "axes" in group.attrs:
        given = np.atleast_1d(group.attrs["axes"])
        names = [text_of(item) for item in given]
        if len(names) == 2:
            return names
        return _split(names[0])
    if "axes" in signal.attrs:
        return _split(attribute(signal, "axes"))
    numbered = [
        (int(text_of(item.attrs["axis"])), name)
        for name, item in group.items()
        if isinstance(item, h5py.Dataset) and "axis" in item.attrs
    ]
    return [name for _, name in sorted(numbered)]


def _split(text: str) -> list[str]:
    return [name for name in re.split(r"[:,;\s\[\]]+", text) if name]


def _axis(group: h5py.Group, name: str, told: Told) -> _Axis:
    item = dataset(group, name)
    if item is None:
        raise ValueError(f"the axis {name!r} is missing")
    unit = attribute(item, "units")
    kind = kind_of(attribute(item, "long_name") or name, unit) or kind_of(name, None)
    if kind is None:
        raise ValueError(f"the axis {name!r} is neither Q nor energy")
    return _Axis(name, kind, in_our_unit(item[()], name, unit, kind, told.units).ravel())


def _error(group: h5py.Group, signal: h5py.Dataset) -> np.ndarray | None:
    """Return standard deviations, however they are called."""
    name = str(signal.name).rsplit("/", 1)[-1]
    named = attribute(signal, "uncertainties")
    deviations = (*filter(None, [named]), f"{name}_errors", f"{name}_error", "errors", "error")
    if (item := dataset(group, *deviations, "sigma")) is not None:
        return np.asarray(item[()], dtype=float)
    if (item := dataset(group, "errors_squared", f"{name}_variance", "variance")) is not None:
        return standard_deviation(item[()])
    return None


def _fits(shape: tuple[int, ...], lengths: list[int]) -> bool:
    return all(n - size in (0, 1) for size, n in zip(shape, lengths, strict=True))
