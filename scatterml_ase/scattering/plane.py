"""S(Q, E) on planes of reciprocal space: slices at constant energy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics import unit_cell
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.results.histogram import check_edges
from scatterml_ase.results.sqw_plane import SqwPlane
from scatterml_ase.scattering.crystal_options import (
    CrystalOptions,
    Prepared,
    bin_edges,
    check_axes,
    check_point,
    grid_points,
    is_count,
)
from scatterml_ase.scattering.point_spectra import point_spectra
from scatterml_ase.scattering.scatterer import warn_of_imaginary_modes

Pair = tuple[float, float]
Direction = tuple[float, float, float]


@dataclass(frozen=True)
class PlaneScattering(CrystalOptions):
    """Coherent one-phonon scattering of a single crystal on a plane, at constant energy.

    ``PlaneScattering(300, axes=((1, 1, 0), (0, 0, 1)), energy=(18, 22))(force_constants)`` returns
    a :class:`~scatterml_ase.results.sqw_plane.SqwPlane`: S at Q = origin + x u + y v, taken at the
    centres of the bins unless ``samples`` and ``thickness`` say otherwise, as a mean over energy.
    All other options are those of
    :class:`~scatterml_ase.scattering.crystal_options.CrystalOptions`.

    Parameters
    ----------
    origin
        In r.l.u. of ``cell``.
    axes
        u and v in r.l.u.; they need not be perpendicular.
    ranges
        Of x and y, in lengths of u and v.
    bins
        How many there are along u and v.
    energy
        One slice, from and to in meV; or give ``energy_edges`` for several.
    thickness
        Over how much in Å⁻¹ across the plane the mean is taken.
    samples
        At how many points along u, v and across the plane each bin is taken.
    """

    origin: Direction = field(default=(0.0, 0.0, 0.0), kw_only=True)
    axes: tuple[Direction, Direction] = field(
        default=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), kw_only=True
    )
    ranges: tuple[Pair, Pair] = field(default=((-2.0, 2.0), (-2.0, 2.0)), kw_only=True)
    bins: tuple[int, int] = field(default=(120, 120), kw_only=True)
    energy: Pair | None = field(default=None, kw_only=True)
    thickness: float = field(default=0.0, kw_only=True)
    samples: tuple[int, int, int] = field(default=(1, 1, 5), kw_only=True)

    def __call__(self, force_constants: ForceConstants) -> SqwPlane:
        """Return S(Q, E) of the crystal on the plane.

        Raises
        ------
        InputError
            If the temperature is negative, axes, ranges or energies are none, the instrument is
            unknown or reaches nothing, E_i is missing or too low, or a scattering length is
            missing.
        """
        axes = check_axes("axes", self.axes, 2)
        x, y = bin_edges(self.ranges, self.bins, 2)
        origin = check_point("origin", self.origin)
        self._check_samples()
        edges = self._energy_edges()
        prepared = self.prepare(force_constants, edges, axes)
        shape = (len(edges) - 1, len(x) - 1, len(y) - 1)
        mask = self._reached(prepared, (origin, axes), (x, y))
        points = prepared.around(self._points(prepared, (origin, axes), (x, y)))
        wanted = np.asarray(mask.any(axis=1))
        count = int(wanted.sum()) * points.shape[1]
        with tqdm(total=count, desc="plane", unit=" Q", disable=not self.progress) as bar:
            found = point_spectra(
                prepared.scatterer,
                points,
                prepared.energies,
                widths=self.linewidths,
                symmetry=self.symmetry,
                wanted=wanted,
                progress=bar.update,
            )
        share = found.imaginary_modes / (count * 3 * prepared.scatterer.atoms)
        warn_of_imaginary_modes(share, stacklevel=4)
        mask &= ~found.left_out
        return SqwPlane(
            crystal=force_constants.crystal,
            transformation=prepared.transformation,
            origin=origin,
            u=axes[0],
            v=axes[1],
            x=x,
            y=y,
            energy_transfer=edges,
            intensity=found.density.T.reshape(shape),
            mask=mask.T.reshape(shape),
            thickness=float(self.thickness),
            temperature=prepared.scatterer.temperature,
            kinematics=prepared.reach.kinematics(),
            points=count,
            wavevectors=found.wavevectors,
            imaginary_modes=found.imaginary_modes,
            imaginary_share=share,
            provenance={**prepared.scatterer.provenance(), "plane": self.options(prepared.reach)},
        )

    def _energy_edges(self) -> np.ndarray:
        """Return the edges of the slices: of one, or of those asked for."""
        if (self.energy is None) == (self.energy_edges is None):
            both = "both energy and energy_edges are" if self.energy else "no energy is"
            what = f"For a slice at constant energy {both} given"
            fix = "Give energy=(18, 22), or energy_edges=[18, 20, 22] for several slices"
            raise InputError(explain(what, "one of them says where it is", fix))
        if self.energy is not None:
            if (
                np.shape(self.energy) != (2,)
                or not -np.inf < self.energy[0] < self.energy[1] < np.inf
            ):
                what = f"energy={self.energy!r} is no slice"
                fix = "Give energy=(18, 22), or energy_edges for several slices"
                raise InputError(explain(what, "it goes from one energy to a higher one", fix))
            return np.array(self.energy, dtype=float)
        assert self.energy_edges is not None
        return check_edges("energy_edges", self.energy_edges)

    def _check_samples(self) -> None:
        several = isinstance(self.samples, Sequence) and len(self.samples) == 3
        if not several or not all(map(is_count, self.samples)):
            what = f"samples={self.samples!r} cannot be taken"
            why = "there are whole numbers of them along u, v and across the plane"
            raise InputError(explain(what, why, "Give e.g. (2, 2, 5)"))
        if not 0 <= self.thickness < np.inf:
            what = f"thickness={self.thickness} is no thickness"
            raise InputError(explain(what, "it is a length in 1/Å", "Give 0 or e.g. 0.1"))

    def _reached(
        self, prepared: Prepared, plane: tuple[np.ndarray, np.ndarray], bins: tuple[np.ndarray, ...]
    ) -> np.ndarray:
        """Say which bins are measured at their centres, shape (bins, energy)."""
        origin, axes = plane
        centres = grid_points(origin, axes, bins)
        edges = prepared.energies.edges
        mask = prepared.reach.mask(prepared.cartesian(centres), (edges[1:] + edges[:-1]) / 2)
        prepared.reach.check_something(mask)
        return mask

    def _points(
        self, prepared: Prepared, plane: tuple[np.ndarray, np.ndarray], bins: tuple[np.ndarray, ...]
    ) -> np.ndarray:
        """Return r.l.u. of the primitive cell at which each bin is taken, (bins, samples, 3)."""
        origin, axes = plane
        centres = grid_points(origin, axes, bins)
        along = [
            _middles(n) * (edges[1] - edges[0])
            for n, edges in zip(self.samples[:2], bins, strict=True)
        ]
        inside = (along[0][:, None, None] * axes[0] + along[1][None, :, None] * axes[1]).reshape(
            -1, 3
        )
        flat = unit_cell.to_primitive(centres[:, None] + inside, prepared.transformation)
        if not self.thickness:
            return flat
        normal = np.cross(*prepared.cartesian(axes))
        normal /= np.linalg.norm(normal)
        crystal = prepared.scatterer.force_constants.crystal.to("angstrom")
        across = _middles(self.samples[2])[:, None] * self.thickness * normal
        offsets = across @ crystal.cell.T / (2 * np.pi)
        return (flat[:, :, None] + offsets).reshape(len(flat), -1, 3)


def _middles(count: int) -> np.ndarray:
    """Return the middles of equal parts of −½ … ½."""
    return (np.arange(count) + 0.5) / count - 0.5
