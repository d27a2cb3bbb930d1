"""MDHisto: histograms on regular grids, as Mantid's SaveMD writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from scatterml_ase import __version__
from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering.files.axes import in_our_unit, kind_of
from scatterml_ase.scattering.files.content import (
    METADATA,
    Told,
    in_default_units,
    measured_map,
    packed,
    standard_deviation,
)
from scatterml_ase.scattering.files.hdf5 import attribute, dataset, number, text_of

_ENTRY = "MDHistoWorkspace"
_OWN = ("q", "energy_transfer", "intensity", "error", "mask")
_EVEN = 1e-6
"""Of an axis Mantid keeps the ends and the number of bins only: they must be equally wide."""

_PATH = "Path"
"""Name of our axis; one that began with "[" or "Q_" would change its sign in Mantid where that is
set to k_f − k_i."""
_PER_EVENT = 2
"""Where Mantid says so of a histogram, it shows signal over number of events."""


class _Axis(NamedTuple):
    name: str
    unit: str
    edges: np.ndarray


def recognises(file: h5py.File) -> bool:
    """Tell whether an open HDF5 file is of this format."""
    return "errors_squared" in file.get(f"{_ENTRY}/data", {})


def read(path: Path, told: Told) -> SqwMap:
    """Read a histogram of which energy and one axis of Q have more than one bin."""
    with h5py.File(path, "r") as file:
        entry = file[_ENTRY]
        data = entry["data"]
        axes = _axes(data)
        signal, variance = (np.asarray(data[name][()]) for name in ("signal", "errors_squared"))
        masked = np.asarray(data["mask"][()] if "mask" in data else np.zeros(signal.shape), bool)
        if number(entry, "visual_normalization") == _PER_EVENT and "num_events" in data:
            signal, variance = _per_event(signal, variance, np.asarray(data["num_events"][()]))
        saved = dataset(entry, METADATA)
        text = None if saved is None else text_of(saved[()])
        incident = number(file, f"{_ENTRY}/experiment0/logs/Ei/value")
    sizes = tuple(len(axis.edges) - 1 for axis in axes)
    if signal.shape != sizes and signal.shape == sizes[::-1]:
        signal, variance, masked = signal.T, variance.T, masked.T
    q, energy = _choose(axes)
    intensity, squared, mask = (_plane(x, q, energy, sizes) for x in (signal, variance, masked))
    q_edges = in_our_unit(axes[q].edges, axes[q].name, axes[q].unit, "wavevector", told.units)
    changes: dict[str, Any] = {}
    if axes[q].name.startswith("[") or axes[q].name == _PATH:
        changes = {"axis": "path", "distance": (q_edges[1:] + q_edges[:-1]) / 2}
    if np.isfinite(incident):
        changes["kinematics"] = {"geometry": "direct", "fixed_energy": incident}
    return measured_map(
        q_edges,
        in_our_unit(axes[energy].edges, axes[energy].name, axes[energy].unit, "energy", told.units),
        np.where(mask, np.nan, intensity),
        standard_deviation(squared),
        mask=None if text is None else ~mask,
        saved=text,
        provenance={"source": path.name, "format": "mdhisto"},
        **changes,
    )


def write(path: Path, sqw: SqwMap) -> None:
    """Write a map; unknown bins are NaN and masked.

    Raises
    ------
    InputError
        If the bins of an axis are not equally wide.
    """
    plain = in_default_units(sqw)
    name = "|Q|" if plain.axis == "powder" else _PATH
    axes = (
        _Axis(name, "Angstrom^-1", plain.q),
        _Axis("DeltaE", "meV", plain.energy_transfer),
    )
    _need_even(axes)
    with h5py.File(path, "w") as file:
        entry = file.create_group(_ENTRY)
        entry.attrs["NX_class"] = np.bytes_("NXentry")
        entry.attrs["SaveMDVersion"] = np.int32(2)
        entry.attrs["creator"] = np.bytes_(f"scatterml_ase {__version__}")
        for key in ("coordinate_system", "visual_normalization"):
            entry[key] = np.array([0], dtype=np.uint32)
        entry[METADATA] = packed(sqw, *_OWN)
        _write_data(entry.create_group("data"), axes, plain)


def _write_data(data: h5py.Group, axes: tuple[_Axis, ...], plain: SqwMap) -> None:
    data.attrs["NX_class"] = np.bytes_("NXdata")
    for k, axis in enumerate(axes):
        data[f"D{k}"] = axis.edges
        described = {"long_name": axis.name, "units": axis.unit, "frame": "General Frame"}
        for key, text in described.items():
            data[f"D{k}"].attrs[key] = np.bytes_(text)
    error = np.zeros_like(plain.intensity) if plain.error is None else plain.error
    arrays = {
        "signal": plain.intensity,
        "errors_squared": np.where(plain.mask, error, np.nan) ** 2,
        "num_events": plain.mask.astype(float),
        "mask": (~plain.mask).astype(np.int8),
    }
    for key, values in arrays.items():
        data.create_dataset(key, data=values.T, compression="gzip")
    data["signal"].attrs["signal"] = np.int32(1)
    data["signal"].attrs["axes"] = np.bytes_("D1:D0")


def _per_event(
    signal: np.ndarray, variance: np.ndarray, events: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean signal of the events in each bin and its variance; NaN where there are none."""
    some = np.where(events > 0, events, np.nan)
    return signal / some, variance / some**2


def _need_even(axes: tuple[_Axis, ...]) -> None:
    for axis in axes:
        widths = np.diff(axis.edges)
        if np.ptp(widths) > _EVEN * np.ptp(axis.edges):
            what = f"Bins of {axis.name} are {widths.min():.4g} to {widths.max():.4g} wide"
            fix = "Rebin first: sqw.rebinned(q=np.linspace(…), energy_transfer=np.linspace(…))"
            raise InputError(explain(what, "programs that read MDHisto take them as equal", fix))


def _axes(data: h5py.Group) -> list[_Axis]:
    """Return the axes in the order of the dimensions: the last named first, by their rule."""
    names = [name for name in attribute(data["signal"], "axes").split(":") if name]
    names = names or sorted(key for key in data if key[0] == "D" and key[1:].isdigit())[::-1]
    return [
        _Axis(
            attribute(data[name], "long_name") or name,
            attribute(data[name], "units"),
            np.asarray(data[name][()], dtype=float).ravel(),
        )
        for name in names
    ]


def _choose(axes: list[_Axis]) -> tuple[int, int]:
    """Return which axes are Q and energy.

    Raises
    ------
    InputError
        If there is no energy axis, or more than one other has several bins.
    """
    energies = [k for k, axis in enumerate(axes) if kind_of(axis.name, axis.unit) == "energy"]
    others = [k for k in range(len(axes)) if k not in energies[:1]]
    wide = [k for k in others if len(axes[k].edges) > 2] or others[:1]
    if len(energies) == 0 or len(wide) != 1:
        found = ", ".join(f"{axis.name!r} ({len(axis.edges) - 1} bins)" for axis in axes)
        raise InputError(
            explain(
                f"The histogram with axes {found} is no map of Q and energy",
                "one axis of energy and one of Q must have several bins, all others one",
                "Integrate over the others first (IntegrateMDHistoWorkspace or BinMD)",
            )
        )
    return wide[0], energies[0]


def _plane(values: np.ndarray, q: int, energy: int, sizes: tuple[int, ...]) -> np.ndarray:
    """Return an array of shape (q, energy); the other axes have one bin."""
    if values.shape != sizes:
        raise ValueError(f"a data set has shape {values.shape}, its axes {sizes}")
    rest = [k for k in range(len(sizes)) if k not in (q, energy)]
    return values.transpose(q, energy, *rest).reshape(sizes[q], sizes[energy])
