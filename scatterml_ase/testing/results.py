"""What every result and every analyzer owes its users, as functions."""

from __future__ import annotations

import copy
import csv
import importlib.util
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from scatterml_ase.results.base import Result
from scatterml_ase.testing.violation import violated


def check_result(result: Result, *, skip: Collection[str] = ()) -> None:
    """Check that a result keeps its contract: frozen, files, table, xarray, units, plot.

    Parameters
    ----------
    result
        Any :class:`~scatterml_ase.results.base.Result`.
    skip
        Checks left out: ``"frozen"``, ``"file"``, ``"csv"``, ``"xarray"``, ``"units"``, ``"plot"``.

    Raises
    ------
    ContractError
        If a property fails; the message names it.
    """
    if not isinstance(result, Result):
        violated("type", f"{type(result).__name__} is no Result", "results share one base",
                 "Derive it from scatterml_ase.results.base.Result")  # fmt: skip
    checks = {
        "frozen": _check_frozen,
        "file": _check_file,
        "csv": _check_csv,
        "xarray": _check_xarray,
        "units": _check_units,
        "plot": _check_plot,
    }
    for name, check in checks.items():
        if name not in skip:
            check(result)


def check_analyzer(analyzer: Any, subject: Any) -> None:
    """Check that an analyzer keeps its contract: options frozen, input untouched, result complete.

    Parameters
    ----------
    analyzer
        A frozen dataclass of options that is called.
    subject
        What it is called with: ``Atoms`` with a calculator, or a result.

    Raises
    ------
    ContractError
        If a property fails; the message names it.
    """
    name = type(analyzer).__name__
    parameters = getattr(type(analyzer), "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        violated("analyzer", f"{name} is no frozen dataclass",
                 "its fields are the documentation, the provenance and the flags",
                 "Decorate it with @dataclass(frozen=True)")  # fmt: skip
    calculator = getattr(subject, "calc", None)
    before = subject.copy() if isinstance(subject, Atoms) else copy.deepcopy(subject)
    result = analyzer(subject)
    if not _equal(before, subject) or getattr(subject, "calc", None) is not calculator:
        violated("analyzer", f"{name} changed its input", "an analysis only reads",
                 "Work on a copy")  # fmt: skip
    if not isinstance(result, Result):
        violated("analyzer", f"{name} returns {type(result).__name__}",
                 "analyzers return results that can be saved and plotted",
                 "Return a Result")  # fmt: skip
    if set(result.provenance) <= {"scatterml_ase"}:  # every result is stamped with the version
        violated("analyzer", f"The result of {name} has no provenance",
                 "a number without its origin cannot be published",
                 "Fill provenance with version, options and model")  # fmt: skip


def _check_frozen(result: Result) -> None:
    for item in fields(result):
        try:
            setattr(result, item.name, getattr(result, item.name))
        except FrozenInstanceError:
            pass
        else:
            violated("frozen", f"{item.name} can be replaced", "results do not change",
                     "Decorate the class with @dataclass(frozen=True)")  # fmt: skip
    for name, value in vars(result).items():
        if isinstance(value, np.ndarray) and value.flags.writeable:
            violated("frozen", f"The array {name} can be written to", "results do not change",
                     "Set flags.writeable = False, as Result.__post_init__ does")  # fmt: skip


def _check_file(result: Result) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = result.save(Path(folder) / "result.nxs")
        loaded = type(result).load(path)
        left = [item.name for item in Path(folder).iterdir() if item.name != "result.nxs"]
    if left:
        violated("file", f"save() left {left} behind", "one result is one file",
                 "Write through atomic_write")  # fmt: skip
    for item in fields(result):
        if not _equal(getattr(result, item.name), getattr(loaded, item.name)):
            violated("file", f"{item.name} changed by save and load",
                     "a file holds all of the result", "Store it in nexus.write")  # fmt: skip


def _check_csv(result: Result) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = result.to_csv(Path(folder) / "result.csv")
        with path.open(newline="") as stream:
            rows = list(csv.reader(stream))
    if len(rows) < 2 or len({len(row) for row in rows}) != 1:
        violated("csv", f"The table has {len(rows)} rows of unequal or no length",
                 "a table has a header and rows of its length", "Declare row_dims")  # fmt: skip


def _check_xarray(result: Result) -> None:
    if importlib.util.find_spec("xarray") is None:
        return
    dataset = result.to_xarray()
    for item in fields(result):
        value = getattr(result, item.name)
        if "dims" in item.metadata and value is not None:
            if item.name not in dataset.variables:
                violated("xarray", f"{item.name} is missing", "the data set holds all arrays",
                         "Return every declared array")  # fmt: skip
            if not _equal(np.asarray(dataset[item.name].values), value):
                violated("xarray", f"{item.name} differs", "the data set holds the same numbers",
                         "Do not convert in to_xarray")  # fmt: skip


def _check_units(result: Result) -> None:
    declared = " ".join(str(item.metadata.get("unit", "")) for item in fields(result))
    for kind, unit in (("energy", "THz"), ("wavevector", "nm^-1"), ("length", "nm")):
        if f"{{{kind}}}" not in declared:
            continue
        there = result.to(unit)
        back = there.to(result.units[kind])
        for item in fields(result):
            if not _equal(getattr(result, item.name), getattr(back, item.name), relative=1e-12):
                violated("units", f"{item.name} changed by .to({unit!r}) and back",
                         "units are labels of the same quantity",
                         "Give the array its unit template")  # fmt: skip


def _check_plot(result: Result) -> None:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    returned = result.plot(ax)
    if returned is not ax or not isinstance(returned, Axes):
        violated("plot", "plot(ax) does not return its axes", "users go on with them",
                 "Return ax")  # fmt: skip
    if not ax.has_data():
        violated("plot", "plot(ax) draws nothing", "the axes given are to be used",
                 "Draw into ax")  # fmt: skip


def _equal(first: Any, second: Any, relative: float = 0.0) -> bool:
    """Compare values of result fields deeply; NaN equals NaN."""
    if type(first) is not type(second) and not isinstance(first, Mapping):
        return False
    if isinstance(first, Result):
        return all(
            _equal(getattr(first, f.name), getattr(second, f.name), relative) for f in fields(first)
        )
    if isinstance(first, np.ndarray):
        if first.shape != second.shape or first.dtype.kind not in "fc":
            return np.array_equal(first, second)
        scale = float(np.nanmax(np.abs(first), initial=0.0)) if first.size else 0.0
        return np.allclose(first, second, rtol=relative, atol=relative * scale, equal_nan=True)
    if isinstance(first, Mapping):
        return set(first) == set(second) and all(
            _equal(first[key], second[key], relative) for key in first
        )
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(
            _equal(a, b, relative) for a, b in zip(first, second, strict=True)
        )
    if isinstance(first, float):
        return first == second or (np.isnan(first) and np.isnan(second))
    return bool(first == second)
