"""Checks of what users say of an instrument, each with a message to act on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scatterml_ase.errors import AccuracyWarning, InputError, explain, warn
from scatterml_ase.scattering.resolution import FermiChopper

if TYPE_CHECKING:
    from scatterml_ase.scattering.instruments import Instrument


def angle_pairs(two_theta: Sequence[Any]) -> tuple[tuple[float, float], ...]:
    """Return angles in degrees, each single or a range, as pairs (from, to).

    Raises
    ------
    InputError
        If one is neither, or there is none.
    """
    try:
        pairs = [np.broadcast_to(np.asarray(angle, dtype=float), (2,)) for angle in two_theta]
    except (TypeError, ValueError) as error:
        raise InputError(
            explain(
                f"two_theta={two_theta!r:.60} are no scattering angles",
                "it is a list of angles in degrees and of ranges (from, to)",
                "Give e.g. [(3, 135)] or [45, 135]",
            )
        ) from error
    return tuple((float(first), float(last)) for first, last in pairs)


def check_description(instrument: Instrument) -> None:
    """Refuse an instrument whose fields contradict each other or are no numbers.

    Raises
    ------
    InputError
        With the field that is wrong.
    """
    if not instrument.two_theta:
        what = f"{instrument.name} has no detectors"
        raise InputError(explain(what, "nothing would be measured", "Give two_theta=[(3, 135)]"))
    if (instrument.geometry == "indirect") != (instrument.final_energy is not None):
        raise InputError(
            explain(
                f"{instrument.name} is of {instrument.geometry} geometry with a final energy of "
                f"{instrument.final_energy}",
                "crystals fix the final energy in indirect geometry, and only there",
                "Give final_energy in meV with geometry='indirect', or neither",
            )
        )
    numbers = {
        "final_energy": (instrument.final_energy, "an energy in meV"),
        "width_scale": (instrument.width_scale, "a factor"),
        "two_theta_fwhm": (instrument.two_theta_fwhm, "a width in degrees"),
    }
    for field, (value, meaning) in numbers.items():
        if value is not None and not 0 < value < np.inf:
            what = f"{field}={value} of {instrument.name} cannot be used"
            raise InputError(explain(what, f"it is {meaning}", "Give a positive number"))
    if len(instrument.banks) != len(instrument.two_theta):
        names, ranges = len(instrument.banks), len(instrument.two_theta)
        what = f"{instrument.name} has {names} names for {ranges} banks"
        raise InputError(explain(what, "every range of angles has one", "Leave banks out"))
    if len(set(instrument.banks)) < len(instrument.banks):
        what = f"{instrument.name} has banks of one name: {', '.join(instrument.banks)}"
        raise InputError(explain(what, "spectra are told apart by it", "Name each bank once"))


def check_incident_energy(instrument: Instrument, incident_energy: float | None) -> float:
    """Return E_i in meV, after checking that an instrument of direct geometry offers it.

    Raises
    ------
    InputError
        If it is missing or out of range.

    Warns
    -----
    AccuracyWarning
        If its chopper passes no such neutrons.
    """
    smallest, largest = instrument.incident_energy_range
    offered = f"{smallest:g} … {largest:g} meV" if np.isfinite(largest) else "any energy"
    if incident_energy is None:
        raise InputError(
            explain(
                f"{instrument.name} needs an incident energy",
                "it decides what is measured and how sharply",
                f"Give incident_energy in meV ({instrument.name} offers {offered})",
            )
        )
    if not np.isfinite(incident_energy) or not (
        incident_energy > 0 and smallest <= incident_energy <= largest
    ):
        raise InputError(
            explain(
                f"{instrument.name} cannot run with an incident energy of {incident_energy} meV",
                f"it offers {offered}",
                "Choose incident_energy within this range, or another instrument",
            )
        )
    _warn_of_closed_chopper(instrument, float(incident_energy))
    return float(incident_energy)


def _warn_of_closed_chopper(instrument: Instrument, energy: float) -> None:
    chopper = getattr(instrument.resolution, "chopper", None)
    if not isinstance(chopper, FermiChopper):
        return
    lowest, highest = chopper.passing_frequencies(energy)
    if not lowest < chopper.frequency < highest:
        warn(
            explain(
                f"The chopper of {instrument.name} passes no neutrons of {energy:g} meV at "
                f"{chopper.frequency:g} Hz",
                "its slits are curved for others, and the width is that of the last that pass",
                f"Give chopper_frequency between {lowest:.0f} and {highest:.0f} Hz, or "
                "the resolution of another chopper",
            ),
            AccuracyWarning,
            stacklevel=5,
        )


def refuse_incident_energy(instrument: Instrument, incident_energy: float | None) -> None:
    """Raise if E_i is given to an instrument of indirect geometry, which uses all of them."""
    if incident_energy is not None:
        raise InputError(
            explain(
                f"incident_energy={incident_energy} was given to {instrument.name}",
                "it uses all incident energies at once; the final energy is fixed, at "
                f"{instrument.final_energy:g} meV",
                "Leave incident_energy out",
            )
        )


def check_made_for(
    instrument: Instrument,
    fixed_energy: float,
    made_for: Mapping[str, Any],
    *,
    angles_too: bool = True,
) -> None:
    """Raise if a map belongs to another instrument, whose resolution and reach it has.

    Parameters
    ----------
    instrument, fixed_energy
        The instrument and its E_i or E_f in meV.
    made_for
        ``SqwMap.kinematics``.
    angles_too
        Whether other detectors at the same energy are another instrument.

    Raises
    ------
    InputError
        With both.
    """
    geometry, energy = made_for.get("geometry", "direct"), made_for.get("fixed_energy", np.nan)
    same = geometry == instrument.geometry and np.isclose(energy, fixed_energy, rtol=1e-6)
    angles = made_for.get("two_theta") or instrument.two_theta
    if angles_too:
        same = same and np.shape(angles) == np.shape(instrument.two_theta)
        same = same and np.allclose(angles, instrument.two_theta, rtol=0, atol=1e-3)
    if not same:
        ranges = ", ".join(f"{first:g}–{last:g}" for first, last in angles)
        raise InputError(
            explain(
                f"This map was made for another instrument or energy than {instrument.name} at "
                f"{fixed_energy:g} meV",
                f"it has the resolution of {geometry} geometry at {energy:g} meV, 2θ = {ranges}°",
                "Make it without an instrument, or with the same",
            )
        )
