"""Resolution functions of the package ResINS, where the user has installed it.

ResINS is GPL: nothing of it is used unless a function here is called, and nothing needs it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from scatterml_ase.errors import InputError, explain

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class ResinsResolution:
    """The Gaussian width that a model of ResINS gives.

    Parameters
    ----------
    instrument, model
        Names that ResINS knows; no model for the one it takes itself.
    settings
        What else the model asks for, such as ``chopper_package`` and ``chopper_frequency``.
    takes_incident_energy
        Whether the model asks for E_i.
    """

    instrument: str
    model: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    takes_incident_energy: bool = False

    def energy_sigma(self, energy_transfer: np.ndarray, fixed_energy: float) -> np.ndarray:
        """Return the standard deviation in meV; NaN where the neutron has no energy left."""
        energies = np.asarray(energy_transfer, dtype=float)
        settings = dict(self.settings)
        if self.takes_incident_energy:
            settings["e_init"] = fixed_energy
        known = energies < fixed_energy if self.takes_incident_energy else np.isfinite(energies)
        sigma = np.full(energies.shape, np.nan)
        try:
            model = (
                _resins()
                .from_default(self.instrument)
                .get_resolution_function(self.model, **settings)
            )
            sigma[known] = model.get_characteristics(energies[known][:, None])["sigma"]
        except Exception as error:  # whatever a foreign model raises
            raise _refusal(self.instrument, error) from error
        return sigma

    def fixed_energy_sigma(self, fixed_energy: float) -> float:
        """Return 0: ResINS tells widths of E alone."""
        return 0.0


def resolution_from_resins(
    instrument: str, model: str | None = None, **settings: Any
) -> ResinsResolution:
    """Return a resolution of ResINS for use in an :class:`Instrument`.

    ``replace(Instrument.load("ARCS"), resolution=resolution_from_resins("ARCS"))``.

    Parameters
    ----------
    instrument
        As ResINS spells it, e.g. ``"ARCS"``, ``"Lagrange"``.
    model
        Of that instrument; None for the one ResINS takes itself.
    **settings
        What the model asks for, but for E_i, which is given with every question.

    Raises
    ------
    InputError
        If ResINS is not installed, or knows no such instrument or model.
    """
    try:
        found = _resins().from_default(instrument)
        asks_for = found.get_model_signature(model).parameters
    except InputError:
        raise
    except Exception as error:  # whatever a foreign package raises
        raise _refusal(instrument, error) from error
    unknown = [name for name in settings if name not in asks_for or name == "e_init"]
    if unknown:
        known = [name for name in asks_for if name not in ("model_name", "e_init", "_")]
        raise InputError(
            explain(
                f"{', '.join(unknown)} is no setting of {instrument} in ResINS",
                f"it has {', '.join(known)}" if known else "it has none",
                "Correct it; E_i is given where the resolution is used",
            )
        )
    return ResinsResolution(instrument, model, settings, "e_init" in asks_for)


def _resins() -> Any:
    """Import the instruments of ResINS."""
    try:
        from resins import Instrument
    except ImportError as error:
        raise InputError(
            explain(
                "ResINS is not installed",
                "it is an optional package under the GPL",
                "Run: pip install resins, or use the resolution of Instrument.load(...)",
            )
        ) from error
    return Instrument


def _refusal(instrument: str, error: Exception) -> InputError:
    return InputError(
        explain(
            f"ResINS gives no resolution of {instrument!r}",
            f"it says {error!s:.300}",
            "Correct instrument, model or settings as its documentation has them",
        )
    )
