"""Training: configuration, data, losses and one plain loop.

The names below are imported on first use, so that reading a configuration needs no torch.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "TrainingConfig": "config",
    "check_data": "checks",
    "evaluate_dataset": "metrics",
    "fit_committee": "uncertainty",
    "read_config": "config",
    "select_structures": "selection",
    "train": "loop",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
