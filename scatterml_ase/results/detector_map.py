"""What the detectors of a spectrometer measured, by scattering angle and energy transfer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.kinematics import (
    Geometry,
    incident_and_final,
    ring_borders,
    wavenumber,
    wavevector_transfer,
)
from scatterml_ase.physics.rebinning import Rebinned, q_to_rings, ring_overlaps, rings_to_q
from scatterml_ase.results.base import Result, array
from scatterml_ase.results.detector_figure import draw_detectors
from scatterml_ase.results.histogram import check_edges, known_bins
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.results.sqw_scale import Scale, spell_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_RINGS = 400


@dataclass(frozen=True, eq=False, kw_only=True)
class DetectorMap(Result):
    """Intensity of every detector (or ring of detectors) on bins of energy transfer.

    This is what an NXSPE or SPE file holds. :meth:`to_q` gives the powder map S(|Q|, E).

    Parameters
    ----------
    polar, polar_width
        Scattering angle 2θ and how much of it each detector covers, in degrees, shape (detector,).
    energy_transfer
        Edges of the energy bins in meV, shape (energy + 1,), E > 0 where the neutron loses energy.
    intensity
        Shape (detector, energy); NaN where nothing is measured. Unit as ``scale`` says.
    azimuthal, azimuthal_width
        Angle around the beam and its width in degrees, shape (detector,), if known.
    distance
        From sample to detector in m, shape (detector,), if known.
    error
        Standard deviation of the intensity, if known.
    mask
        True where measured; None: where the intensity is finite.
    fixed_energy, geometry
        E_i (``"direct"``) or E_f (``"indirect"``) in meV.
    psi
        How far the crystal is turned, in degrees; NaN if not told.
    temperature
        In K; NaN if not told.
    scale, ki_over_kf
        As in :class:`~scatterml_ase.SqwMap`.
    """

    polar: np.ndarray = array("detector", unit="degree")
    polar_width: np.ndarray = array("detector", unit="degree")
    energy_transfer: np.ndarray = array("energy+1", unit="{energy}")
    intensity: np.ndarray = array("detector", "energy", unit="mbarn/sr/{energy}")
    azimuthal: np.ndarray | None = array("detector", unit="degree", default=None)
    azimuthal_width: np.ndarray | None = array("detector", unit="degree", default=None)
    distance: np.ndarray | None = array("detector", unit="m", default=None)
    error: np.ndarray | None = array("detector", "energy", unit="mbarn/sr/{energy}", default=None)
    mask: np.ndarray = array("detector", "energy", default=None)
    fixed_energy: float
    geometry: Geometry = "direct"
    psi: float = float("nan")
    temperature: float = float("nan")
    scale: Scale = "arbitrary"
    ki_over_kf: bool | None = None

    signal: ClassVar[str] = "intensity"
    axes: ClassVar[tuple[str, ...]] = ("polar", "energy_transfer")
    row_dims: ClassVar[tuple[str, ...]] = ("detector", "energy")

    def __post_init__(self) -> None:
        """Check edges and angles; put NaN where nothing is measured."""
        check_edges("DetectorMap.energy_transfer", self.energy_transfer)
        if not 0 < self.fixed_energy < np.inf:
            what = f"fixed_energy={self.fixed_energy} meV is no neutron energy"
            raise InputError(explain(what, "it is positive", "Give E_i, or E_f if that is fixed"))
        intensity, mask = known_bins(self.intensity, self.mask)
        object.__setattr__(self, "intensity", intensity)
        object.__setattr__(self, "mask", mask)
        super().__post_init__()
        low, high = self.borders()
        if not np.all((low < high) & (high > 0) & (low < 180)):
            what = "A detector of DetectorMap has no scattering angle"
            why = "polar must lie within 0° … 180°, polar_width above 0"
            raise InputError(explain(what, why, "Give both in degrees"))

    @classmethod
    def from_sqw(cls, sqw: SqwMap, two_theta: np.ndarray | None = None) -> Self:
        """Return what rings of detectors would see of a powder map.

        Each ring takes the mean of the map over the |Q| it covers at each energy.

        Parameters
        ----------
        sqw
            A powder map that knows its fixed energy.
        two_theta
            Edges of neighbouring rings in degrees; None: about as many as the map has bins, where
            the map says that there are detectors.

        Raises
        ------
        InputError
            If the map is no powder map or its kinematics are not known.
        """
        plain = sqw.to("meV").to("angstrom^-1")
        kinematics = _need_kinematics(plain)
        energy, geometry = kinematics["fixed_energy"], kinematics["geometry"]
        low, high = _rings(plain, energy) if two_theta is None else _between(two_theta)
        found = _seen_by((low, high), plain, energy, geometry)
        return cls(
            polar=(low + high) / 2,
            polar_width=high - low,
            azimuthal=np.zeros(len(low)),
            azimuthal_width=np.full(len(low), 360.0),
            energy_transfer=plain.energy_transfer,
            intensity=found.values,
            error=found.error,
            mask=found.coverage > 0.5,
            fixed_energy=energy,
            geometry=geometry,
            psi=float(kinematics.get("psi", np.nan)),
            temperature=plain.temperature,
            scale=plain.scale,
            ki_over_kf=plain.ki_over_kf,
            provenance=plain.provenance,
        )

    @property
    def two_theta(self) -> tuple[tuple[float, float], ...]:
        """Ranges of 2θ with detectors, in degrees; gaps below a typical width are closed."""
        low, high = self.borders()
        order = np.argsort(low)
        low, reach = low[order], np.maximum.accumulate(high[order])
        breaks = np.flatnonzero(low[1:] > reach[:-1] + np.median(self.polar_width)) + 1
        starts, ends = np.concatenate([[0], breaks]), np.concatenate([breaks, [len(low)]]) - 1
        return tuple((float(low[i]), float(reach[j])) for i, j in zip(starts, ends, strict=True))

    @property
    def kinematics(self) -> dict[str, Any]:
        """What a map made of this knows of the instrument (see :class:`SqwMap`)."""
        known = {
            "geometry": self.geometry,
            "fixed_energy": self.fixed_energy,
            "two_theta": self.two_theta,
        }
        return {**known, "psi": self.psi} if np.isfinite(self.psi) else known

    def unit_of(self, name: str) -> str:
        """Return the present unit of the array ``name``."""
        return spell_unit(super().unit_of(name), self.scale)

    def to_q(
        self,
        q: np.ndarray | None = None,
        *,
        width: float | None = None,
        minimum_coverage: float = 0.5,
    ) -> SqwMap:
        """Return the powder map: each bin of |Q| is the mean of the detectors that overlap it.

        Detectors count by the area of (|Q|, E) they share with the bin; their errors are taken as
        independent. A bin in which no detector counted anything (zero with zero error) is unknown.

        Parameters
        ----------
        q
            Edges in Å⁻¹; None: from 0 on, about as wide as the detectors.
        width
            Of every detector in degrees of 2θ, in place of ``polar_width``: files of rings often
            give widths that overlap several times.
        minimum_coverage
            Share of a bin that detectors must cover, or it counts as not measured.
        """
        plain = self.to("meV")
        if width is not None:
            plain = replace(plain, polar_width=np.full(len(plain.polar), float(width)))
        edges = plain._q_edges() if q is None else check_edges("q", q)
        overlaps = ring_overlaps(
            plain.borders(), plain.energy_transfer, edges, self.fixed_energy, self.geometry
        )
        bins = (edges, plain.energy_transfer)
        found = rings_to_q(plain.intensity, plain.error, plain.mask, overlaps, bins)
        mask = found.coverage >= minimum_coverage
        if found.error is not None:
            mask &= (found.values != 0) | (found.error != 0)
        powder = SqwMap(
            q=edges,
            energy_transfer=plain.energy_transfer,
            intensity=found.values,
            error=found.error,
            mask=mask,
            temperature=self.temperature,
            scale=self.scale,
            ki_over_kf=self.ki_over_kf,
            kinematics=self.kinematics,
            provenance=self.provenance,
        )
        return powder.to(self.units["energy"])

    def plot(self, ax: Axes | None = None, *, maximum: float | None = None) -> Axes:
        """Draw intensity over 2θ and E; unmeasured bins are grey."""
        return draw_detectors(self, ax, maximum)

    def borders(self) -> tuple[np.ndarray, np.ndarray]:
        """Return inner and outer 2θ of each detector in degrees."""
        half = self.polar_width / 2
        return np.clip(self.polar - half, 0, 180), np.clip(self.polar + half, 0, 180)

    def _q_edges(self) -> np.ndarray:
        """Return bins of |Q| about as wide as the detectors: 1, 2 or 5 times a power of ten."""
        energies = incident_and_final(self.energy_transfer, self.fixed_energy, self.geometry)
        low, high = (wavevector_transfer(*energies, angle[:, None]) for angle in self.borders())
        width = float(np.nanmedian(high - low))
        decade = 10.0 ** np.floor(np.log10(width))
        step = decade * next(factor for factor in (1, 2, 5, 10) if factor * decade >= width)
        return step * np.arange(int(np.ceil(np.nanmax(high) / step)) + 1)


def _need_kinematics(sqw: SqwMap) -> dict[str, Any]:
    known = dict(sqw.kinematics or {})
    if sqw.axis != "powder" or known.get("fixed_energy") is None:
        raise InputError(
            explain(
                "This map cannot be given by scattering angles",
                f"axis is {sqw.axis!r} and kinematics are {known or None}",
                "Use a powder map with kinematics={'geometry': 'direct', 'fixed_energy': E_i}",
            )
        )
    return {"geometry": "direct", **known}


def _rings(sqw: SqwMap, fixed_energy: float) -> tuple[np.ndarray, np.ndarray]:
    """Return borders of rings, about as wide as the |Q| bins at the elastic line."""
    told = (sqw.kinematics or {}).get("two_theta") or [(0.0, 180.0)]
    ranges = list(zip(*ring_borders(told), strict=True))
    width = np.degrees(np.median(np.diff(sqw.q)) / wavenumber(fixed_energy))
    width = max(width, sum(last - first for first, last in ranges) / _MOST_RINGS)
    edges = [
        np.linspace(first, last, max(1, round((last - first) / width)) + 1)
        for first, last in ranges
    ]
    low, high = zip(*map(_between, edges), strict=True)
    return np.concatenate(low), np.concatenate(high)


def _seen_by(
    rings: tuple[np.ndarray, np.ndarray], sqw: SqwMap, fixed_energy: float, geometry: Geometry
) -> Rebinned:
    """Average a map over what rings cover, of which all counts, also what lies off the map."""
    energies = incident_and_final(sqw.energy_transfer, fixed_energy, geometry)
    reach = float(np.nanmax(wavevector_transfer(*energies, 180.0), initial=0.0))
    below = [-1.0] if sqw.q[0] > 0 else []
    edges = np.concatenate([below, sqw.q, [max(reach, sqw.q[-1]) + 1.0]])
    added = ((len(below), 1), (0, 0))
    overlaps = ring_overlaps(rings, sqw.energy_transfer, edges, fixed_energy, geometry)
    return q_to_rings(
        np.pad(sqw.intensity, added),
        None if sqw.error is None else np.pad(sqw.error, added),
        np.pad(sqw.mask, added),
        overlaps,
        len(rings[0]),
    )


def _between(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    checked = check_edges("two_theta", edges)
    return checked[:-1], checked[1:]
