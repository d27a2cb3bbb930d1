"""From the file of a molecular-dynamics run to what scatters: map, F(Q, t), vibrations, picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from scatterml_ase.atomic_write import atomic_write, writable_folder
from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.dos import PhononDOS
from scatterml_ase.results.intermediate import IntermediateScattering
from scatterml_ase.results.plotting import subscripts
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering.trajectory.analyzer import analyze_trajectory
from scatterml_ase.scattering.trajectory.density_of_states import TrajectoryDOS
from scatterml_ase.scattering.trajectory.intermediate import TrajectoryCorrelations
from scatterml_ase.scattering.trajectory.spectrum import TrajectoryScattering
from scatterml_ase.workflows.structures import read_structure
from scatterml_ase.workflows.trajectory_options import TrajectoryOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHELL = 0.1  # Å⁻¹
_STYLE: dict[Any, Any] = {"font.size": 9, "axes.titlesize": 9, "legend.fontsize": 8}


@dataclass(frozen=True, eq=False)
class TrajectoryResult:
    """What a trajectory scatters.

    Parameters
    ----------
    sqw
        S(Q, E), powder or path.
    intermediate
        F(Q, t) at the same wavevectors.
    dos
        Vibrational density of states.
    """

    sqw: SqwMap
    intermediate: IntermediateScattering
    dos: PhononDOS

    def figure(self) -> Figure:
        """Draw the map, the density of states beside it, and F(Q, t)."""
        import matplotlib
        from matplotlib.figure import Figure

        with matplotlib.rc_context(_STYLE):
            figure = Figure(figsize=(10.2, 3.7), layout="constrained")
            grid = figure.add_gridspec(1, 3, width_ratios=(2.4, 0.75, 2.0))
            sqw = figure.add_subplot(grid[0])
            dos = figure.add_subplot(grid[1], sharey=sqw)
            intermediate = figure.add_subplot(grid[2])
            self.sqw.plot(sqw, log=True)
            self.dos.plot(dos, orientation="vertical")
            self.intermediate.plot(intermediate)
            sqw.set_ylim(max(self.sqw.energy_transfer[0], 0.0), self.sqw.energy_transfer[-1])
            dos.tick_params(axis="y", labelleft=False)
            dos.set_ylabel("")
            given = self.sqw.temperature
            condition = "" if np.isnan(given) else f", {given:.0f} K"
            subject = f"{self._formula()}, {self.intermediate.scattering}{condition}"
            sqw.set_title(f"(a)  {subject}", loc="left")
            dos.set_title("(b)", loc="left")
            intermediate.set_title("(c)", loc="left")
        return figure

    def _formula(self) -> str:
        crystal = self.intermediate.crystal.to_atoms()
        return subscripts(crystal.get_chemical_formula("metal", empirical=True))

    def save(self, folder: str | Path) -> dict[str, Path]:
        """Write results and pictures to a folder; return the paths by name.

        Each file appears complete or not at all.
        """
        folder = writable_folder(folder, create=True)
        figure = self.figure()
        writers: dict[str, tuple[str, Callable[[Path], Any]]] = {
            "sqw": ("sqw.nxs", self.sqw.save),
            "intermediate": ("intermediate.nxs", self.intermediate.save),
            "dos": ("dos.nxs", self.dos.save),
            "png": ("trajectory.png", lambda path: figure.savefig(path, format="png", dpi=200)),
            "pdf": ("trajectory.pdf", lambda path: figure.savefig(path, format="pdf")),
        }
        for file, write in writers.values():
            with atomic_write(folder / file) as temporary:
                write(temporary)
        return {name: folder / file for name, (file, _) in writers.items()}


def scatter_trajectory(
    trajectory: str | Path | Iterable[Atoms],
    options: TrajectoryOptions | None = None,
    *,
    progress: bool = True,
) -> TrajectoryResult:
    """Return what a trajectory scatters, reading it once.

    Parameters
    ----------
    trajectory
        A file that ASE reads, or frames.
    options
        See :class:`TrajectoryOptions`.
    progress
        Whether to show a progress bar.

    Raises
    ------
    InputError
        If the trajectory cannot be used, or the options do not fit it.
    """
    options = options or TrajectoryOptions()
    shared: dict[str, Any] = {
        "timestep": options.timestep,
        "unit_cell": _unit_cell(options),
        "progress": progress,
    }
    where: dict[str, Any] = {
        **shared,
        "scattering": options.scattering,
        "probe": options.probe,
        **_wavevectors(options),
    }
    sqw, intermediate, dos = analyze_trajectory(
        trajectory,
        TrajectoryScattering(
            temperature=options.temperature,
            energy_fwhm=options.energy_fwhm,
            quantum_correction=options.quantum_correction,
            **where,
        ),
        TrajectoryCorrelations(longest_time=options.longest_time, **where),
        TrajectoryDOS(energy_fwhm=options.energy_fwhm, **shared),
    )
    return TrajectoryResult(sqw, intermediate, dos)


def _unit_cell(options: TrajectoryOptions) -> Atoms | tuple[int, int, int] | None:
    if options.unit_cell is None:
        return options.repeats
    if options.repeats is not None:
        what = "Both unit_cell and repeats are given"
        raise InputError(explain(what, "each tells the other", "Give one of them"))
    return read_structure(options.unit_cell)


def _wavevectors(options: TrajectoryOptions) -> dict[str, Any]:
    if options.path is not None:
        return {"path": options.path, "zone": options.zone}
    if not 0 < options.q_max < np.inf:
        what = f"q_max={options.q_max} is no wavevector"
        raise InputError(explain(what, "it is a length in Å⁻¹", "Give e.g. 6"))
    shells = max(1, int(np.ceil(options.q_max / _SHELL - 1e-9)))
    return {"q_edges": _SHELL * np.arange(shells + 1)}
