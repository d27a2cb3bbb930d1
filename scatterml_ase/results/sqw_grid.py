"""S(Q, E) of a single crystal on a four-dimensional grid, in a file that is read piece by piece.

Layout, that of Mantid's SaveMD (MDHisto)::

    /MDHistoWorkspace/data/signal     (energy, z, y, x), NaN where nothing is known
    /MDHistoWorkspace/data/mask       1 where nothing is known
    /MDHistoWorkspace/data/D0 … D3    edges along x, y, z and energy, with long_name and units
    /MDHistoWorkspace/scatterml_grid  JSON: everything else
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics import unit_cell
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.sqw_plane import SqwPlane

ENTRY, METADATA, FORMAT = "MDHistoWorkspace", "scatterml_grid", 1
AXES = ("x", "y", "z", "energy")
_FIX = "Give a file written by GridScattering(…).write(force_constants, path)"


@dataclass(frozen=True, eq=False)
class SqwGrid:
    """S(Q, E) at Q = origin + x a₁ + y a₂ + z a₃, left in its file until it is asked for.

    ``grid[:, :, 10, 5]`` reads one slice as an array in the order x, y, z, energy, NaN where
    nothing is known; :meth:`plane` reads a :class:`~scatterml_ase.SqwPlane`.

    Parameters
    ----------
    path
        Of the file.
    crystal
        The primitive cell.
    edges
        Of the bins along x, y, z (in lengths of their directions) and energy (meV).
    transformation
        From the primitive cell to the one whose r.l.u. are used, shape (3, 3).
    origin, directions
        In r.l.u., shapes (3,) and (3, 3).
    temperature
        In K.
    facts
        What else is told: ``points``, ``wavevectors`` (solved for them), ``imaginary_modes``,
        ``imaginary_share``, ``kinematics``, ``provenance``.
    """

    path: Path
    crystal: Crystal = field(repr=False)
    edges: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] = field(repr=False)
    transformation: np.ndarray = field(repr=False)
    origin: np.ndarray = field(repr=False)
    directions: np.ndarray = field(repr=False)
    temperature: float
    facts: Mapping[str, Any] = field(repr=False)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Read all but the numbers of a grid.

        Raises
        ------
        InputError
            If the file is missing, damaged, or was not written by this package.
        """
        path = Path(path)
        try:
            with h5py.File(path, "r") as file:
                told = json.loads(file[f"{ENTRY}/{METADATA}"].asstr()[()])
                if told["format"] > FORMAT:
                    raise ValueError(f"a newer version wrote it, format {told['format']}")
                found = [file[f"{ENTRY}/data/D{k}"][()] for k in range(len(AXES))]
                shape = file[f"{ENTRY}/data/signal"].shape
        except (OSError, KeyError, TypeError, ValueError) as error:
            what = f"Cannot read the grid {str(path)!r}"
            why = f"it is missing, damaged or of another program ({error})"
            raise InputError(explain(what, why, _FIX)) from error
        x, y, z, energy = (np.asarray(edges, dtype=float) for edges in found)
        if shape != tuple(len(edges) - 1 for edges in (energy, z, y, x)):
            what = f"Cannot read the grid {str(path)!r}"
            raise InputError(explain(what, f"its signal of shape {shape} misses its axes", _FIX))
        crystal: dict[str, Any] = {k: np.array(v) for k, v in told.pop("crystal").items()}
        return cls(
            path=path,
            crystal=Crystal(**crystal),
            edges=(x, y, z, energy),
            transformation=np.array(told.pop("transformation")),
            origin=np.array(told.pop("origin")),
            directions=np.array(told.pop("directions")),
            temperature=float(told.pop("temperature")),
            facts=told,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of bins along x, y, z and energy."""
        return tuple(len(edges) - 1 for edges in self.edges)

    def __getitem__(self, key: Any) -> np.ndarray:
        """Read part of the grid, indices in the order x, y, z, energy."""
        items = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in items:
            place = items.index(Ellipsis)
            items[place : place + 1] = [slice(None)] * (len(AXES) + 1 - len(items))
        items += [slice(None)] * (len(AXES) - len(items))
        with h5py.File(self.path, "r") as file:
            return np.asarray(file[f"{ENTRY}/data/signal"][tuple(reversed(items))]).T

    def plane(
        self, across: str, between: tuple[float, float], energy: tuple[float, float]
    ) -> SqwPlane:
        """Read slices at constant energy: a mean across the plane of the two other axes.

        Bins are taken if their centres lie within; only known ones count.

        Parameters
        ----------
        across
            The axis the mean is over: ``"x"``, ``"y"`` or ``"z"``.
        between
            Its range, in lengths of its direction.
        energy
            Range in meV; each bin within is a slice.

        Raises
        ------
        InputError
            If there is no such axis, or no bin within.
        """
        if across not in AXES[:3]:
            what = f"across={across!r} is no axis of the grid"
            raise InputError(explain(what, "a plane is cut across x, y or z", "Give e.g. 'z'"))
        number = AXES.index(across)
        first, second = (k for k in range(3) if k != number)
        chosen = self._within(number, between)
        slices = self._within(3, energy)
        key: list[slice] = [slice(None)] * 3 + [slices]
        key[number] = chosen
        values = np.moveaxis(self[tuple(key)], number, 0)  # [across, first, second, energy]
        known = np.isfinite(values)
        counts = known.sum(axis=0)
        total = np.where(known, values, 0.0).sum(axis=0)
        mean = np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
        low, high = self.edges[number][[chosen.start, chosen.stop]]
        return SqwPlane(
            crystal=self.crystal,
            transformation=self.transformation,
            origin=self.origin + (low + high) / 2 * self.directions[number],
            u=self.directions[first],
            v=self.directions[second],
            x=self.edges[first],
            y=self.edges[second],
            energy_transfer=self.edges[3][slices.start : slices.stop + 1],
            intensity=np.moveaxis(mean, -1, 0),
            thickness=(high - low) * self._spacing(number),
            temperature=self.temperature,
            kinematics=self.facts.get("kinematics"),
            points=self.facts.get("points"),
            wavevectors=self.facts.get("wavevectors"),
            imaginary_modes=int(self.facts.get("imaginary_modes", 0)),
            imaginary_share=float(self.facts.get("imaginary_share", 0.0)),
            provenance=self.facts.get("provenance", {}),
        )

    def _within(self, number: int, between: tuple[float, float]) -> slice:
        """Return the bins of an axis whose centres lie in a range."""
        edges = self.edges[number]
        centres = (edges[1:] + edges[:-1]) / 2
        found = np.flatnonzero((centres >= min(between)) & (centres <= max(between)))
        if not len(found):
            what = f"No bin of {AXES[number]} lies in {between}"
            why = f"their centres run from {centres[0]:.6g} to {centres[-1]:.6g}"
            raise InputError(explain(what, why, "Choose a wider range"))
        return slice(int(found[0]), int(found[-1]) + 1)

    def _spacing(self, number: int) -> float:
        """Return how far planes are apart in Å⁻¹ that differ by one length of a direction."""
        crystal = self.crystal.to("angstrom")
        q = unit_cell.to_primitive(self.directions, self.transformation) @ crystal.reciprocal_cell
        first, second = (q[k] for k in range(3) if k != number)
        normal = np.cross(first, second)
        return float(abs(q[number] @ normal) / np.linalg.norm(normal))
