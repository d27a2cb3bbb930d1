"""Where force constants of the main job come from: files, calculators, or the structure alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from tqdm import tqdm

from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.workflows.options import SpectrumOptions
from scatterml_ase.workflows.structures import check_crystal, read_structure

_FORCE_CONSTANTS = (".yaml", ".yml", ".nxs", ".hdf5", ".h5")


def holds_force_constants(structure: Any) -> bool:
    """Tell by its name whether a file holds force constants instead of a structure."""
    if not isinstance(structure, str | Path):
        return False
    path = Path(structure)
    return path.suffix in _FORCE_CONSTANTS or path.name == "FORCE_CONSTANTS"


def given_force_constants(source: Any) -> ForceConstants:
    """Return force constants, read if they are in a file."""
    from scatterml_ase.phonons.convert import read_force_constants

    return source if isinstance(source, ForceConstants) else read_force_constants(source)


def prepared(
    structure: Atoms | str | Path, calculator: BaseCalculator | str | None, *, progress: bool
) -> Atoms:
    """Return the checked crystal with a calculator that can compute it."""
    from scatterml_ase.workflows.calculators import make_calculator, require_results

    with tqdm(desc="setting up", total=3, unit=" steps", disable=not progress) as bar:
        if isinstance(structure, Atoms):
            check_crystal(structure)
            atoms, own = structure.copy(), structure.calc
        else:
            atoms, own = read_structure(structure), None
        bar.update()
        atoms.calc = make_calculator(calculator or own, atoms=atoms)
        bar.update()
        require_results(atoms)
        bar.update()
    return atoms


def computed_force_constants(
    atoms: Atoms, options: SpectrumOptions, *, progress: bool
) -> ForceConstants:
    """Return the force constants of atoms with a calculator, as the options say."""
    from scatterml_ase.phonons.finite_displacement import FiniteDisplacementPhonons
    from scatterml_ase.phonons.from_hessian import HessianPhonons

    kind = HessianPhonons if options.method == "hessian" else FiniteDisplacementPhonons
    analyzer = kind(
        supercell=options.supercell, minimum_length=options.minimum_length, progress=progress
    )
    return analyzer(atoms)


def predicted_force_constants(
    structure: Atoms | str | Path, calculator: BaseCalculator | str | None = None
) -> ForceConstants:
    """Return force constants predicted from the structure as it is.

    Raises
    ------
    InputError
        If a calculator is given too, or the structure cannot be used.
    """
    from scatterml_ase.phonons.force_constants_predictor import ForceConstantsPredictor

    if calculator is not None:
        what = "A calculator was given together with method='direct'"
        why = "force constants then come from the structure alone"
        raise InputError(explain(what, why, "Leave out one of the two"))
    atoms = structure if isinstance(structure, Atoms) else read_structure(structure)
    return ForceConstantsPredictor()(atoms)
