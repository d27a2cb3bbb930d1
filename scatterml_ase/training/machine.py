"""Wall clock and threads of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

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
