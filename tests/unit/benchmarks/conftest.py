"""The benchmarks are programs beside the package: import them from their folder."""

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """Return a module of the folder by its name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module
