"""From molecular dynamics to what scatters: ``trajectory``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from scatterml_ase.cli.terminal import Terminal, folder_stem
from scatterml_ase.workflows.trajectory_options import TrajectoryOptions


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """From a molecular-dynamics trajectory to S(Q,E), F(Q,t) and the density of states.

    Writes a picture and one NeXus file per result into a folder.

    Parameters
    ----------
    file
        A trajectory that ASE reads (traj, extxyz, ...), at constant cell and equal time steps.
    output
        The folder for the results; by default named after the file.
    """

    file: Annotated[Positional[Path], arg(metavar="FILE")]
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    physics: OmitArgPrefixes[TrajectoryOptions] = field(default_factory=TrajectoryOptions)
    terminal: OmitArgPrefixes[Terminal] = field(default_factory=Terminal)

    def run(self) -> None:
        """Read the trajectory once and say what was found."""
        from scatterml_ase.workflows.trajectory import scatter_trajectory

        quiet = self.terminal.quiet
        result = scatter_trajectory(self.file, self.physics, progress=not quiet)
        folder = self.output or Path(f"{folder_stem(str(self.file))}_trajectory")
        result.save(folder)
        if quiet:
            return
        told = result.sqw.provenance
        print(
            f"{told['frames']} frames of {told['atoms']} atoms, {told['timestep_fs']:g} fs apart: "
            f"{told['picoseconds']:g} ps, {told['segments']} segments"
        )
        print(f"Results are in {folder}/ (trajectory.png, trajectory.pdf, *.nxs)")
