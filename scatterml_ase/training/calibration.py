"""Whether an uncertainty means what it says: errors against the spreads that foretold them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import erfinv
from scipy.stats import spearmanr

# What no potential resolves, added to every spread in quadrature: the convergence of the labels.
ENERGY_FLOOR = 1e-4  # eV per atom
FORCE_FLOOR = 1e-3  # eV/Å

_HEAD = (
    f"{'group':<16}{'count':>8}{'RMSE':>9}{'spread':>9}{'z':>7}{'area':>7}{'rank':>7}"
    f"{'':>4}{'count':>8}{'RMSE':>9}{'spread':>9}{'z':>7}{'area':>7}{'rank':>7}{'outside':>9}"
)


@dataclass(frozen=True)
class SpreadQuality:
    """How well spreads foretell errors; NaN where there are too few to say.

    Attributes
    ----------
    count
        How many errors.
    rmse
        Root mean square error: meV/atom, or meV/Å per force component.
    spread
        Root mean square of the spreads, in the same unit.
    z
        Root mean square of error / spread: 1 if the width is right, above 1 if overconfident.
    area
        Miscalibration area: mean distance between the share of errors within the central
        interval of probability p and p itself; 0 if errors are Gaussian of the width foretold,
        0.5 at worst (Tran et al. 2020, 10.1088/2632-2153/ab7e1a).
    rank
        Spearman's correlation of spread and size of the error: 1 if the order is right.
    """

    count: int
    rmse: float
    spread: float
    z: float
    area: float
    rank: float


@dataclass(frozen=True)
class Judged:
    """What a committee said about labelled structures, and how wrong it was.

    Attributes
    ----------
    groups
        Of each structure.
    energy_errors, energy_spreads
        Per structure, eV per atom.
    force_errors, force_spreads
        Per structure (atoms, 3) and (atoms,), eV/Å.
    grades
        Extrapolation grade per structure (atoms,); empty lists if there is none.
    """

    groups: list[str]
    energy_errors: np.ndarray
    energy_spreads: np.ndarray
    force_errors: list[np.ndarray]
    force_spreads: list[np.ndarray]
    grades: list[np.ndarray]

    def part(self, group: str | None) -> Judged:
        """Return the structures of one group; all for None."""
        if group is None:
            return self
        own = [k for k, name in enumerate(self.groups) if name == group]
        return Judged(
            [group] * len(own),
            self.energy_errors[own],
            self.energy_spreads[own],
            [self.force_errors[k] for k in own],
            [self.force_spreads[k] for k in own],
            [self.grades[k] for k in own] if self.grades else [],
        )

    @property
    def energies(self) -> tuple[np.ndarray, np.ndarray]:
        """Errors and spreads of the energies in eV per atom, floor included, (structures,)."""
        return self.energy_errors, np.hypot(self.energy_spreads, ENERGY_FLOOR)

    @property
    def forces(self) -> tuple[np.ndarray, np.ndarray]:
        """Errors and spreads of all force components in eV/Å, floor included, flat."""
        errors = np.concatenate([values.ravel() for values in self.force_errors])
        spreads = np.concatenate([np.repeat(values, 3) for values in self.force_spreads])
        return errors, np.hypot(spreads, FORCE_FLOOR)

    @property
    def outside(self) -> float:
        """Share of atoms with an extrapolation grade above 1."""
        return float((np.concatenate(self.grades) > 1).mean()) if self.grades else np.nan

    def rows(self) -> dict[str, dict[str, Any]]:
        """Return the quality of energies and forces and the share outside, all and by group."""
        names = sorted(set(self.groups))
        rows = {}
        for name in (None, *(names if len(names) > 1 else ())):
            part = self.part(name)
            rows["all" if name is None else name or "-"] = {
                "energy": spread_quality(*part.energies),
                "forces": spread_quality(*part.forces),
                "outside": part.outside,
            }
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a card, NaN as None."""
        plain: dict[str, Any] = {
            "units": "rmse and spread in meV/atom and meV/Å; z, area, rank, outside without"
        }
        for name, row in self.rows().items():
            plain[name] = {
                "energy": _plain(row["energy"]),
                "forces": _plain(row["forces"]),
                "atoms_outside": _rounded(row["outside"]),
            }
        return plain

    def __str__(self) -> str:
        lines = [
            f"{'':<16}{'energy per atom':>47}{'':>4}{'force component':>47}{'atoms':>9}",
            _HEAD,
        ]
        rows = self.rows()
        for name, row in [*list(rows.items())[1:], ("all", rows["all"])]:
            energy, forces = (
                f"{q.count:>8}{q.rmse:>9.2f}{q.spread:>9.2f}{q.z:>7.2f}{q.area:>7.3f}{q.rank:>7.2f}"
                for q in (row["energy"], row["forces"])
            )
            lines.append(f"{name:<16}{energy}{'':>4}{forces}{100 * row['outside']:>8.2f}%")
        return "\n".join(lines)


def spread_quality(errors: np.ndarray, spreads: np.ndarray) -> SpreadQuality:
    """Compare ``errors`` (n,) with the ``spreads`` (n,) foretold, in eV or eV/Å."""
    if len(errors) == 0:
        return SpreadQuality(0, *[np.nan] * 5)
    z = errors / spreads
    rank = np.nan
    if len(errors) > 2 and np.ptp(spreads) > 0 and np.ptp(np.abs(errors)) > 0:
        rank = float(spearmanr(spreads, np.abs(errors)).statistic)
    return SpreadQuality(
        count=len(errors),
        rmse=1e3 * _rms(errors),
        spread=1e3 * _rms(spreads),
        z=_rms(z),
        area=miscalibration_area(z),
        rank=rank,
    )


def coverage(z: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the share of ``z`` (n,) within the central Gaussian interval of each probability."""
    sizes = np.sort(np.abs(z))
    widths = np.sqrt(2) * erfinv(probabilities)
    return np.searchsorted(sizes, widths, side="right") / len(sizes)


def miscalibration_area(z: np.ndarray) -> float:
    """Return ∫ |coverage(p) − p| dp over p from 0 to 1."""
    probabilities = (np.arange(500) + 0.5) / 500
    return float(np.abs(coverage(z, probabilities) - probabilities).mean())


def best_scale(errors: np.ndarray, spreads: np.ndarray, floor: float) -> float:
    """Return the factor on ``spreads`` (n,) that makes the ``errors`` (n,) most likely.

    Gaussian errors of variance (factor · spread)² + floor²; all in one unit.
    """
    square = errors**2
    if not np.any(spreads > 0):
        return 1.0

    def surprise(logarithm: float) -> float:
        variance = np.exp(2 * logarithm) * spreads**2 + floor**2
        return float(np.mean(np.log(variance) + square / variance))

    start = np.log(max(_rms(errors), floor) / _rms(spreads))
    coarse = start + np.linspace(-8, 8, 65)
    best = coarse[int(np.argmin([surprise(x) for x in coarse]))]
    fine = minimize_scalar(surprise, bounds=(best - 0.25, best + 0.25), method="bounded")
    return float(np.exp(fine.x))


def surprise(errors: np.ndarray, spreads: np.ndarray) -> float:
    """Return the mean negative log-likelihood of Gaussian errors, without its constant."""
    return float(np.mean(np.log(spreads) + (errors / spreads) ** 2 / 2))


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _plain(quality: SpreadQuality) -> dict[str, Any]:
    return {key: _rounded(value) for key, value in dataclasses.asdict(quality).items()}


def _rounded(value: float) -> float | None:
    if isinstance(value, int):
        return value
    return None if np.isnan(value) else round(value, 4)
