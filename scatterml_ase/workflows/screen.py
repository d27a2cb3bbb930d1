"""Many structures at once: their vibrational properties as a table."""

from __future__ import annotations

import csv
import io
import json
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from tqdm import tqdm

from scatterml_ase.atomic_write import atomic_write, writable_folder
from scatterml_ase.errors import InputError, explain
from scatterml_ase.phonons.dos_predictor import PhononDOSPredictor
from scatterml_ase.results.dos import PhononDOS
from scatterml_ase.workflows.structures import read_structure

_SUFFIXES = (".cif", ".vasp", ".poscar", ".xyz", ".extxyz", ".json", ".xsf", ".in", ".res")
_TRACE = 1e-3  # of all modes: what lies above hardly counts as the highest mode
UNITS = {
    "heat_capacity": "J/(K mol)",
    "heat_capacity_error": "J/(K mol)",
    "entropy": "J/(K mol)",
    "free_energy": "kJ/mol",
    "zero_point_energy": "kJ/mol",
    "debye_temperature": "K",
    "mean_energy": "meV",
    "highest_energy": "meV",
    "displacement": "Å²",
}
"""Of the columns; a mole is a mole of formula units."""


@dataclass(frozen=True)
class ScreenRow:
    """What is predicted of one structure; a mole is a mole of formula units."""

    structure: str
    formula: str = ""
    atoms: int | None = None
    heat_capacity: float | None = None
    """C_V in J/(K mol)."""
    heat_capacity_error: float | None = None
    entropy: float | None = None
    """J/(K mol)."""
    free_energy: float | None = None
    """Vibrational, with the zero-point energy, kJ/mol."""
    zero_point_energy: float | None = None
    """kJ/mol."""
    debye_temperature: float | None = None
    """K, of the second moment."""
    mean_energy: float | None = None
    """Of the modes, meV."""
    highest_energy: float | None = None
    """Below which all but a thousandth of the modes lie, meV."""
    displacement: float | None = None
    """Largest U_iso of an atom, Å²."""
    imaginary_share: float | None = None
    """Of the modes."""
    remark: str = ""
    """Warnings, or why nothing could be predicted."""


@dataclass(frozen=True)
class ScreenTable:
    """One row per structure, in the order they were given."""

    temperature: float
    """K."""
    rows: tuple[ScreenRow, ...]

    @property
    def failed(self) -> tuple[ScreenRow, ...]:
        """Rows of structures for which nothing could be predicted."""
        return tuple(row for row in self.rows if row.heat_capacity is None)

    def save(self, path: str | Path) -> None:
        """Write the table as CSV, or as JSON if the name ends so; complete or not at all.

        Raises
        ------
        InputError
            If the name ends otherwise, or nothing can be written there.
        """
        path = table_path(path)
        text = self._json() if path.suffix == ".json" else self._csv()
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _csv(self) -> str:
        buffer = io.StringIO()
        units = ", ".join(f"{name} {unit}" for name, unit in UNITS.items())
        buffer.write(f"# temperature {self.temperature:g} K; {units}\n")
        writer = csv.DictWriter(
            buffer, [item.name for item in fields(ScreenRow)], lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows({k: _short(v) for k, v in asdict(row).items()} for row in self.rows)
        return buffer.getvalue()

    def _json(self) -> str:
        rows = [asdict(row) for row in self.rows]
        content = {"temperature": self.temperature, "units": UNITS, "rows": rows}
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def screen(
    structures: str | Path | Iterable[str | Path | Atoms],
    *,
    temperature: float = 300.0,
    predictor: PhononDOSPredictor | None = None,
    progress: bool = False,
) -> ScreenTable:
    """Predict vibrational properties of many structures, which are taken as they are.

    Parameters
    ----------
    structures
        A folder, whose structure files are taken in the order of their names; or files, names as
        :func:`~scatterml_ase.workflows.structures.read_structure` takes them, and Atoms.
    temperature
        In K.
    predictor
        How densities of states are predicted; the shipped model if None.
    progress
        Whether a progress bar is shown.

    Returns
    -------
    ScreenTable
        A structure that cannot be read or predicted has a row that says why.

    Raises
    ------
    InputError
        If there are no structures, or the temperature is no temperature.
    """
    if not 0 <= temperature < np.inf:
        what = f"temperature={temperature} cannot be used"
        raise InputError(explain(what, "a temperature is a number ≥ 0 in K", "Give e.g. 300"))
    given = _listed(structures)
    predictor = predictor or PhononDOSPredictor()
    rows = [
        _row(one, name, predictor, temperature)
        for name, one in tqdm(given, desc="structures", disable=not progress)
    ]
    return ScreenTable(temperature, tuple(rows))


def table_path(path: str | Path) -> Path:
    """Return where a table will be written, after making sure that it can be.

    Raises
    ------
    InputError
        If the name ends neither with .csv nor with .json, or the folder is missing or read-only.
    """
    path = Path(path)
    if path.suffix not in (".csv", ".json"):
        what = f"{path.name!r} names no kind of table"
        raise InputError(explain(what, "its ending says which", "Use .csv or .json"))
    writable_folder(path.parent, create=False)
    return path


def _listed(structures: Any) -> list[tuple[str, Any]]:
    """Return names and structures."""
    if isinstance(structures, str | Path) and Path(structures).is_dir():
        folder = Path(structures)
        found: Sequence[Any] = sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in _SUFFIXES or path.name.startswith(("POSCAR", "CONTCAR"))
        )
        if not found:
            what = f"The folder {str(structures)!r} holds no structures"
            why = f"no name ends with {', '.join(_SUFFIXES)} or starts with POSCAR"
            raise InputError(explain(what, why, "Name the files themselves"))
    elif isinstance(structures, str | Path | Atoms):
        found = [structures]
    else:
        found = list(structures)
    if not found:
        what = "There are no structures"
        raise InputError(explain(what, "nothing is there to predict", "Give one at least"))
    return [
        (f"{one.symbols} ({k})" if isinstance(one, Atoms) else str(one), one)
        for k, one in enumerate(found, start=1)
    ]


def _row(structure: Any, name: str, predictor: PhononDOSPredictor, temperature: float) -> ScreenRow:
    try:
        atoms = structure if isinstance(structure, Atoms) else read_structure(structure)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            dos = predictor(atoms)
            found = _properties(dos, temperature)
    except InputError as error:
        return ScreenRow(name, remark=str(error))
    remarks = dict.fromkeys(str(one.message) for one in caught)
    return ScreenRow(name, **found, remark=" ".join(remarks))


def _properties(dos: PhononDOS, temperature: float) -> dict[str, Any]:
    thermal = dos.thermal([temperature]).per("formula_unit")
    spectrum = dos.to("meV")
    below = np.cumsum(spectrum.total * spectrum.widths) / (3 * len(dos.crystal))
    highest = spectrum.energy_edges[1:][np.searchsorted(below, 1 - _TRACE)]
    error, displacements = thermal.heat_capacity_error, thermal.isotropic_displacements
    units = dos.crystal.formula_units
    return {
        "formula": dos.crystal.to_atoms().symbols.formula.reduce()[0].format("metal"),
        "atoms": len(dos.crystal) // units,
        "heat_capacity": float(thermal.heat_capacity[0]),
        "heat_capacity_error": None if error is None else float(error[0]),
        "entropy": float(thermal.entropy[0]),
        "free_energy": float(thermal.free_energy[0]),
        "zero_point_energy": float(thermal.zero_point_energy),
        "debye_temperature": float(thermal.debye_temperature),
        "mean_energy": float(spectrum.mean_energy),
        "highest_energy": float(highest),
        "displacement": None if displacements is None else float(displacements.max()),
        "imaginary_share": float(thermal.imaginary_share),
    }


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
