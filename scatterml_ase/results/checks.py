"""Checks of what users hand to :class:`ForceConstants`, each with a message to act on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scatterml_ase.errors import AccuracyWarning, InputError, explain, warn
from scatterml_ase.physics import sum_rules

if TYPE_CHECKING:
    from scatterml_ase.results.force_constants import ForceConstants

_ASYMMETRY = 0.01  # of the largest block


def check_q_points(q_reduced: Any) -> np.ndarray:
    """Return q-points as a float array of shape (q, 3).

    Raises
    ------
    InputError
        If the shape is wrong or a number is not finite.
    """
    q = _floats(q_reduced, "q_reduced")
    q = q[None] if q.ndim == 1 else q
    if q.ndim != 2 or q.shape[1] != 3 or len(q) == 0:
        what = f"q_reduced has shape {np.shape(q_reduced)}"
        why = "a q-point has three components, and there must be one at least"
        raise InputError(explain(what, why, "Give shape (q, 3)"))
    if not np.isfinite(q).all():
        what = f"q_reduced has {np.sum(~np.isfinite(q))} numbers that are NaN or infinite"
        raise InputError(explain(what, "no phase exists for them", "Remove those points"))
    return q


def check_directions(q_direction: Any, count: int) -> np.ndarray | None:
    """Return one direction per q-point, shape (count, 3), or None."""
    if q_direction is None:
        return None
    directions = _floats(q_direction, "q_direction")
    if directions.shape not in ((3,), (count, 3)) or not np.isfinite(directions).all():
        what = f"q_direction has shape {directions.shape} or numbers that are not finite"
        fix = f"Give shape (3,) or ({count}, 3)"
        raise InputError(explain(what, "Γ is approached from one direction per q-point", fix))
    return np.broadcast_to(directions, (count, 3))


def check_weights(weights: Any, count: int) -> np.ndarray:
    """Return weights that sum to 1, shape (count,); equal ones for None."""
    if weights is None:
        return np.full(count, 1 / count)
    values = _floats(weights, "weights")
    if values.shape != (count,) or not np.all(values >= 0) or not 0 < values.sum() < np.inf:
        what = f"weights of shape {values.shape} cannot weigh {count} q-points"
        why = "there must be one finite, non-negative weight for each, not all zero"
        raise InputError(explain(what, why, f"Give shape ({count},)"))
    return values / values.sum()


def check_mesh(mesh: int | Sequence[int]) -> tuple[int, int, int]:
    """Return three positive divisions; one number stands for three equal ones.

    Raises
    ------
    InputError
        If a division is not a positive whole number.
    """
    values = np.atleast_1d(_floats(mesh, "mesh"))
    values = np.repeat(values, 3) if values.shape == (1,) else values
    if values.shape != (3,) or not np.all(values == np.rint(values)) or np.any(values < 1):
        what = f"Mesh {mesh!r} is not three positive whole numbers"
        raise InputError(explain(what, "it divides the Brillouin zone", "Give e.g. (20, 20, 20)"))
    n1, n2, n3 = (int(v) for v in values)
    return n1, n2, n3


def check_cartesian(directions: Any) -> np.ndarray:
    """Return Cartesian directions as floats, shape (3,) or (d, 3), none of zero length."""
    values = _floats(directions, "directions")
    if values.ndim not in (1, 2) or values.shape[-1] != 3 or values.size == 0:
        what = f"directions has shape {values.shape}"
        raise InputError(explain(what, "a direction has three components", "Give shape (d, 3)"))
    length = np.linalg.norm(values, axis=-1)
    if not np.all((length > 0) & np.isfinite(length)):
        what = "A direction has no length or is not finite"
        raise InputError(explain(what, "it points nowhere", "Give e.g. (1, 0, 0)"))
    return values


def check_force_constants(constants: ForceConstants) -> None:
    """Refuse force constants from which no sensible phonons could follow.

    Raises
    ------
    InputError
        With the field that is wrong.
    """
    crystal = constants.crystal
    _require_whole("pairs", constants.pairs)
    _require_whole("cell_shifts", constants.cell_shifts)
    if constants.pairs.size and not 0 <= constants.pairs.min() <= constants.pairs.max() < len(
        crystal
    ):
        what = f"pairs name atoms {constants.pairs.min()} to {constants.pairs.max()}"
        why = f"the crystal has atoms 0 to {len(crystal) - 1}"
        raise InputError(explain(what, why, "Number the atoms of the primitive cell from 0"))
    for name in ("blocks", "born_charges", "dielectric"):
        value = getattr(constants, name)
        if value is not None and not np.isfinite(value).all():
            what = f"{name} holds numbers that are NaN or infinite"
            raise InputError(explain(what, "every phonon would be NaN", "Check where it is from"))
    if not np.all(crystal.masses > 0) or not np.isfinite(crystal.masses).all():
        what = f"The masses {np.unique(crystal.masses).tolist()} amu are not all positive"
        raise InputError(explain(what, "frequencies go as 1/√M", "Set the masses of the crystal"))
    _check_supercell(constants.supercell_matrix)
    _check_charges(constants)


def warn_of_asymmetry(constants: ForceConstants) -> None:
    """Warn if Φ_ij(S) and Φ_ji(−S)ᵀ differ by more than numerical noise."""
    largest = np.abs(constants.blocks).max(initial=0.0)
    residual = sum_rules.permutation_residual(
        constants.pairs, constants.cell_shifts, constants.blocks
    )
    if residual > _ASYMMETRY * largest:
        message = explain(
            f"Force constants Φ_ij(S) and Φ_ji(−S)ᵀ differ by up to {residual:.2g} eV/Å², "
            f"{100 * residual / largest:.0f} % of the largest",
            "second derivatives do not depend on the order, so their mean is used",
            "Converge the forces, or give each pair in both directions; .symmetrized() repairs it",
        )
        warn(message, AccuracyWarning, stacklevel=5)


def _check_supercell(matrix: np.ndarray | None) -> None:
    if matrix is None:
        return
    _require_whole("supercell_matrix", matrix)
    if abs(np.linalg.det(matrix)) < 0.5:
        what = f"supercell_matrix {np.asarray(matrix).tolist()} has determinant 0"
        raise InputError(explain(what, "its supercell has no volume", "Give independent rows"))


def _check_charges(constants: ForceConstants) -> None:
    born, dielectric = constants.born_charges, constants.dielectric
    if (born is None) != (dielectric is None):
        given, missing = ("dielectric", "born_charges") if born is None else (
            "born_charges", "dielectric")  # fmt: skip
        what = f"{given} is given without {missing}"
        why = "the long-range dipole–dipole forces take both"
        raise InputError(explain(what, why, "Give both or neither"))
    if dielectric is None:
        return
    if np.abs(dielectric - dielectric.T).max() > 1e-2 * np.abs(dielectric).max() or np.any(
        np.linalg.eigvalsh((dielectric + dielectric.T) / 2) <= 0
    ):
        what = f"dielectric {dielectric.tolist()} is not symmetric and positive"
        raise InputError(explain(what, "ε∞ screens, so it must be", "Check the tensor"))


def _require_whole(name: str, values: np.ndarray) -> None:
    if np.issubdtype(values.dtype, np.integer):
        return
    raise InputError(
        explain(f"{name} has numbers of type {values.dtype}", "it counts atoms or lattice vectors",
                "Give integers: np.rint(...).astype(int)")
    )  # fmt: skip


def _floats(values: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        what = f"{name}={values!r:.60} is no array of numbers"
        raise InputError(explain(what, str(error), "Give plain numbers")) from error
