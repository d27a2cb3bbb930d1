"""Powder averages that grow until two independent samples agree."""

from __future__ import annotations

import logging
from typing import Protocol

import numpy as np
from tqdm import tqdm

from scatterml_ase.errors import AccuracyWarning, explain, warn
from scatterml_ase.scattering import sampling
from scatterml_ase.scattering.powder_average import Progress, ShellSums, add_mesh, add_vectors
from scatterml_ase.scattering.scatterer import Scatterer
from scatterml_ase.scattering.window import PowderWindow

logger = logging.getLogger(__name__)

_FIRST_POINTS = 250
_FIRST_IN_ALL = 4000
"""Few shells start with more points each: two samples of one bin agree too easily by chance."""
_SMALLEST_STEP = 2.0
"""How many times more points are added, at least: the same mesh again would add nothing new."""
_LARGEST_STEP = 6.0


class SamplingOptions(Protocol):
    """What says how long a sample grows."""

    @property
    def tolerance(self) -> float: ...  # noqa: D102
    @property
    def maximum_wavevectors(self) -> int | None: ...  # noqa: D102
    @property
    def seed(self) -> int: ...  # noqa: D102
    @property
    def progress(self) -> bool: ...  # noqa: D102


class PowderAverage:
    """Two independent samples of one powder, grown until they agree.

    Parameters
    ----------
    scatterer
        The crystal.
    window
        Where it is looked at.
    options
        An analyzer: when to stop.
    """

    def __init__(
        self, scatterer: Scatterer, window: PowderWindow, options: SamplingOptions
    ) -> None:
        self.scatterer = scatterer
        self.energies = window.energies
        self.mask = window.mask
        self.options = options
        self.halves = [ShellSums(window.q_edges, self.energies.inner_edges) for _ in range(2)]
        self.relative_error = np.inf
        crystal = scatterer.force_constants.crystal.to("angstrom")
        operations = scatterer.force_constants.symmetry_operations
        rotations = operations.rotations if scatterer.symmetric else None
        self.reciprocal = crystal.reciprocal_cell
        self.elements = sampling.symmetry_elements(rotations)

    @property
    def wavevectors(self) -> int:
        """How many wavevectors were solved."""
        return sum(half.wavevectors for half in self.halves)

    @property
    def imaginary_share(self) -> float:
        """Share of the solved modes that are imaginary."""
        return sum(half.imaginary for half in self.halves) / self.wavevectors

    def density(self) -> np.ndarray:
        """Return the broadened mean of both samples, in mbarn/sr/meV per atom."""
        one, two = self.halves
        both = (one.content + two.content)[:, :-1]
        weight = one.weight + two.weight
        return self.energies.density(both / np.where(weight > 0, weight, 1.0)[:, None])

    def elastic(self) -> np.ndarray:
        """Mark bins at E = 0 in shells where modes of zero energy were left out.

        Around Bragg peaks 1/E² can be integrated, so that a resolution wider than the bins makes
        these bins as good as others.
        """
        edges = self.energies.edges
        touching = (edges[:-1] <= 0) & (edges[1:] >= 0) & ~self.energies.smooth
        shells = self.halves[0].incomplete | self.halves[1].incomplete
        return shells[:, None] & touching

    def converge(self) -> None:
        """Add samples until the tolerance is met or the limit is reached."""
        options = self.options
        limit = options.maximum_wavevectors
        if limit is None:
            limit = default_limit(self.scatterer.atoms)
        wanted = max(_FIRST_POINTS, min(_FIRST_IN_ALL, limit // 4) // len(self.mask))
        with tqdm(desc="Powder average", unit=" q", disable=not options.progress) as bar:
            for level in range(100):
                before = self.wavevectors
                self._grow(wanted, level, lambda n: _ignore(bar.update(n)))
                self._compare()
                bar.set_postfix_str(f"error {100 * self.relative_error:.1f} %")
                logger.info("%d wavevectors: error %.3g", self.wavevectors, self.relative_error)
                if self.relative_error <= options.tolerance:
                    return
                # The error falls as one over the root of the total number of points.
                missing = (1.1 * self.relative_error / options.tolerance) ** 2 - 1
                factor = min(_LARGEST_STEP, max(_SMALLEST_STEP, missing))
                cost = (self.wavevectors - before) * factor
                if self.wavevectors + cost > limit:
                    factor *= (limit - self.wavevectors) / cost
                    if factor < 0.25:
                        break
                wanted = max(50, int(wanted * factor))
        self._warn_of_error()

    def _grow(self, wanted: int, level: int, progress: Progress) -> None:
        edges = self.halves[0].edges
        for index, half in enumerate(self.halves):
            generator = np.random.default_rng([self.options.seed, level, index])
            plan = sampling.plan(edges, self.reciprocal, self.elements, wanted, second=bool(index))
            vectors = [
                sampling.shell_vectors(edges[k], edges[k + 1], wanted, generator)
                for k in np.flatnonzero(plan.direct)
            ]
            if vectors:
                add_vectors(half, self.scatterer, np.concatenate(vectors), progress)
            add_mesh(half, self.scatterer, plan, generator, progress)

    def _compare(self) -> None:
        """Estimate the error of the mean of the two samples: half their difference."""
        one, two = (self.energies.density(np.nan_to_num(half.mean())) for half in self.halves)
        shown = self.mask & ~self.elastic()
        total = (one + two)[shown].sum()
        if total <= 0:
            self.relative_error = 0.0
            return
        self.relative_error = float(np.abs(one - two)[shown].sum() / total)

    def _warn_of_error(self) -> None:
        error, tolerance = 100 * self.relative_error, 100 * self.options.tolerance
        warn(
            explain(
                f"The powder average has an estimated error of {error:.2g} %",
                f"the limit of {self.wavevectors} wavevectors came before {tolerance:.2g} %",
                "Raise maximum_wavevectors, or ask for less: tolerance, wider bins, energy_fwhm",
            ),
            AccuracyWarning,
            stacklevel=5,
        )


def default_limit(atoms: int) -> int:
    """Return how many wavevectors can be solved in about a minute on one core."""
    seconds = 2e-5 + 4e-9 * (3 * atoms) ** 3
    return int(np.clip(45 / seconds, 4000, 1_500_000))


def _ignore(_: object) -> None:
    """Drop what a progress bar returns."""
