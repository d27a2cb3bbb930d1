"""I(Q, E) histograms of the DANSE ``histogram`` package, as reduction at ARCS writes them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering.files.axes import CANONICAL, Kind, in_our_unit, kind_of
from scatterml_ase.scattering.files.content import (
    METADATA,
    Told,
    edges_of,
    in_default_units,
    measured_map,
    packed,
    standard_deviation,
)
from scatterml_ase.scattering.files.hdf5 import attribute, dataset, groups, need, text_of

_OWN = ("q", "energy_transfer", "intensity", "error", "mask")
_MASK = f"{METADATA}_mask"
_SI = {"wavevector": "1e+10*m**-1", "energy": "1.60218e-22*m**2*kg*s**-2"}


def recognises(file: h5py.File) -> bool:
    """Tell whether an open HDF5 file is of this format."""
    return _histogram(file) is not None


def read(path: Path, told: Told) -> SqwMap:
    """Read a histogram; its data set ``errors`` is the variance."""
    with h5py.File(path, "r") as file:
        group = _histogram(file)
        assert group is not None
        intensity = need(group, "data")
        variance = dataset(group, "errors")
        squared = None if variance is None else np.asarray(variance[()])
        axes = {kind: (place, edges) for kind, place, edges in _axes(group["grid"], told)}
        saved, mask = dataset(group, METADATA), dataset(group, _MASK)
        text = None if saved is None else text_of(saved[()])
        known = None if mask is None else np.asarray(mask[()], dtype=bool)
    if set(axes) != set(CANONICAL):
        raise ValueError("its axes are not Q and energy")
    (first, q), (second, energy) = axes["wavevector"], axes["energy"]
    if first > second:
        intensity, squared = intensity.T, None if squared is None else squared.T
    return measured_map(
        edges_of(q, intensity.shape[0]),
        edges_of(energy, intensity.shape[1]),
        intensity,
        None if squared is None else standard_deviation(squared),
        mask=known,
        saved=text,
        provenance={"source": path.name, "format": "iqe"},
    )


def write(path: Path, sqw: SqwMap) -> None:
    """Write a histogram; unknown bins are NaN."""
    plain = in_default_units(sqw)
    with h5py.File(path, "w") as file:
        group = file.create_group("iqe")
        error = np.zeros_like(plain.intensity) if plain.error is None else plain.error
        arrays = {"data": plain.intensity, "errors": np.where(plain.mask, error, np.nan) ** 2}
        for name, values in arrays.items():
            group.create_dataset(name, data=values, compression="gzip")
            group[name].attrs["unit"] = np.bytes_("1")
        group.create_dataset(_MASK, data=plain.mask, dtype=np.int8, compression="gzip")
        group[METADATA] = packed(sqw, *_OWN)
        axes: tuple[tuple[str, Kind, np.ndarray], ...] = (
            ("Q", "wavevector", plain.q),
            ("energy", "energy", plain.energy_transfer),
        )
        for index, (name, kind, edges) in enumerate(axes):
            axis = group.create_group(f"grid/{name}")
            described = {"name": name, "type": "continuous", "unit": _SI[kind]}
            axis.attrs["index"] = np.int64(index)
            for key, text in described.items():
                axis.attrs[key] = np.bytes_(text)
            axis["bin boundaries"] = edges
            axis["bin centers"] = (edges[1:] + edges[:-1]) / 2


def _histogram(file: h5py.File) -> h5py.Group | None:
    for group in groups(file):
        if isinstance(group.get("grid"), h5py.Group) and isinstance(
            group.get("data"), h5py.Dataset
        ):
            return group
    return None


def _axes(grid: h5py.Group, told: Told) -> list[tuple[Kind, int, np.ndarray]]:
    """Return kind, place and values (edges, or centres if there are none) of the axes."""
    found = []
    for place, (key, axis) in enumerate(grid.items()):
        name, unit = attribute(axis, "name") or key, attribute(axis, "unit")
        values = dataset(axis, "bin boundaries", "bin centers")
        kind = kind_of(name, unit)
        if kind is not None and values is not None:
            edges = in_our_unit(values[()], name, unit, kind, told.units)
            found.append((kind, int(axis.attrs.get("index", place)), edges))
    return found
