"""From the numbers of a file to a map: what is unknown, what is impossible, what else was saved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.base import DEFAULT_UNITS, Result
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.detector_map import DetectorMap
from scatterml_ase.results.histogram import check_edges
from scatterml_ase.results.nexus import plain
from scatterml_ase.results.sqw import SqwMap

MASKED_BELOW = -1e10
"""SPE files, and those made of them, mark what is masked by -1e30."""
METADATA = "scatterml_ase"
"""Under this name a file of a foreign format holds what the format has no place for."""
AnyMap = TypeVar("AnyMap", bound=Result)


@dataclass(frozen=True)
class Told:
    """What a user tells about a file that does not say it itself.

    Parameters
    ----------
    fixed_energy
        E_i, or E_f of indirect geometry, in meV.
    temperature
        In K.
    units
        Of ``"energy"`` and ``"wavevector"``.
    """

    fixed_energy: float | None = None
    temperature: float | None = None
    units: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no neutron or sample has."""
        if self.fixed_energy is not None and not 0 < self.fixed_energy < np.inf:
            what = f"fixed_energy={self.fixed_energy} meV is no neutron energy"
            raise InputError(explain(what, "it is positive", "Give E_i, or E_f if that is fixed"))
        if self.temperature is not None and not 0 <= self.temperature < np.inf:
            what = f"temperature={self.temperature} K is not possible"
            raise InputError(explain(what, "it is absolute", "Give kelvin, e.g. 300"))


def known_values(
    intensity: np.ndarray, error: np.ndarray | None, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Return intensity, error and mask of a measurement.

    Without a mask, unknown is what is NaN, infinite or −1e30, and where count and error are both
    zero: no detector looked there.

    Raises
    ------
    InputError
        If an error is negative or nothing at all is known.
    """
    values = np.array(intensity, dtype=float)
    if values.ndim != 2:
        raise ValueError(f"the intensity has {values.ndim} dimensions instead of 2")
    if error is not None:
        error = np.array(error, dtype=float)
        if error.shape != values.shape:
            raise ValueError(f"intensity has shape {values.shape}, its error {error.shape}")
    if mask is None:
        mask = np.isfinite(values) & (values > MASKED_BELOW)
        if error is not None:
            mask &= np.isfinite(error) & ((values != 0) | (error != 0))
    if error is not None and np.any(error[mask] < 0):
        what = f"{int(np.sum(error[mask] < 0))} errors of the intensity are negative"
        fix = "Check the file: is the column or data set of errors what it seems?"
        raise InputError(explain(what, "a standard deviation or variance is not", fix))
    if not mask.any():
        what = "The map holds no measured bin"
        why = "all are NaN, masked, or zero with zero error"
        raise InputError(explain(what, why, "Check the file"))
    if error is not None:
        error[~mask] = np.nan
    return values, error, mask


def told_errors(intensity: np.ndarray, error: np.ndarray | None) -> np.ndarray | None:
    """Return errors, or None if all are zero beside intensities that are not.

    Formats that must hold errors hold zeros where nobody knew any.
    """
    if error is None or np.any(np.nan_to_num(error)) or not np.any(np.nan_to_num(intensity)):
        return error
    return None


def known_of_detectors(intensity: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return what detectors know: zero with zero error too, if they count elsewhere.

    Where few neutrons arrive such zeros are counts: to leave them out of a mean would raise it.
    """
    values, sigma = np.asarray(intensity, dtype=float), np.asarray(error, dtype=float)
    finite = np.isfinite(values) & np.isfinite(sigma) & (values > MASKED_BELOW)
    counts = finite & ((values != 0) | (sigma != 0))
    return finite & counts.any(axis=1, keepdims=True)


def standard_deviation(variance: np.ndarray) -> np.ndarray:
    """Return the root of variances, negative ones as they are: they are refused later."""
    values = np.asarray(variance, dtype=float)
    return np.sign(values) * np.sqrt(np.abs(values))


def measured_map(
    q: np.ndarray,
    energy_transfer: np.ndarray,
    intensity: np.ndarray,
    error: np.ndarray | None,
    *,
    mask: np.ndarray | None = None,
    saved: str | None = None,
    **changes: Any,
) -> SqwMap:
    """Return a map on bins in Å⁻¹ and meV, of a measurement in arbitrary units if nothing is saved.

    Parameters
    ----------
    q, energy_transfer
        Edges.
    intensity, error
        Shape (q, energy).
    mask
        If the file holds one; None: see :func:`known_values`.
    saved
        What :func:`packed` wrote, if the file is of ours.
    **changes
        Fields of :class:`SqwMap` that the file gives.
    """
    edges = check_edges("The Q axis", q), check_edges("The energy axis", energy_transfer)
    error = error if saved is not None else told_errors(intensity, error)
    values, error, mask = known_values(intensity, error, mask)
    known: dict[str, Any] = {"scale": "arbitrary", "ki_over_kf": None, **changes}
    found = SqwMap(
        q=edges[0],
        energy_transfer=edges[1],
        intensity=values,
        error=error,
        mask=mask,
        **known,
    )
    return restored(found, saved)


def edges_of(values: np.ndarray, bins: int) -> np.ndarray:
    """Return bin edges from edges or centres of ``bins`` bins.

    Between centres that are not equally spaced edges lie halfway.
    """
    values = np.asarray(values, dtype=float).ravel()
    if len(values) == bins + 1:
        return values
    if len(values) != bins or bins < 2:
        raise ValueError(f"an axis has {len(values)} values, and the intensity {bins} bins")
    middle = (values[1:] + values[:-1]) / 2
    first, last = 2 * values[0] - middle[0], 2 * values[-1] - middle[-1]
    return np.concatenate([[first], middle, [last]])


def completed(found: SqwMap | DetectorMap, told: Told) -> SqwMap | DetectorMap:
    """Return a map or detectors with what the user told about it, whatever the file says."""
    changes: dict[str, Any] = {}
    if told.temperature is not None:
        changes["temperature"] = float(told.temperature)
    if told.fixed_energy is not None and isinstance(found, SqwMap):
        known = {"geometry": "direct", **(found.kinematics or {})}
        changes["kinematics"] = {**known, "fixed_energy": float(told.fixed_energy)}
    elif told.fixed_energy is not None:
        changes["fixed_energy"] = float(told.fixed_energy)
    return replace(found, **changes) if changes else found


# -- what foreign formats have no place for -------------------------------------------------------


def packed(result: Result, *own: str) -> str:
    """Return as JSON all fields but the arrays ``own``, which the format itself holds.

    The parts of a map, each as large as itself, are left out.
    """
    if isinstance(result, SqwMap):
        result = replace(result, parts=None, part_names=())
    values: dict[str, Any] = {"units": dict(result.units)}
    for item in fields(in_file := in_default_units(result)):
        value = getattr(in_file, item.name)
        if value is None or item.name not in (*own, "units"):
            values[item.name] = _crystal_fields(value) if isinstance(value, Crystal) else value
    return json.dumps(values, default=plain)


def restored(result: AnyMap, text: str | None) -> AnyMap:
    """Return ``result`` with the fields that :func:`packed` wrote, if any, in the units it had."""
    if text is None:
        return result
    values = json.loads(text)
    units = values.pop("units")
    if values.get("crystal") is not None:
        values["crystal"] = Crystal(**values["crystal"])
    names = {item.name for item in fields(result)}
    result = replace(result, **{name: values[name] for name in names & set(values)})
    return _in_units(result, units)


def in_default_units(result: AnyMap) -> AnyMap:
    """Return the result in meV and Å⁻¹, as files hold it."""
    return _in_units(result, DEFAULT_UNITS)


def _in_units(result: AnyMap, units: Mapping[str, str]) -> AnyMap:
    for kind, unit in units.items():
        if result.units[kind] != unit:
            result = result.to(unit)
    return result


def _crystal_fields(crystal: Crystal) -> dict[str, Any]:
    return {item.name: getattr(crystal, item.name) for item in fields(crystal)}
