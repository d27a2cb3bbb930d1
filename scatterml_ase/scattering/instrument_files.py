"""The files that describe known instruments (``data/*.toml``)."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.broadening import SIGMA_TO_FWHM
from scatterml_ase.scattering.fitted_resolution import TransferResolution
from scatterml_ase.scattering.resolution import (
    Aperture,
    DiskChopper,
    FermiChopper,
    IkedaCarpenterPulse,
    MeasuredPulse,
    PulseWidth,
    TimeOfFlightResolution,
)

_PULSES = {
    "measured": MeasuredPulse,
    "ikeda_carpenter": IkedaCarpenterPulse,
    "fermi": FermiChopper,
    "disk": DiskChopper,
}


@cache
def known_instruments() -> tuple[str, ...]:
    """Return the names of the instruments that have a file."""
    folder = files("scatterml_ase.scattering").joinpath("data")
    names = [item.name for item in folder.iterdir()]
    return tuple(sorted(name[:-5].upper() for name in names if name.endswith(".toml")))


def read(name: str, chopper_frequency: float | None = None) -> dict[str, Any]:
    """Return the fields of an instrument by name, also with a setting: ``"Lagrange:Si311"``.

    Raises
    ------
    InputError
        If name or setting is not known, or the chopper is none or has an impossible frequency.
    """
    title, _, setting = name.partition(":")
    if title.upper() not in known_instruments():
        raise InputError(
            explain(
                f"Instrument {title!r} is not known",
                f"the known ones are {', '.join(known_instruments())}",
                "Use one of these, or describe yours with Instrument.custom(...)",
            )
        )
    text = files("scatterml_ase.scattering").joinpath(f"data/{title.lower()}.toml")
    data = tomllib.loads(text.read_text("utf-8"))
    data |= _setting(data, setting)
    common = {"geometry": data["geometry"], "sources": _sources(data)}
    if data["geometry"] == "direct":
        return {**common, **_direct(data, chopper_frequency)}
    if chopper_frequency is not None:
        raise InputError(
            explain(
                f"chopper_frequency={chopper_frequency} means nothing to {data['name']}",
                "crystals select the final energy there",
                "Leave chopper_frequency out",
            )
        )
    return {**common, **_indirect(data)}


def _sources(data: Mapping[str, Any]) -> tuple[str, ...]:
    return (*data["sources"], f"compiled {data['date']}")


def _setting(data: Mapping[str, Any], wanted: str) -> dict[str, Any]:
    """Return what a setting of the instrument adds to its file; the usual one if none is named."""
    settings: Mapping[str, Any] = data.get("settings", {})
    if not wanted:
        return dict(settings[data["default_setting"]]) if settings else {}
    by_name = {key.lower(): key for key in settings}
    key = by_name.get(wanted.lower().replace("(", "").replace(")", ""))
    if key is None:
        known = ", ".join(f"{data['name']}:{key}" for key in settings)
        raise InputError(
            explain(
                f"{data['name']} has no setting {wanted!r}",
                f"it has {known}" if known else "its file knows only one",
                f"Use {'one of these' if known else repr(data['name'])}",
            )
        )
    return {**settings[key], "name": f"{data['name']}:{key}"}


def _direct(data: Mapping[str, Any], chopper_frequency: float | None) -> dict[str, Any]:
    return {
        "name": data["name"],
        "two_theta": tuple((first, last) for first, last in data["two_theta"]),
        "resolution": _time_of_flight(data, chopper_frequency),
        "incident_energy_range": tuple(data["incident_energy"]),
        "two_theta_fwhm": _tube_fwhm(
            data["detector_depth"], data["flight_path"]["sample_detector"]
        ),
    }


def _indirect(data: Mapping[str, Any]) -> dict[str, Any]:
    table = data["resolution"]
    resolution = TransferResolution.in_unit(
        table["unit"], table["sigma"], smallest=table.get("smallest", 0.0)
    )
    return {
        "name": data["name"],
        "two_theta": tuple(
            (first, last) for first, last in (b["two_theta"] for b in data["banks"])
        ),
        "banks": tuple(bank["name"] for bank in data["banks"]),
        "resolution": resolution,
        "incident_energy_range": tuple(data.get("incident_energy", (0.0, math.inf))),
        "final_energy": data["final_energy"],
    }


def _tube_fwhm(diameter: float, distance: float) -> float:
    """Return the FWHM in degrees of a Gaussian that spreads as a tube does, seen as a box."""
    return math.degrees(SIGMA_TO_FWHM * diameter / math.sqrt(12) / distance)


def _time_of_flight(
    data: Mapping[str, Any], chopper_frequency: float | None
) -> TimeOfFlightResolution:
    """Return the resolution of a direct-geometry file.

    Raises
    ------
    InputError
        If the frequency is not a positive number.
    """
    path = data["flight_path"]
    chopper = _pulse(data["chopper"])
    if chopper_frequency is not None:
        if not 0 < chopper_frequency < math.inf:
            raise InputError(
                explain(
                    f"chopper_frequency={chopper_frequency} is not possible",
                    "it is how often the chopper turns, in Hz",
                    f"Give e.g. {data['chopper']['frequency']}, as {data['name']} usually has",
                )
            )
        chopper = replace(chopper, frequency=float(chopper_frequency))  # type: ignore[type-var]
    return TimeOfFlightResolution(
        moderator=_pulse(data["moderator"]),
        chopper=chopper,
        source_chopper=path["moderator_chopper"],
        chopper_sample=path["chopper_sample"],
        sample_detector=path["sample_detector"],
        detector_depth=data["detector_depth"],
        aperture=Aperture(**data["aperture"]) if "aperture" in data else None,
    )


def _pulse(table: Mapping[str, Any]) -> PulseWidth:
    values = {key: value for key, value in table.items() if key not in ("kind", "package")}
    lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return _PULSES[table["kind"]](**{**values, **lists})
