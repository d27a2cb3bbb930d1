"""Energy resolution of time-of-flight spectrometers of direct geometry.

A neutron that leaves the moderator late by t_m, or passes the chopper late by t_c, or flies δL too
far, is recorded with the wrong energy transfer. To first order, with speeds v_i and v_f, distances
L₁ moderator–chopper, x chopper–sample, L₂ sample–detector, and the mass m of the neutron,

    δE = m [v_i³/L₁ + v_f³ x/(L₁L₂)] t_m − m [v_i³/L₁ + v_f³ (L₁ + x)/(L₁L₂)] t_c + m v_f² δL/L₂

and the three are independent, so that their variances add (C. G. Windsor, Pulsed Neutron
Scattering (1981)). A beam that starts at height y on a moderator tilted by θ leaves it late by
y tan θ/v_i, and finds a drum's slits open late by its angle over ω: a fourth term. Every width
says whether it is a standard deviation (sigma) or a full width at half maximum (FWHM).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import constants as _si

from scatterml_ase.physics.broadening import SIGMA_TO_FWHM
from scatterml_ase.physics.kinematics import wavenumber

_SPEED = math.sqrt(2e-3 * _si.e / _si.m_n)  # m/s at 1 meV
_MICRO = 1e-6


def speed(energy: np.ndarray | float) -> np.ndarray:
    """Return the speed in m/s of neutrons of ``energy`` in meV (0 where negative)."""
    return _SPEED * np.sqrt(np.maximum(np.asarray(energy, dtype=float), 0.0))


@dataclass(frozen=True)
class Aperture:
    """The part of a tilted moderator that a Fermi chopper sees.

    Parameters
    ----------
    width
        In m.
    distance
        From there to the chopper, in m.
    tilt
        Angle between the beam and the normal of the moderator, in degrees, positive where the side
        that the slits open to later also leaves later.
    """

    width: float
    distance: float
    tilt: float


class PulseWidth(Protocol):
    """Something that opens for a short time."""

    def sigma(self, energy: float) -> float:
        """Return the standard deviation of the time in µs at a neutron energy in meV."""
        ...


class Resolution(Protocol):
    """What an instrument needs to know of its energy resolution."""

    def energy_sigma(self, energy_transfer: np.ndarray, fixed_energy: float) -> np.ndarray:
        """Return the standard deviation in meV at energy transfers in meV."""
        ...

    def fixed_energy_sigma(self, fixed_energy: float) -> float:
        """Return the spread of E_i (direct) or E_f (indirect geometry) in meV, 0 if not known."""
        ...


@dataclass(frozen=True)
class MeasuredPulse:
    """A moderator whose pulse was measured.

    Parameters
    ----------
    wavelength
        In Å, ascending.
    fwhm
        Full width at half maximum of the pulse in µs. Below the first wavelength it is taken as
        proportional to the wavelength (slowing-down regime); above the last it stays.
    """

    wavelength: tuple[float, ...]
    fwhm: tuple[float, ...]

    def sigma(self, energy: float) -> float:
        """Return the standard deviation of the time in µs."""
        wavelength = 2 * math.pi / float(wavenumber(energy))
        width = float(np.interp(wavelength, self.wavelength, self.fwhm))
        return width * min(wavelength / self.wavelength[0], 1.0) / SIGMA_TO_FWHM


@dataclass(frozen=True)
class IkedaCarpenterPulse:
    """A moderator pulse of slowing-down and storage, doi 10.1016/0168-9002(85)90033-6.

    Parameters
    ----------
    s1, s2
        Macroscopic cross-section Σ = √(s1² + (s2 λ)²) in 1/m.
    b1, b2
        Decay rates of the storage term in 1/µs below and above 130 meV.
    switch_energy
        Energy in meV with which the share R = exp(−E/switch_energy) of the storage term falls.
    """

    s1: float
    s2: float
    b1: float
    b2: float
    switch_energy: float

    def sigma(self, energy: float) -> float:
        """Return the standard deviation of the time in µs."""
        wavelength = 2 * math.pi / float(wavenumber(energy))
        fast = float(speed(energy)) * _MICRO * math.hypot(self.s1, self.s2 * wavelength)  # 1/µs
        slow = self.b1 if energy <= 130 else self.b2
        share = math.exp(-energy / self.switch_energy)
        return math.sqrt(3 / fast**2 + share * (2 - share) / slow**2)


@dataclass(frozen=True)
class FermiChopper:
    """A drum with curved slits.

    Parameters
    ----------
    slit_width, radius, curvature
        Width of a slit, radius of the drum, radius of the slits' curvature, in mm.
    frequency
        In Hz.
    """

    slit_width: float
    radius: float
    curvature: float
    frequency: float

    def sigma(self, energy: float) -> float:
        """Return the standard deviation of the time in µs.

        A straight slit opens as a triangle of FWHM p/(2Rω); γ counts how far the neutron's path in
        the turning drum departs from the slit's curve (M. Marseguerra and G. Pauli, Nucl. Instrum.
        Methods 4 (1959) 140). Beyond γ = 4 nothing passes, see :meth:`passing_frequencies`; the
        last finite width is kept.
        """
        omega = 2 * math.pi * self.frequency
        slit, radius = self.slit_width * 1e-3, self.radius * 1e-3
        bend = abs(1 / (self.curvature * 1e-3) - 2 * omega / float(speed(energy)))
        gamma = min(2 * radius**2 / slit * bend, 3.9)
        root = math.sqrt(gamma)
        if gamma < 1:
            factor = (1 - gamma**4 / 10) / (1 - gamma**2 / 6)
        else:
            factor = 0.6 * gamma * (root - 2) ** 2 * (root + 8) / (root + 4)
        return slit / (2 * radius * omega) * math.sqrt(factor / 6) / _MICRO

    def passing_frequencies(self, energy: float) -> tuple[float, float]:
        """Return between which frequencies in Hz neutrons of ``energy`` in meV pass at all."""
        bend = 1e3 / self.curvature  # 1/m, of the slits
        reach = 2e3 * self.slit_width / self.radius**2  # γ = 4
        turns = float(speed(energy)) / (4 * math.pi)
        return max(turns * (bend - reach), 0.0), turns * (bend + reach)


@dataclass(frozen=True)
class DiskChopper:
    """A disk with a slot, or two that turn against each other.

    Parameters
    ----------
    slot_width, beam_width
        Of the slot and of the guide behind it, in mm.
    radius
        Of the slot's centre, in mm.
    frequency
        In Hz.
    disks
        1, or 2 turning against each other.
    """

    slot_width: float
    beam_width: float
    radius: float
    frequency: float
    disks: int = 1

    def sigma(self, energy: float) -> float:
        """Return the standard deviation of the time in µs, the same at every energy.

        One disk: slot and beam are boxes that sweep over each other. Two disks: the slots' overlap
        closes from both sides, clipped at the beam's width; its second moment is taken.
        """
        tip = 2 * math.pi * self.radius * 1e-3 * self.frequency
        slot, beam = self.slot_width * 1e-3, self.beam_width * 1e-3
        if self.disks == 1:
            return math.sqrt((slot**2 + beam**2) / 12) / tip / _MICRO
        edge = slot / (2 * tip)  # fully closed at ±edge
        flat = max(0.0, (slot - beam) / (2 * tip))
        # ∫ t² f / ∫ f of a trapezoid with half-widths flat and edge
        return math.sqrt((edge**2 + flat**2) / 6) / _MICRO


@dataclass(frozen=True)
class TimeOfFlightResolution:
    """Energy resolution from the widths in time and length of a direct-geometry instrument.

    Parameters
    ----------
    moderator
        The source pulse, or the chopper that shapes it.
    chopper
        The chopper that picks the incident energy.
    source_chopper, chopper_sample, sample_detector
        Flight paths in m; the first starts where the pulse is made.
    detector_depth
        Diameter of the detector tubes in m.
    aperture
        The moderator as a Fermi chopper sees it; None if it does not matter.
    """

    moderator: PulseWidth
    chopper: PulseWidth
    source_chopper: float
    chopper_sample: float
    sample_detector: float
    detector_depth: float = 0.0
    aperture: Aperture | None = None

    def energy_sigma(self, energy_transfer: np.ndarray, fixed_energy: float) -> np.ndarray:
        """Return the standard deviation in meV; NaN where the neutron has no energy left.

        Parameters
        ----------
        energy_transfer
            In meV.
        fixed_energy
            Incident energy in meV.
        """
        final = fixed_energy - np.asarray(energy_transfer, dtype=float)
        vi, vf = speed(fixed_energy), speed(final)
        l1, x, l2 = self.source_chopper, self.chopper_sample, self.sample_detector
        mass = 2 / _SPEED**2  # meV s²/m²
        moderator = vi**3 / l1 + vf**3 * x / (l1 * l2)
        chopper = vi**3 / l1 + vf**3 * (l1 + x) / (l1 * l2)
        path = vf**2 / l2 * self.detector_depth / 4  # σ of a uniform disc is a quarter diameter
        variance = (
            (moderator * self.moderator.sigma(fixed_energy) * _MICRO) ** 2
            + (chopper * self.chopper.sigma(fixed_energy) * _MICRO) ** 2
            + path**2
            + self._aperture_variance(moderator, chopper, float(vi))
        )
        return np.where(final >= 0, mass * np.sqrt(variance), np.nan)

    def fixed_energy_sigma(self, fixed_energy: float) -> float:
        """Return the standard deviation of E_i in meV: how well two times on a path tell a speed.

        δE_i = m v_i³/L₁ (t_m − t_c).
        """
        late = math.hypot(self.moderator.sigma(fixed_energy), self.chopper.sigma(fixed_energy))
        return 2 / _SPEED**2 * float(speed(fixed_energy)) ** 3 / self.source_chopper * late * _MICRO

    def _aperture_variance(
        self, moderator: np.ndarray, chopper: np.ndarray, speed_in: float
    ) -> np.ndarray:
        """Return what the width of the beam adds, in (m²/s²)².

        The two delays are one and the same neutron's, so that they add with their signs.
        """
        if self.aperture is None or not isinstance(self.chopper, FermiChopper):
            return np.zeros_like(moderator)
        distance = self.aperture.distance + self.chopper_sample
        opening = 1 / (distance * 2 * math.pi * self.chopper.frequency)  # s per m
        leaving = math.tan(math.radians(self.aperture.tilt)) / speed_in
        return (chopper * opening - moderator * leaving) ** 2 * self.aperture.width**2 / 12
