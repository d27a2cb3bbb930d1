"""Values a report compares with, each named with its source, and what the elements crystallise in.

The tables are ``data/references.csv``, ``data/sources.toml`` and the curves
``data/melts/*.csv``; nothing in them is made by the package's own models.
"""

from __future__ import annotations

import csv
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from scatterml_ase.errors import InputError, explain


@dataclass(frozen=True)
class Reference:
    """A published or derived value.

    Parameters
    ----------
    element, name
        Symbol and property, such as ``"Si"`` and ``"c11"``.
    value, unit
        The number and its unit.
    method
        ``"dft-pbe"``, ``"dft-pbesol"`` or ``"experiment"``.
    temperature
        In K where it matters, else None.
    source
        Key into :func:`source`.
    """

    element: str
    name: str
    value: float
    unit: str
    method: str
    temperature: float | None
    source: str


def references(element: str, name: str | None = None) -> tuple[Reference, ...]:
    """Return the values known of an element, or of one of its properties; () if none are."""
    rows = _table().get(element, ())
    return tuple(row for row in rows if name is None or row.name == name)


def source(key: str) -> dict[str, str]:
    """Return title, DOI (if any) and how the value was checked, of a source."""
    return dict(_sources()[key])


def melting_temperature(element: str) -> float:
    """Return the melting temperature in K at ambient pressure.

    Raises
    ------
    InputError
        If the table does not have the element.
    """
    found = references(element, "melting_temperature")
    if found:
        return found[0].value
    known = ", ".join(sorted(e for e in _table() if references(e, "melting_temperature")))
    raise InputError(
        explain(
            f"The melting temperature of {element} is not in the table",
            f"it has {known}",
            "Give it: melting_temperature=... in K",
        )
    )


def data_folder() -> Traversable:
    """Return the folder of the tables, wherever the package is installed."""
    return files("scatterml_ase.workflows.properties").joinpath("data")


@cache
def _table() -> dict[str, tuple[Reference, ...]]:
    text = data_folder().joinpath("references.csv").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    table: dict[str, tuple[Reference, ...]] = {}
    for row in csv.DictReader(lines):
        entry = Reference(
            element=row["element"],
            name=row["property"],
            value=float(row["value"]),
            unit=row["unit"],
            method=row["method"],
            temperature=float(row["temperature"]) if row["temperature"] else None,
            source=row["source"],
        )
        table[entry.element] = (*table.get(entry.element, ()), entry)
    return table


@cache
def _sources() -> dict[str, dict[str, str]]:
    return tomllib.loads(data_folder().joinpath("sources.toml").read_text("utf-8"))
