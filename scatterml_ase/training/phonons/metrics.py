"""Measures of predicted spectra, as the field publishes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from scatterml_ase.training.phonons.dos_labels import EDGES
from scatterml_ase.units import (
    BOLTZMANN,
    INVERSE_CM_TO_MEV,
    MEV_PER_K_TO_J_PER_K_PER_MOL,
    THZ_TO_MEV,
)

LABEL_POINTS = np.arange(0.0, 1001.0, 20.0)
"""Energies in cm⁻¹ of the 51-point labels (Petretto et al., doi:10.1038/sdata.2018.65)."""
_ROOM = 300.0
_CENTRES = (EDGES[1:] + EDGES[:-1]) / 2


@dataclass(frozen=True)
class SpectrumErrors:
    """Errors of the spectrum of one crystal against a full reference mesh."""

    wasserstein: float
    """Wasserstein-1 distance over the highest reference frequency (its 99.9 % quantile)."""
    wasserstein_thz: float
    """The same in THz."""
    mean_frequency: float
    """Relative error of the mean frequency."""
    heat_capacity: float
    """Relative error of C_V at 300 K."""
    imaginary: float
    """Predicted weight of modes below −5 cm⁻¹."""
    imaginary_reference: float


def spectrum_errors(predicted: np.ndarray, reference: np.ndarray) -> SpectrumErrors:
    """Compare counts of modes in the bins of ``EDGES``, both shape (bins,), of any norm."""
    p, q = predicted / predicted.sum(), reference / reference.sum()
    step = EDGES[1] - EDGES[0]
    distance = float(np.abs(np.cumsum(p - q)).sum() * step)
    highest = float(_CENTRES[np.searchsorted(np.cumsum(q), 0.999)])
    means = float(p @ _CENTRES), float(q @ _CENTRES)
    capacities = _heat_capacity(p, _CENTRES), _heat_capacity(q, _CENTRES)
    low = _CENTRES < -5
    return SpectrumErrors(
        wasserstein=distance / highest,
        wasserstein_thz=distance * INVERSE_CM_TO_MEV / THZ_TO_MEV,
        mean_frequency=abs(means[0] - means[1]) / abs(means[1]),
        heat_capacity=abs(capacities[0] - capacities[1]) / capacities[1],
        imaginary=float(p[low].sum()),
        imaginary_reference=float(q[low].sum()),
    )


def mean_errors(errors: Sequence[SpectrumErrors]) -> dict[str, float]:
    """Return means over crystals by name; of imaginary weights the share above half a per cent."""
    rows = [asdict(one) for one in errors]
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    for name in ("imaginary", "imaginary_reference"):
        table[name] = table[name] > 0.005
    return {name: float(values.mean()) for name, values in table.items()}


def label_points(counts: np.ndarray) -> np.ndarray:
    """Return modes in bins of 20 cm⁻¹ around ``LABEL_POINTS`` from those in ``EDGES``, (…, 51)."""
    below = np.concatenate([np.zeros((*counts.shape[:-1], 1)), np.cumsum(counts, axis=-1)], axis=-1)
    borders = np.concatenate([LABEL_POINTS - 10, [LABEL_POINTS[-1] + 10]])
    place = np.searchsorted(EDGES, borders)
    return np.diff(below[..., place], axis=-1)


def label_metrics(predicted: np.ndarray, labels: np.ndarray, atoms: np.ndarray) -> dict[str, float]:
    """Return the published measures of 51-point densities of states.

    Parameters
    ----------
    predicted
        (n, 51), not negative.
    labels
        (n, 51), each of maximum one.
    atoms
        Atoms in each cell (n,).

    Returns
    -------
    dict
        ``mse`` and ``mae`` with predictions scaled to the labels' area ("sum"), ``mse_max`` with
        both of maximum one; ``wasserstein`` and ``mean_frequency`` in cm⁻¹, ``heat_capacity`` at
        300 K in J/K per mole of cells: mean absolute errors.
    """
    p, y = np.clip(predicted, 0, None), labels
    area = y.sum(axis=1, keepdims=True)
    scaled = p / p.sum(axis=1, keepdims=True) * area
    highest = p / p.max(axis=1, keepdims=True)
    shares, reference = scaled / area, y / area
    distance = 20 * np.abs(np.cumsum(shares - reference, axis=1))[:, :-1].sum(axis=1)
    means = np.abs((shares - reference) @ LABEL_POINTS)
    capacity = [
        3 * MEV_PER_K_TO_J_PER_K_PER_MOL * BOLTZMANN
        * np.array([_heat_capacity(row[1:], LABEL_POINTS[1:]) for row in rows])
        for rows in (shares, reference)
    ]  # fmt: skip
    return {
        "mse": float(((scaled - y) ** 2).mean()),
        "mae": float(np.abs(scaled - y).mean()),
        "mse_max": float(((highest - y) ** 2).mean()),
        "wasserstein": float(distance.mean()),
        "mean_frequency": float(means.mean()),
        "heat_capacity": float((np.abs(capacity[0] - capacity[1]) * atoms).mean()),
    }


def _heat_capacity(shares: np.ndarray, energies: np.ndarray) -> float:
    """Return C_V at 300 K per mode in k_B; energies in cm⁻¹, those not positive left out."""
    real = energies > 0
    u = energies[real] * INVERSE_CM_TO_MEV / (BOLTZMANN * _ROOM)
    capacity = (u / (2 * np.sinh(u / 2))) ** 2
    return float((shares[real] * capacity).sum() / shares[real].sum())
