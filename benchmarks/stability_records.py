"""The JSON files of :mod:`stability`: one per model, element and part, whole or not at all."""

import json
from pathlib import Path

from ase import Atoms

from scatterml_ase.atomic_write import atomic_write

# What must agree for a file to belong to a simulation.
SAME = (
    "calculator",
    "element",
    "part",
    "atoms",
    "dtype",
    "timestep_fs",
    "temperature",
    "volume_share",
    "seed",
)


def place(folder: Path, model: str, element: str, part: str) -> Path:
    """Return the file of a part; a model in a folder is called by the folder's name."""
    return folder / f"{Path(model).name}_{element}_{part}.json"


def earlier(file: Path, record: dict) -> dict | None:
    """Return what the file holds, if it is of the same simulation; else None."""
    if not file.is_file():
        return None
    try:
        before = json.loads(file.read_text())
    except ValueError:
        return None
    keys = [key for key in SAME if key in record]
    if not isinstance(before, dict) or any(before.get(key) != record[key] for key in keys):
        return None
    return before


def records(folder: Path) -> tuple[list[dict], list[str]]:
    """Return the records of a folder, and the names of its files that are none.

    Raises
    ------
    SystemExit
        If the folder holds no record.
    """
    found, others = [], []
    # A killed run leaves a temporary file; its name begins with a dot.
    for file in sorted(f for f in folder.glob("*.json") if not f.name.startswith(".")):
        try:
            record = json.loads(file.read_text())
        except ValueError:
            record = None
        if isinstance(record, dict) and {"part", "element", "calculator"} <= record.keys():
            found.append(record)
        else:
            others.append(file.name)
    if not found:
        raise SystemExit(f"No results in {str(folder)!r}: run this program first, or give --output")
    return found, others


def write(file: Path, record: dict) -> None:
    """Write a record."""
    with atomic_write(file) as temporary:
        temporary.write_text(json.dumps(record) + "\n")


def state(atoms: Atoms) -> dict[str, list]:
    """Return positions and momenta; JSON keeps float64 exactly."""
    return {"positions": atoms.positions.tolist(), "momenta": atoms.get_momenta().tolist()}


def restore(atoms: Atoms, state: dict[str, list]) -> None:
    """Set positions and momenta."""
    atoms.set_positions(state["positions"])
    atoms.set_momenta(state["momenta"])
