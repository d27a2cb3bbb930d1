"""What commands show, and how they are stopped."""

from __future__ import annotations

import logging
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """What is shown while a command runs.

    Parameters
    ----------
    quiet
        Show nothing but errors.
    debug
        Show the traceback of an error.
    """

    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    debug: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def set_up_messages(*, quiet: bool) -> None:
    """Send log lines and warnings to stderr, one plain line each, once; when quiet, none."""
    logger = logging.getLogger("scatterml_ase")
    for handler in list(logger.handlers):
        if handler.get_name() == "cli":
            logger.removeHandler(handler)
    handler = _Lines()
    handler.set_name("cli")
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR if quiet else logging.WARNING)
    for room in ("cli", "workflows", "training"):  # the stages; details stay out of the way
        logger.getChild(room).setLevel(logging.ERROR if quiet else logging.INFO)
    if quiet:
        warnings.simplefilter("ignore")
    shown: set[str] = set()

    def show_once(message: Warning | str, *_: Any, **__: Any) -> None:
        if str(message) not in shown:  # several steps of a command may find the same
            shown.add(str(message))
            _write_line(f"Warning: {message}")

    warnings.showwarning = show_once


class _Lines(logging.Handler):
    """Writes lines to stderr, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        _write_line(self.format(record))


def _write_line(text: str) -> None:
    from tqdm import tqdm

    tqdm.write(text, file=sys.stderr)


@contextmanager
def sigterm_unwinds() -> Iterator[None]:
    """Let SIGTERM (kill, a batch system) unwind like Ctrl-C, so that temporary files go."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def folder_stem(structure: str) -> str:
    """Name the output folder: ``data/Si.cif.gz`` gives ``Si``, ``NaCl:rocksalt:5.64`` ``NaCl``.

    A calculator ``model:runs/mine`` gives ``mine``.
    """
    if structure.startswith("model:"):
        structure = str(Path(structure.removeprefix("model:")).resolve())
    name = Path(structure).name if Path(structure).exists() else structure.partition(":")[0]
    name = re.sub(r"\.(gz|bz2|xz)$", "", name)
    return re.sub(r"[^\w.+-]", "_", Path(name).stem) or "structure"
