"""Our own files, as the ``save`` method of a result writes them."""

from __future__ import annotations

from pathlib import Path

import h5py

from scatterml_ase.errors import InputError, explain
from scatterml_ase.results import load_result
from scatterml_ase.results.detector_map import DetectorMap
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering.files.content import Told


def recognises(file: h5py.File) -> bool:
    """Tell whether an open HDF5 file is of this format."""
    return "scatterml_class" in getattr(file.get("entry/result"), "attrs", {})


def read(path: Path, told: Told) -> SqwMap | DetectorMap:
    """Read a map; another result is refused."""
    result = load_result(path)
    if isinstance(result, SqwMap | DetectorMap):
        return result
    what = f"{str(path)!r} holds {type(result).__name__}, not SqwMap"
    raise InputError(explain(what, "the class in the file decides", "Use load_result"))
