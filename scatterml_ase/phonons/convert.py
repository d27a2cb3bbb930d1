"""Force constants made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import h5py
from ase.io.jsonio import decode

from scatterml_ase.errors import InputError, explain
from scatterml_ase.phonons.from_ase import from_phonons, from_vibrations
from scatterml_ase.results import phonopy_border
from scatterml_ase.results.force_constants import ForceConstants

if TYPE_CHECKING:
    from ase.phonons import Phonons
    from ase.vibrations.data import VibrationsData
    from phonopy import Phonopy

_CELLS = ("phonopy_params.yaml", "phonopy.yaml", "phonopy_disp.yaml")


def read_force_constants(
    source: str | Path | Phonopy | Phonons | VibrationsData,
    *,
    born: str | Path | None = None,
    cells: str | Path | None = None,
) -> ForceConstants:
    """Take force constants from a file of this package, of phonopy or ASE, or from their objects.

    Parameters
    ----------
    source
        A file written by :meth:`ForceConstants.save`; a ``phonopy_params.yaml``, or a
        ``phonopy.yaml`` with its companions in the same folder (see
        :meth:`ForceConstants.from_file`); ``FORCE_CONSTANTS`` or ``force_constants.hdf5`` of
        phonopy; a JSON file of ASE's ``VibrationsData``. Or an object: ``Phonopy``,
        ``ase.phonons.Phonons`` after ``run()``, or ``VibrationsData`` of a crystal.
    born
        A BORN file of phonopy, to be used in place of what else gives Born charges.
    cells
        The phonopy YAML file that describes the cells of ``FORCE_CONSTANTS`` or
        ``force_constants.hdf5``; None: one beside it.

    Raises
    ------
    InputError
        If a file is missing, damaged, of another kind, or gives no force constants.
    """
    if isinstance(source, str | Path):
        return _from_path(Path(source), born, cells)
    if born is not None or cells is not None:
        what = f"born= and cells= do not belong to {type(source).__name__}"
        raise InputError(explain(what, "they complete files of phonopy", "Leave them out"))
    from ase.phonons import Phonons  # slow: they bring pyplot with them
    from ase.vibrations.data import VibrationsData

    if isinstance(source, Phonons):
        return from_phonons(source)
    if isinstance(source, VibrationsData):
        return from_vibrations(source)
    return ForceConstants.from_phonopy(source)


def _from_path(path: Path, born: str | Path | None, cells: str | Path | None) -> ForceConstants:
    if path.is_dir():
        what = f"{str(path)!r} is a folder"
        fix = "Give the file, or for a cache of ASE its object: Phonons(atoms, supercell=…, name=…)"
        raise InputError(explain(what, "force constants are in a file", fix))
    if path.is_file() and _is_constants(path):
        yaml = Path(cells) if cells is not None else _cells_beside(path)
        return _from_phonopy(yaml, path, born)
    if cells is not None:
        what = f"cells= does not belong to {path.name!r}"
        why = "it describes the cells of FORCE_CONSTANTS or force_constants.hdf5"
        raise InputError(explain(what, why, "Leave it out"))
    if path.suffix in (".yaml", ".yml") or born is not None or not path.is_file():
        return _from_phonopy(path, None, born)
    if h5py.is_hdf5(path):
        return ForceConstants.load(path)
    if path.suffix == ".json":
        return _from_json(path)
    return _from_phonopy(path, None, None)


def _from_phonopy(path: Path, constants: Path | None, born: str | Path | None) -> ForceConstants:
    given = None if born is None else Path(born)
    phonopy = phonopy_border.load(path, constants=constants, born=given)
    source = {"source": (constants or path).name}
    if given is not None:
        source["born"] = given.name
    return ForceConstants.from_phonopy(phonopy, source)


def _is_constants(path: Path) -> bool:
    """Tell by its content whether a file holds phonopy's force constants alone."""
    if h5py.is_hdf5(path):
        try:
            with h5py.File(path, "r") as file:
                return "force_constants" in file
        except OSError as error:
            what = f"Cannot read {str(path)!r}"
            why = "it is damaged or was cut short"
            raise InputError(explain(what, why, "Copy or write it again")) from error
    with path.open("rb") as stream:
        first = stream.readline(100).split()
    return len(first) in (1, 2) and all(word.isdigit() for word in first)


def _cells_beside(path: Path) -> Path:
    for name in _CELLS:
        if (path.parent / name).is_file():
            return path.parent / name
    what = f"{path.name!r} does not say what crystal it belongs to"
    why = f"no {', '.join(_CELLS)} is in its folder"
    raise InputError(explain(what, why, "Put one there, or give it: cells='phonopy.yaml'"))


def _from_json(path: Path) -> ForceConstants:
    try:
        vibrations = decode(path.read_text("utf-8"))
    except (ValueError, KeyError, TypeError, OSError) as error:
        vibrations = error
    from ase.vibrations.data import VibrationsData

    if isinstance(vibrations, VibrationsData):
        return from_vibrations(vibrations)
    what = f"{str(path)!r} holds no vibrations of ASE"
    why = f"it gave {type(vibrations).__name__}"
    raise InputError(explain(what, why, "Give what VibrationsData.write() wrote"))
