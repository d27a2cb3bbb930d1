"""From force constants to slices at constant energy: ``plane``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from scatterml_ase.cli.terminal import Terminal, folder_stem
from scatterml_ase.workflows.plane import PlaneOptions


@dataclass(frozen=True, kw_only=True)
class Plane:
    """From force constants to a single crystal's S(Q,E) on a plane at constant energy.

    Writes plane.png, plane.pdf and plane.nxs into a folder.

    Parameters
    ----------
    force_constants
        What spectrum wrote (force_constants.nxs), or phonopy (phonopy_params.yaml, ...).
    output
        The folder for the results; by default named after the file.
    """

    force_constants: Annotated[Positional[Path], arg(metavar="FORCE_CONSTANTS")]
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    physics: OmitArgPrefixes[PlaneOptions] = field(default_factory=PlaneOptions)
    terminal: OmitArgPrefixes[Terminal] = field(default_factory=Terminal)

    def run(self) -> None:
        """Compute, draw, and say how much symmetry saved."""
        from scatterml_ase.workflows.plane import save_plane, scatter_plane

        quiet = self.terminal.quiet
        plane = scatter_plane(self.force_constants, self.physics, progress=not quiet)
        folder = self.output or Path(f"{folder_stem(str(self.force_constants))}_plane")
        save_plane(plane, folder)
        if not quiet:
            print(f"{plane.points} scattering vectors from {plane.wavevectors} solved wavevectors")
            print(f"Results are in {folder}/ (plane.png, plane.pdf, plane.nxs)")
