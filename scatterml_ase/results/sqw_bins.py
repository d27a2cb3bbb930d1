"""Maps on other bins, and maps blurred over the bins they have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from scatterml_ase.physics.broadening import SIGMA_TO_FWHM, broaden
from scatterml_ase.physics.rebinning import rebin

if TYPE_CHECKING:
    from scatterml_ase.results.sqw import SqwMap

Width = float | np.ndarray | Callable[[np.ndarray], np.ndarray]
"""One width, one for each bin, or a function of the centres of the bins."""
AnyMap = TypeVar("AnyMap", bound="SqwMap")


def rebinned(
    sqw: AnyMap,
    q: np.ndarray | None,
    energy_transfer: np.ndarray | None,
    *,
    minimum_coverage: float,
) -> AnyMap:
    """Return a map on other bins; see :meth:`SqwMap.rebinned`."""
    new_q = np.asarray(sqw.q if q is None else q, dtype=float)
    energies = sqw.energy_transfer if energy_transfer is None else energy_transfer
    new_energy = np.asarray(energies, dtype=float)
    edges, new = (sqw.q, sqw.energy_transfer), (new_q, new_energy)
    found = rebin(sqw.intensity, sqw.error, sqw.mask, edges, new)
    points: dict[str, Any] = {"distance": None, "q_reduced": None, "labels": ()}
    return replace(
        sqw,
        q=new_q,
        energy_transfer=new_energy,
        intensity=found.values,
        error=found.error,
        parts=_each_part(sqw, lambda part: rebin(part, None, sqw.mask, edges, new).values),
        mask=found.coverage >= minimum_coverage,
        **(points if q is not None else {}),
    )


def broadened(sqw: AnyMap, energy_fwhm: Width | None, q_fwhm: Width | None) -> AnyMap:
    """Return a map convolved with Gaussians; see :meth:`SqwMap.broadened`."""
    jobs = (
        (energy_fwhm, sqw.energy_transfer, sqw.energy_centres, -1),
        (q_fwhm, sqw.q, sqw.q_centres, -2),
    )

    def spread(values: np.ndarray) -> np.ndarray:
        values = np.where(sqw.mask, values, 0.0)
        for width, edges, centres, axis in jobs:
            if width is not None:
                fwhm = width(centres) if callable(width) else width
                sigma = np.asarray(fwhm, dtype=float) / SIGMA_TO_FWHM
                values = broaden(values, edges, sigma, axis=axis)
        return values

    intensity, parts = spread(sqw.intensity), _each_part(sqw, spread)
    return replace(sqw, intensity=intensity, error=None, parts=parts)


def _each_part(sqw: SqwMap, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray | None:
    """Return the parts after a linear change of each."""
    return None if sqw.parts is None else np.array([change(part) for part in sqw.parts])
