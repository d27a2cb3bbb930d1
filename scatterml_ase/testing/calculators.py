"""What every ASE calculator owes its users, as one function."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from ase import Atoms

from scatterml_ase.errors import InputError, explain
from scatterml_ase.graph import check_structure
from scatterml_ase.protocols import SupportsEvaluate
from scatterml_ase.testing import calculator_physics as physics
from scatterml_ase.testing.subject import Subject, attached, properties_of
from scatterml_ase.testing.violation import violated

_SHAPES: dict[str, Callable[[int], tuple[int, ...]]] = {
    "energy": lambda n: (),
    "free_energy": lambda n: (),
    "energies": lambda n: (n,),
    "forces": lambda n: (n, 3),
    "stress": lambda n: (6,),
}


def check_calculator(
    calculator: Any,
    atoms: Atoms,
    *,
    forces: float = 1e-6,
    stress: float = 1e-7,
    symmetry: float = 1e-8,
    step: float = 1e-3,
    skip: Collection[str] = (),
) -> None:
    """Check that a calculator keeps ASE's contract and physics on a structure.

    Any ASE calculator can be checked; what it does not implement is passed over. The defaults
    are for float64; a float32 model needs about ``forces=1e-2, stress=1e-3, symmetry=1e-4,
    step=1e-2``.

    Parameters
    ----------
    calculator
        The calculator.
    atoms
        The structure; it is not changed.
    forces
        Largest allowed difference of forces from finite differences of the energy, eV/Å.
    stress
        The same for stress, eV/Å³.
    symmetry
        Largest allowed difference, relative to the largest value (or to 1), where numbers must be
        equal: after rotation, reflection, permutation, translation by lattice vectors and so on.
    step
        Step of the finite differences in Å; strains are a fifth of the number.
    skip
        Names of checks left out, of those in ``CALCULATOR_CHECKS``.

    Raises
    ------
    ContractError
        If a property fails; the message names it.
    InputError
        If ``skip`` names no check, or calculator or structure are none.
    """
    unknown = set(skip) - set(CALCULATOR_CHECKS)
    if unknown:
        raise InputError(
            explain(
                f"There is no check {sorted(unknown)}",
                "skip takes names of checks",
                f"Use some of {', '.join(CALCULATOR_CHECKS)}",
            )
        )
    check_structure(atoms)
    if isinstance(calculator, type) or not hasattr(calculator, "get_property"):
        what = f"{calculator!r} is no ASE calculator"
        fix = "Pass an instance, such as EMT() or PotentialCalculator('si')"
        raise InputError(explain(what, "atoms.calc needs its get_property()", fix))
    revived = _revived(calculator)
    expected = properties_of(calculator, atoms)
    generator = np.random.default_rng(7)
    subject = Subject(
        calculator, atoms, expected, forces, stress, symmetry, step, generator, revived
    )
    for name, check in CALCULATOR_CHECKS.items():
        if name not in skip:
            check(subject)


# -- form ---------------------------------------------------------------------------------------


def _check_shapes(subject: Subject) -> None:
    expected = subject.expected
    if "energy" not in expected:
        violated("shapes", f"{subject.calculator!r} gives no energy", "every calculator has one",
                 "Implement 'energy'")  # fmt: skip
    for name, value in expected.items():
        shape = _SHAPES[name](len(subject.atoms))
        array = np.asarray(value)
        if array.shape != shape or array.dtype.kind != "f":
            violated(
                "shapes",
                f"{name} is {array.dtype} of shape {array.shape}",
                f"ASE users expect floating-point numbers of shape {shape}",
                "Convert it at the border of the calculator",
            )
        if not np.isfinite(array).all():
            violated("shapes", f"{name} holds NaN or infinity", "no user can go on with that",
                     "Raise an error that says why there is no number")  # fmt: skip


def _check_untouched(subject: Subject) -> None:
    atoms = attached(subject.atoms, subject.calculator)
    atoms.info["note"] = "mine"
    atoms.rattle(1e-3, seed=5)  # so that nothing comes from a cache
    before = atoms.copy()
    atoms.get_potential_energy()
    if isinstance(subject.calculator, SupportsEvaluate):
        subject.calculator.evaluate([atoms])
    if (
        atoms != before
        or atoms.info != before.info
        or set(atoms.arrays) != set(before.arrays)
        or atoms.calc is not subject.calculator
    ):
        violated("untouched", "The structure was changed by its calculator",
                 "calculators only read structures", "Work on atoms.copy()")  # fmt: skip


def _check_cache(subject: Subject) -> None:
    """Results follow the structure, and are not changed through what a user was given."""
    if "forces" not in subject.expected:
        return
    atoms = attached(subject.atoms, subject.calculator)
    atoms.get_forces()[:] = np.nan
    why = "arrays handed out are the user's own, and results belong to the present positions"
    subject.require("forces", "cache", (atoms.get_forces(), subject.expected["forces"]), why)
    atoms.rattle(0.03, seed=3)
    twin = copy.deepcopy(subject.calculator)
    if hasattr(twin, "reset"):
        twin.reset()
    fresh = properties_of(twin, atoms)
    subject.require("forces", "cache", (atoms.get_forces(), fresh["forces"]), why)
    atoms.positions = subject.atoms.positions
    subject.require("forces", "cache", (atoms.get_forces(), subject.expected["forces"]), why)


def _revived(calculator: Any) -> Any:
    """Send the calculator through pickle as it was given, not yet used by the checks."""
    try:
        return pickle.loads(pickle.dumps(calculator))
    except Exception as error:  # whatever it is, the check reports it
        return error


def _check_pickle(subject: Subject) -> None:
    if isinstance(subject.revived, Exception):
        violated("pickle", f"{subject.calculator!r} cannot be pickled ({subject.revived})",
                 "multiprocessing sends calculators to workers",
                 "Hold plain values and modules only")  # fmt: skip
    subject.compare("pickle", properties_of(subject.revived, subject.atoms),
                 "a calculator in another process is the same calculator")  # fmt: skip


def _check_batch(subject: Subject) -> None:
    calculator, atoms = subject.calculator, subject.atoms
    if not isinstance(calculator, SupportsEvaluate):
        return
    moved = atoms.copy()
    moved.rattle(0.05, seed=2)
    first, second, third = calculator.evaluate([atoms, moved, atoms])
    why = "what else is in the batch does not matter to a structure"
    subject.compare("batch", first, why)
    subject.compare("batch", third, why)
    alone = calculator.evaluate([moved])[0]
    for name, value in alone.items():
        subject.require(name, "batch", (second[name], value), why)


CALCULATOR_CHECKS: dict[str, Callable[[Subject], None]] = {
    "shapes": _check_shapes,
    "untouched": _check_untouched,
    "cache": _check_cache,
    "pickle": _check_pickle,
    "batch": _check_batch,
    "sums": physics.check_sums,
    "translation": physics.check_translation,
    "rotation": physics.check_rotation,
    "reflection": physics.check_reflection,
    "permutation": physics.check_permutation,
    "images": physics.check_images,
    "supercell": physics.check_supercell,
    "forces": physics.check_forces,
    "stress": physics.check_stress,
}
"""The checks by name, in their order."""
