"""What the readers of HDF5 files share: text however it is stored, and groups by class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np


def text_of(value: Any) -> str:
    """Return text stored as bytes or str, alone or in an array; "" for None."""
    if value is None:
        return ""
    item = np.asarray(value).ravel()
    if item.size == 0:
        return ""
    return item[0].decode("utf-8", "replace") if isinstance(item[0], bytes) else str(item[0])


def attribute(item: h5py.Group | h5py.Dataset, name: str) -> str:
    """Return an attribute as text; "" if it is missing."""
    return text_of(item.attrs.get(name))


def number(group: h5py.Group, name: str) -> float:
    """Return a number stored alone or in an array; NaN if it is missing."""
    if name not in group:
        return float("nan")
    values = np.asarray(group[name][()], dtype=float).ravel()
    return float(values[0]) if values.size else float("nan")


def groups(file: h5py.Group) -> Iterator[h5py.Group]:
    """Yield a group and all within it."""
    yield file
    for item in file.values():
        if isinstance(item, h5py.Group):
            yield from groups(item)


def dataset(group: h5py.Group, *names: str) -> h5py.Dataset | None:
    """Return the first data set of these names, in upper or lower case."""
    found = {key.lower(): key for key in group}
    for name in names:
        item = group.get(found.get(name.lower(), name))
        if isinstance(item, h5py.Dataset):
            return item
    return None


def need(group: h5py.Group, name: str) -> np.ndarray:
    """Return a data set that must be there."""
    item = dataset(group, name)
    if item is None:
        raise ValueError(f"{group.name!r} has no data set {name!r}")
    return np.asarray(item[()])
