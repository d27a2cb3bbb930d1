"""How far an atom's surroundings are from everything the training set holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from scatterml_ase.errors import InputError, explain

# Directions in which the training set varies less than this share of a standard deviation squared
# are no narrower than that: single precision resolves no finer, and nothing is infinitely far.
_NARROWEST = 1e-3
_LINEAR = 3.0  # asinh(3 x / rms): powers of the density up to fourth order become comparable


@dataclass(frozen=True)
class ExtrapolationMeasure:
    """Mahalanobis distance of an atom's invariants from the training atoms of its species.

    The invariants x of an atom are made comparable, u = asinh(3 x / rms), and standardised,
    y = (u − mean) / deviation. With the correlation C of the training atoms the distance is
    d² = yᵀ (C + ε)⁻¹ y (Mahalanobis 1936): how many standard deviations away, where directions
    count in which the training set hardly varies. The grade is d over the distance that 99 % of
    the held-out atoms do not exceed, so a grade above 1 is outside of what was seen.

    All tensors are float64, one row per species in the order of ``species``.
    """

    species: tuple[int, ...]
    """Atomic numbers, rising."""
    rms: Tensor
    """Root mean square of each invariant over the training atoms, (species, f)."""
    mean: Tensor
    """Mean of u, (species, f)."""
    deviation: Tensor
    """Standard deviation of u, (species, f)."""
    factors: Tensor
    """Lower triangles L with L Lᵀ = (C + ε)⁻¹, (species, f, f)."""
    thresholds: Tensor
    """Distance of grade 1, (species,)."""

    @classmethod
    def fit(cls, invariants: Mapping[int, Tensor]) -> ExtrapolationMeasure:
        """Learn the cloud of training atoms; thresholds are 1 until calibrated.

        Parameters
        ----------
        invariants
            For each atomic number the invariants (atoms, f) of its training atoms.
        """
        species = tuple(sorted(invariants))
        rows = [_cloud(invariants[number].to(torch.float64), number) for number in species]
        rms, mean, deviation, factors = (torch.stack(part) for part in zip(*rows, strict=True))
        return cls(species, rms, mean, deviation, factors, rms.new_ones(len(species)))

    def distances(self, invariants: Tensor, numbers: Tensor) -> Tensor:
        """Return the distance d (atoms,) of ``invariants`` (atoms, f), without unit."""
        distances = self.thresholds.new_full((len(numbers),), torch.inf)  # of unseen species
        for k, number in enumerate(self.species):
            own = torch.nonzero(numbers == number).squeeze(1)
            u = _compressed(invariants[own].to(torch.float64), self.rms[k])
            y = (u - self.mean[k]) / self.deviation[k]
            distances[own] = torch.linalg.vector_norm(y @ self.factors[k], dim=1)
        return distances

    def grades(self, invariants: Tensor, numbers: Tensor) -> Tensor:
        """Return the grade (atoms,): above 1 outside of the training set."""
        grades = self.distances(invariants, numbers)
        for number, threshold in zip(self.species, self.thresholds, strict=True):
            grades[numbers == number] /= threshold
        return grades

    def to(self, device: torch.device) -> ExtrapolationMeasure:
        """Return the measure on another device."""
        parts = (self.rms, self.mean, self.deviation, self.factors, self.thresholds)
        return ExtrapolationMeasure(self.species, *(part.to(device) for part in parts))

    # -- on disk --------------------------------------------------------------------------------

    def to_tensors(self) -> dict[str, Tensor]:
        """Return compact tensors for a file: half precision, triangles without their zeros."""
        size = self.factors.shape[1]
        below, left = torch.tril_indices(size, size)
        return {
            "extrapolation.species": torch.tensor(self.species),
            "extrapolation.rms": self.rms.to(torch.float32),
            "extrapolation.mean": self.mean.to(torch.float32),
            "extrapolation.deviation": self.deviation.to(torch.float32),
            "extrapolation.factors": self.factors[:, below, left].to(torch.float16),
            "extrapolation.thresholds": self.thresholds,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], size: int) -> ExtrapolationMeasure:
        """Make the measure of what :meth:`to_tensors` gave.

        Parameters
        ----------
        tensors
            The tensors; others are ignored.
        size
            Number f of invariants of the model.

        Raises
        ------
        ValueError
            If a tensor is missing, has another size, or holds NaN; the message says which.
        """
        names = ("rms", "mean", "deviation", "factors", "thresholds")
        for name in ("species", *names):
            if f"extrapolation.{name}" not in tensors:
                raise ValueError(f"it lacks extrapolation.{name}")
        parts = {name: tensors[f"extrapolation.{name}"] for name in ("species", *names)}
        kinds = len(parts["species"])
        rows: tuple[int, ...] = (kinds, size)
        sizes = dict.fromkeys(("rms", "mean", "deviation"), rows)
        sizes |= {"factors": (kinds, size * (size + 1) // 2), "thresholds": (kinds,)}
        for name, wanted in sizes.items():
            found = parts[name]
            if tuple(found.shape) != wanted or not bool(torch.isfinite(found).all()):
                raise ValueError(
                    f"extrapolation.{name} has shape {tuple(found.shape)}, not {wanted}, "
                    "or is not finite"
                )
        below, left = torch.tril_indices(size, size)
        factors = torch.zeros(kinds, size, size, dtype=torch.float64)
        factors[:, below, left] = parts["factors"].to(torch.float64)
        values = {name: parts[name].to(torch.float64) for name in names if name != "factors"}
        species = tuple(int(number) for number in parts["species"])
        return cls(species=species, factors=factors, **values)


def _compressed(invariants: Tensor, rms: Tensor) -> Tensor:
    return torch.asinh(invariants * (_LINEAR / rms))


def _cloud(invariants: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return rms, mean, deviation (f,) and the factor L (f, f) of a cloud of atoms (atoms, f)."""
    if len(invariants) < 2:
        raise InputError(
            explain(
                f"There are {len(invariants)} training atoms of atomic number {number}",
                "one point has no width, so no distance from it can be measured",
                "Add structures with that species",
            )
        )
    rms = invariants.square().mean(0).sqrt()
    rms = rms.clamp(min=max(1e-6 * float(rms.max()), 1e-30))
    u = _compressed(invariants, rms)
    mean, deviation = u.mean(0), u.std(0).clamp(min=_NARROWEST)
    y = (u - mean) / deviation
    correlation = y.T @ y / (len(y) - 1)
    size = len(mean)
    precision = torch.linalg.inv(correlation + _NARROWEST * torch.eye(size, dtype=u.dtype))
    return rms, mean, deviation, torch.linalg.cholesky((precision + precision.T) / 2)
