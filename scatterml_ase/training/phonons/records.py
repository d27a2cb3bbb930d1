"""Dataclasses of arrays in HDF5, a group each: what preparation leaves for training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import h5py

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_RecordT = TypeVar("_RecordT", bound="DataclassInstance")


def write_records(path: Path, records: Iterable[Any]) -> int:
    """Append records, which have a ``name``, to a file; return how many there are then."""
    with h5py.File(path, "a") as file:
        for record in records:
            if record.name in file:
                continue
            group = file.create_group(f"{record.name}.part")
            for item in fields(record):
                if item.name != "name":
                    group[item.name] = getattr(record, item.name)
            file.move(group.name, record.name)  # complete or absent
        return len(file)


def written(path: Path) -> frozenset[str]:
    """Return the names of the records of a file; none if there is no file."""
    if not path.is_file():
        return frozenset()
    with h5py.File(path, "r") as file:
        return frozenset(name for name in file if not name.endswith(".part"))


def read_records(path: Path, kind: type[_RecordT]) -> Iterator[_RecordT]:
    """Yield the records of a file in the order of their names."""
    with h5py.File(path, "r") as file:
        for name in file:
            if not name.endswith(".part"):
                group = file[name]
                values: dict[str, Any] = {key: _plain(group[key][()]) for key in group}
                yield kind(**{"name": name, **values})


def _plain(value: Any) -> Any:
    """Return numbers of numpy as Python's."""
    return value.item() if getattr(value, "shape", None) == () else value
