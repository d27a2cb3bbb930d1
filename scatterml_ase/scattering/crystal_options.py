"""What the analyzers of single crystals over regions of reciprocal space share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics import unit_cell
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.scattering import linewidths, view
from scatterml_ase.scattering.instruments import Instrument
from scatterml_ase.scattering.linewidths import Linewidths
from scatterml_ase.scattering.probe import ProbeName
from scatterml_ase.scattering.q_resolution import QResolution, QWidth
from scatterml_ase.scattering.reach import Reach
from scatterml_ase.scattering.scatterer import Scatterer
from scatterml_ase.scattering.view import highest_mode

if TYPE_CHECKING:
    from scatterml_ase.physics.form_factors import Ions
    from scatterml_ase.physics.lengths import Overrides

_DEFAULT_WIDTH = 0.02
_NO_PROVENANCE = ("energy_edges", "displacements", "progress", "linewidths", "instrument")


class Prepared(NamedTuple):
    """What the options make of a crystal.

    Attributes
    ----------
    scatterer
        The crystal with its scattering amplitudes and displacements.
    transformation
        From the primitive cell to the one whose r.l.u. are used, shape (3, 3).
    energies
        Bins and resolution.
    reach
        What is measured.
    resolution
        In Q; None: points are exact.
    """

    scatterer: Scatterer
    transformation: np.ndarray
    energies: view.EnergyView
    reach: Reach
    resolution: QResolution | None

    @property
    def samples(self) -> int:
        """How many points :meth:`around` returns for one."""
        return 1 if self.resolution is None else self.resolution.samples

    def around(self, hkl: np.ndarray) -> np.ndarray:
        """Return the points that stand for each one with the resolution in Q around it.

        Parameters
        ----------
        hkl
            In r.l.u. of the primitive cell, shape (points, members, 3).

        Returns
        -------
        np.ndarray
            Likewise, shape (points, more members, 3).
        """
        if self.resolution is None:
            return hkl
        crystal = self.scatterer.force_constants.crystal.to("angstrom")
        spread = self.resolution.around(hkl @ crystal.reciprocal_cell) @ crystal.cell.T
        return spread.reshape(len(hkl), -1, 3) / (2 * np.pi)

    def cartesian(self, hkl: np.ndarray) -> np.ndarray:
        """Return Q in Å⁻¹ of (h k l) in the r.l.u. that are used, shape (..., 3)."""
        crystal = self.scatterer.force_constants.crystal.to("angstrom")
        return unit_cell.to_primitive(hkl, self.transformation) @ crystal.reciprocal_cell


@dataclass(frozen=True)
class CrystalOptions:
    """How a single crystal scatters and is measured.

    Parameters
    ----------
    temperature
        In K.
    cell
        Whose reciprocal-lattice units (r.l.u.) are meant: ``"conventional"``, ``"primitive"``, or
        rows that combine the primitive vectors, shape (3, 3).
    energy_edges
        Edges of the energy-transfer bins in meV; negative where the neutron gains energy.
    energy_fwhm
        Full width at half maximum in meV of the resolution, if there is no instrument; None: 2 %
        of the highest mode, or none where ``linewidths`` are given.
    q_fwhm
        Full width at half maximum in Å⁻¹ of the resolution in Q: in all directions, or two, along
        Q and across it; None: none, with an instrument too.
    q_samples
        How many points stand for that resolution, an even number.
    linewidths
        FWHM in meV of the modes themselves, which then are damped harmonic oscillators: see
        :data:`~scatterml_ase.scattering.linewidths.Linewidths`.
    instrument, incident_energy
        A spectrometer and, in direct geometry, E_i in meV: its resolution, and the (Q, E) that it
        reaches.
    psi
        The crystal is turned from and to these angles in degrees; None: as needed.
    orientation
        How it is mounted at ψ = 0: u (along the beam) and v (horizontal) in r.l.u., shape (2, 3),
        or a UB matrix in Å⁻¹ without 2π, shape (3, 3); None: the first two axes are u and v.
    horizontal
        Ranges of the horizontal angle with detectors in degrees, positive to the left of the beam;
        None: both sides alike.
    elevation
        Lowest and highest angle of detectors above the horizontal plane in degrees.
    scattering_lengths
        The user's own, in fm or by nuclide, e.g. ``{"Li": "7Li", "V": -0.443}``.
    displacements
        ⟨uu⟩ tensors for the Debye–Waller factor in Å², shape (atoms, 3, 3); None: computed.
    probe
        ``"neutron"``, or ``"xray"``: without a spectrometer and the polarization factor.
    ions
        For x-rays, which atoms are ions, by element or index: ``{"O": "O2-"}``.
    symmetry
        Whether equivalent wavevectors are solved once, which changes nothing else.
    progress
        Whether to show a progress bar.
    """

    temperature: float = 300.0
    cell: str | Sequence[Sequence[float]] | np.ndarray = field(default="conventional", kw_only=True)
    energy_edges: Sequence[float] | np.ndarray | None = field(default=None, kw_only=True)
    energy_fwhm: float | None = field(default=None, kw_only=True)
    q_fwhm: QWidth | None = field(default=None, kw_only=True)
    q_samples: int = field(default=64, kw_only=True)
    linewidths: Linewidths | None = field(default=None, kw_only=True)
    instrument: Instrument | str | None = field(default=None, kw_only=True)
    incident_energy: float | None = field(default=None, kw_only=True)
    psi: tuple[float, float] | None = field(default=None, kw_only=True)
    orientation: Sequence[Sequence[float]] | np.ndarray | None = field(default=None, kw_only=True)
    horizontal: tuple[tuple[float, float], ...] | None = field(default=None, kw_only=True)
    elevation: tuple[float, float] = field(default=(-90.0, 90.0), kw_only=True)
    scattering_lengths: Overrides | None = field(default=None, kw_only=True)
    displacements: np.ndarray | None = field(default=None, repr=False, kw_only=True)
    probe: ProbeName = field(default="neutron", kw_only=True)
    ions: Ions | None = field(default=None, kw_only=True)
    symmetry: bool = field(default=True, kw_only=True)
    progress: bool = field(default=True, kw_only=True)

    def prepare(
        self, force_constants: ForceConstants, edges: np.ndarray, axes: np.ndarray
    ) -> Prepared:
        """Look up and check everything that does not depend on the points.

        Parameters
        ----------
        force_constants
            Of the crystal.
        edges
            Of the energy bins in meV.
        axes
            Two directions or more in r.l.u., rows: the first two may tell the orientation.
        """
        linewidths.check_not_by_point(self.linewidths)
        crystal = force_constants.crystal.to("angstrom")
        transformation = unit_cell.cell_transformation(
            self.cell, crystal.cell, crystal.scaled_positions, crystal.numbers
        )
        reciprocal = unit_cell.reciprocal_of(transformation @ crystal.cell)
        reach = Reach.of(self, reciprocal, axes[:2])
        scatterer = Scatterer.prepare(
            force_constants,
            self.temperature,
            scattering_lengths=self.scattering_lengths,
            displacements=self.displacements,
            probe=self.probe,
            ions=self.ions,
        )
        fwhm = self.energy_fwhm
        if fwhm is None:
            sharp = reach.instrument is not None or self.linewidths is not None
            fwhm = 0.0 if sharp else _DEFAULT_WIDTH * highest_mode(force_constants)
        widths = view.energy_widths(reach.instrument, reach.fixed_energy, fwhm)
        energies = view.EnergyView.make(edges, widths)
        return Prepared(
            scatterer, transformation, energies, reach, QResolution.of(self.q_fwhm, self.q_samples)
        )

    def options(self, reach: Reach) -> dict[str, Any]:
        """Return the options as plain values for provenance."""
        plain = {
            item.name: getattr(self, item.name)
            for item in fields(self)
            if item.name not in _NO_PROVENANCE
        }
        for name, value in plain.items():
            if isinstance(value, np.ndarray):
                plain[name] = value.tolist()
        plain["linewidths"] = linewidths.describe(self.linewidths)
        plain["instrument"] = reach.instrument.describe() if reach.instrument else None
        return plain


def check_axes(name: str, axes: Any, count: int) -> np.ndarray:
    """Return directions in r.l.u. as an array, shape (count, 3).

    Raises
    ------
    InputError
        If they are not that many independent vectors.
    """
    values = _floats(axes)
    shape_fits = values.shape == (count, 3) and bool(np.isfinite(values).all())
    if not shape_fits or np.linalg.matrix_rank(values, tol=1e-6) < count:
        example = "((1, 1, 0), (0, 0, 1))" if count == 2 else "((1, 0, 0), (0, 1, 0), (0, 0, 1))"
        what = f"{name}={axes!r} are no {count} independent directions"
        raise InputError(explain(what, "each has three components in r.l.u.", f"Give {example}"))
    return values


def check_point(name: str, point: Any) -> np.ndarray:
    """Return a point of reciprocal space in r.l.u., shape (3,).

    Raises
    ------
    InputError
        If it has not three finite components.
    """
    values = _floats(point)
    if values.shape != (3,) or not np.isfinite(values).all():
        what = f"{name}={point!r} is no point of reciprocal space"
        raise InputError(explain(what, "it has three components", "Give e.g. (0, 0, 2)"))
    return values


def bin_edges(ranges: Any, bins: Any, count: int) -> tuple[np.ndarray, ...]:
    """Return edges of equal bins along ``count`` axes.

    Raises
    ------
    InputError
        If the ranges are none, or numbers of bins are not positive.
    """
    for name, given in (("ranges", ranges), ("bins", bins)):
        if not isinstance(given, Sequence | np.ndarray) or len(given) != count:
            what = f"{name}={given!r} do not describe {count} axes"
            fix = f"Give e.g. {name}={((-2, 2),) * count if name == 'ranges' else (80,) * count}"
            raise InputError(explain(what, "each axis has its own", fix))
    pairs = zip(ranges, bins, strict=True)
    return tuple(_axis(f"axis {k + 1}", *pair) for k, pair in enumerate(pairs))


def _axis(name: str, limits: Any, bins: Any) -> np.ndarray:
    values = _floats(limits)
    if values.shape != (2,) or not np.isfinite(values).all() or values[0] >= values[1]:
        what = f"{name} has the range {limits!r}"
        raise InputError(explain(what, "it goes from a number to a larger one", "Give (-2, 2)"))
    if not is_count(bins):
        what = f"{name} has {bins!r} bins"
        raise InputError(explain(what, "it takes a positive whole number", "Give e.g. 120"))
    return np.linspace(values[0], values[1], int(bins) + 1)


def is_count(number: Any) -> bool:
    """Say whether something is a positive whole number."""
    return np.isreal(number) and number >= 1 and np.isfinite(number) and number == int(number)


def _floats(given: Any) -> np.ndarray:
    """Return an array of floats, empty if it cannot be one."""
    try:
        return np.array(given, dtype=float)
    except (TypeError, ValueError):
        return np.zeros(0)


def grid_points(origin: np.ndarray, axes: np.ndarray, bins: Sequence[np.ndarray]) -> np.ndarray:
    """Return the centres of bins in r.l.u., the last axis fastest, shape (bins, 3).

    Parameters
    ----------
    origin
        Shape (3,).
    axes
        One direction for each axis, shape (axes, 3).
    bins
        Edges along each axis, in lengths of its direction.
    """
    centres = [(edges[1:] + edges[:-1]) / 2 for edges in bins]
    steps = np.stack(np.meshgrid(*centres, indexing="ij"), axis=-1)
    return origin + steps.reshape(-1, len(centres)) @ axes
