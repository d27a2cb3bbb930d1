"""Resolution in Q of a single crystal's measurement: a Gaussian around each scattering vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.broadening import SIGMA_TO_FWHM
from scatterml_ase.physics.gaussian_points import gaussian_points

QWidth = float | tuple[float, float]
"""FWHM in Å⁻¹: one for all directions, or along Q and across it."""

_FEWEST = 8
"""Points that stand for a Gaussian: a few more than its moments need."""


@dataclass(frozen=True)
class QResolution:
    """A normal distribution around Q, the same in all directions or another along Q.

    Parameters
    ----------
    along, across
        Standard deviations in Å⁻¹ along Q and in both directions across it.
    samples
        How many points stand for it.
    """

    along: float
    across: float
    samples: int

    @classmethod
    def of(cls, q_fwhm: QWidth | None, samples: int) -> Self | None:
        """Return the resolution of full widths at half maximum in Å⁻¹, None if there is none.

        Raises
        ------
        InputError
            If they are no widths, or the samples too few or no even number.
        """
        if q_fwhm is None:
            return None
        try:
            widths = np.broadcast_to(np.asarray(q_fwhm, dtype=float), 2)
        except (TypeError, ValueError):
            widths = np.full(2, np.nan)
        if not np.all((widths >= 0) & np.isfinite(widths)):
            what = f"q_fwhm={q_fwhm!r} is no width"
            why = "there is one in 1/Å, or two, along Q and across, zero or positive"
            raise InputError(explain(what, why, "Give e.g. 0.05, or (0.03, 0.06)"))
        if not np.isreal(samples) or samples < _FEWEST or samples % 2:
            what = f"q_samples={samples!r} cannot stand for a resolution"
            why = f"each has its opposite, and there are {_FEWEST} at least"
            raise InputError(explain(what, why, "Give an even number, e.g. 64"))
        along, across = (widths / SIGMA_TO_FWHM).tolist()
        return cls(along, across, int(samples)) if along or across else None

    def around(self, Q: np.ndarray) -> np.ndarray:
        """Return points of equal weight that stand for the distribution around each Q.

        Parameters
        ----------
        Q
            Scattering vectors in Å⁻¹, Cartesian, shape (..., 3).

        Returns
        -------
        np.ndarray
            In Å⁻¹, shape (..., samples, 3).
        """
        offsets = gaussian_points(self.samples // 2)
        if self.along == self.across:
            return Q[..., None, :] + self.along * offsets
        lengths = np.linalg.norm(Q, axis=-1, keepdims=True)
        direction = np.where(lengths > 0, Q / np.where(lengths > 0, lengths, 1.0), [0.0, 0.0, 1.0])
        lengthwise = (direction @ offsets.T)[..., None] * direction[..., None, :]
        return Q[..., None, :] + self.across * offsets + (self.along - self.across) * lengthwise
