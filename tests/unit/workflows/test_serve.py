"""Serving a calculator to ASE's end of i-PI's protocol, in a thread."""

import socket
import threading
import uuid
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.socketio import IPIProtocol, SocketIOCalculator
from ase.md.verlet import VelocityVerlet

from scatterml_ase.errors import InputError
from scatterml_ase.workflows.serve import serve


class Server(threading.Thread):
    """Runs ``serve`` and keeps what it returns or raises."""

    def __init__(self, *arguments, **options):
        super().__init__(daemon=True)
        self.arguments, self.options, self.count, self.error = arguments, options, None, None
        self.start()

    def run(self):
        try:
            self.count = serve(*self.arguments, **self.options)
        except Exception as error:
            self.error = error


@pytest.fixture
def name():
    return f"scatterml-{uuid.uuid4().hex[:12]}"


@pytest.mark.parametrize("pbc", [True, False])
def test_the_other_end_moves_atoms_with_our_energy_forces_and_stress(pbc, name):
    atoms = bulk("Cu", cubic=True) * (2, 1, 1) if pbc else Atoms("Cu2", [[0, 0, 0], [0, 0, 2.5]])
    atoms.rattle(0.05, seed=1)
    reference = atoms.copy()
    reference.calc = EMT()
    with SocketIOCalculator(unixsocket=name, timeout=20) as far_end:
        server = Server(atoms, "emt", unix=name)
        atoms.calc = far_end
        VelocityVerlet(atoms, 2 * units.fs).run(3)
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        stress = atoms.get_stress() if pbc else None
    server.join(20)
    assert server.error is None
    assert server.count == 4
    VelocityVerlet(reference, 2 * units.fs).run(3)
    assert energy == pytest.approx(reference.get_potential_energy(), abs=1e-10)
    np.testing.assert_allclose(forces, reference.get_forces(), atol=1e-9)
    if pbc:
        np.testing.assert_allclose(stress, reference.get_stress(), atol=1e-10)


def test_the_structure_may_be_a_file_or_a_name_and_is_not_changed(tmp_path, name):
    atoms = bulk("Cu", cubic=True)
    atoms.write(tmp_path / "cu.extxyz")
    for structure in (tmp_path / "cu.extxyz", atoms):
        moved = bulk("Cu", cubic=True)
        moved.rattle(0.1, seed=2)
        with SocketIOCalculator(unixsocket=name, timeout=20) as far_end:
            server = Server(structure, EMT(), unix=name)
            moved.calc = far_end
            moved.get_potential_energy()
        server.join(20)
        assert server.count == 1
    np.testing.assert_array_equal(atoms.positions, bulk("Cu", cubic=True).positions)


def test_nobody_listening_is_explained(name):
    with pytest.raises(InputError, match=rf"Nobody listens at the Unix socket '{name}'.*Start it"):
        serve(bulk("Cu"), EMT(), unix=name, wait=0)


def test_a_file_that_is_no_structure_is_refused(tmp_path):
    (tmp_path / "a.cif").write_text("nothing")
    with pytest.raises(InputError, match="is no structure"):
        serve(tmp_path / "a.cif", EMT(), wait=0)


class FarEnd(threading.Thread):
    """The other end of a socket, as far as a scenario needs it."""

    def __init__(self, name, scenario):
        super().__init__(daemon=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.place = Path(f"/tmp/ipi_{name}")
        self.listener.bind(str(self.place))
        self.listener.listen(1)
        self.scenario = scenario
        self.start()

    def run(self):
        with self.listener, self.listener.accept()[0] as connection:
            self.scenario(IPIProtocol(connection))
        self.place.unlink()


def send(atoms):
    """Return a scenario that sends a structure and reads on until the end."""

    def scenario(protocol):
        cell = atoms.cell.array
        protocol.sendposdata(cell, np.linalg.inv(cell), atoms.positions)
        with suppress(OSError):
            protocol.socket.recv(1)

    return scenario


def die_in_a_message(protocol):
    protocol.sendmsg("POSDATA")
    protocol.socket.sendall(b"half of a cell")


def test_a_far_end_that_dies_in_a_message_is_explained(name):
    FarEnd(name, die_in_a_message)
    with pytest.raises(InputError, match="The connection broke after 0 structures"):
        serve(bulk("Cu"), EMT(), unix=name, wait=5)


def test_a_far_end_that_hangs_up_between_messages_is_done(name):
    FarEnd(name, lambda protocol: None)
    assert serve(bulk("Cu"), EMT(), unix=name, wait=5) == 0


@pytest.mark.parametrize("sent", [1, 5])
def test_another_number_of_atoms_is_refused(sent, name):
    """One atom would be spread over all of them without a word."""
    FarEnd(name, send(bulk("Cu", cubic=True).repeat((2, 1, 1))[:sent]))
    with pytest.raises(InputError, match=rf"sends {sent} atoms.*given here has 4"):
        serve(bulk("Cu", cubic=True), EMT(), unix=name, wait=5)


def test_a_failing_calculator_is_explained(name):
    class Failing(EMT):
        def calculate(self, *_, **__):
            raise ZeroDivisionError("too hot")

    FarEnd(name, send(bulk("Cu")))
    with pytest.raises(InputError, match="Failing failed after 0 structures: ZeroDivisionError"):
        serve(bulk("Cu"), Failing(), unix=name, wait=5)


def test_a_port_that_is_none_is_refused():
    with pytest.raises(InputError, match="port=99999"):
        serve(bulk("Cu"), EMT(), port=99999, wait=0)


def test_the_command_line_serves_and_counts(name, capsys):
    from scatterml_ase.cli import main

    with SocketIOCalculator(unixsocket=name, timeout=20) as far_end:
        command = ["serve", "Cu:fcc:3.6", "-c", "emt", "--unix", name]
        primitive = bulk("Cu", "fcc", a=3.6)
        thread = threading.Thread(target=main, args=(command,), daemon=True)
        thread.start()
        primitive.calc = far_end
        energy = primitive.get_potential_energy()
    thread.join(20)
    primitive.calc = EMT()
    assert energy == pytest.approx(primitive.get_potential_energy(), abs=1e-10)
    assert "1 structures were computed" in capsys.readouterr().out
