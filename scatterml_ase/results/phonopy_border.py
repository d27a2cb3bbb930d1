"""The border to phonopy: its supercell arrays become pairs, and pairs become its arrays."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics import supercell
from scatterml_ase.physics.debye_waller import symmetrize_tensors
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.units import COULOMB_EV_ANGSTROM

if TYPE_CHECKING:
    from phonopy import Phonopy

    from scatterml_ase.results.force_constants import ForceConstants

logger = logging.getLogger(__name__)
_CONSTANTS = ("force_constants.hdf5", "FORCE_CONSTANTS")


def read(phonopy: Phonopy) -> dict[str, Any]:
    """Return the fields of ``ForceConstants`` that a ``Phonopy`` object holds, in our units."""
    if phonopy.force_constants is None:
        what = "The Phonopy object has no force constants"
        fix = "Run produce_force_constants() first, or set its force_constants"
        raise InputError(explain(what, "forces alone make no phonons", fix))
    length, constant = _units(phonopy)
    primitive = phonopy.primitive
    crystal = Crystal(
        cell=primitive.cell * length,
        scaled_positions=primitive.scaled_positions,
        numbers=primitive.numbers,
        masses=primitive.masses,
        magnetic_moments=primitive.magnetic_moments,
    )
    pairs, shifts, blocks = _expand(phonopy)
    fields = {
        "crystal": crystal,
        "pairs": pairs,
        "cell_shifts": shifts,
        "blocks": blocks * constant,
        "supercell_matrix": _whole(phonopy.supercell.cell @ np.linalg.inv(primitive.cell)),
    }
    if phonopy.nac_params is not None:
        in_use: Any = phonopy.dynamical_matrix  # symmetrised, unlike nac_params
        fields["born_charges"] = in_use.born
        fields["dielectric"] = in_use.dielectric_constant
    return fields


def load(path: Path, *, constants: Path | None = None, born: Path | None = None) -> Phonopy:
    """Read a phonopy YAML file and what it lacks from its folder.

    Parameters
    ----------
    path
        The YAML file.
    constants, born
        A file of force constants and a BORN file to be used whatever else there is.

    Raises
    ------
    InputError
        If a file is missing or damaged, or nothing gives force constants.
    """
    import phonopy

    fix = "Give a phonopy_params.yaml or phonopy.yaml, with its FORCE_CONSTANTS beside it"
    for file in filter(None, (path, constants, born)):
        if not file.is_file():
            raise InputError(explain(f"There is no file {str(file)!r}", "nothing to read", fix))
    beside = {name: path.parent / name for name in (*_CONSTANTS, "FORCE_SETS", "BORN")}
    beside = {name: file for name, file in beside.items() if file.is_file()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of phonopy's own transition to version 4
            inside = _contents(path)
            _require_source(path, inside | beside.keys() | ({"made"} if constants else set()))
            options = _sources(inside, beside)
            if born is not None:
                options |= {"born_filename": born, "is_nac": True}
            if constants is None:
                result = phonopy.load(path, **options)
            else:
                result = phonopy.load(path, **options, produce_fc=False)
                result.force_constants = _constants(constants, result)
    except InputError:
        raise
    except Exception as error:  # phonopy's readers raise whatever the damage leads to
        given = " with ".join(repr(str(file)) for file in (path, constants, born) if file)
        what = f"Cannot read {given}"
        why = f"it is damaged or not made by phonopy ({type(error).__name__}: {error})"
        raise InputError(explain(what, why, fix)) from error
    _require_source(path, {"made"} if result.force_constants is not None else set())
    logger.debug("Read %s with %s from its folder", path, list(beside))
    return result


def _require_source(path: Path, sources: set[str]) -> None:
    if not sources & {"made", "force_constants", "forces", *_CONSTANTS, "FORCE_SETS"}:
        what = f"{str(path)!r} gives no force constants"
        why = f"it holds none, and no {', '.join(_CONSTANTS)} or FORCE_SETS is in its folder"
        raise InputError(explain(what, why, "Put one there"))


def _sources(inside: set[str], beside: dict[str, Path]) -> dict[str, Any]:
    """Return the options that keep ``phonopy.load`` from files of the working folder."""
    options: dict[str, Any] = {"is_nac": "nac_params" in inside or "BORN" in beside}
    if "nac_params" not in inside and "BORN" in beside:
        options["born_filename"] = beside["BORN"]
    if not inside & {"force_constants", "forces"}:
        constants = next((beside[name] for name in _CONSTANTS if name in beside), None)
        if constants:
            options["force_constants_filename"] = constants
        elif "FORCE_SETS" in beside:
            options["force_sets_filename"] = beside["FORCE_SETS"]
    return options


def _constants(path: Path, phonopy: Phonopy) -> np.ndarray:
    """Read ``FORCE_CONSTANTS`` or ``force_constants.hdf5``, full or compact."""
    from phonopy.file_IO import parse_FORCE_CONSTANTS, read_force_constants_hdf5

    p2s = phonopy.primitive.p2s_map
    if h5py.is_hdf5(path):
        values = np.asarray(read_force_constants_hdf5(path, p2s_map=p2s))
    else:
        values = np.asarray(parse_FORCE_CONSTANTS(path, p2s_map=p2s))
    count = len(phonopy.supercell)
    if values.shape not in ((count, count, 3, 3), (len(p2s), count, 3, 3)):
        raise ValueError(f"{path.name} is for {values.shape[1]} atoms; the supercell has {count}")
    return values


def write(constants: ForceConstants) -> Phonopy:
    """Return a ``Phonopy`` object of the primitive cell and supercell with these constants.

    Raises
    ------
    InputError
        If the crystal is polar and its cell left-handed.
    """
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    crystal = constants.crystal.to("angstrom")
    if constants.born_charges is not None and np.linalg.det(crystal.cell) < 0:
        what = "Phonopy cannot take this polar crystal: its cell vectors are left-handed"
        why = "its dipole sum takes their volume as negative"
        raise InputError(explain(what, why, "Describe the crystal with two of them exchanged"))
    matrix = supercell_matrix(constants)
    unit = PhonopyAtoms(
        numbers=crystal.numbers,
        cell=crystal.cell,
        scaled_positions=crystal.scaled_positions,
        masses=crystal.masses,
    )
    result = Phonopy(
        unit,
        matrix.T,  # phonopy's columns are our rows
        primitive_matrix="P",
        is_symmetry=_charges_are_symmetric(constants),  # else phonopy would change them
    )
    result.force_constants = _compact(constants, result, matrix)
    if constants.born_charges is not None and constants.dielectric is not None:
        result.nac_params = {
            "born": constants.born_charges,
            "dielectric": constants.dielectric,
            "factor": COULOMB_EV_ANGSTROM,
            "method": "gonze",
        }
    return result


def _charges_are_symmetric(constants: ForceConstants) -> bool:
    born, dielectric = constants.born_charges, constants.dielectric
    if born is None or dielectric is None:
        return True
    cell, operations = constants.crystal.to("angstrom").cell, constants.symmetry_operations
    rotations = operations.cartesian(cell)
    mean = (rotations @ dielectric @ rotations.swapaxes(1, 2)).mean(axis=0)
    return np.allclose(mean, dielectric, atol=1e-6) and np.allclose(
        symmetrize_tensors(born, cell, operations), born, atol=1e-6
    )


def _compact(constants: ForceConstants, phonopy: Phonopy, matrix: np.ndarray) -> np.ndarray:
    """Gather pairs into phonopy's compact array, shape (n, supercell atoms, 3, 3)."""
    x = constants.crystal.scaled_positions
    cell = phonopy.supercell
    atoms = np.array([cell.u2u_map[s] for s in cell.s2u_map])
    shifts = _whole(cell.scaled_positions @ matrix - x[atoms])
    keys = [
        np.column_stack([index, supercell.wrap(s, matrix)])
        for index, s in ((atoms, shifts), (constants.pairs[:, 1], constants.cell_shifts))
    ]
    _, label = supercell.unique_rows(np.concatenate(keys))
    place = np.empty(len(atoms), dtype=int)
    place[label[: len(atoms)]] = np.arange(len(atoms))
    compact = np.zeros((len(x), len(atoms), 3, 3))
    np.add.at(compact, (constants.pairs[:, 0], place[label[len(atoms) :]]), constants.blocks)
    return compact


def supercell_matrix(constants: ForceConstants) -> np.ndarray:
    """Return the supercell of the constants, or a diagonal one in which no pair is ambiguous."""
    if constants.supercell_matrix is not None:
        return np.asarray(constants.supercell_matrix)
    crystal = constants.crystal.to("angstrom")
    i, j = constants.pairs.T
    x = crystal.scaled_positions
    vectors = (constants.cell_shifts + x[j] - x[i]) @ crystal.cell
    return supercell.enclosing_matrix(vectors, crystal.cell)


def _contents(path: Path) -> set[str]:
    """Tell which of force constants, forces and NAC parameters a YAML file holds."""
    from phonopy.interface.phonopy_yaml import PhonopyYaml

    content = PhonopyYaml()
    content.read(path)
    if content.unitcell is None and content.primitive is None and content.supercell is None:
        raise ValueError("it holds no cell")
    dataset: dict[str, Any] = dict(content.dataset or {})
    first = dataset.get("first_atoms", [])
    found = {
        "force_constants": content.force_constants is not None,
        "forces": "forces" in dataset or bool(first and "forces" in first[0]),
        "nac_params": content.nac_params is not None,
    }
    return {name for name, is_there in found.items() if is_there}


def _units(phonopy: Phonopy) -> tuple[float, float]:
    """Return Å per length and eV/Å² per force constant of the calculator phonopy was used with."""
    if phonopy.calculator is None:
        return 1.0, 1.0
    from phonopy.physical_units import get_calculator_physical_units

    theirs = get_calculator_physical_units(phonopy.calculator)
    ours = get_calculator_physical_units(None)
    return theirs.distance_to_A, (theirs.factor / ours.factor) ** 2


def _expand(phonopy: Phonopy) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Expand supercell force constants along phonopy's shortest vectors."""
    primitive, constants = phonopy.primitive, np.asarray(phonopy.force_constants)
    vectors, multiplicities = primitive.get_smallest_vectors()
    counts, starts = multiplicities[..., 0], multiplicities[..., 1]  # [supercell, primitive]
    k, i = np.nonzero(counts)
    count = counts[k, i]
    first = np.repeat(np.cumsum(count) - count, count)
    order = np.repeat(starts[k, i], count) + np.arange(count.sum()) - first
    k, i, count = np.repeat(k, count), np.repeat(i, count), np.repeat(count, count)
    j = np.array([primitive.p2p_map[s] for s in primitive.s2p_map])[k]
    x = primitive.scaled_positions
    shifts = _whole(vectors[order] - x[j] + x[i])
    row = i if len(constants) == len(primitive) else np.asarray(primitive.p2s_map)[i]
    return np.stack([i, j], axis=1), shifts, constants[row, k] / count[:, None, None]


def _whole(values: np.ndarray) -> np.ndarray:
    """Round what must be integers.

    Raises
    ------
    InputError
        If they are not: the cells of the Phonopy object do not fit each other.
    """
    rounded = np.rint(values)
    if np.abs(values - rounded).max(initial=0.0) > 0.01:
        what = "The supercell of the Phonopy object is no repetition of its primitive cell"
        fix = "Make it with phonopy, or set primitive_matrix right"
        raise InputError(explain(what, "atoms are off the lattice by 1 % or more", fix))
    return rounded.astype(int)
