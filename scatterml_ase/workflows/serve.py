"""Serve energies, forces and virials over i-PI's socket protocol.

i-PI (path integrals, ring polymers, thermostats, replica exchange), ASE's ``SocketIOCalculator``
and any other code that speaks the protocol (doi:10.1016/j.cpc.2013.10.027) move the atoms; this
process computes. LAMMPS' ``fix ipi`` is the same end of the line as this one, so it takes no
forces from here: see :mod:`scatterml_ase.workflows.lammps` for LAMMPS.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.calculators.socketio import SocketClient

from scatterml_ase.errors import InputError, explain
from scatterml_ase.workflows.calculators import make_calculator
from scatterml_ase.workflows.structures import check_atoms, read_structure

PORT = 31415
"""The port that i-PI and ASE use where none is given."""


def serve(
    structure: Atoms | str | Path,
    calculator: BaseCalculator | str | None = None,
    *,
    host: str = "localhost",
    port: int = PORT,
    unix: str | None = None,
    wait: float = 60.0,
) -> int:
    """Compute what the other end asks for until it hangs up.

    Parameters
    ----------
    structure
        The elements in the order in which the other end sends positions, and which axes are
        periodic: atoms, a structure file, or a name such as ``"Si"``. Its positions and cell
        are replaced by what is sent.
    calculator
        An ASE calculator or a name; by default the shipped potential for these elements.
    host, port
        Where the other end listens.
    unix
        Name of a Unix socket on this machine instead (``/tmp/ipi_NAME``), which is faster.
    wait
        How long to wait for the other end to listen, in s.

    Returns
    -------
    int
        The number of structures computed.

    Raises
    ------
    InputError
        If nobody listens, the structure or the calculator cannot be used or does not fit what is
        sent, the calculator fails, or the connection breaks in the middle of a message.
    """
    if unix is None and not 0 < port < 65536:
        fix = f"Give the number that the other end names, such as {PORT}"
        raise InputError(explain(f"port={port} cannot be used", "ports are 1 to 65535", fix))
    atoms = _read(structure)
    atoms.calc = make_calculator(calculator, atoms=atoms)
    stress = bool(atoms.pbc.any()) and "stress" in atoms.calc.implemented_properties
    client = _connect(host, port, unix, wait)
    wrapped: Any = _Checked(client.protocol, len(atoms))
    client.protocol = wrapped
    count = 0
    try:
        for _ in client.irun(atoms, use_stress=stress):
            count += 1
    except InputError:
        raise
    except OSError as error:
        what, why = f"The connection broke after {count} structures", str(error) or "it was closed"
        raise InputError(explain(what, why, "Look at what the other end says")) from error
    except Exception as error:  # any calculator, any exception
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise InputError(
            explain(f"Serving {type(atoms.calc).__name__} failed after {count} structures", why,
                    "Look at the last structures of the other end")
        ) from error  # fmt: skip
    finally:
        client.close()
    return count


class _Checked:
    """The protocol of a client that takes structures of one number of atoms only."""

    def __init__(self, protocol: Any, atoms: int) -> None:
        self._protocol, self._atoms = protocol, atoms

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)

    def recvposdata(self) -> Any:
        """Receive cell, its inverse, and positions."""
        received = self._protocol.recvposdata()
        if len(received[-1]) != self._atoms:
            raise InputError(
                explain(
                    f"The other end sends {len(received[-1])} atoms",
                    f"the structure given here has {self._atoms}",
                    "Give the structure the other end starts from",
                )
            )
        return received


def _read(structure: Atoms | str | Path) -> Atoms:
    if isinstance(structure, Atoms):
        atoms = structure.copy()
    elif Path(structure).is_file():
        try:
            atoms = ase.io.read(structure)
        except Exception as error:  # readers fail in as many ways as there are formats
            fix = "Give a file that ase.io.read reads"
            why = f"{type(error).__name__}: {error}"
            raise InputError(explain(f"{structure} is no structure", why, fix)) from error
    else:
        atoms = read_structure(structure)
    check_atoms(atoms)
    return atoms


def _connect(host: str, port: int, unix: str | None, wait: float) -> SocketClient:
    """Connect to the other end, which may still be starting."""
    deadline = time.monotonic() + wait
    while True:
        with warnings.catch_warnings():  # a failed client does not close its socket
            warnings.simplefilter("ignore", ResourceWarning)
            try:
                return SocketClient(host=host, port=port, unixsocket=unix)
            except OSError as error:
                reason = str(error)
        if time.monotonic() >= deadline:
            break
        time.sleep(0.2)
    place = f"the Unix socket {unix!r}" if unix else f"{host}:{port}"
    raise InputError(
        explain(
            f"Nobody listens at {place}",
            f"{reason}; the other end (i-PI, SocketIOCalculator) must be running",
            "Start it first, and give the address and port that its input names",
        )
    )
