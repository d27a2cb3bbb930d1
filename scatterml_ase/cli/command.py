"""One command line of all commands, and what becomes of errors and interrupts."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from typing import Annotated, Any

import tyro
from tyro.conf import subcommand

from scatterml_ase import __version__
from scatterml_ase.cli.bridges import Lammps, Serve
from scatterml_ase.cli.jobs import Report, Spectrum
from scatterml_ase.cli.learning import CheckData, Select, Train, Uncertainty
from scatterml_ase.cli.models import Models
from scatterml_ase.cli.phonon_training import TrainPhonons
from scatterml_ase.cli.plane import Plane
from scatterml_ase.cli.screening import Screen
from scatterml_ase.cli.terminal import set_up_messages, sigterm_unwinds
from scatterml_ase.cli.trajectory import Trajectory
from scatterml_ase.errors import InputError

_FAILED, _INTERRUPTED = 2, 130

Command = (
    Annotated[Spectrum, subcommand("spectrum")]
    | Annotated[Plane, subcommand("plane")]
    | Annotated[Trajectory, subcommand("trajectory")]
    | Annotated[Screen, subcommand("screen")]
    | Annotated[Report, subcommand("report")]
    | Annotated[Train, subcommand("train")]
    | Annotated[TrainPhonons, subcommand("train-phonons")]
    | Annotated[Uncertainty, subcommand("uncertainty")]
    | Annotated[CheckData, subcommand("check-data")]
    | Annotated[Select, subcommand("select")]
    | Annotated[Lammps, subcommand("lammps")]
    | Annotated[Serve, subcommand("serve")]
    | Annotated[Models, subcommand("models")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status (0 done, 2 refused, 130 interrupted)."""
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except BrokenPipeError:  # the reader, say ``head``, has seen enough
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # else Python complains when it flushes at its end
        return 0


def _run(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        print(f"scatterml {__version__}")
        return 0
    command: Any = tyro.cli(
        Command,
        prog="scatterml",
        description="Machine learning for neutron and x-ray scattering with ASE "
        f"(version {__version__}).",
        args=arguments or ["--help"],
        config=(tyro.conf.DisallowNone,),
    )
    set_up_messages(quiet=command.terminal.quiet)
    try:
        with sigterm_unwinds(), _silence(command):
            command.run()
    except InputError as error:
        if command.terminal.debug:
            raise
        print(f"scatterml: {error}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        if command.terminal.debug:
            raise
        goes_on = isinstance(command, Train | TrainPhonons)
        after = "the same command goes on from here" if goes_on else "no half-written file was left"
        print(f"\nscatterml: interrupted; {after}.", file=sys.stderr)
        return _INTERRUPTED
    return 0


def _silence(command: Any) -> AbstractContextManager[Any]:
    """Drop what foreign calculators print when quiet; the list of models is what was asked for."""
    quiet = command.terminal.quiet and not isinstance(command, Models)
    return redirect_stdout(io.StringIO()) if quiet else nullcontext()
