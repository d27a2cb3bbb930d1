"""Sums of one-phonon scattering over shells of |Q|."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scatterml_ase.physics import structure_factor
from scatterml_ase.results.modes import PhononModes
from scatterml_ase.scattering import sampling
from scatterml_ase.scattering.scatterer import Scatterer

_CHUNK_BYTES = 24_000_000
_SMALL = 24
"""Cells with fewer modes gather eigenvectors point by point; larger ones multiply star by star."""
Progress = Callable[[int], None]


class _Solved(NamedTuple):
    """Modes of some wavevectors, and where in the histogram they belong; shapes (q, modes).

    Attributes
    ----------
    vectors
        Eigenvectors, shape (q, modes, atoms, 3).
    loss, gain
        Occupation factors in 1/meV.
    loss_column, gain_column
        Energy bin of each mode, or the spare one behind the last.
    complete
        False where a mode is left out, shape (q,).
    """

    vectors: np.ndarray
    loss: np.ndarray
    gain: np.ndarray
    loss_column: np.ndarray
    gain_column: np.ndarray
    complete: np.ndarray


@dataclass(eq=False)
class ShellSums:
    """Scattering collected so far, shell by shell.

    Parameters
    ----------
    edges
        Of the shells, in Å⁻¹.
    energy_edges
        Of the energy bins, in meV.
    """

    edges: np.ndarray
    energy_edges: np.ndarray

    def __post_init__(self) -> None:
        """Start empty; one spare energy bin takes what lies outside."""
        shells = len(self.edges) - 1
        self.content = np.zeros((shells, len(self.energy_edges)))
        self.weight = np.zeros(shells)
        self.incomplete = np.zeros(shells, dtype=bool)
        self.wavevectors = 0
        self.imaginary = 0.0

    def mean(self) -> np.ndarray:
        """Return the mean content of each bin in mbarn/sr per atom, shape (shells, energy)."""
        return self.content[:, :-1] / np.where(self.weight > 0, self.weight, np.nan)[:, None]

    def solved(self, scatterer: Scatterer, modes: PhononModes) -> _Solved:
        """Count these modes and find their bins."""
        energies, share = scatterer.energies(modes)
        self.imaginary += share * len(energies)
        self.wavevectors += len(energies)
        loss, gain = structure_factor.occupation_factors(energies, scatterer.temperature)
        assert modes.eigenvectors is not None
        return _Solved(
            modes.eigenvectors,
            loss,
            gain,
            bin_index(self.energy_edges, energies),
            bin_index(self.energy_edges, -energies),
            np.asarray((energies > 0).all(axis=1)),
        )

    def add(
        self,
        solved: _Solved,
        rows: np.ndarray,
        length: np.ndarray,
        weights: np.ndarray,
        strengths: np.ndarray,
    ) -> None:
        """Add points Q to the histogram.

        Parameters
        ----------
        solved
            Modes at the wavevectors.
        rows
            Wavevector of each point.
        length, weights
            |Q| in Å⁻¹ and weight of each point.
        strengths
            F = 2 E S in mbarn meV, shape (points, modes).
        """
        shells = bin_index(self.edges, length)
        self.weight += np.bincount(shells, weights, minlength=len(self.weight))
        self.incomplete[shells[~solved.complete[rows]]] = True
        weighted = strengths * weights[:, None]
        self._count(shells, solved.loss_column[rows], weighted * solved.loss[rows])
        if self.energy_edges[0] < 0:
            self._count(shells, solved.gain_column[rows], weighted * solved.gain[rows])

    def _count(self, shells: np.ndarray, columns: np.ndarray, values: np.ndarray) -> None:
        flat = shells[:, None] * self.content.shape[1] + columns
        total = np.bincount(flat.reshape(-1), values.reshape(-1), minlength=self.content.size)
        self.content += total.reshape(self.content.shape)


def bin_index(edges: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the bin of each value; what lies outside goes to the index behind the last bin."""
    index = np.searchsorted(edges, values, side="right") - 1
    return np.where(index < 0, len(edges) - 1, index)


def add_vectors(sums: ShellSums, scatterer: Scatterer, Q: np.ndarray, progress: Progress) -> None:
    """Add scattering vectors, Cartesian in Å⁻¹, shape (points, 3), each with the same weight."""
    crystal = scatterer.force_constants.crystal.to("angstrom")
    for part in _pieces(len(Q), scatterer):
        hkl = Q[part] @ crystal.cell.T / (2 * np.pi)
        shifts = np.rint(hkl)
        solved = sums.solved(scatterer, scatterer.force_constants.modes(hkl - shifts))
        rows = np.arange(len(hkl))
        taus = shifts @ crystal.reciprocal_cell
        strengths = _strengths(scatterer, solved.vectors, rows, Q[part], taus)
        length = np.linalg.norm(Q[part], axis=1)
        sums.add(solved, rows, length, np.ones(len(rows)), strengths)
        progress(len(rows))


def add_mesh(
    sums: ShellSums,
    scatterer: Scatterer,
    plan: sampling.Plan,
    generator: np.random.Generator,
    progress: Progress,
) -> None:
    """Add the points q + G of a mesh that lie in the shells the plan gives to the mesh."""
    if plan.direct.all():
        return
    force_constants = scatterer.force_constants
    reciprocal = force_constants.crystal.to("angstrom").reciprocal_cell
    reach = sums.edges[-1] + np.linalg.norm(reciprocal, axis=1).sum()
    taus = sampling.reciprocal_lattice(reciprocal, reach) @ reciprocal
    rotations = force_constants.symmetry_operations.rotations if scatterer.symmetric else None
    q_reduced, stars = sampling.irreducible_mesh(plan.mesh, rotations)
    for part in _pieces(len(stars), scatterer):
        solved = sums.solved(scatterer, force_constants.modes(q_reduced[part]))
        q = q_reduced[part] @ reciprocal
        for rows, columns, length in _selected(q, taus, sums.edges, plan, generator):
            shells = bin_index(sums.edges, length)
            centres = (sums.edges[shells] + sums.edges[shells + 1]) / 2
            # Mesh points fill the shell evenly in volume; the mean is wanted over |Q|.
            weights = stars[part][rows] * (centres / length) ** 2
            Q = q[rows] + taus[columns]
            strengths = _strengths(scatterer, solved.vectors, rows, Q, taus[columns])
            sums.add(solved, rows, length, weights, strengths)
        progress(len(q))


def _pieces(count: int, scatterer: Scatterer) -> Iterator[slice]:
    """Cut a number of wavevectors into pieces whose eigenvectors need little memory."""
    size = max(1, _CHUNK_BYTES // (16 * (3 * scatterer.atoms) ** 2))
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _strengths(
    scatterer: Scatterer,
    vectors: np.ndarray,
    rows: np.ndarray,
    Q: np.ndarray,
    lattice_vectors: np.ndarray,
) -> np.ndarray:
    """Return F = 2 E S in mbarn meV, the mean of Q and −Q, shape (points, modes).

    With complex lengths |F(Q)|² and |F(−Q)|² differ; their mean is the sum of what the real and
    the imaginary parts give alone. ``rows`` are ascending.
    """
    atoms, modes = scatterer.atoms, vectors.shape[1]
    total = np.zeros((len(rows), modes))
    for part in scatterer.real_parts():
        amplitudes = part.amplitudes(Q, lattice_vectors)
        if modes < _SMALL:
            total += structure_factor.mode_strengths(vectors[rows], amplitudes, atoms=atoms)
            continue
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        for first, last in zip(starts, [*starts[1:], len(rows)], strict=True):
            total[first:last] += structure_factor.shared_mode_strengths(
                vectors[rows[first]], amplitudes[first:last], atoms=atoms
            )
    return total


def _selected(
    q: np.ndarray,
    taus: np.ndarray,
    edges: np.ndarray,
    plan: sampling.Plan,
    generator: np.random.Generator,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield indices into q and τ, and |q + τ|, of points to use, in bounded pieces.

    Each point is used with the probability ``plan.share`` of its shell. Points are first drawn for
    each τ with the largest probability around it, then accepted.
    """
    share = np.append(plan.share, 0.0)
    norms = np.linalg.norm(taus, axis=1)
    reach = np.linalg.norm(q, axis=1).max()
    likely = np.array([_largest_share(plan, edges, norm - reach, norm + reach) for norm in norms])
    rows_at_once = max(1, _CHUNK_BYTES // (8 * len(taus)))
    for start in range(0, len(q), rows_at_once):
        part = q[start : start + rows_at_once]
        rows, columns = _draw(len(part), likely, generator)
        length = np.linalg.norm(part[rows] + taus[columns], axis=1)
        wanted = share[bin_index(edges, length)]
        kept = np.flatnonzero(generator.random(len(rows)) * likely[columns] < wanted)
        kept = kept[np.argsort(rows[kept], kind="stable")]
        if len(kept):
            yield rows[kept] + start, columns[kept], length[kept]


def _largest_share(plan: sampling.Plan, edges: np.ndarray, inner: float, outer: float) -> float:
    """Return the largest share among the shells between two radii; above ½ all are drawn."""
    shells = plan.share[(edges[1:] > inner) & (edges[:-1] < outer)]
    largest = float(shells.max(initial=0.0))
    return 1.0 if largest > 0.5 else largest


def _draw(
    count: int, likely: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs (row, column), each with the probability of its column."""
    certain = np.flatnonzero(likely == 1.0)
    rows, columns = np.arange(count).repeat(len(certain)), np.tile(certain, count)
    others = np.flatnonzero((likely > 0) & (likely < 1.0))
    drawn = others.repeat(generator.binomial(count, likely[others]))
    rows = np.concatenate([rows, generator.integers(count, size=len(drawn))])
    return rows, np.concatenate([columns, drawn])
