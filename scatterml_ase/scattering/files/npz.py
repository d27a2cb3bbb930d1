"""Numpy archives: Q and E in Å⁻¹ and meV (edges or centres), I, and error or var."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering.files.content import (
    METADATA,
    Told,
    edges_of,
    in_default_units,
    measured_map,
    packed,
    standard_deviation,
)
from scatterml_ase.scattering.files.hdf5 import text_of

_OWN = ("q", "energy_transfer", "intensity", "error", "mask")
_NAMES = {
    "q": ("q", "q_edges"),
    "energy": ("e", "energy", "energy_transfer", "e_edges"),
    "intensity": ("i", "s", "intensity", "sqw", "data"),
    "error": ("error", "err", "sigma", "errors"),
    "variance": ("var", "variance"),
    "mask": ("mask",),
    "fixed_energy": ("ei", "fixed_energy", "incident_energy"),
    "temperature": ("t", "temperature"),
    "instrument": ("instrument",),
    "sample": ("sample",),
}


def recognises(start: bytes) -> bool:
    """Tell from its first bytes whether a file is a zip archive, as of numpy."""
    return start.startswith(b"PK")


def read(path: Path, told: Told) -> SqwMap:
    """Read arrays by their usual names; nothing is ever unpickled."""
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        names = {name.lower(): name for name in archive.files}
        found = {
            key: archive[names[name]]
            for key, usual in _NAMES.items()
            for name in usual
            if name in names
        }
        saved = str(archive[METADATA]) if METADATA in archive.files else None
    missing = {"q", "energy", "intensity"} - set(found)
    if missing:
        raise ValueError(f"it has no array of {' and '.join(sorted(missing))}")
    intensity = found["intensity"]
    error = found.get("error")
    if error is None and "variance" in found:
        error = standard_deviation(found["variance"])
    provenance = {"source": path.name, "format": "npz"}
    provenance |= {key: text_of(found[key]) for key in ("instrument", "sample") if key in found}
    changes: dict[str, Any] = {}
    if "fixed_energy" in found:
        energy = float(found["fixed_energy"])
        changes["kinematics"] = {"geometry": "direct", "fixed_energy": energy}
    if "temperature" in found:
        changes["temperature"] = float(found["temperature"])
    return measured_map(
        edges_of(found["q"], intensity.shape[0]),
        edges_of(found["energy"], intensity.shape[1]),
        intensity,
        error,
        mask=found["mask"].astype(bool) if "mask" in found else None,
        saved=saved,
        provenance=provenance,
        **changes,
    )


def write(path: Path, sqw: SqwMap) -> None:
    """Write the arrays under the names by which they are read."""
    plain = in_default_units(sqw)
    arrays: dict[str, Any] = {
        "Q": plain.q,
        "E": plain.energy_transfer,
        "I": plain.intensity,
        "mask": plain.mask,
        METADATA: np.array(packed(sqw, *_OWN)),
    }
    if plain.error is not None:
        arrays["error"] = plain.error
    if np.isfinite(plain.temperature):
        arrays["T"] = np.array(plain.temperature)
    if plain.kinematics and plain.kinematics.get("fixed_energy") is not None:
        arrays["Ei"] = np.array(plain.kinematics["fixed_energy"])
    with path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
