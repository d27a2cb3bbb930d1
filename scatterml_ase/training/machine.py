"""Wall clock, threads and signals of a run."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import torch


class Clock:
    """Seconds of training by the wall clock, those before a resumption included."""

    def __init__(self, earlier: float) -> None:
        self._start = time.monotonic() - earlier

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._start


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Use ``count`` threads inside the block, and as many as before after it."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def deferred_signals(held: int = 1) -> Iterator[Callable[[], bool]]:
    """Hold back Ctrl-C and the batch system's SIGTERM; yield a question whether one came.

    The block ends at a moment of its own choice, so that it can leave something consistent; only
    the first ``held`` signals are held back (torchrun sends the one it got again to each of its
    processes). Only a main thread receives signals: elsewhere none comes.
    """
    kinds = (signal.SIGINT, signal.SIGTERM)
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) >= held:
            restore()

    def restore() -> None:
        for kind, handler in before.items():
            signal.signal(kind, handler)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {kind: signal.getsignal(kind) for kind in kinds}
    for kind in kinds:
        signal.signal(kind, note)
    try:
        yield lambda: bool(received)
    finally:
        restore()
