"""What a spectrometer sees of a single crystal that is turned on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.orientation import Orientation, RotationScan
from scatterml_ase.scattering import view
from scatterml_ase.scattering.instruments import Instrument
from scatterml_ase.scattering.probe import ProbeName, neutrons_only

_CHUNK = 2_000_000
"""Points times energies at once."""


class ReachOptions(Protocol):
    """The options that say where a crystal is measured, and how it is turned."""

    @property
    def instrument(self) -> Instrument | str | None: ...  # noqa: D102
    @property
    def incident_energy(self) -> float | None: ...  # noqa: D102
    @property
    def psi(self) -> tuple[float, float] | None: ...  # noqa: D102
    @property
    def orientation(self) -> Sequence[Sequence[float]] | np.ndarray | None: ...  # noqa: D102
    @property
    def horizontal(self) -> tuple[tuple[float, float], ...] | None: ...  # noqa: D102
    @property
    def elevation(self) -> tuple[float, float]: ...  # noqa: D102
    @property
    def energy_fwhm(self) -> float | None: ...  # noqa: D102
    @property
    def probe(self) -> ProbeName: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class Reach:
    """Which (Q, E) is measured.

    Parameters
    ----------
    instrument
        The spectrometer; None for everything.
    fixed_energy
        E_i or E_f in meV; None without an instrument.
    scan
        How the crystal is turned; None: as needed.
    """

    instrument: Instrument | None
    fixed_energy: float | None
    scan: RotationScan | None

    @classmethod
    def of(cls, options: ReachOptions, reciprocal_cell: np.ndarray, plane: np.ndarray) -> Self:
        """Make what the options of an analyzer ask for.

        Parameters
        ----------
        options
            An analyzer.
        reciprocal_cell
            Of the cell whose r.l.u. are used, rows in Å⁻¹ with 2π.
        plane
            Two directions in r.l.u., shape (2, 3): what is horizontal if no orientation is given.

        Raises
        ------
        InputError
            If the instrument is unknown, E_i is missing or too low, an angle is given without an
            instrument, or the orientation is none.
        """
        neutrons_only(options.probe, instrument=options.instrument)
        instrument, fixed = view.resolve_instrument(
            options.instrument, options.incident_energy, options.energy_fwhm
        )
        if options.psi is None:
            for name, usual in (
                ("orientation", None),
                ("horizontal", None),
                ("elevation", (-90.0, 90.0)),
            ):
                given = getattr(options, name)
                if given is not usual and given != usual:
                    what = f"{name} is given without psi"
                    why = "it matters only where the crystal is turned over a range"
                    raise InputError(explain(what, why, "Add psi=(0, 90) or another range"))
            return cls(instrument, fixed, None)
        if instrument is None:
            what = f"psi={options.psi} is given without an instrument"
            why = "how far a crystal must be turned depends on the neutrons' energy"
            raise InputError(explain(what, why, "Add instrument='LET' (or another)"))
        given = plane if options.orientation is None else options.orientation
        mounted = _orientation(given, reciprocal_cell)
        scan = RotationScan(mounted, options.psi, options.horizontal, options.elevation)
        return cls(instrument, fixed, scan)

    def mask(self, Q: np.ndarray, energy_transfer: np.ndarray) -> np.ndarray:
        """Say which points are measured, shape (points, energy).

        Parameters
        ----------
        Q
            In the crystal's Cartesian axes, Å⁻¹, shape (points, 3).
        energy_transfer
            In meV, shape (energy,).
        """
        seen = np.ones((len(Q), len(energy_transfer)), dtype=bool)
        if self.instrument is None or self.fixed_energy is None:
            return seen
        size = max(1, _CHUNK // len(energy_transfer))
        for start in range(0, len(Q), size):
            part = Q[start : start + size]
            lengths = np.linalg.norm(part, axis=1)
            found = self.instrument.measured(lengths, energy_transfer, self.fixed_energy)
            if self.scan is not None:
                geometry = self.instrument.geometry
                found &= self.scan.reached(part, energy_transfer, self.fixed_energy, geometry)
            seen[start : start + size] = found
        return seen

    def check_something(self, mask: np.ndarray) -> None:
        """Raise if nothing is measured.

        Raises
        ------
        InputError
            If the mask is empty.
        """
        if mask.any() or self.instrument is None or self.fixed_energy is None:
            return
        if self.scan is None:
            view.check_something_measured(mask, self.instrument, self.fixed_energy)
        what = f"{self.instrument.name} measures none of the bins"
        why = f"no angle psi of {self.scan.psi if self.scan else None} brings them to detectors"
        raise InputError(explain(what, why, "Widen psi, or choose another range, energy or E_i"))

    def kinematics(self) -> dict[str, Any] | None:
        """Return what a result says of it, None without an instrument."""
        if self.instrument is None or self.fixed_energy is None:
            return None
        found = self.instrument.map_kinematics(self.fixed_energy)
        if self.scan is not None:
            found |= {"psi": list(self.scan.psi), **self.scan.orientation.describe()}
        return found


def _orientation(given: Any, reciprocal_cell: np.ndarray) -> Orientation:
    """Return the orientation that u and v, shape (2, 3), or a UB matrix, shape (3, 3), tell."""
    shape = np.shape(given)
    if shape == (2, 3):
        return Orientation.from_vectors(given[0], given[1], reciprocal_cell)
    if shape == (3, 3):
        return Orientation.from_ub(np.asarray(given, dtype=float), reciprocal_cell)
    what = f"An orientation of shape {shape} cannot be used"
    why = "it is the vectors u and v, shape (2, 3), or a UB matrix, shape (3, 3)"
    raise InputError(explain(what, why, "Give e.g. orientation=((1, 1, 0), (0, 0, 1))"))
