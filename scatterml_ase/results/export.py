"""Results as CSV tables and xarray datasets."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.nexus import plain

if TYPE_CHECKING:
    import xarray

    from scatterml_ase.results.base import Result


def write_csv(path: Path, result: Result) -> None:
    """Write one row per point of ``row_dims`` and one column per number into ``path``."""
    columns = dict(_columns(result))
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


def to_xarray(result: Result) -> xarray.Dataset:
    """Return an ``xarray.Dataset`` with the names, dimensions and units of ``result``."""
    try:
        import xarray
    except ImportError as error:
        raise InputError(
            explain("xarray is not installed", "to_xarray() needs it",
                    "Run: pip install 'scatterml-ase[xarray]'")
        ) from error  # fmt: skip
    variables: dict[str, Any] = {}
    coordinates = dict(_coordinates(result))
    for name, dims, _ in result.declared():
        value = getattr(result, name)
        if value is None:
            continue
        target = coordinates if name in result.axes else variables
        target[name] = (_dims_for_xarray(dims), value, {"units": result.unit_of(name)})
    attributes = {
        "class": type(result).__name__,
        "provenance": json.dumps(result.provenance, default=plain),
    }
    return xarray.Dataset(variables, coords=coordinates, attrs=attributes)


def _coordinates(result: Result) -> Iterator[tuple[str, Any]]:
    """Yield an index for every dimension that an axis runs along, and the species of atoms."""
    for name, dims, _ in result.declared():
        value = getattr(result, name)
        if name in result.axes and value is not None and len(dims) == 1:
            dim = dims[0].removesuffix("+1")
            centres = (value[1:] + value[:-1]) / 2 if dims[0].endswith("+1") else value
            yield dim, (dim, centres, {"units": result.unit_of(name)})
    crystal = getattr(result, "crystal", result)
    if hasattr(crystal, "symbols") and "atom" in result.sizes():
        yield "species", ("atom", list(crystal.symbols))


def _dims_for_xarray(dims: tuple[str, ...]) -> list[str]:
    """Name edges ``energy_edge`` and a dimension met for the second time ``xyz_2``."""
    names: list[str] = []
    for dim in dims:
        name = f"{dim[:-2]}_edge" if dim.endswith("+1") else dim
        count = sum(known.split("_2")[0] == name for known in names)
        names.append(f"{name}_{count + 1}" if count else name)
    return names


def _columns(result: Result) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the columns of the CSV table: coordinates first, then data."""
    sizes = result.sizes()
    rows = [(dim, sizes[dim]) for dim in result.row_dims]
    edges = {f"{dim}+1" for dim in result.row_dims}
    declared = sorted(result.declared(), key=lambda item: item[0] not in result.axes)
    for name, dims, _ in declared:
        value = getattr(result, name)
        if value is None or not (set(dims) & (set(result.row_dims) | edges)):
            continue
        unit = f" ({result.unit_of(name)})" if result.unit_of(name) else ""
        if len(dims) == 1 and dims[0] in edges:
            name = dims[0][:-2]  # a row belongs to a bin: its centre, not the edges
        for k, dim in enumerate(dims):
            if dim in edges:
                value = np.moveaxis(value, k, -1)
                value = np.moveaxis((value[..., 1:] + value[..., :-1]) / 2, -1, k)
        names = tuple(dim.removesuffix("+1") for dim in dims)
        yield from _table_columns(name, unit, value, names, rows)


def _table_columns(
    name: str,
    unit: str,
    value: np.ndarray,
    dims: tuple[str, ...],
    rows: list[tuple[str, int]],
) -> Iterator[tuple[str, np.ndarray]]:
    """Broadcast an array over all rows; dimensions that are no rows become numbered columns."""
    order = [dims.index(dim) for dim, _ in rows if dim in dims]
    rest = [k for k in range(len(dims)) if k not in order]
    value = value.transpose(order + rest)
    shape = [size if dim in dims else 1 for dim, size in rows]
    value = value.reshape(*shape, *value.shape[len(order) :])
    full = np.broadcast_to(value, (*(size for _, size in rows), *value.shape[len(rows) :]))
    full = full.reshape(int(np.prod([size for _, size in rows])), -1)
    for column, index in zip(full.T, np.ndindex(*value.shape[len(rows) :]), strict=True):
        label = name if not index else f"{name}[{','.join(map(str, index))}]"
        if np.iscomplexobj(column):
            yield f"{label} real{unit}", column.real
            yield f"{label} imag{unit}", column.imag
        else:
            yield f"{label}{unit}", column
