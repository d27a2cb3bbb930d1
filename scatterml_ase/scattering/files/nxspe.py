"""NXSPE: what detectors measured, as Mantid, Horace and MSlice exchange it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from scatterml_ase import __version__
from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.kinematics import Geometry
from scatterml_ase.results.detector_map import DetectorMap
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering.files.content import (
    METADATA,
    Told,
    edges_of,
    in_default_units,
    known_of_detectors,
    known_values,
    packed,
    restored,
    told_errors,
)
from scatterml_ase.scattering.files.hdf5 import attribute, dataset, need, number, text_of

_OWN = (
    "polar",
    "polar_width",
    "azimuthal",
    "azimuthal_width",
    "distance",
    "energy_transfer",
    "intensity",
    "error",
    "mask",
)
_MASK = f"{METADATA}_mask"
_SAME_ENERGY = 1e-3
"""Relative spread of fixed energies that still count as one."""


def recognises(file: h5py.File) -> bool:
    """Tell whether an open HDF5 file is of this format."""
    return _entry(file) is not None


def read(path: Path, told: Told) -> DetectorMap:
    """Read detectors, energies and what the file says of sample and instrument."""
    with h5py.File(path, "r") as file:
        entry = _entry(file)
        assert entry is not None
        info, data = entry["NXSPE_info"], entry["data"]
        own, saved = dataset(info, _MASK), dataset(info, METADATA)
        arrays = _read_data(data, None if own is None else np.asarray(own[()], dtype=bool))
        energy = _fixed_energy(info, told)
        flag = number(info, "ki_over_kf_scaling")
        sample = entry.get("sample", {})
        detectors = DetectorMap(
            fixed_energy=energy,
            geometry=_geometry(energy, arrays["energy_transfer"]),
            psi=number(info, "psi"),
            temperature=number(sample, "temperature") if sample else float("nan"),
            ki_over_kf=None if np.isnan(flag) else bool(flag),
            provenance=_provenance(path, entry),
            **arrays,
        )
        return restored(detectors, None if saved is None else text_of(saved[()]))


def write(path: Path, detectors: DetectorMap | SqwMap) -> None:
    """Write detectors; a powder map is turned into rings of detectors first."""
    if isinstance(detectors, SqwMap):
        detectors = DetectorMap.from_sqw(detectors)
    plain = in_default_units(detectors)
    with h5py.File(path, "w") as file:
        entry = _group(file, "scatterml", "NXentry")
        _text(entry, "definition", "NXSPE", version="1.3")
        _text(entry, "program_name", "scatterml_ase", version=__version__)
        info = _group(entry, "NXSPE_info", "NXcollection")
        _numbers(info, "fixed_energy", [plain.fixed_energy], units="meV")
        if plain.ki_over_kf is not None:
            info["ki_over_kf_scaling"] = np.array([int(plain.ki_over_kf)], dtype=np.int32)
        _numbers(info, "psi", [plain.psi], units="degrees")
        info[METADATA] = packed(detectors, *_OWN)
        info.create_dataset(_MASK, data=plain.mask, dtype=np.int8, compression="gzip")
        instrument = _group(entry, "instrument", "NXinstrument")
        name = str(plain.provenance.get("instrument", "NXSPE"))
        _text(instrument, "name", name, short_name=name)
        if plain.geometry == "direct":
            chopper = _group(instrument, "fermi", "NXfermi_chopper")
            _numbers(chopper, "energy", [plain.fixed_energy], units="meV")
        sample = _group(entry, "sample", "NXsample")
        if np.isfinite(plain.temperature):
            _numbers(sample, "temperature", [plain.temperature], units="K")
        _write_data(_group(entry, "data", "NXdata"), plain)


def _read_data(data: h5py.Group, known: np.ndarray | None) -> dict[str, Any]:
    """Return the arrays of detectors that are somewhere; others are left out."""
    intensity, error = need(data, "data"), need(data, "error")
    polar, width = (need(data, name).ravel() for name in ("polar", "polar_width"))
    if intensity.shape[0] != len(polar) == intensity.shape[-1]:
        intensity, error = intensity.T, error.T
    mask = known_of_detectors(intensity, error) if known is None else known
    told = error if known is not None else told_errors(intensity, error)
    values, errors, mask = known_values(intensity, told, mask)
    arrays = {
        "polar": polar,
        "polar_width": width,
        "intensity": values,
        "error": errors,
        "mask": mask,
    }
    for name in ("azimuthal", "azimuthal_width", "distance"):
        if (item := dataset(data, name)) is not None:
            arrays[name] = np.asarray(item[()], dtype=float).ravel()
    placed = np.isfinite(polar) & (width > 0) & (polar + width / 2 > 0)
    kept = {name: item[placed] for name, item in arrays.items() if item is not None}
    return {**kept, "energy_transfer": edges_of(need(data, "energy"), values.shape[1])}


def _write_data(data: h5py.Group, plain: DetectorMap) -> None:
    """Write the arrays; what is unknown is NaN.

    Other programs leave NaN out of sums, but take a detector whose first bin is NaN as masked
    altogether: in one that knows more, that bin is zero with zero error.
    """
    error = np.zeros_like(plain.intensity) if plain.error is None else plain.error
    intensity = np.where(plain.mask, plain.intensity, np.nan)
    intensity[~plain.mask[:, 0] & plain.mask.any(axis=1), 0] = 0.0
    _numbers(data, "data", intensity, signal=np.int32(1), axes="polar:energy")
    _numbers(data, "error", np.where(plain.mask, error, 0.0))
    _numbers(data, "energy", plain.energy_transfer, units="meV")
    _numbers(data, "polar", plain.polar, units="degrees")
    _numbers(data, "polar_width", plain.polar_width, units="degrees")
    rest = {
        "azimuthal": (plain.azimuthal, 0.0, "degrees"),
        "azimuthal_width": (plain.azimuthal_width, 360.0, "degrees"),
        "distance": (plain.distance, 1.0, "m"),
    }
    for name, (values, default, unit) in rest.items():
        full = np.full(len(plain.polar), default) if values is None else values
        _numbers(data, name, full, units=unit)


def _entry(file: h5py.File) -> h5py.Group | None:
    for item in file.values():
        if isinstance(item, h5py.Group) and "NXSPE_info" in item and "data" in item:
            return item
    return None


def _fixed_energy(info: h5py.Group, told: Told) -> float:
    item = dataset(info, "fixed_energy")
    values = np.asarray([] if item is None else item[()], dtype=float).ravel()
    values = values[np.isfinite(values)]
    if told.fixed_energy is not None:
        return float(told.fixed_energy)
    if values.size == 0:
        what = "The file does not say the energy of the incident or final neutrons"
        fix = "Give fixed_energy in meV"
        raise InputError(explain(what, "|Q| cannot be computed without", fix))
    if np.ptp(values) > _SAME_ENERGY * values.mean():
        what = f"Its detectors have fixed energies from {values.min():g} to {values.max():g} meV"
        fix = "Split the file by analyser, or give fixed_energy in meV if one will do"
        raise InputError(explain(what, "a map has one", fix))
    return float(values[0])


def _geometry(fixed_energy: float, edges: np.ndarray) -> Geometry:
    """Tell from the energies what is fixed: a neutron cannot lose more than it has."""
    return "indirect" if (edges[-1] + edges[-2]) / 2 > fixed_energy else "direct"


def _provenance(path: Path, entry: h5py.Group) -> dict[str, str]:
    program = dataset(entry, "program_name")
    instrument = dataset(entry.get("instrument", entry), "name")
    told = {"source": path.name, "format": "nxspe"}
    if program is not None:
        told["program"] = f"{text_of(program[()])} {attribute(program, 'version')}".strip()
    if instrument is not None:
        told["instrument"] = text_of(instrument[()])
    return told


def _group(parent: h5py.Group, name: str, kind: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = np.bytes_(kind)
    return group


def _text(group: h5py.Group, name: str, value: str, **attributes: str) -> None:
    """Write text as other programs expect it: of fixed length, alone in an array."""
    group[name] = np.array([value.encode("utf-8")])
    for key, text in attributes.items():
        group[name].attrs[key] = np.bytes_(text.encode("utf-8"))


def _numbers(group: h5py.Group, name: str, values: object, **attributes: object) -> None:
    array = np.asarray(values, dtype=float)
    packing = {"compression": "gzip", "compression_opts": 4} if array.size > 1000 else {}
    item = group.create_dataset(name, data=array, **packing)
    for key, value in attributes.items():
        item.attrs[key] = np.bytes_(value.encode()) if isinstance(value, str) else value
