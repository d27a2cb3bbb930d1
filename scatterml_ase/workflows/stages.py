"""The stages of a long job: said when they begin, timed when they end."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)


@contextmanager
def stage(name: str, text: str, times: dict[str, float]) -> Iterator[None]:
    """Say what is being done and remember under ``name`` how long it took, in s."""
    logger.info("%s …", text)
    start = time.perf_counter()
    yield
    times[name] = round(time.perf_counter() - start, 3)
