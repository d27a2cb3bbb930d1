"""Widths of phonon lines: from the user, as numbers or a function, or from phono3py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.brillouin import on_reciprocal_lattice
from scatterml_ase.units import THZ_TO_MEV

Linewidths = float | Sequence[float] | np.ndarray | Callable[[np.ndarray, np.ndarray], np.ndarray]
"""FWHM in meV: one, one per branch (ascending in energy), shape (modes,), along a path also one per
mode of every point, shape (points, modes), or a function of q (reciprocal-lattice units of the
primitive cell, within ±½, shape (points, 3)) and mode energies (meV, shape (points, modes))."""

EnergyLinewidths = float | Callable[[np.ndarray], np.ndarray]
"""FWHM in meV: one, or a function of mode energies in meV."""

_NEEDED = ("mesh", "qpoint", "gamma", "temperature")


def evaluate(widths: Linewidths, hkl: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Return the FWHM of every mode in meV, shape (points, modes).

    Parameters
    ----------
    widths
        See :data:`Linewidths`.
    hkl
        Scattering vectors, reciprocal-lattice units of the primitive cell, shape (points, 3).
    frequencies
        In meV, shape (points, modes).

    Raises
    ------
    InputError
        If shapes do not fit, or a width is negative or not finite.
    """
    found = widths(hkl - np.rint(hkl), frequencies) if callable(widths) else widths
    try:
        values = np.broadcast_to(np.asarray(found, dtype=float), frequencies.shape)
    except (TypeError, ValueError):
        raise InputError(
            explain(
                f"linewidths of shape {np.shape(found)} do not fit modes of shape "
                f"{frequencies.shape}, or are no numbers",
                "there is one for all, for each branch, or for each mode of each point",
                "Give a number, shape (modes,) or (points, modes), or a function of (q, energy)",
            )
        ) from None
    if not np.all((values >= 0) & np.isfinite(values)):
        what = f"linewidths go down to {values.min():.4g} meV"
        why = "a full width at half maximum is finite and not negative"
        raise InputError(explain(what, why, "Use 0 for modes that stay sharp"))
    return values


def check_not_by_point(widths: Linewidths | None) -> None:
    """Refuse widths for each point where points are taken in an order of our own.

    Raises
    ------
    InputError
        If there is a width for each mode of each point.
    """
    if widths is None or callable(widths) or np.ndim(widths) < 2:
        return
    what = f"linewidths of shape {np.shape(widths)} cannot be used for planes, grids or q_fwhm"
    why = "their points are many, and equivalent ones are solved once"
    raise InputError(explain(what, why, "Give a function of (q, energy), or one for each branch"))


def at_energies(widths: EnergyLinewidths, energies: np.ndarray) -> np.ndarray:
    """Return the FWHM in meV of modes of given energies, the shape of ``energies``.

    Raises
    ------
    InputError
        If the shape does not fit, or a width is negative or not finite.
    """
    if callable(widths):
        given = widths
        return evaluate(lambda q, modes: given(modes), np.zeros((1, 3)), energies[None])[0]
    return evaluate(float(widths), np.zeros((1, 3)), energies[None])[0]


def describe(widths: Linewidths | EnergyLinewidths | None) -> Any:
    """Return widths as plain values for provenance: a function by its name."""
    if widths is None:
        return None
    if callable(widths):
        return getattr(widths, "__qualname__", type(widths).__name__)
    return np.asarray(widths).tolist()


@dataclass(frozen=True, eq=False)
class MeshLinewidths:
    """Line widths on a mesh of q; each q takes those of the nearest point of the mesh.

    Called with q and mode energies it returns widths, so that it can be given as ``linewidths``.

    Parameters
    ----------
    fwhm
        Full widths at half maximum in meV, shape (q, modes), ascending in mode energy.
    index
        Row of each point of the full mesh, shape (n1, n2, n3).
    """

    fwhm: np.ndarray
    index: np.ndarray

    @classmethod
    def from_phono3py(cls, path: str | Path, temperature: float, rotations: np.ndarray) -> Self:
        """Read ``kappa-mXXX.hdf5``: widths are twice ``gamma``, which is in THz.

        Scattering by isotopes is added where phono3py wrote it (``gamma_isotope``). Modes that it
        did not calculate, with gamma 0, stay sharp.

        Parameters
        ----------
        path
            Of the file, made with a regular mesh.
        temperature
            In K, within those of the file; widths between two of them are interpolated.
        rotations
            Of the crystal, ``force_constants.symmetry_operations.rotations``: the file holds one q
            of each star.

        Raises
        ------
        InputError
            If the file is no such file, lacks the temperature, or is of another symmetry.
        """
        mesh, points, gamma, temperatures = _read(Path(path))
        if not temperatures.min() <= temperature <= temperatures.max():
            what = f"{str(path)!r} has no line widths at {temperature} K"
            why = f"its temperatures are {temperatures.min():g} to {temperatures.max():g} K"
            raise InputError(explain(what, why, "Run phono3py with --ts at that temperature"))
        order = np.argsort(temperatures)
        upper = int(np.clip(np.searchsorted(temperatures[order], temperature), 1, len(order) - 1))
        low, high = order[[upper - 1, upper]] if len(order) > 1 else (order[0], order[0])
        span = temperatures[high] - temperatures[low]
        share = (temperature - temperatures[low]) / span if span else 0.0
        widths = (1 - share) * gamma[low] + share * gamma[high]
        return cls(2 * THZ_TO_MEV * widths, _full_mesh(str(path), mesh, points, rotations))

    def __call__(self, q_reduced: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
        """Return widths in meV at q, shape (points, modes).

        Raises
        ------
        InputError
            If the crystal has another number of modes than the file.
        """
        if frequencies.shape[1] != self.fwhm.shape[1]:
            what = f"There are line widths of {self.fwhm.shape[1]} modes"
            why = f"the crystal has {frequencies.shape[1]}"
            raise InputError(explain(what, why, "Use force constants of the same primitive cell"))
        mesh = np.array(self.index.shape)
        nearest = np.rint(q_reduced * mesh).astype(int) % mesh
        return self.fwhm[self.index[tuple(nearest.T)]]


def _read(path: Path) -> tuple[tuple[int, ...], np.ndarray, np.ndarray, np.ndarray]:
    """Return mesh, q (q, 3), gamma (temperature, q, modes) in THz and temperatures in K."""
    fix = "Give the kappa-m….hdf5 that phono3py --br writes"
    try:
        with h5py.File(path, "r") as file:
            found: dict[str, Any] = {name: np.asarray(file[name][()]) for name in _NEEDED}
            isotopes = np.asarray(file["gamma_isotope"][()]) if "gamma_isotope" in file else 0.0
    except (OSError, KeyError) as error:
        what = f"Cannot read line widths from {str(path)!r}"
        why = "it is missing, no HDF5 file, or has no " + ", ".join(_NEEDED)
        raise InputError(explain(what, why, fix)) from error
    gamma = found["gamma"].astype(float)
    if found["mesh"].shape != (3,) or gamma.ndim != 3 or gamma.shape[1] != len(found["qpoint"]):
        what = f"The line widths in {str(path)!r} are not on a regular mesh"
        why = f"mesh has shape {found['mesh'].shape}, gamma {gamma.shape}"
        raise InputError(explain(what, why, "Run phono3py with --mesh N1 N2 N3 on all grid points"))
    mesh = tuple(int(n) for n in found["mesh"])
    gamma = gamma + isotopes  # at every temperature
    return mesh, found["qpoint"], gamma, np.atleast_1d(found["temperature"]).astype(float)


def _full_mesh(
    name: str, mesh: tuple[int, ...], points: np.ndarray, rotations: np.ndarray
) -> np.ndarray:
    """Return which given q each point of the mesh is equivalent to, shape ``mesh``."""
    index = np.full(mesh, -1)
    sizes = np.array(mesh)
    for operation in on_reciprocal_lattice(rotations):
        steps = points @ operation.T * sizes
        on_mesh = np.abs(steps - np.rint(steps)).max(axis=1) < 1e-4
        k = np.rint(steps[on_mesh]).astype(int) % sizes
        index[tuple(k.T)] = np.flatnonzero(on_mesh)
    if (index < 0).any():
        raise InputError(
            explain(
                f"{name!r} lacks line widths for {(index < 0).sum()} of {index.size} mesh points",
                "its q-points and the symmetry of this crystal do not give the whole mesh",
                "Use force constants of the same crystal and cell as phono3py's",
            )
        )
    return index
