"""Do energies, forces and stress belong together? Told from the labels alone, without a model.

Between two similar structures the energy changes by the work of the forces and of the stress,

ΔE = −∫ F·dr + ∫ V σ:dε ≈ −½ (F₁ + F₂)·Δr + ½ (V₁ σ₁ + V₂ σ₂):Δε

(the trapezoidal rule, exact in a harmonic crystal). Over many pairs the slopes of ΔE against the
two works are 1; a wrong unit shows as another number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from scatterml_ase.training.data import Frame
from scatterml_ase.training.trial_fit import trial_fit

_STEPS = (1, 2, 3, 5, 8)  # partners in the file: snapshots next to each other are similar
_MOST_CANDIDATES, _MOST_PAIRS = 20_000, 2_000
_FEWEST_PAIRS = 8  # fewer agree by chance on a wrong slope
_FARTHEST, _LARGEST_STRAIN = 0.5, 0.15  # Å root mean square; beyond, the rule is no use
_RESAMPLES = 60


@dataclass(frozen=True)
class Slope:
    """How much the energy changes per work: 1 if the units agree.

    Attributes
    ----------
    value, error
        The slope and its standard error (for a trial fit with what its model may be wrong by).
    explained
        Share of the energy changes that the works explain (medians; absolute values).
    count
        Pairs, or structures of a trial fit.
    method
        Where it comes from.
    """

    value: float
    error: float
    explained: float
    count: int
    method: Literal["pairs", "trial fit"]

    @property
    def decided(self) -> bool:
        """Whether a factor can be told from it."""
        return self.explained > 0.5 and self.error < 0.2 * abs(self.value)


@dataclass(frozen=True)
class Consistency:
    """Slopes of the energy against the work of forces and stress; None where undetermined.

    Attributes
    ----------
    forces, stress
        The slopes.
    per_atom
        Slope against the forces if the energies were per atom: 1 means that they are.
    unrelated
        True if similar structures show that energies and forces have nothing to do with each other.
    """

    forces: Slope | None = None
    stress: Slope | None = None
    per_atom: Slope | None = None
    unrelated: bool = False


@dataclass(frozen=True)
class Pair:
    """Two structures and the works on the straight way from the first to the second."""

    first: int
    energy: float  # E₂ − E₁, eV
    work: tuple[float, float]  # of forces and stress, eV
    distance: float  # Å, how far apart the two are
    atoms: int


def consistency(frames: Sequence[Frame], spacing: float) -> Consistency:
    """Compare energies with forces and stress.

    Parameters
    ----------
    frames
        Labelled structures; those next to each other are taken for similar.
    spacing
        Typical distance of nearest neighbours in Å, for a trial fit where pairs are too few.
    """
    pairs = _pairs(frames)
    forces = stress = per_atom = None
    unrelated = False
    if len(pairs) >= _FEWEST_PAIRS:
        forces, stress = _slopes(pairs, np.ones(len(pairs)))
        per_atom, _ = _slopes(pairs, np.array([pair.atoms for pair in pairs], float))
        near = [pair for pair in pairs if pair.distance < 0.2]
        if forces is not None and not forces.decided and len(near) >= 20:
            close, _ = _slopes(near, np.ones(len(near)))
            forces = close if close is not None and close.decided else forces
            unrelated = close is not None and close.explained < 0.2
    if not unrelated and (forces is None or not forces.decided):
        forces, per_atom = _trial(frames, spacing)
    return Consistency(
        forces if forces is not None and forces.decided else None,
        stress if stress is not None and stress.decided else None,
        per_atom if per_atom is not None and per_atom.decided else None,
        unrelated=unrelated,
    )


def _pairs(frames: Sequence[Frame]) -> list[Pair]:
    """Return the closest pairs of structures with the same atoms."""
    candidates = list(_candidates(frames))
    stride = len(candidates) // _MOST_CANDIDATES + 1
    pairs = [pair for i, j in candidates[::stride] if (pair := compare(frames, i, j))]
    return sorted(pairs, key=lambda pair: pair.distance)[:_MOST_PAIRS]


def _candidates(frames: Sequence[Frame]) -> Iterator[tuple[int, int]]:
    groups: dict[bytes, list[int]] = {}
    for index, frame in enumerate(frames):
        key = frame.atoms.numbers.tobytes() + frame.atoms.pbc.tobytes()
        groups.setdefault(key, []).append(index)
    for members in groups.values():
        for place, index in enumerate(members):
            for step in _STEPS:
                if place + step < len(members):
                    yield index, members[place + step]


def compare(frames: Sequence[Frame], i: int, j: int) -> Pair | None:
    """Compute both works on the straight way between two structures, or None if too far apart."""
    a, b = frames[i], frames[j]
    box = (a.atoms.cell.array, b.atoms.cell.array)
    if min(abs(np.linalg.det(cell)) for cell in box) < 1e-6:
        box = (np.eye(3), np.eye(3))
    one, two = box
    if np.abs(two - one).max() > 2 * _LARGEST_STRAIN * np.abs(one).max():
        return None
    step = b.atoms.positions @ np.linalg.inv(two) - a.atoms.positions @ np.linalg.inv(one)
    step -= np.where(a.atoms.pbc, np.round(step), 0.0)  # the shortest way
    step -= step.mean(axis=0)
    moved = step @ (one + two) / 2
    strain = np.linalg.inv((one + two) / 2) @ (two - one)
    size = float(np.abs(strain).max())
    distance = float(np.hypot(np.sqrt((moved**2).sum(axis=1).mean()), 2.5 * size))
    if distance > _FARTHEST or size > _LARGEST_STRAIN:
        return None
    symmetric = (strain + strain.T) / 2
    known = a.stress_mask & b.stress_mask
    if np.abs(symmetric[~known]).max(initial=0) > 1e-8:
        return None  # the cell does work that nobody has labelled
    forces = -0.5 * float((a.forces * (step @ one)).sum() + (b.forces * (step @ two)).sum())
    stress = 0.0
    for frame, cell in ((a, one), (b, two)):
        rate = np.linalg.inv(cell) @ (two - one)
        stress += 0.5 * abs(np.linalg.det(cell)) * float((frame.stress * rate).sum())
    if forces == stress == 0:
        return None
    return Pair(i, b.energy - a.energy, (forces, stress), distance, len(a.atoms))


def _slopes(pairs: Sequence[Pair], scale: np.ndarray) -> tuple[Slope | None, Slope | None]:
    """Fit ``scale · ΔE`` by both works at once; errors from resampling structures."""
    works = np.array([pair.work for pair in pairs])  # [pair, 2]
    change = scale * np.array([pair.energy for pair in pairs])
    distance = np.array([pair.distance for pair in pairs])
    # The trapezoidal rule errs by the third power of the distance, so nearer pairs decide.
    weight = (0.05 + distance) ** -4 / np.sqrt([pair.atoms for pair in pairs])
    values = _least_absolute(works, change, weight)
    owners, owner = np.unique([pair.first for pair in pairs], return_inverse=True)
    random = np.random.default_rng(0)
    draws = random.multinomial(len(owners), np.full(len(owners), 1 / len(owners)), _RESAMPLES)
    spread = [_least_absolute(works, change, weight * draw[owner]) for draw in draws]
    errors = np.std(spread, axis=0)
    slopes: list[Slope | None] = []
    for k in (0, 1):
        rest = change - works[:, 1 - k] * values[1 - k]
        used = np.abs(works[:, k] * values[k]) > 0.2 * np.abs(works @ values)
        left = (
            np.median((weight * np.abs(rest - works[:, k] * values[k]))[used]) if any(used) else 0
        )
        whole = np.median((weight * np.abs(rest))[used]) if any(used) else 0
        explained = 1 - left / whole if whole > 0 else 0.0
        made = Slope(float(values[k]), float(errors[k]), float(explained), int(used.sum()), "pairs")
        slopes.append(made if used.sum() >= _FEWEST_PAIRS else None)
    return slopes[0], slopes[1]


def _least_absolute(columns: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Minimise Σ weight·|target − columns·x| (outliers count little), by reweighting."""
    scale = np.sqrt((columns**2 * weight[:, None]).sum(axis=0))
    scale = np.where(scale > 0, scale, 1.0)
    columns, x = columns / scale, np.zeros(columns.shape[1])
    floor = 1e-6 * float(np.abs(target).max(initial=0)) + 1e-300
    reweighted = weight
    for _ in range(40):
        normal = columns.T @ (columns * reweighted[:, None])
        normal += (1e-10 * np.trace(normal) + 1e-300) * np.eye(len(x))
        x = np.linalg.solve(normal, columns.T @ (reweighted * target))
        reweighted = weight / np.maximum(np.abs(target - columns @ x), floor)
    return x / scale


def _trial(frames: Sequence[Frame], spacing: float) -> tuple[Slope | None, Slope | None]:
    """Fit a quick potential to the forces and compare its energies with the labels."""
    fit = trial_fit(frames, spacing)
    if fit is None or len(fit.measured) < 10 or fit.force_error > 0.5:
        return None, None
    slopes = []
    for measured in (fit.measured, fit.per_atom):
        size = float(fit.predicted @ fit.predicted)
        value = float(measured @ fit.predicted) / size if size > 0 else 0.0
        left = measured - value * fit.predicted
        explained = 1 - np.abs(left).sum() / max(np.abs(measured).sum(), 1e-300)
        noise = float(left.std()) / max(np.sqrt(size), 1e-300)
        error = float(np.hypot(noise, 0.1 * value))  # the potential is only a rough one
        slopes.append(Slope(value, error, float(explained), len(measured), "trial fit"))
    return slopes[0], slopes[1]
