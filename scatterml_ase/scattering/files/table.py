"""Tables of Q, E, intensity and error in CSV or any ASCII columns."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.results import export
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering.files.axes import Kind, in_our_unit
from scatterml_ase.scattering.files.content import (
    METADATA,
    Told,
    edges_of,
    in_default_units,
    measured_map,
    packed,
    standard_deviation,
)

_OWN = ("intensity", "error", "mask")
_MARK = f"# {METADATA}: "
_COLUMNS = {
    "q": r"\|?q\|?|mod_?q|momentum.*|wavevector",
    "energy": r"e|en|energy.*|delta_?e|h?_?(w|ω|omega)|ħω|hbar_?omega",
    "variance": r"var.*|error.*(²|\^2|\*\*2|squared)",
    "error": r"err.*|sigma.*|d_?i|d_?s|std.*|stdev.*|uncertaint.*",
    "intensity": r"i|s|intensity.*|signal|counts?|data|s\(\|?q\|?,.*",
    "mask": r"mask",
}
_USUAL = ("q", "energy", "intensity", "error")
"""What three or four columns without names are."""
_SAME = 1e-6
"""Coordinates that differ by less than this share of the range are one."""


class _Table(NamedTuple):
    columns: dict[str, np.ndarray]
    units: dict[str, str]
    saved: str | None


def recognises(start: bytes) -> bool:
    """Tell from its first bytes whether a text file holds columns of numbers."""
    if b"\0" in start:
        return False
    if start.startswith(_MARK.encode()):
        return True  # the comment of ours may be longer than what was read
    lines = start.decode("utf-8", "replace").splitlines()
    rows = [words for line in lines[:-1] if (words := _numbers(line)) is not None]
    return bool(rows) and len(rows[0]) >= 3


def read(path: Path, told: Told) -> SqwMap:
    """Read columns, which names at their top tell apart; bins not listed are unknown.

    Edges lie halfway between the coordinates, unless the file is of ours and holds them.
    """
    table = _table(path)
    missing = {"q", "energy", "intensity"} - set(table.columns)
    if missing:
        raise ValueError(f"it has no column of {' and '.join(sorted(missing))}")
    axes = {}
    kinds: tuple[tuple[str, Kind], ...] = (("q", "wavevector"), ("energy", "energy"))
    for name, kind in kinds:
        values = table.columns[name]
        axes[name] = in_our_unit(values, name, table.units.get(name), kind, told.units)
    (q, row), (energy, column) = _grid(axes["q"]), _grid(axes["energy"])
    if len(q) * len(energy) > 50 * len(row) + 100:
        what = f"The {len(row)} rows of {path.name!r} lie on no grid of Q and E"
        why = f"they have {len(q)} different Q and {len(energy)} different E"
        fix = "Give a table with one row for each bin of a grid, or rebin first"
        raise InputError(explain(what, why, fix))
    arrays = {}
    for name in ("intensity", "error", "variance", "mask"):
        if name in table.columns:
            arrays[name] = np.full((len(q), len(energy)), np.nan)
            arrays[name][row, column] = table.columns[name]
    error = arrays.get("error")
    if error is None and "variance" in arrays:
        error = standard_deviation(arrays["variance"])
    saved = json.loads(table.saved) if table.saved is not None else {}
    if saved and len(row) != len(q) * len(energy):
        raise ValueError(f"it holds {len(row)} rows of {len(q) * len(energy)}")
    return measured_map(
        np.array(saved.pop("q", None) or edges_of(q, len(q))),
        np.array(saved.pop("energy_transfer", None) or edges_of(energy, len(energy))),
        arrays["intensity"],
        error,
        mask=arrays["mask"] == 1 if "mask" in arrays else None,
        saved=json.dumps(saved) if saved else None,
        provenance={"source": path.name, "format": "csv"},
    )


def write(path: Path, sqw: SqwMap) -> None:
    """Write columns below a line of comment that holds the edges and what else is known."""
    plain = in_default_units(sqw)
    export.write_csv(path, plain)
    text = f"{_MARK}{packed(sqw, *_OWN)}\n{path.read_text('utf-8')}"
    path.write_text(text, encoding="utf-8")


def _table(path: Path) -> _Table:
    """Return the columns by what they are, their units, and what of ours is in the comments."""
    rows: list[list[float]] = []
    header: list[str] = []
    saved = None
    for line in path.read_text("utf-8", errors="replace").splitlines():
        if line.startswith(_MARK):
            saved = line.removeprefix(_MARK)
        elif (words := _numbers(line)) is not None:
            rows.append(words)
        elif not rows and line.strip():
            header = _names(line)  # the last line before the numbers
        elif line.strip() and not line.lstrip().startswith("#"):
            raise ValueError(f"the line {line[:40]!r} holds no numbers")
    if len({len(row) for row in rows}) != 1:
        raise ValueError("its rows are of unequal length")
    data = np.array(rows).T
    if len(header) != len(data):
        if len(data) not in (3, 4):
            raise ValueError(f"it has {len(data)} columns without names")
        return _Table(dict(zip(_USUAL, data, strict=False)), {}, saved)
    columns, units = {}, {}
    for text, values in zip(header, data, strict=True):
        name, unit = _name_and_unit(text)
        if name and name not in columns:
            columns[name], units[name] = values, unit
    return _Table(columns, {name: unit for name, unit in units.items() if unit}, saved)


def _numbers(line: str) -> list[float] | None:
    """Return the numbers of a row, or None if it is none; True and False count as 1 and 0."""
    if not line.strip() or line.lstrip().startswith("#"):
        return None
    words = [{"true": "1", "false": "0", "": "nan"}.get(w.lower(), w) for w in _words(line)]
    try:
        return [float(word) for word in words]
    except ValueError:
        return None


def _words(line: str) -> list[str]:
    text = line.strip()
    mark = next((mark for mark in (",", ";", "\t") if mark in text), None)
    return [word.strip().strip('"') for word in text.split(mark)]


def _names(line: str) -> list[str]:
    """Return the names of columns; a unit in brackets belongs to the name before it."""
    text = re.sub(r"\s+([(\[])", r"\1", line.strip().lstrip("#").strip())
    return _words(text)


def _name_and_unit(text: str) -> tuple[str, str]:
    found = re.fullmatch(r"(.+?)[(\[]([^()\[\]]*)[)\]]", text)
    name, unit = (found[1], found[2]) if found and "," not in found[2] else (text, "")
    for key, pattern in _COLUMNS.items():
        if re.fullmatch(pattern, name.strip().lower()):
            return key, unit
    return "", unit


def _grid(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different coordinates, ascending, and which of them each row has."""
    order = np.argsort(values, kind="stable")
    ascending = values[order]
    new = np.diff(ascending, prepend=-np.inf) > _SAME * max(np.ptp(values), 1e-12)
    place = np.empty(len(values), dtype=int)
    place[order] = np.cumsum(new) - 1
    return ascending[new], place
