"""Files of four-dimensional grids, written slab by slab (layout: results/sqw_grid.py)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from scatterml_ase import __version__
from scatterml_ase.results.nexus import plain
from scatterml_ase.results.plane_figure import direction_name
from scatterml_ase.results.sqw_grid import ENTRY, FORMAT, METADATA

_BLOCK = (16, 1, 32, 32)
"""Bins of energy, z, y, x stored together: slices and spectra are both read quickly."""


class GridFile:
    """A grid that is being written; used in a ``with`` block.

    Parameters
    ----------
    path
        Of the new file.
    edges
        Of the bins along x, y, z and energy.
    directions
        Of x, y and z in r.l.u., shape (3, 3).
    """

    def __init__(self, path: Path, edges: Sequence[np.ndarray], directions: np.ndarray) -> None:
        self._file = h5py.File(path, "w")
        entry = self._file.create_group(ENTRY)
        entry.attrs["NX_class"] = np.bytes_("NXentry")
        entry.attrs["SaveMDVersion"] = np.int32(2)
        entry.attrs["creator"] = np.bytes_(f"scatterml_ase {__version__}")
        for key in ("coordinate_system", "visual_normalization"):
            entry[key] = np.array([0], dtype=np.uint32)
        self._entry = entry
        self._data = entry.create_group("data")
        self._data.attrs["NX_class"] = np.bytes_("NXdata")
        names = [direction_name(d, k).replace(" ", "") for k, d in enumerate(directions)]
        described = [*((name.replace("−", "-"), "r.l.u.", "HKL") for name in names),
                     ("DeltaE", "meV", "General Frame")]  # fmt: skip
        for k, (values, texts) in enumerate(zip(edges, described, strict=True)):
            axis = self._data.create_dataset(f"D{k}", data=values)
            for key, text in zip(("long_name", "units", "frame"), texts, strict=True):
                axis.attrs[key] = np.bytes_(text)
        shape = tuple(len(values) - 1 for values in reversed(edges))
        block = tuple(min(size, most) for size, most in zip(shape, _BLOCK, strict=True))
        kinds = {
            "signal": (np.float64, np.nan),
            "errors_squared": (np.float64, 0.0),  # fill values take no place in the file
            "num_events": (np.float64, 1.0),
            "mask": (np.int8, 0),
        }
        for name, (kind, fill) in kinds.items():
            self._data.create_dataset(
                name, shape, dtype=kind, fillvalue=fill, chunks=block,
                compression="gzip", compression_opts=1, shuffle=True,
            )  # fmt: skip
        self._data["signal"].attrs["signal"] = np.int32(1)
        self._data["signal"].attrs["axes"] = np.bytes_("D3:D2:D1:D0")
        self._data["signal"].attrs["units"] = np.bytes_("mbarn/sr/meV")

    def write(self, part: slice, density: np.ndarray, known: np.ndarray) -> None:
        """Write the slab of bins ``part`` along z, both of shape (energy, z, y, x)."""
        self._data["signal"][:, part] = np.where(known, density, np.nan)
        self._data["mask"][:, part] = ~known

    def finish(self, facts: dict[str, Any]) -> None:
        """Write everything else."""
        text = json.dumps({"format": FORMAT, **facts}, default=plain)
        self._entry.create_dataset(METADATA, data=text)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._file.close()
