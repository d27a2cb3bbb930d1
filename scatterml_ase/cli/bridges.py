"""Other programs drive, our calculators compute: ``lammps`` and ``serve``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from scatterml_ase.cli.terminal import Terminal
from scatterml_ase.errors import InputError, explain


@dataclass(frozen=True, kw_only=True)
class Lammps:
    """Run a LAMMPS input script with a calculator as its potential.

    The script names everything but the potential, and has the line
    "fix scatterml all external pf/callback 1 1" between its atoms and its first run.

    Parameters
    ----------
    script
        The input script.
    species
        Chemical symbols of the atom types 1, 2, ….
    calculator
        As for spectrum; by default the shipped potential that covers the species.
    variables
        Variables of the script, NAME=VALUE; one that holds a list is written NAME=1,2,3.
    """

    script: Annotated[Positional[Path], arg(metavar="SCRIPT")]
    species: tuple[str, ...]
    calculator: Annotated[str | None, arg(aliases=["-c"])] = None
    variables: tuple[str, ...] = ()
    terminal: OmitArgPrefixes[Terminal] = field(default_factory=Terminal)

    def run(self) -> None:
        """Let LAMMPS run; what it prints is its own."""
        from scatterml_ase.workflows.lammps import run_lammps

        arguments = ["-screen", "none"] if self.terminal.quiet else []
        for variable in self.variables:
            name, equals, value = variable.partition("=")
            if not (name and equals and value):
                fix = "Write it NAME=VALUE, such as T=300"
                raise InputError(explain(f"{variable!r} is no variable", "it has no value", fix))
            arguments += ["-var", name, *value.split(",")]
        run_lammps(self.script, self.calculator, self.species, arguments=arguments)


@dataclass(frozen=True, kw_only=True)
class Serve:
    """Serve forces over i-PI's socket protocol, to i-PI or ASE's SocketIOCalculator.

    Parameters
    ----------
    structure
        A structure file or a name such as "Si": the elements in the order of the other end.
    calculator
        As for spectrum; by default the shipped potential that covers the structure.
    host
        Where the other end listens.
    port
        The port it listens on.
    unix
        Name of a Unix socket on this machine instead of host and port.
    wait
        How long to wait for the other end, in s.
    """

    structure: Annotated[Positional[str], arg(metavar="STRUCTURE")]
    calculator: Annotated[str | None, arg(aliases=["-c"])] = None
    host: str = "localhost"
    port: int = 31415
    unix: str | None = None
    wait: float = 60.0
    terminal: OmitArgPrefixes[Terminal] = field(default_factory=Terminal)

    def run(self) -> None:
        """Compute until the other end hangs up, and say how much."""
        from scatterml_ase.workflows.serve import serve

        count = serve(
            self.structure,
            self.calculator,
            host=self.host,
            port=self.port,
            unix=self.unix,
            wait=self.wait,
        )
        if not self.terminal.quiet:
            print(f"{count} structures were computed")
