"""Powder maps S(|Q|, E)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from scatterml_ase.errors import AccuracyWarning, InputError, explain, warn
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering import sampling, view
from scatterml_ase.scattering.instruments import Instrument
from scatterml_ase.scattering.powder_average import Progress, ShellSums, add_mesh, add_vectors
from scatterml_ase.scattering.scatterer import Scatterer, warn_of_imaginary_modes

if TYPE_CHECKING:
    from scatterml_ase.physics.lengths import Overrides

logger = logging.getLogger(__name__)

_FIRST_POINTS = 250
_FIRST_IN_ALL = 4000
"""Few shells start with more points each: two samples of one bin agree too easily by chance."""
_SMALLEST_STEP = 2.0
"""How many times more points are added, at least: the same mesh again would add nothing new."""
_LARGEST_STEP = 6.0
_DEFAULT_Q_MAX = 8.0
_DEFAULT_SHELLS = 160


@dataclass(frozen=True)
class PowderScattering:
    """Coherent one-phonon scattering of a powder, averaged over each shell of |Q|.

    ``PowderScattering(300, instrument="ARCS", incident_energy=100)(force_constants)`` returns a
    :class:`~scatterml_ase.results.sqw.SqwMap`. Scattering by several phonons and incoherent
    scattering are not in it: above about 6 Å⁻¹ at room temperature they dominate.

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
        instrument, fixed_energy = view.resolve_instrument(self.instrument, self.incident_energy)
        scatterer = Scatterer.prepare(
            force_constants,
            self.temperature,
            scattering_lengths=self.scattering_lengths,
            displacements=self.displacements,
        )
        energy_edges = self._energies(force_constants, instrument, fixed_energy)
        q_edges = self._shells(energy_edges, instrument, fixed_energy)
        mask = np.ones((len(q_edges) - 1, len(energy_edges) - 1), dtype=bool)
        kinematics = None
        if instrument is not None and fixed_energy is not None:
            mask = instrument.measured_bins(q_edges, energy_edges, fixed_energy)
            view.check_something_measured(mask, instrument, fixed_energy)
            kinematics = instrument.map_kinematics(fixed_energy)
        widths = view.energy_widths(instrument, fixed_energy, self.energy_fwhm)
        energies = view.EnergyView.make(energy_edges, widths)
        average = _Average(scatterer, q_edges, energies, mask, self)
        average.converge()
        imaginary = average.imaginary_share
        warn_of_imaginary_modes(imaginary)
        return SqwMap(
            crystal=force_constants.crystal,
            q=q_edges,
            energy_transfer=energy_edges,
            intensity=average.density(),
            mask=mask & ~average.elastic(),
            temperature=scatterer.temperature,
            kinematics=kinematics,
            relative_error=average.relative_error,
            wavevectors=average.wavevectors,
            imaginary_share=imaginary,
            provenance={**scatterer.provenance(), "powder": self._options(instrument)},
        )

    def _energies(
        self,
        force_constants: ForceConstants,
        instrument: Instrument | None,
        fixed_energy: float | None,
    ) -> np.ndarray:
        if self.energy_edges is not None:
            return view.check_edges("energy_edges", self.energy_edges)
        frequencies = force_constants.mesh_modes(6, eigenvectors=False).frequencies
        smooth = instrument is not None or self.energy_fwhm > 0
        largest = view.largest_transfer(instrument, fixed_energy)
        return view.default_energy_edges(float(frequencies.max()), largest, smooth=smooth)

    def _shells(
        self,
        energy_edges: np.ndarray,
        instrument: Instrument | None,
        fixed_energy: float | None,
    ) -> np.ndarray:
        if self.q_edges is not None:
            edges = view.check_edges("q_edges", self.q_edges)
            if edges[0] < 0:
                what = f"q_edges start at {edges[0]} Å⁻¹"
                raise InputError(explain(what, "|Q| is a length", "Start at 0 or above"))
            return edges
        if instrument is None or fixed_energy is None:
            return np.linspace(0.0, _DEFAULT_Q_MAX, _DEFAULT_SHELLS + 1)
        largest = instrument.largest_q(energy_edges, fixed_energy)
        step = 0.05 if largest <= 12 else 0.1
        return step * np.arange(max(1, int(np.ceil(largest / step))) + 1)

    def _options(self, instrument: Instrument | None) -> dict[str, Any]:
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        for name in ("q_edges", "energy_edges", "displacements", "progress"):
            del plain[name]
        return {**plain, "instrument": instrument.describe() if instrument else None}


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
