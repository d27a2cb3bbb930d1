"""Values a report compares with, each named with its source, and what the elements crystallise in.

The tables are ``data/references.csv``, ``data/sources.toml``, ``data/expansions.toml`` and the
curves ``data/melts/*.csv`` and ``data/strains/*.csv``; nothing in them is made by a model of ours.
"""

from __future__ import annotations

import csv
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.pair_distribution import PairDistribution


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
    uncertainty
        In ``unit``, where one is known.
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
    uncertainty: float | None = None


def references(element: str, name: str | None = None) -> tuple[Reference, ...]:
    """Return the values known of an element, or of one of its properties; () if none are."""
    rows = _table().get(element, ())
    return tuple(row for row in rows if name is None or row.name == name)


def source(key: str) -> dict[str, str]:
    """Return title, DOI (if any) and how the value was checked, of a source."""
    return dict(_sources()[key])


def mean_expansion(element: str, low: float, high: float) -> Reference | None:
    """Return the measured mean linear expansion between two temperatures (K), in 1e-6/K, or None.

    None where nobody's measurement is in the tables, or it does not reach that far.
    """
    curve = _expansions().get(element)
    if curve is None or not curve["range"][0] <= low < high <= curve["range"][1]:
        return None
    a, b, c, d = (curve[name] for name in "abcd")

    def length(t: float) -> float:
        return a * (t + np.exp(-b * (t - c)) / b) + d / 2 * t**2

    value = round(float(length(high) - length(low)) / (high - low), 3)
    return Reference(
        element, "linear_expansion", value, "1e-6/K", "experiment", None, curve["source"]
    )


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
            uncertainty=float(row["uncertainty"]) if row["uncertainty"] else None,
        )
        table[entry.element] = (*table.get(entry.element, ()), entry)
    return table


@cache
def _expansions() -> dict[str, dict]:
    return tomllib.loads(data_folder().joinpath("expansions.toml").read_text("utf-8"))


@cache
def _sources() -> dict[str, dict[str, str]]:
    return tomllib.loads(data_folder().joinpath("sources.toml").read_text("utf-8"))


def liquid(element: str) -> PairDistribution | None:
    """Return g(r) of DFT molecular dynamics far above the melting point, or None."""
    path = data_folder().joinpath("melts", f"{element}.csv")
    if not path.is_file():
        return None
    lines = path.read_text("utf-8").splitlines()
    temperature = float(re.findall(r"at (\d+) K", lines[0])[0])
    density = float(re.findall(r"density ([\d.]+)", lines[1])[0])
    values = np.array([line.split(",") for line in lines[3:]], dtype=float)
    return PairDistribution(
        formula=element,
        r_edges=np.append(values[:, 0], values[-1, 1]),
        g=values[:, 2],
        g_error=values[:, 3],
        density=density,
        temperature=temperature,
        provenance={"source": lines[0].lstrip("# ")},
    )


def uniaxial_strain(element: str) -> tuple[float, np.ndarray] | None:
    """Return DFT energies over uniaxial [100] strain, or None.

    Returns
    -------
    tuple[float, np.ndarray] or None
        Edge in Å of the unstrained cubic cell, and strain (no unit) and energy per atom from
        the unstrained cell (eV), shape (points, 2).
    """
    path = data_folder().joinpath("strains", f"{element}.csv")
    if not path.is_file():
        return None
    lines = path.read_text("utf-8").splitlines()
    edge = float(re.findall(r"([\d.]+) A$", lines[0])[0])
    return edge, np.array([line.split(",") for line in lines[2:]], dtype=float)
