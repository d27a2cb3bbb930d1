"""Force constants made elsewhere."""

from __future__ import annotations

import contextlib
from pathlib import Path

import h5py
import phonopy
from phonopy.interface.calculator import get_calculator_physical_units

from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.force_constants import ForceConstants

_FIX = (
    "Give phonopy_params.yaml or phonopy.yaml (with FORCE_SETS, FORCE_CONSTANTS or "
    "force_constants.hdf5 beside it), or a file written by ForceConstants.save()"
)


def read_force_constants(path: str | Path) -> ForceConstants:
    """Read force constants from phonopy's files or from one of this package.

    A ``phonopy_params.yaml`` has everything in itself. For a ``phonopy.yaml`` without forces,
    ``force_constants.hdf5``, ``FORCE_CONSTANTS``, ``FORCE_SETS`` and ``BORN`` are taken from the
    same folder (never from the folder Python happens to run in). Forces are turned into force
    constants with space group, sum rule and permutation symmetry imposed together.

    Raises
    ------
    InputError
        If the file is missing, of another kind, or holds neither forces nor force constants.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(explain(f"There is no file {str(path)!r}", "nothing to read", _FIX))
    if h5py.is_hdf5(path):
        return ForceConstants.load(path)
    try:
        with contextlib.chdir(path.parent):  # phonopy looks for companion files where it runs
            loaded = phonopy.load(path.name, log_level=0)
    except Exception as error:  # phonopy raises whatever its parsers stumble over
        why = f"phonopy cannot use it ({type(error).__name__}: {error})"
        raise InputError(explain(f"Cannot read {str(path)!r}", why, _FIX)) from error
    if loaded.force_constants is None:
        why = "neither it nor a file beside it holds forces or force constants"
        raise InputError(explain(f"{str(path)!r} makes no phonons", why, _FIX))
    _check_units(path, loaded.calculator)
    provenance = {"source": path.name, "formula": loaded.primitive.formula}
    return ForceConstants.from_phonopy(loaded, provenance=provenance)


def _check_units(path: Path, calculator: str | None) -> None:
    """Refuse the units of codes that do not work in eV and Å, rather than misread them."""
    units = get_calculator_physical_units(calculator)
    found = (units.force_constants_unit, units.length_unit)
    if found != ("eV/angstrom^2", "angstrom"):
        raise InputError(
            explain(
                f"{str(path)!r} is in the units of {calculator!r} ({', '.join(found)})",
                "only eV/Å² and Å are read",
                "Convert it with phonopy: phonopy-load --convert or phonopy.load and save in "
                "VASP units",
            )
        )
