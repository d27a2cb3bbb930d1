"""What a sample of some shape takes from its own scattering."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from scatterml_ase.errors import AccuracyWarning, InputError, explain, warn
from scatterml_ase.physics.kinematics import incident_and_final, scattering_angles
from scatterml_ase.physics.self_shielding import cylinder_factor, plate_factor
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.scattering.attenuation import Attenuation

if TYPE_CHECKING:
    from scatterml_ase.physics.lengths import Overrides
    from scatterml_ase.results.sqw import SqwMap

_THICK = 5.0
"""Attenuation times radius of a cylinder up to which A is right to 2e-3."""


@dataclass(frozen=True, kw_only=True)
class Sample(ABC):
    """A sample of some shape: called with a powder map, it weakens it as itself would.

    Parameters
    ----------
    packing
        Share of its volume that crystal fills: 1 for a solid piece, some 0.6 for powder.
    scattering_lengths, incoherent_cross_sections
        The user's own, in fm and barn: those of the map.
    absorption_cross_sections
        The user's own, in barn at 2200 m/s, by nuclide or index of the atom.
    """

    packing: float = 1.0
    scattering_lengths: Overrides | None = None
    incoherent_cross_sections: Mapping[str | int, float] | None = None
    absorption_cross_sections: Mapping[str | int, float] | None = None

    def __call__(self, sqw: SqwMap) -> SqwMap:
        """Return a map times A(2θ, E_i, E_f) of each bin, with its error and parts.

        Raises
        ------
        InputError
            If the map is of no powder, shielded already, its crystal or instrument is unknown, or
            it holds what no sample weakens: counts or a background.
        """
        _refuse_counts(sqw)
        return sqw.scaled(*self.shielding(sqw))

    def shielding(self, sqw: SqwMap) -> tuple[np.ndarray, dict[str, Any]]:
        """Return A(2θ, E_i, E_f) of each bin of a map, and what is told of it in provenance.

        A has shape (q, energy) and is NaN where no neutron can be.

        Raises
        ------
        InputError
            As calling does.
        """
        crystal, kinematics = _needed(sqw)
        attenuation = self.attenuation(crystal)
        known = sqw.to("meV").to("angstrom^-1")
        fixed, geometry = kinematics["fixed_energy"], kinematics.get("geometry", "direct")
        angles = scattering_angles(known.q_centres, known.energy_centres, fixed, geometry)
        incident, final = incident_and_final(known.energy_centres, fixed, geometry)
        ways = attenuation.at(incident), attenuation.at(final)
        possible = np.isfinite(ways[0] + ways[1])
        factor = np.full(angles.shape, np.nan)
        columns = ways[0][possible], ways[1][possible]
        factor[:, possible] = self.mean_transmission(angles[:, possible], *columns)
        told = {"sample": type(self).__name__, **self._options(), **attenuation.describe()}
        return factor, {"self_shielding": told}

    def factor(
        self,
        crystal: Crystal,
        two_theta: np.ndarray | float,
        incident_energy: float,
        final_energy: float | None = None,
    ) -> np.ndarray:
        """Return A at scattering angles in degrees; energies in meV, E_f = E_i if None.

        Raises
        ------
        InputError
            If a length or cross-section is missing, or an energy is not positive.
        """
        attenuation = self.attenuation(crystal)
        final = incident_energy if final_energy is None else final_energy
        if not (incident_energy > 0 and final > 0):
            what = f"Neutrons of {incident_energy:g} and {final:g} meV cannot be"
            raise InputError(explain(what, "they move", "Give positive energies"))
        angles = np.asarray(two_theta, dtype=float)
        ways = attenuation.at([incident_energy]), attenuation.at([final])
        return self.mean_transmission(angles[..., None], *ways)[..., 0]

    def attenuation(self, crystal: Crystal) -> Attenuation:
        """Return how the sample weakens a beam if it is of ``crystal``."""
        return Attenuation.of(
            crystal,
            self.packing,
            scattering_lengths=self.scattering_lengths,
            incoherent_cross_sections=self.incoherent_cross_sections,
            absorption_cross_sections=self.absorption_cross_sections,
        )

    @abstractmethod
    def mean_transmission(
        self, two_theta: np.ndarray, incoming: np.ndarray, outgoing: np.ndarray
    ) -> np.ndarray:
        """Return A at 2θ in degrees, shape (…, n), for μ in mm⁻¹ before and after, shape (n,)."""

    def _options(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self)}


@dataclass(frozen=True)
class FlatPlate(Sample):
    """A plate, wide beside its thickness: ``FlatPlate(2.0, angle=45, packing=0.6)(sqw)``.

    Transmission and reflection follow from the scattering angle: neutrons leave through the far
    side while |2θ − angle| < 90°.

    Parameters
    ----------
    thickness
        In mm.
    angle
        From the beam to the normal of the plate in degrees, turned towards the detectors if
        positive; 0: the plate stands across the beam.
    """

    thickness: float
    angle: float = 0.0

    def __post_init__(self) -> None:
        """Check the shape."""
        _check_size("thickness", self.thickness)
        if not abs(self.angle) < 90:
            what = f"angle={self.angle} turns the plate along the beam"
            why = "it is between the beam and the normal of the plate, less than 90° either way"
            raise InputError(explain(what, why, "Give e.g. 0 or 45"))

    def mean_transmission(
        self, two_theta: np.ndarray, incoming: np.ndarray, outgoing: np.ndarray
    ) -> np.ndarray:
        """Return A, see :func:`~scatterml_ase.physics.self_shielding.plate_factor`."""
        return plate_factor(two_theta, (incoming, outgoing), self.thickness, self.angle)


@dataclass(frozen=True)
class Cylinder(Sample):
    """A cylinder that stands across the beam: ``Cylinder(3.0, packing=0.6)(sqw)``.

    Parameters
    ----------
    radius
        In mm.
    """

    radius: float

    def __post_init__(self) -> None:
        """Check the shape."""
        _check_size("radius", self.radius)

    def mean_transmission(
        self, two_theta: np.ndarray, incoming: np.ndarray, outgoing: np.ndarray
    ) -> np.ndarray:
        """Return A, see :func:`~scatterml_ase.physics.self_shielding.cylinder_factor`."""
        thickest = self.radius * float(np.max((incoming + outgoing) / 2, initial=0.0))
        if thickest > _THICK:
            what = f"μ times radius reaches {thickest:.3g} in this cylinder"
            why = (
                "nearly all happens at its surface, where the quadrature is right to a few per cent"
            )
            fix = "Use a thinner sample, or leave out energies at which it absorbs so strongly"
            warn(explain(what, why, fix), AccuracyWarning, stacklevel=4)
        return cylinder_factor(two_theta, (incoming, outgoing), self.radius)


def _check_size(name: str, value: float) -> None:
    if not 0 < value < np.inf:
        what = f"{name}={value} is no size"
        raise InputError(explain(what, "it is a positive number of mm", "Give e.g. 2.0"))


def _refuse_counts(sqw: SqwMap) -> None:
    """Raise if a measurement was made that the sample cannot be put into any more."""
    made = sqw.provenance.get("measurement") or {}
    if made.get("counts") is None and not made.get("background"):
        return
    what = "Counts and background are in this map already"
    why = "the sample weakens what is counted, not the noise, and no background"
    raise InputError(explain(what, why, "Give it to the measurement: Measurement(…, sample=…)"))


def _needed(sqw: SqwMap) -> tuple[Crystal, Mapping[str, Any]]:
    """Return crystal and kinematics of a powder map that is not shielded yet."""
    if sqw.axis != "powder":
        what, why = (
            "A map along a path has no self-shielding",
            "a crystal is turned for every point",
        )
        raise InputError(explain(what, why, "Give the map of a powder"))
    if "self_shielding" in sqw.provenance:
        what, why = "This map is shielded already", "the sample would be in it twice"
        raise InputError(explain(what, why, "Start from the map that it was made of"))
    if sqw.crystal is None:
        what, why = "The crystal of this map is not known", "its atoms weaken the beam"
        fix = "Set it: dataclasses.replace(sqw, crystal=Crystal.from_atoms(atoms))"
        raise InputError(explain(what, why, fix))
    if sqw.kinematics is None or sqw.kinematics.get("fixed_energy") is None:
        what = "The energies of the neutrons of this map are not known"
        why = "ways through the sample and absorption depend on angles and energies"
        fix = "Make the map with an instrument, or set kinematics={'geometry': 'direct', "
        raise InputError(explain(what, why, f"{fix}'fixed_energy': 80.0}} by dataclasses.replace"))
    return sqw.crystal, sqw.kinematics
