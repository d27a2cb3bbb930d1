"""S(Q, E) on four-dimensional grids, written to a file slab by slab."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from scatterml_ase.atomic_write import atomic_write
from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics import unit_cell
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.results.histogram import check_edges
from scatterml_ase.results.sqw_grid import SqwGrid
from scatterml_ase.scattering import view
from scatterml_ase.scattering.crystal_options import (
    CrystalOptions,
    Prepared,
    bin_edges,
    check_axes,
    check_point,
    grid_points,
)
from scatterml_ase.scattering.grid_file import GridFile
from scatterml_ase.scattering.plane import Direction, Pair
from scatterml_ase.scattering.point_spectra import point_spectra
from scatterml_ase.scattering.scatterer import warn_of_imaginary_modes

_GIBIBYTE = 2**30
_FIXED = 150_000_000
"""Bytes that pieces of a slab take, whatever its size."""


@dataclass(frozen=True)
class GridScattering(CrystalOptions):
    """Coherent one-phonon scattering of a single crystal on a grid of three axes and energy.

    ``GridScattering(300, ranges=((-2, 2),) * 3).write(force_constants, "si.nxs")`` computes the
    grid in slabs, none of which needs more than ``memory``, and returns a
    :class:`~scatterml_ase.SqwGrid` that reads the file piece by piece. S is taken at the centres of
    the bins. All other options are those of
    :class:`~scatterml_ase.scattering.crystal_options.CrystalOptions`.

    Parameters
    ----------
    origin
        In r.l.u. of ``cell``.
    axes
        Directions of x, y and z in r.l.u.
    ranges
        Of x, y and z, in lengths of their directions.
    bins
        How many there are along x, y and z.
    memory
        For one slab, in GiB. Equivalent wavevectors are found within a slab.
    """

    origin: Direction = field(default=(0.0, 0.0, 0.0), kw_only=True)
    axes: tuple[Direction, Direction, Direction] = field(
        default=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), kw_only=True
    )
    ranges: tuple[Pair, Pair, Pair] = field(default=((-2.0, 2.0),) * 3, kw_only=True)
    bins: tuple[int, int, int] = field(default=(40, 40, 40), kw_only=True)
    memory: float = field(default=1.0, kw_only=True)

    def write(self, force_constants: ForceConstants, path: str | Path) -> SqwGrid:
        """Write S(Q, E) of the crystal on the grid; the file appears complete or not at all.

        Raises
        ------
        InputError
            If an option is impossible, the memory does not suffice for one layer, the instrument
            reaches nothing, or the file cannot be written.
        """
        axes = check_axes("axes", self.axes, 3)
        origin = check_point("origin", self.origin)
        bins = bin_edges(self.ranges, self.bins, 3)
        prepared = self.prepare(force_constants, self._energy_edges(force_constants), axes)
        edges = (*bins, prepared.energies.edges)
        counts = {"points": 0, "wavevectors": 0, "imaginary_modes": 0}
        anything = False
        with (
            atomic_write(path) as temporary,
            GridFile(temporary, edges, axes) as file,
            tqdm(total=prepared.samples * int(np.prod([len(x) - 1 for x in bins])), desc="grid",
                 unit=" Q", disable=not self.progress) as bar,
        ):  # fmt: skip
            for part in self._slabs(edges, prepared.samples):
                layers = (bins[2][part.start : part.stop + 1], bins[1], bins[0])
                hkl = grid_points(origin, axes[::-1], layers)  # x runs fastest
                density, known = self._slab(prepared, hkl, counts, bar)
                shape = (-1, *(len(x) - 1 for x in layers))
                file.write(part, density.T.reshape(shape), known.T.reshape(shape))
                anything |= bool(known.any())
            prepared.reach.check_something(np.array([anything]))
            share = counts["imaginary_modes"] / (counts["points"] * 3 * prepared.scatterer.atoms)
            file.finish(
                {
                    **self._facts(prepared, origin, axes),
                    **counts,
                    "imaginary_share": share,
                }
            )
        warn_of_imaginary_modes(share, stacklevel=4)
        return SqwGrid.open(path)

    def _energy_edges(self, force_constants: ForceConstants) -> np.ndarray:
        if self.energy_edges is not None:
            return check_edges("energy_edges", self.energy_edges)
        largest = view.largest_transfer(
            *view.resolve_instrument(self.instrument, self.incident_energy)
        )
        return view.default_energy_edges(view.highest_mode(force_constants), largest, smooth=True)

    def _slabs(self, edges: tuple[np.ndarray, ...], samples: int) -> Iterator[slice]:
        """Cut the bins along z into slabs that fit into the memory."""
        x, y, z, energy = (len(values) - 1 for values in edges)
        layer = x * y * (40 * energy + 400 * samples)  # bytes
        thick = int((self.memory * _GIBIBYTE - _FIXED) // layer) if self.memory > 0 else 0
        if thick < 1:
            needed = (layer + _FIXED) / _GIBIBYTE
            what = f"memory={self.memory} GiB does not suffice for a layer of {x} × {y} bins"
            why = f"with {energy} energies it takes about {needed:.2g} GiB"
            raise InputError(explain(what, why, "Raise memory, or take fewer bins"))
        for start in range(0, z, thick):
            yield slice(start, min(start + thick, z))

    def _slab(
        self, prepared: Prepared, hkl: np.ndarray, counts: dict[str, int], bar: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return densities and where they are known, both of shape (points, energy)."""
        edges = prepared.energies.edges
        known = prepared.reach.mask(prepared.cartesian(hkl), (edges[1:] + edges[:-1]) / 2)
        wanted = np.asarray(known.any(axis=1))
        found = point_spectra(
            prepared.scatterer,
            prepared.around(unit_cell.to_primitive(hkl, prepared.transformation)[:, None]),
            prepared.energies,
            widths=self.linewidths,
            symmetry=self.symmetry,
            wanted=wanted,
            progress=bar.update,
        )
        count = int(wanted.sum()) * prepared.samples
        bar.update(len(hkl) * prepared.samples - count)
        counts["points"] += count
        counts["wavevectors"] += found.wavevectors
        counts["imaginary_modes"] += found.imaginary_modes
        return found.density, known & ~found.left_out

    def _facts(self, prepared: Prepared, origin: np.ndarray, axes: np.ndarray) -> dict[str, Any]:
        """Return what the file says beside the numbers."""
        crystal = prepared.scatterer.force_constants.crystal.to("angstrom")
        names = ("cell", "scaled_positions", "numbers", "masses")
        return {
            "crystal": {name: getattr(crystal, name).tolist() for name in names},
            "transformation": prepared.transformation.tolist(),
            "origin": origin.tolist(),
            "directions": axes.tolist(),
            "temperature": prepared.scatterer.temperature,
            "kinematics": prepared.reach.kinematics(),
            "provenance": {
                **prepared.scatterer.provenance(),
                "grid": self.options(prepared.reach),
            },
        }
