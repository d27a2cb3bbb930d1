"""A quick linear potential: fitted to forces alone, it says what energies they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from scatterml_ase.graph import neighbours
from scatterml_ase.training.data import Frame, species_of

_MOST_ATOMS, _MOST_FRAMES = 2500, 150
_PAIR_FUNCTIONS = 8
_RIDGE = 1e-7


@dataclass(frozen=True)
class TrialFit:
    """What a linear potential fitted to forces says about energies.

    Attributes
    ----------
    measured, predicted, per_atom
        (structures,) labelled energies, those of the potential, and the labels if they were
        energies per atom; without what composition and volume explain, and divided by the square
        root of the number of atoms.
    force_error
        Root mean square of the force residual over that of the forces.
    """

    measured: np.ndarray
    predicted: np.ndarray
    per_atom: np.ndarray
    force_error: float


@dataclass(frozen=True)
class _Basis:
    """Radial functions, and which weights neighbours and centres of a species carry."""

    cutoff: float
    count: int
    neighbour: np.ndarray  # (119, channels) weight of a neighbour by atomic number
    centre: np.ndarray  # (119, centres)


def trial_fit(frames: Sequence[Frame], spacing: float) -> TrialFit | None:
    """Fit a linear potential to forces and predict the energies, or None if there is too little.

    Features are radial functions of the pairs, and inner products of the first three moment
    tensors of each neighbourhood (the lowest of Shapeev 2016, 10.1137/15M1054183).

    Parameters
    ----------
    frames
        Labelled structures.
    spacing
        Typical distance of nearest neighbours in Å; the cutoff is 2.2 times that.
    """
    chosen = _few(frames)
    basis = _basis(species_of(chosen), 2.2 * spacing)
    normal: np.ndarray | float = 0.0
    right: np.ndarray | float = 0.0
    rows, square, count = [], 0.0, 0
    for frame in chosen:
        energy, force = _features(frame, basis)  # [feature], [3 atoms, feature]
        target = frame.forces.ravel()
        normal, right = normal + force.T @ force, right + force.T @ target
        square, count = square + float(target @ target), count + target.size
        rows.append(energy)
    if count < 3 * len(rows[0]) or square == 0:
        return None
    normal, right = np.asarray(normal), np.asarray(right)
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    scaled = normal / np.outer(scale, scale) + _RIDGE * np.eye(len(scale))
    weights = np.linalg.solve(scaled, right / scale) / scale
    left = square - 2 * weights @ right + weights @ normal @ weights
    measured, predicted, per_atom = _without_composition(chosen, np.stack(rows) @ weights).T
    return TrialFit(measured, predicted, per_atom, float(np.sqrt(max(left, 0.0) / square)))


def _few(frames: Sequence[Frame]) -> list[Frame]:
    """Return structures spread evenly over the data, no more atoms than are quick to fit."""
    atoms = sum(len(frame.atoms) for frame in frames)
    wanted = min(len(frames), _MOST_FRAMES, max(20, len(frames) * _MOST_ATOMS // atoms))
    places = np.unique(np.linspace(0, len(frames) - 1, wanted).round().astype(int))
    return [frames[place] for place in places]


def _basis(species: Sequence[int], cutoff: float) -> _Basis:
    """Resolve up to three species; more share channels, so that features stay few."""
    neighbour, centre = np.zeros((119, 2)), np.zeros((119, 1))
    neighbour[:, 0] = centre[:, 0] = 1.0
    if len(species) <= 3:
        neighbour, centre = np.zeros((119, len(species))), np.zeros((119, len(species)))
        for place, number in enumerate(species):
            neighbour[number, place] = centre[number, place] = 1.0
    else:
        neighbour[list(species), 1] = np.linspace(-1, 1, len(species))
    count = {1: 6, 2: 4}.get(len(species), 3)
    return _Basis(cutoff, count, neighbour, centre)


def _features(frame: Frame, basis: _Basis) -> tuple[np.ndarray, np.ndarray]:
    """Return features (k,) of the energy and those (3 atoms, k) of the forces."""
    atoms, n = frame.atoms, len(frame.atoms)
    i, j, shifts = neighbours(atoms, basis.cutoff)
    vectors = atoms.positions[j] - atoms.positions[i] + shifts @ atoms.cell.array
    r = np.linalg.norm(vectors, axis=1)
    unit = vectors / r[:, None]
    g, dg = _radial(r, basis.cutoff, _PAIR_FUNCTIONS)  # [edge, n]
    to_centre = csr_matrix((np.ones(len(i)), (i, np.arange(len(i)))), (n, len(i)))
    to_both = to_centre - csr_matrix((np.ones(len(j)), (j, np.arange(len(j)))), (n, len(j)))
    at_centre, at_neighbour = basis.centre[atoms.numbers], basis.neighbour[atoms.numbers][j]
    kinds = np.einsum("es,ec->esc", at_neighbour, at_centre[i]).reshape(len(i), -1)
    energy = [np.einsum("en,ek->nk", g, kinds).ravel()]
    slope = [np.einsum("en,ek,ex->exnk", dg, kinds, unit).reshape(len(i), 3, -1)]
    g, dg = g[:, : basis.count], dg[:, : basis.count]
    for moment, gradient in _moments(unit, r):
        # φ = g(r) t(r̂), its gradient by the edge vector, and A = Σ_j φ.
        phi = np.einsum("en,es,ea->ensa", g, at_neighbour, moment)
        dphi = np.einsum("en,es,ea,ex->ensax", dg, at_neighbour, moment, unit)
        dphi += np.einsum("en,es,eax->ensax", g, at_neighbour, gradient)
        channels = basis.count * at_neighbour.shape[1]
        A = (to_centre @ phi.reshape(len(i), -1)).reshape(n, channels, -1)
        dphi = dphi.reshape(len(i), channels, -1, 3)
        first, second = np.triu_indices(channels)
        products = np.einsum("ika,ila->ikl", A, A)[:, first, second]
        half = np.einsum("ekax,ela->exkl", dphi, A[i], optimize=True)
        pairs = (half + half.swapaxes(2, 3))[:, :, first, second]
        energy.append(np.einsum("ip,ic->pc", products, at_centre).ravel())
        slope.append(np.einsum("exp,ec->expc", pairs, at_centre[i]).reshape(len(i), 3, -1))
    per_edge = np.concatenate(slope, axis=2)
    forces = to_both @ per_edge.reshape(len(i), -1)
    return np.concatenate(energy), forces.reshape(3 * n, per_edge.shape[2])


def _radial(r: np.ndarray, cutoff: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return sin(nπr/c)/r times (1 − r²/c²)², and derivatives, each (edges, n)."""
    k = np.pi * np.arange(1, count + 1) / cutoff
    x, r = r[:, None] * k, r[:, None]
    inside = 1 - (r / cutoff) ** 2
    wave, dwave = np.sin(x) / r, (k * np.cos(x) - np.sin(x) / r) / r
    return wave * inside**2, dwave * inside**2 - wave * 4 * r / cutoff**2 * inside


def _moments(unit: np.ndarray, r: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return 1, r̂ and r̂⊗r̂ as (edges, a), with derivatives by the vector (edges, a, 3)."""
    turn = (np.eye(3) - unit[:, :, None] * unit[:, None, :]) / r[:, None, None]  # ∂r̂_a/∂d_x
    moment, gradient = np.ones((len(r), 1)), np.zeros((len(r), 1, 3))
    moments = [(moment, gradient)]
    for _ in range(2):
        outer = moment[:, :, None] * unit[:, None, :]
        change = gradient[:, :, None, :] * unit[:, None, :, None]
        change = change + moment[:, :, None, None] * turn[:, None, :, :]
        moment, gradient = outer.reshape(len(r), -1), change.reshape(len(r), -1, 3)
        moments.append((moment, gradient))
    return moments


def _without_composition(frames: Sequence[Frame], predicted: np.ndarray) -> np.ndarray:
    """Take the best energy per species out of the energies (structures, 3), weigh sizes alike.

    A smooth dependence on the volume goes too: forces in crystals say little about it.
    """
    species = species_of(frames)
    columns = np.array([[np.sum(f.atoms.numbers == z) for z in species] for f in frames], float)
    sizes = columns.sum(axis=1)
    if all(frame.atoms.pbc.all() for frame in frames):
        volumes = np.array([frame.atoms.cell.volume for frame in frames]) / sizes
        spread = volumes / volumes.mean() - 1
        columns = np.column_stack([columns, sizes * spread, sizes * spread**2])
    root = np.sqrt(sizes)
    labels = np.array([frame.energy for frame in frames])
    energies = np.stack([labels, predicted, labels * sizes], axis=1) / root[:, None]
    columns = columns / root[:, None]
    rest: np.ndarray = energies - columns @ np.linalg.lstsq(columns, energies, rcond=None)[0]
    return rest
