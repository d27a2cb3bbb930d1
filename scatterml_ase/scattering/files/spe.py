"""ASCII SPE: numbers in fields of ten characters, eight to a line, −1e30 for what is masked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.detector_map import DetectorMap
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.scattering.files.content import (
    Told,
    in_default_units,
    known_of_detectors,
    known_values,
    measured_map,
    told_errors,
)

_WIDTH, _PER_LINE = 10, 8
_MASKED = -1e30
_SMALLEST = 1e-99
_COLUMNS = {".par": (1, 2, 3, 0), ".phx": (2, 3, 4, None)}
"""Where the files of detectors have 2θ, azimuth, width (of 2θ) and distance; ``.par`` has the
width in m."""


def recognises(start: bytes) -> bool:
    """Tell from its first bytes whether a text file is of this format."""
    lines = start.decode("utf-8", "replace").splitlines()
    if len(lines) < 2 or not lines[1].startswith("###"):
        return False
    words = lines[0].split()
    return len(words) == 2 and all(word.isdigit() for word in words)


def read(path: Path, told: Told) -> SqwMap | DetectorMap:
    """Read a map of |Q| and energy, or detectors placed by a ``.par`` or ``.phx`` file beside."""
    lines = path.read_text("utf-8", errors="replace").splitlines()
    rows, columns = (int(word) for word in lines[0].split())
    blocks = _blocks(lines[1:])
    title, grid = next(blocks)
    _, energy = next(blocks)
    rest = [values for _, values in blocks]
    if len(rest) != 2 * rows or any(len(values) != columns for values in rest):
        raise ValueError(f"it should hold {rows} spectra of {columns} numbers and their errors")
    if len(energy) != columns + 1:
        raise ValueError(f"it should hold {columns + 1} energies, and holds {len(energy)}")
    intensity, error = np.array(rest[0::2]), np.array(rest[1::2])
    source = {"source": path.name, "format": "spe"}
    if "q" in title.lower():
        return measured_map(grid[: rows + 1], energy, intensity, error, provenance=source)
    polar, width, azimuthal, distance = _detectors(path, grid, rows)
    mask = known_of_detectors(intensity, error)
    values, errors, mask = known_values(intensity, told_errors(intensity, error), mask)
    return DetectorMap(
        polar=polar,
        polar_width=width,
        azimuthal=azimuthal,
        distance=distance,
        energy_transfer=energy,
        intensity=values,
        error=errors,
        mask=mask,
        fixed_energy=_need_energy(told),
        provenance=source,
    )


def write(path: Path, sqw: SqwMap) -> None:
    """Write a map as Mantid writes one of |Q|: about six digits, no temperature, no crystal."""
    plain = in_default_units(sqw)
    error = 0.0 if plain.error is None else plain.error
    error = np.where(plain.mask & np.isfinite(error), error, 0.0)
    lines = [f"{len(plain.q) - 1:8d}{len(plain.energy_transfer) - 1:8d}"]
    lines += _block("### Q Grid", plain.q)
    lines += _block("### Energy Grid", plain.energy_transfer)
    intensity = np.where(plain.mask, plain.intensity, _MASKED)
    for values, errors in zip(intensity, error, strict=True):
        lines += _block("### S(Q,w)", values)
        lines += _block("### Errors", errors)
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def _blocks(lines: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the heading and the numbers of each part."""
    starts = [k for k, line in enumerate(lines) if line.startswith("###")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield lines[start], np.array([v for line in lines[start + 1 : end] for v in _numbers(line)])


def _numbers(line: str) -> list[float]:
    """Read fields of ten characters, which may touch; or, if they are none, words."""
    text = line.rstrip()
    fields = [text[k : k + _WIDTH] for k in range(0, len(text), _WIDTH)]
    try:
        return [float(field) for field in fields if field.strip()]
    except ValueError:
        return [float(word) for word in text.split()]


def _block(title: str, values: np.ndarray) -> list[str]:
    fields = [_field(value) for value in values]
    starts = range(0, len(fields), _PER_LINE)
    return [title, *("".join(fields[k : k + _PER_LINE]) for k in starts)]


def _field(value: float) -> str:
    """Return as many digits as fit, with a space after them where four digits leave one.

    What is closer to zero than 1e-99 is zero: its exponent would push the digits out.
    """
    value = 0.0 if abs(value) < _SMALLEST else value
    for digits in range(8, 3, -1):
        text = f"{value:.{digits}G}"
        if len(text) < _WIDTH:
            break
    return text.ljust(_WIDTH)


def _detectors(
    path: Path, grid: np.ndarray, rows: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Return 2θ, its width, azimuth (degrees) and distance (m) of the detectors.

    Raises
    ------
    InputError
        If neither a file beside nor the grid places them.
    """
    for suffix, columns in _COLUMNS.items():
        beside = path.with_suffix(suffix)
        if beside.is_file():
            return _placed(beside, columns, rows)
    dummy = np.arange(rows + 1) + 0.5
    if len(grid) == rows + 1 and not np.allclose(grid, dummy) and np.all(np.diff(grid) > 0):
        return (grid[1:] + grid[:-1]) / 2, np.diff(grid), None, None
    what = f"The scattering angles of {path.name!r} are not known"
    why = "its grid of angles only counts the detectors"
    fix = f"Put {path.with_suffix('.par').name} or {path.with_suffix('.phx').name} beside it"
    raise InputError(explain(what, why, fix))


def _placed(
    path: Path, columns: tuple[int, int, int, int | None], rows: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    table = np.loadtxt(path, skiprows=1, ndmin=2)
    if len(table) != rows:
        raise ValueError(f"{path.name} places {len(table)} detectors, and there are {rows}")
    two_theta, azimuth, width, distance = columns
    if distance is None:
        return table[:, two_theta], table[:, width], table[:, azimuth], None
    angles = np.degrees(2 * np.arctan2(table[:, width] / 2, table[:, distance]))
    return table[:, two_theta], angles, table[:, azimuth], table[:, distance]


def _need_energy(told: Told) -> float:
    if told.fixed_energy is None:
        what = "An SPE file of detectors does not say the energy of the incident neutrons"
        raise InputError(explain(what, "|Q| needs it", "Give fixed_energy in meV"))
    return float(told.fixed_energy)
