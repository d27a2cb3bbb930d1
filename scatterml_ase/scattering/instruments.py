"""Spectrometers: what they can reach in (Q, E), and how sharply."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from importlib.resources import files
from typing import Any, Self

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics import kinematics
from scatterml_ase.physics.broadening import SIGMA_TO_FWHM
from scatterml_ase.scattering.resolution import (
    Aperture,
    DiskChopper,
    FermiChopper,
    IkedaCarpenterPulse,
    MeasuredPulse,
    PolynomialResolution,
    PulseWidth,
    Resolution,
    TimeOfFlightResolution,
)

_PULSES = {
    "measured": MeasuredPulse,
    "ikeda_carpenter": IkedaCarpenterPulse,
    "fermi": FermiChopper,
    "disk": DiskChopper,
}


@dataclass(frozen=True)
class Instrument:
    """A time-of-flight spectrometer of direct geometry.

    ``Instrument.load("ARCS")`` gives one of the known ones, :meth:`custom` any other.
    Calculated widths run 10–20 % below those measured on vanadium: see ``width_scale``.

    Parameters
    ----------
    name
        As users call it.
    two_theta
        Ranges (from, to) of scattering angles with detectors, in degrees.
    resolution
        Gives the energy resolution; None for a sharp instrument.
    incident_energy_range
        Smallest and largest E_i in meV the instrument is used with.
    width_scale
        Factor on every calculated width.
    geometry
        ``"direct"``: E_i is fixed.
    sources
        Where the numbers are from, and when they were read.
    """

    name: str
    two_theta: tuple[tuple[float, float], ...]
    resolution: Resolution | None = None
    incident_energy_range: tuple[float, float] = (0.0, np.inf)
    width_scale: float = 1.0
    geometry: kinematics.Geometry = "direct"
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the angles."""
        ranges = tuple(kinematics.check_two_theta(self.two_theta))
        object.__setattr__(self, "two_theta", ranges)

    @classmethod
    def load(cls, name: str, *, chopper_frequency: float | None = None) -> Self:
        """Return a known instrument.

        Parameters
        ----------
        name
            See :func:`known_instruments`; upper or lower case.
        chopper_frequency
            Of the chopper that selects E_i, in Hz; None for the usual one.

        Raises
        ------
        InputError
            If the name is not known; the message lists those that are.
        """
        if name.upper() not in known_instruments():
            raise InputError(
                explain(
                    f"Instrument {name!r} is not known",
                    f"the known ones are {', '.join(known_instruments())}",
                    "Use one of these, or describe yours with Instrument.custom(...)",
                )
            )
        text = files("scatterml_ase.scattering").joinpath(f"data/{name.lower()}.toml")
        data = tomllib.loads(text.read_text("utf-8"))
        return cls(
            name=data["name"],
            two_theta=tuple((first, last) for first, last in data["two_theta"]),
            resolution=_Resolution.from_data(data, chopper_frequency),
            incident_energy_range=tuple(data["incident_energy"]),
            sources=(*data["sources"], f"compiled {data['date']}"),
        )

    @classmethod
    def custom(
        cls,
        two_theta: Sequence[tuple[float, float]],
        *,
        relative_energy_fwhm: float | Sequence[float] | None = None,
        name: str = "custom",
    ) -> Self:
        """Describe an instrument by its detectors and, if known, its energy resolution.

        Parameters
        ----------
        two_theta
            Ranges (from, to) of scattering angles with detectors, in degrees.
        relative_energy_fwhm
            FWHM/E_i, one number, or polynomial coefficients in E/E_i, lowest first: (0.04, -0.03)
            is 4 % of E_i at the elastic line and 1 % at E = E_i.
        name
            For titles and provenance.
        """
        resolution = None
        if relative_energy_fwhm is not None:
            coefficients = np.atleast_1d(np.asarray(relative_energy_fwhm, dtype=float))
            resolution = PolynomialResolution(tuple(coefficients.tolist()))
        ranges = tuple((float(first), float(last)) for first, last in two_theta)
        return cls(name=name, two_theta=ranges, resolution=resolution)

    def energy_sigma(self, energy_transfer: np.ndarray, incident_energy: float) -> np.ndarray:
        """Return the standard deviation of the energy resolution in meV (0 if it is sharp)."""
        energy_transfer = np.asarray(energy_transfer, dtype=float)
        if self.resolution is None:
            return np.zeros_like(energy_transfer)
        return self.width_scale * self.resolution.energy_sigma(energy_transfer, incident_energy)

    def energy_fwhm(self, energy_transfer: np.ndarray, incident_energy: float) -> np.ndarray:
        """Return the full width at half maximum of the energy resolution in meV."""
        return SIGMA_TO_FWHM * self.energy_sigma(energy_transfer, incident_energy)

    def measured(
        self, q: np.ndarray, energy_transfer: np.ndarray, incident_energy: float
    ) -> np.ndarray:
        """Say which points (|Q| in Å⁻¹, E in meV) the detectors see, shape (q, energy)."""
        return kinematics.measured(
            q, energy_transfer, incident_energy, self.two_theta, self.geometry
        )

    def largest_q(self, energy_transfer: np.ndarray, incident_energy: float) -> float:
        """Return the largest |Q| in Å⁻¹ seen at energy transfers in meV, 0 if none can be."""
        last = max(last for _, last in self.two_theta)
        q = kinematics.border(energy_transfer, incident_energy, last, self.geometry)
        return float(np.max(q, initial=0.0, where=np.isfinite(q)))

    def check_incident_energy(self, incident_energy: float | None) -> float:
        """Return E_i in meV, after checking it.

        Raises
        ------
        InputError
            If it is missing or the instrument does not offer it.
        """
        smallest, largest = self.incident_energy_range
        offered = f"{smallest:g} … {largest:g} meV" if np.isfinite(largest) else "any energy"
        if incident_energy is None:
            raise InputError(
                explain(
                    f"{self.name} needs an incident energy",
                    "it decides what is measured and how sharply",
                    f"Give incident_energy in meV ({self.name} offers {offered})",
                )
            )
        if not np.isfinite(incident_energy) or not (
            incident_energy > 0 and smallest <= incident_energy <= largest
        ):
            raise InputError(
                explain(
                    f"{self.name} cannot run with an incident energy of {incident_energy} meV",
                    f"it offers {offered}",
                    "Choose incident_energy within this range, or another instrument",
                )
            )
        return float(incident_energy)

    def describe(self) -> dict[str, Any]:
        """Return plain values for provenance."""
        resolution = self.resolution
        return {
            "name": self.name,
            "geometry": self.geometry,
            "two_theta": [list(pair) for pair in self.two_theta],
            "width_scale": self.width_scale,
            "resolution": asdict(resolution) if is_dataclass(resolution) else None,
            "sources": list(self.sources),
        }


def known_instruments() -> tuple[str, ...]:
    """Return the names :meth:`Instrument.load` knows."""
    folder = files("scatterml_ase.scattering").joinpath("data")
    names = [item.name for item in folder.iterdir()]
    return tuple(sorted(name[:-5].upper() for name in names if name.endswith(".toml")))


def find_instrument(instrument: Instrument | str | None) -> Instrument | None:
    """Return the instrument itself, or the one of that name."""
    return Instrument.load(instrument) if isinstance(instrument, str) else instrument


@dataclass(frozen=True)
class _Resolution:
    """The resolution of an instrument file: a chopper near the source may shape the pulse.

    Parameters
    ----------
    from_moderator
        Resolution if the moderator's pulse is used as it is.
    from_shaper
        Resolution if a first chopper cuts the pulse; None if there is none.
    """

    from_moderator: TimeOfFlightResolution
    from_shaper: TimeOfFlightResolution | None = None

    @classmethod
    def from_data(cls, data: dict[str, Any], chopper_frequency: float | None) -> Self:
        """Read the tables of an instrument file."""
        path = data["flight_path"]
        chopper = _pulse(data["chopper"])
        if chopper_frequency is not None:
            chopper = replace(chopper, frequency=float(chopper_frequency))  # type: ignore[type-var]
        plain = TimeOfFlightResolution(
            moderator=_pulse(data["moderator"]),
            chopper=chopper,
            source_chopper=path["moderator_chopper"],
            chopper_sample=path["chopper_sample"],
            sample_detector=path["sample_detector"],
            detector_depth=data["detector_depth"],
            aperture=Aperture(**data["aperture"]) if "aperture" in data else None,
        )
        if "pulse_shaper" not in data:
            return cls(plain)
        table = dict(data["pulse_shaper"])
        distance = path["moderator_chopper"] - table.pop("distance")
        return cls(plain, replace(plain, moderator=_pulse(table), source_chopper=distance))

    def energy_sigma(self, energy_transfer: np.ndarray, fixed_energy: float) -> np.ndarray:
        """Return the standard deviation in meV of whichever pulse is the sharper in energy."""
        chosen = self.from_moderator
        if self.from_shaper is not None:
            sharpness = [
                option.moderator.sigma(fixed_energy) / option.source_chopper
                for option in (self.from_moderator, self.from_shaper)
            ]
            chosen = self.from_shaper if sharpness[1] < sharpness[0] else self.from_moderator
        return chosen.energy_sigma(energy_transfer, fixed_energy)


def _pulse(table: dict[str, Any]) -> PulseWidth:
    values = {key: value for key, value in table.items() if key not in ("kind", "package")}
    lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return _PULSES[table["kind"]](**{**values, **lists})
