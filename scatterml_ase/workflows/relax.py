"""Relax a crystal to its minimum and keep its space group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, PropertyNotImplementedError
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS, CellAwareBFGS
from tqdm import tqdm

from scatterml_ase.errors import InputError, explain
from scatterml_ase.units import EV_PER_ANGSTROM3_TO_GPA
from scatterml_ase.workflows.calculators import make_calculator, require_results
from scatterml_ase.workflows.structures import check_atoms

# The tolerated stress (eV/Å³) for a tolerated force of 1 eV/Å: atoms are some Å apart.
_STRESS_PER_FORCE = 0.1
# In Å and as strain; the symmetry constraint linearises strains and is exact up to about 0.15.
_LONGEST_STEP = 0.1


def relax(
    atoms: Atoms,
    calculator: BaseCalculator | str | None = None,
    *,
    cell: bool = True,
    force_tolerance: float = 1e-4,
    symmetry_precision: float | None = 0.01,
    max_steps: int = 500,
    progress: bool = False,
) -> Atoms:
    """Return a relaxed copy of a structure, calculator attached.

    The space group found within ``symmetry_precision`` is kept exactly: positions and cell are
    first refined to it numerically (a CIF rounds 1/3 to 0.3333), and every step obeys it.

    Parameters
    ----------
    atoms
        Any structure. Constraints on it are obeyed, and then no symmetry is imposed.
    calculator
        An ASE calculator or a name (see :func:`~scatterml_ase.workflows.calculators.
        make_calculator`). If None, ``atoms.calc``, else the shipped potential for its elements.
    cell
        Whether the cell relaxes too. What is not periodic in all directions keeps its cell.
    force_tolerance
        Largest force left on an atom, in eV/Å; the stress left is below a tenth of it in eV/Å³
        (1e-5 eV/Å³ is 1.6 MPa).
    symmetry_precision
        Tolerance in Å for finding the space group; None keeps no symmetry.
    max_steps
        Give up after so many steps.
    progress
        Whether a progress bar is shown.

    Raises
    ------
    InputError
        If the structure cannot be computed or does not come to rest.
    """
    check_atoms(atoms)
    relaxed = atoms.copy()
    relaxed.calc = make_calculator(calculator or atoms.calc, atoms=atoms)
    require_results(relaxed)
    own_constraints = list(relaxed.constraints)
    if symmetry_precision is not None and relaxed.pbc.all() and not own_constraints:
        _keep_symmetry(relaxed, symmetry_precision)
    with_cell = cell and bool(relaxed.pbc.all())
    optimizer = _optimizer(relaxed, with_cell=with_cell)
    limits = {"fmax": force_tolerance}
    if with_cell:
        limits["smax"] = force_tolerance * _STRESS_PER_FORCE
    with tqdm(desc="relaxing", unit=" steps", disable=not progress) as bar:
        for largest in _steps(optimizer, relaxed, limits, max_steps):
            bar.set_postfix_str(f"force {largest:.1e} eV/Å", refresh=False)
            bar.update()
    if not optimizer.converged(optimizer.optimizable.get_gradient()):
        raise InputError(_not_at_rest(relaxed, force_tolerance, max_steps, with_cell=with_cell))
    relaxed.set_constraint(own_constraints)
    return relaxed


def _keep_symmetry(atoms: Atoms, precision: float) -> None:
    """Refine the structure to its space group and constrain it to that."""
    try:
        atoms.set_constraint(FixSymmetry(atoms, symprec=precision))
    except Exception as error:  # spglib's failures have changed class between versions
        raise InputError(
            explain(
                f"The space group of {atoms.symbols} cannot be found",
                f"spglib fails with symmetry_precision={precision} Å ({error})",
                "Check the structure, or pass another symmetry_precision (None keeps none)",
            )
        ) from error


def _optimizer(atoms: Atoms, *, with_cell: bool) -> Any:
    options: dict[str, Any] = {"logfile": None, "maxstep": _LONGEST_STEP}
    if not with_cell:
        return BFGS(atoms, **options)
    try:
        atoms.get_stress()
    except (PropertyNotImplementedError, NotImplementedError) as error:
        raise InputError(
            explain(
                f"{type(atoms.calc).__name__} computes no stress",
                "a cell relaxes along its stress",
                "Relax the positions only: relax(..., cell=False), give a relaxed crystal "
                "(--no-relax), or use another calculator",
            )
        ) from error
    degrees: Any = FrechetCellFilter(atoms, exp_cell_factor=1.0)
    return CellAwareBFGS(degrees, **options)


def _steps(
    optimizer: Any, atoms: Atoms, limits: dict[str, float], max_steps: int
) -> Iterator[float]:
    """Run the optimizer; yield the largest force in eV/Å after each step."""
    for name, value in limits.items():
        setattr(optimizer, name, value)
    if optimizer.converged(optimizer.optimizable.get_gradient()):
        return
    for _ in range(max_steps):
        optimizer.run(**limits, steps=1)
        yield float(np.linalg.norm(atoms.get_forces(), axis=1).max())
        if optimizer.converged(optimizer.optimizable.get_gradient()):
            return


def _not_at_rest(atoms: Atoms, force_tolerance: float, max_steps: int, *, with_cell: bool) -> str:
    force = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
    state = f"{force:.2g} eV/Å"
    if with_cell:
        stress = float(np.abs(atoms.get_stress()).max()) * EV_PER_ANGSTROM3_TO_GPA
        state += f" and {stress:.2g} GPa"
    return explain(
        f"{atoms.symbols} did not come to rest in {max_steps} steps",
        f"{state} are left, the tolerance is {force_tolerance:g} eV/Å; calculators in float32 "
        "do not get below about 1e-4, and unstable structures run far",
        "Raise max_steps or force_tolerance, or start nearer to the minimum",
    )
