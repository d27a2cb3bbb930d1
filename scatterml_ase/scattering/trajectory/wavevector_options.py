"""Options of analyses that look at wavevectors: which ones, and how strongly atoms scatter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics import paths
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.histogram import check_edges
from scatterml_ase.scattering.probe import ProbeName, XrayProbe, make_probe
from scatterml_ase.scattering.trajectory import Scattering
from scatterml_ase.scattering.trajectory.analyzer import TrajectoryAnalyzer
from scatterml_ase.scattering.trajectory.commensurate import CommensurateQ
from scatterml_ase.scattering.trajectory.simulated_crystal import SimulatedCrystal
from scatterml_ase.scattering.trajectory.site_weights import Amplitudes, SiteWeights

if TYPE_CHECKING:
    from scatterml_ase.physics.form_factors import Ions
    from scatterml_ase.physics.lengths import Overrides
    from scatterml_ase.scattering.trajectory.frames import TrajectoryFrames

_SHELLS = np.linspace(0.0, 6.0, 61)


@dataclass(frozen=True, kw_only=True)
class WavevectorOptions(TrajectoryAnalyzer):
    """Which wavevectors, and what scatters, beside the options of every trajectory analysis.

    Parameters
    ----------
    path
        A string such as ``"GXWKGL"``, or corners, shape (k, 3), in reciprocal-lattice units of
        ``unit_cell``: the wavevectors on it that fit the simulated cell are taken.
    zone
        Added to every point of the path: the Brillouin zone to look into, in the same units.
    q_points
        Or these wavevectors, shape (q, 3), in the same units; they must fit.
    q_edges
        Or shells of |Q| (powder), their edges in Å⁻¹. The default: 0 to 6 Å⁻¹ in steps of 0.1.
    points_per_shell
        Wavevectors in a shell at most; of more, some are drawn at random.
    scattering
        ``"coherent"``, ``"incoherent"`` or ``"total"``.
    scattering_lengths
        The user's own, in fm or by nuclide, e.g. ``{"Li": "7Li", "V": -0.443}``.
    incoherent_cross_sections
        The user's own, in barn, e.g. ``{"V": 5.08}``.
    probe, ions
        ``"neutron"`` or ``"xray"``; with x-rays, which atoms are ions: ``{"O": "O2-"}``.
    amplitudes
        A function of atomic numbers (kinds,) and |Q| in Å⁻¹ (q,) that returns amplitudes in fm,
        shape (q, kinds), in place of both.
    seed
        Of the draw in shells: the same seed gives the same wavevectors.
    """

    path: str | Sequence[Sequence[float]] | np.ndarray | None = None
    zone: tuple[float, float, float] = (0.0, 0.0, 0.0)
    q_points: Sequence[Sequence[float]] | np.ndarray | None = None
    q_edges: Sequence[float] | np.ndarray | None = None
    points_per_shell: int = 20
    scattering: Scattering = "coherent"
    scattering_lengths: Overrides | None = None
    incoherent_cross_sections: Mapping[str | int, float] | None = None
    probe: ProbeName = "neutron"
    ions: Ions | None = None
    amplitudes: Amplitudes | None = field(default=None, repr=False)
    seed: int = 0

    def site_weights(self, frames: TrajectoryFrames) -> SiteWeights:
        """Return how strongly the atoms scatter."""
        if self.scattering not in get_args(Scattering):
            known = ", ".join(get_args(Scattering))
            what = f"scattering={self.scattering!r} is not known"
            raise InputError(explain(what, f"it can be {known}", "Use one of these"))
        if self.amplitudes is not None:
            if self.scattering_lengths is not None or self.ions is not None:
                what = "amplitudes are given along with scattering_lengths or ions"
                raise InputError(explain(what, "each replaces the other", "Give one of them"))
            return SiteWeights.given(frames.first.numbers, self.amplitudes)
        probe = make_probe(
            self.probe,
            Crystal.from_atoms(frames.first),
            scattering_lengths=self.scattering_lengths,
            ions=self.ions,
        )
        if isinstance(probe, XrayProbe):
            return SiteWeights.xray(probe)
        return SiteWeights.neutron(
            probe,
            incoherent=self.scattering != "coherent",
            cross_sections=self.incoherent_cross_sections,
        )

    def wavevectors(self, simulated: SimulatedCrystal) -> CommensurateQ:
        """Return the wavevectors asked for.

        Raises
        ------
        InputError
            If they are asked for in two ways, or do not fit the simulated cell.
        """
        ways = {"path": self.path, "q_points": self.q_points, "q_edges": self.q_edges}
        given = [name for name, value in ways.items() if value is not None]
        if len(given) > 1:
            what = f"{' and '.join(given)} are given together"
            raise InputError(explain(what, "a map has one axis of Q", "Give one of them"))
        if self.q_points is not None:
            return CommensurateQ.at_points(simulated, self.q_points)
        if self.path is not None:
            return CommensurateQ.along_path(simulated, self._segments(simulated), self._zone())
        edges = _SHELLS
        if self.q_edges is not None:
            edges = check_edges("q_edges", self.q_edges)
        most = self.points_per_shell
        if edges[0] < 0 or not (isinstance(most, int | np.integer) and most > 0):
            what = f"q_edges from {edges[0]} with {self.points_per_shell} points per shell"
            why = "|Q| is a length, and a shell needs one wavevector"
            raise InputError(explain(what, why, "Start at 0 and ask for whole points"))
        return CommensurateQ.in_shells(simulated, edges, most, self.seed)

    def _segments(self, simulated: SimulatedCrystal) -> list[paths.Segment]:
        if not isinstance(self.path, str):
            assert self.path is not None
            return paths.corner_segments(self.path)
        if self.unit_cell is None:
            raise InputError(
                explain(
                    f"The path {self.path!r} names points, but not of which unit cell",
                    "atoms in motion do not tell the crystal's own cell",
                    "Give unit_cell=, e.g. bulk('Cu'), or the repeats (4, 4, 4); 1 for the "
                    "simulated cell itself",
                )
            )
        return paths.named_segments(simulated.crystal.to("angstrom").cell, self.path)

    def _zone(self) -> np.ndarray:
        zone = np.asarray(self.zone, dtype=float)
        if zone.shape != (3,) or not np.isfinite(zone).all():
            what = f"zone={self.zone!r} is no point of reciprocal space"
            raise InputError(explain(what, "it has three components", "Give e.g. (2, 2, 0)"))
        return zone
