"""The peers of the speed benchmark: what they are, their throw-away environments, their workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

_WORKER = Path(__file__).with_name("potential_worker.py")
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Peer:
    """A calculator to compare with.

    Parameters
    ----------
    name
        Its name in the worker.
    environment
        Folder of its virtual environment; peers of one package share it.
    packages
        What pip installs there, versions pinned.
    target
        How many times faster this package wants to be, or None.
    largest
        Number of atoms beyond which it is not asked: it would need more than 8 GiB.
    """

    name: str
    environment: str
    packages: tuple[str, ...]
    target: float | None = None
    largest: int = 512


_TORCH = "torch==2.13.0"
_MACE = ("mace", (_TORCH, "numpy==2.4.6", "ase==3.29.0", "mace-torch==0.3.16"))
_NEQUIP = ("nequip", (_TORCH, "numpy==2.4.6", "ase==3.29.0", "nequip==0.19.1"))
PEERS = (
    Peer("chgnet", "chgnet", (_TORCH, "numpy==2.4.6", "ase==3.29.0", "chgnet==0.4.2"), 15),
    Peer("mace-128x0e+128x1o", *_MACE, 30, largest=216),
    Peer("mace-64x0e", *_MACE),
    Peer("nequip-compiled", *_NEQUIP, 15),
    Peer("nequip", *_NEQUIP),
)


def python_of(peer: Peer, cache: Path) -> Path:
    """Return the Python of a peer's environment, which is made first if it is not there.

    pip takes its index from its own configuration; where it finds a CPU build of torch (say with
    ``PIP_EXTRA_INDEX_URL``) the environments are gigabytes smaller.
    """
    folder = cache / peer.environment
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "installed.json"
    wanted = json.dumps(peer.packages)
    if done.is_file() and done.read_text() == wanted:
        return python
    print(f"installing {' '.join(peer.packages)} …", file=sys.stderr, flush=True)
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    nice = ["nice", "-n", "10"] if os.name == "posix" else []
    subprocess.run([*nice, *pip, *peer.packages], check=True, stdout=subprocess.DEVNULL)
    done.write_text(wanted)
    return python


class Worker:
    """A calculator in a process of its own, on one thread, that times itself on request."""

    def __init__(self, name: str, python: Path | str, folder: Path, threads: int = 1) -> None:
        environment = {**os.environ, **dict.fromkeys(_ONE_THREAD, str(threads))}
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [str(python), str(_WORKER), name, str(folder)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env=environment,
            )  # fmt: skip
        self.hello = self._read()

    def measure(self, atoms: int, calls: int, seed: int) -> dict:
        """Return wall and CPU seconds of a few calls on rattled silicon."""
        request = json.dumps({"atoms": atoms, "calls": calls, "seed": seed})
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def _read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended: see {self.log}")
        message = json.loads(line)
        if "failed" in message:
            raise RuntimeError(f"{self.name}: {message['failed'][:300]} (see {self.log})")
        return message
