"""One door for all formats: the content of a file decides who reads it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from scatterml_ase.atomic_write import atomic_write
from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.detector_map import DetectorMap
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering.files.content import Told, completed

# The closed tables: formats in the order in which they are tried, and what endings mean.
HDF5 = ("nexus", "nxspe", "mdhisto", "iqe", "nxdata")
PLAIN = ("npz", "spe", "csv")
WRITTEN = ("nexus", "nxspe", "mdhisto", "iqe", "spe", "csv", "npz")
SUFFIXES: Mapping[str, str] = {
    ".nxs": "nexus",
    ".h5": "nexus",
    ".hdf5": "nexus",
    ".nxspe": "nxspe",
    ".spe": "spe",
    ".csv": "csv",
    ".txt": "csv",
    ".dat": "csv",
    ".npz": "npz",
}
_MODULES = {"csv": "table"}
_START = 65_536
_FIX = (
    "Give NXSPE, MDHisto or NXdata (.nxs), iqe histograms (.h5), SPE, a table of Q, E, I, error, "
    "npz, or a file written by SqwMap.save()"
)


def read_sqw(
    path: str | Path,
    *,
    q: np.ndarray | None = None,
    fixed_energy: float | None = None,
    temperature: float | None = None,
    units: Mapping[str, str] | None = None,
) -> SqwMap:
    """Read a measured (or saved) map S(Q, E); its content tells the format.

    Bins that are NaN, masked, or zero with zero error are unknown: their ``mask`` is False.
    Intensities of other programs have ``scale="arbitrary"``. What detectors measured (NXSPE, SPE)
    is averaged over bins of Q by the area they share; :func:`read_detectors` gives it as it
    is.

    Parameters
    ----------
    path
        An NXSPE, MDHisto, NXdata or iqe file, SPE, a table of columns, npz, or one of ours.
    q
        Edges of the bins of Q wanted, in Å⁻¹; None: those of the file, or about as wide as the
        detectors.
    fixed_energy
        E_i (E_f if that is fixed) in meV, where the file does not say it.
    temperature
        In K, where the file does not say it.
    units
        Of axes the file leaves without, e.g. ``{"energy": "meV", "wavevector": "angstrom^-1"}``.

    Raises
    ------
    InputError
        If the file is missing, damaged, of no known format or no map, or lacks what is needed.
    """
    told = Told(fixed_energy, temperature, units or {})
    found = _read(Path(path), told)
    if isinstance(found, DetectorMap):
        sqw = found.to_q(q)
    else:
        sqw = found if q is None else found.rebinned(q)
    if q is not None and not sqw.mask.any():
        what = f"Nothing was measured at |Q| from {sqw.q[0]:g} to {sqw.q[-1]:g} Å⁻¹"
        why = f"{str(path)!r} knows no bin of q entirely"
        raise InputError(explain(what, why, "Give edges within what was measured, or leave q out"))
    return sqw


def read_detectors(
    path: str | Path, *, fixed_energy: float | None = None, temperature: float | None = None
) -> DetectorMap:
    """Read what the detectors measured, by scattering angle, from an NXSPE or SPE file.

    Parameters
    ----------
    path
        The file; an SPE file needs ``.par`` or ``.phx`` beside it.
    fixed_energy, temperature
        In meV and K, where the file does not say them.

    Raises
    ------
    InputError
        If the file is missing or damaged, or holds no detectors.
    """
    found = _read(Path(path), Told(fixed_energy, temperature))
    if isinstance(found, DetectorMap):
        return found
    what = f"{str(path)!r} holds a map of Q and E, not detectors"
    raise InputError(explain(what, "NXSPE and SPE files hold detectors", "Use read_sqw"))


def write_sqw(sqw: SqwMap | DetectorMap, path: str | Path, format: str | None = None) -> Path:
    """Write a map in a format that other programs read; return its path.

    The file appears complete or not at all.

    Parameters
    ----------
    sqw
        The map; detectors go to ``"nexus"`` and ``"nxspe"`` only.
    path
        Its ending tells the format, if ``format`` does not.
    format
        ``"nexus"`` (everything, as :meth:`SqwMap.save`), ``"nxspe"``, ``"mdhisto"``, ``"iqe"``,
        ``"spe"``, ``"csv"`` or ``"npz"``.

    Raises
    ------
    InputError
        If the format is not known or cannot hold the map, or it is none.
    """
    if not isinstance(sqw, SqwMap | DetectorMap):
        what = f"{type(sqw).__name__} is no map of Q and E"
        raise InputError(explain(what, "formats of spectrometers hold those", "Use its .save()"))
    path = Path(path)
    name = format or SUFFIXES.get(path.suffix.lower(), "")
    if name not in WRITTEN:
        what = f"Cannot tell the format of {str(path)!r}" if not name else f"{name!r} is no format"
        fix = f"Give format= one of {', '.join(map(repr, WRITTEN))}"
        raise InputError(explain(what, f"endings known are {', '.join(SUFFIXES)}", fix))
    if name == "nexus":
        return sqw.save(path)
    if isinstance(sqw, DetectorMap) and name != "nxspe":
        what = f"{name!r} cannot hold detectors"
        raise InputError(explain(what, "it holds bins of Q", "Write sqw.to_q(), or 'nxspe'"))
    with atomic_write(path) as temporary:
        _module(name).write(temporary, sqw)
    return path


def _read(path: Path, told: Told) -> SqwMap | DetectorMap:
    if not path.is_file():
        why = "it is a folder" if path.is_dir() else "nothing to read"
        raise InputError(explain(f"There is no file {str(path)!r}", why, _FIX))
    name = ""
    try:
        name = _format(path)
        if name:
            return completed(_module(name).read(path, told), told)
    except InputError:
        raise
    except Exception as error:  # readers raise whatever the damage leads to
        kind = f"as {name!r}" if name else "at all"
        what = f"Cannot read {str(path)!r} {kind}"
        why = f"it is damaged or not what it seems ({type(error).__name__}: {error})"
        raise InputError(explain(what, why, _FIX)) from error
    why = "neither its content nor its ending is of a known format"
    raise InputError(explain(f"Cannot read {str(path)!r}", why, _FIX))


def _format(path: Path) -> str:
    """Name the format of a file, "" if none fits."""
    with path.open("rb") as stream:
        start = stream.read(_START)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        with h5py.File(path, "r") as file:
            return next((name for name in HDF5 if _module(name).recognises(file)), "")
    return next((name for name in PLAIN if _module(name).recognises(start)), "")


def _module(name: str) -> Any:
    module = _MODULES.get(name, name)
    return importlib.import_module(f"scatterml_ase.scattering.files.{module}")
