"""Powder maps S(|Q|, E)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from scatterml_ase.errors import AccuracyWarning, InputError, explain, warn
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering import sampling, view
from scatterml_ase.scattering.converged_dos import converged_dos
from scatterml_ase.scattering.expansion import CrossSections, Order, Parts, check_order, expand
from scatterml_ase.scattering.instruments import Instrument
from scatterml_ase.scattering.nuclei import Nuclei
from scatterml_ase.scattering.powder_average import Progress, ShellSums, add_mesh, add_vectors
from scatterml_ase.scattering.scatterer import Scatterer, warn_of_imaginary_modes
from scatterml_ase.scattering.window import PowderWindow

if TYPE_CHECKING:
    from scatterml_ase.physics.lengths import Overrides

logger = logging.getLogger(__name__)

_FIRST_POINTS = 250
_FIRST_IN_ALL = 4000
"""Few shells start with more points each: two samples of one bin agree too easily by chance."""
_SMALLEST_STEP = 2.0
"""How many times more points are added, at least: the same mesh again would add nothing new."""
_LARGEST_STEP = 6.0


@dataclass(frozen=True)
class PowderScattering:
    """Scattering of a powder by phonons, averaged over each shell of |Q|.

    ``PowderScattering(300, instrument="ARCS", incident_energy=100)(force_constants)`` returns a
    :class:`~scatterml_ase.results.sqw.SqwMap` of the coherent scattering by one phonon alone.
    ``order="all", incoherent=True`` adds the rest, which above about 6 Å⁻¹ at room temperature
    dominates: incoherent scattering, and scattering by several phonons, for which the incoherent
    approximation is made (:class:`~scatterml_ase.IncoherentScattering`). Each is one of the
    ``parts`` of the map.

    Parameters
    ----------
    temperature
        In K.
    instrument
        Name of a spectrometer, or an :class:`Instrument`: gives energy resolution and the region
        that is measured. None: everything, as sharp as the bins.
    incident_energy
        E_i in meV; needed with an instrument of direct geometry, fixed in those of indirect.
    q_edges
        Edges of the |Q| bins in Å⁻¹; None: to what the instrument reaches, or 8 Å⁻¹.
    energy_edges
        Edges of the energy-transfer bins in meV, positive where the neutron loses energy; None:
        from 0 to above the highest mode.
    energy_fwhm
        Full width at half maximum in meV of a Gaussian, if there is no instrument.
    scattering_lengths
        The user's own, in fm or by nuclide, e.g. ``{"Li": "7Li", "V": -0.443}``.
    displacements
        ⟨uu⟩ tensors for the Debye–Waller factor in Å², shape (atoms, 3, 3); None: computed.
        They cannot be given with several phonons or incoherent scattering.
    order
        Largest number of phonons; "all": as many as it takes.
    incoherent
        Whether nuclei scatter incoherently too: σ_inc beside σ_coh, in every order.
    incoherent_cross_sections
        The user's own σ_inc in barn, by nuclide or index of the atom, e.g. ``{"V": 5.08}``.
    tolerance
        Wanted mean |error| / mean intensity of the map; samples are added until it is met …
    maximum_wavevectors
        … or so many wavevectors were solved; None: what takes about a minute.
    seed
        Of the random turns of the sample: the same seed gives the same map.
    progress
        Whether to show a progress bar.
    """

    temperature: float = 300.0
    instrument: Instrument | str | None = None
    incident_energy: float | None = None
    q_edges: Sequence[float] | np.ndarray | None = None
    energy_edges: Sequence[float] | np.ndarray | None = None
    energy_fwhm: float = 0.0
    scattering_lengths: Overrides | None = None
    displacements: np.ndarray | None = field(default=None, repr=False)
    order: Order = 1
    incoherent: bool = False
    incoherent_cross_sections: Mapping[str | int, float] | None = None
    tolerance: float = 0.03
    maximum_wavevectors: int | None = None
    seed: int = 0
    progress: bool = True

    def __call__(self, force_constants: ForceConstants) -> SqwMap:
        """Return the powder map of the crystal.

        Raises
        ------
        InputError
            If the temperature is negative, the instrument is unknown, E_i is missing or too low, a
            scattering length is missing, or bins are no bins.
        """
        if not 0 < self.tolerance < 1:
            raise InputError(
                explain(
                    f"A tolerance of {self.tolerance} makes no sense",
                    "it is mean |error| / mean intensity",
                    "Give a number between 0 and 1, e.g. 0.03",
                )
            )
        self._check_order()
        scatterer = Scatterer.prepare(
            force_constants,
            self.temperature,
            scattering_lengths=self.scattering_lengths,
            displacements=self.displacements,
        )
        window = PowderWindow.of(self, lambda: _highest(force_constants))
        more = self._more(scatterer, window)
        average = _Average(scatterer, window.q_edges, window.energies, window.mask, self)
        average.converge()
        warn_of_imaginary_modes(average.imaginary_share)
        parts = np.concatenate([average.density()[None], more.densities])
        intensity = parts.sum(axis=0)
        mask = window.mask & ~average.elastic()
        share = parts[0][mask].sum() / (intensity[mask].sum() or 1.0)  # the rest is exact
        return SqwMap(
            crystal=force_constants.crystal,
            q=window.q_edges,
            energy_transfer=window.energies.edges,
            intensity=intensity,
            parts=parts if more.names else None,
            part_names=("coherent 1", *more.names) if more.names else (),
            mask=mask,
            temperature=scatterer.temperature,
            kinematics=window.kinematics,
            relative_error=average.relative_error * float(share),
            wavevectors=average.wavevectors,
            imaginary_share=average.imaginary_share,
            provenance={
                **scatterer.provenance(),
                "powder": {**self._options(window), **more.provenance()},
            },
        )

    def _check_order(self) -> None:
        """Check the options about other scattering than the coherent by one phonon."""
        check_order(self.order)
        if self.displacements is not None and (self.order != 1 or self.incoherent):
            raise InputError(
                explain(
                    "displacements are given for more than coherent scattering by one phonon",
                    "how many phonons scatter and how far atoms move follow from the same modes",
                    "Leave displacements out, or order=1 and incoherent=False",
                )
            )

    def _more(self, scatterer: Scatterer, window: PowderWindow) -> Parts:
        """Return what is added to the coherent scattering by one phonon."""
        if self.order == 1 and not self.incoherent:
            return Parts.none(window.mask.shape)
        nuclei = Nuclei(scatterer.names, scatterer.lengths, np.zeros(scatterer.atoms))
        if self.incoherent:
            nuclei = nuclei.with_incoherent(self.incoherent_cross_sections)
        return expand(
            converged_dos(scatterer.force_constants),
            scatterer.temperature,
            CrossSections(
                nuclei.incoherent if self.incoherent else None, nuclei.coherent + nuclei.incoherent
            ),
            (window.q_edges, window.energies),
            order=self.order,
            displacements=scatterer.displacements,
        )

    def _options(self, window: PowderWindow) -> dict[str, Any]:
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        for name in ("q_edges", "energy_edges", "displacements", "progress"):
            del plain[name]
        return {**plain, "instrument": window.describe()}


def _highest(force_constants: ForceConstants) -> float:
    """Return the highest mode of a coarse mesh, in meV."""
    return float(force_constants.mesh_modes(6, eigenvectors=False).frequencies.max())


class _Average:
    """Two independent samples of one powder, grown until they agree."""

    def __init__(
        self,
        scatterer: Scatterer,
        q_edges: np.ndarray,
        energies: view.EnergyView,
        mask: np.ndarray,
        options: PowderScattering,
    ) -> None:
        self.scatterer = scatterer
        self.energies = energies
        self.mask = mask
        self.options = options
        self.halves = [ShellSums(q_edges, energies.inner_edges) for _ in range(2)]
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
