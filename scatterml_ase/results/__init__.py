"""Frozen result objects: numbers that know their dimensions and units."""

from __future__ import annotations

from pathlib import Path

from scatterml_ase.results import nexus
from scatterml_ase.results.base import Result


def load_result(path: str | Path) -> Result:
    """Read any result file; the class in the file decides what comes back."""
    return nexus.read(Path(path))
