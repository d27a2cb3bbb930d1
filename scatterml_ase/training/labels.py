"""One structure and its labels: energy, forces and stress wherever a file keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from scatterml_ase.errors import InputError, explain
from scatterml_ase.training.config import DataConfig

_VOIGT = {"xx": (0, 0), "yy": (1, 1), "zz": (2, 2), "yz": (1, 2), "xz": (0, 2), "xy": (0, 1)}


@dataclass(frozen=True)
class Hints:
    """What a file tells beside the labels, for the checks of the data.

    Attributes
    ----------
    frozen
        How many atoms are held by a constraint and have a force of exactly zero.
    free_energy
        Energy in eV of which the forces are the derivative, if the file has it beside the energy.
    magnetic
        Whether there are magnetic moments, which no model here knows of.
    """

    frozen: int = 0
    free_energy: float | None = None
    magnetic: bool = False


@dataclass(frozen=True)
class Frame:
    """One labelled structure.

    Attributes
    ----------
    atoms
        Structure without its calculator; ``info`` as read.
    energy
        Total energy in eV.
    forces
        (atoms, 3), eV/Å.
    stress
        (3, 3), eV/Å³, tension positive; zero where not known.
    stress_mask
        (3, 3), True where the stress is known and to be trusted.
    group
        Group for the metrics, "" if it has none.
    origin
        Where it came from, for messages ("si.extxyz, structure 12").
    hints
        What else was found beside the labels.
    """

    atoms: Atoms
    energy: float
    forces: np.ndarray
    stress: np.ndarray
    stress_mask: np.ndarray
    group: str
    origin: str
    hints: Hints = Hints()

    @property
    def file(self) -> str:
        """The file it came from, "" if from none."""
        return self.origin.rpartition(", structure")[0]


def label_frame(atoms: Atoms, config: DataConfig, *, origin: str = "structure") -> Frame:
    """Collect the labels of one structure and check them.

    Raises
    ------
    InputError
        If a label is missing, has a wrong shape, or is not finite, or the structure is broken.
    """
    require_components(config)
    if len(atoms) == 0:
        raise fault(origin, "has no atoms", "nothing to learn from", "Remove it")
    _require_finite(origin, "positions", atoms.positions)
    _require_finite(origin, "cell", atoms.cell.array)
    if not atoms.numbers.all():
        what = f"has {int((atoms.numbers == 0).sum())} atoms of no species (X)"
        raise fault(origin, what, "dummies have no energy", "Remove these atoms, or name them")
    endless = atoms.pbc & ~atoms.cell.any(1)  # periodic without a cell vector
    if endless.any() or (atoms.pbc.all() and atoms.cell.volume < 1e-6):
        raise fault(origin, "is periodic in a cell without volume", "no images", "Set its cell")
    energy = _numbers(atoms, config.energy, origin)
    if energy.size != 1:
        what = f"has an energy of shape {energy.shape} under {config.energy!r}"
        raise fault(origin, what, "one total energy (eV) is needed", "Name the right key")
    forces = _numbers(atoms, config.forces, origin)
    if forces.shape != (len(atoms), 3):
        what = f"has forces of shape {forces.shape} under {config.forces!r}"
        raise fault(origin, what, f"({len(atoms)}, 3) is needed", "Name the right key")
    _require_finite(origin, "energy", energy)
    _require_finite(origin, "forces", forces)
    group = str(atoms.info.get(config.group, ""))
    stress, mask = _stress(atoms, config, group, origin)
    hints = _hints(atoms, config, forces)
    bare = atoms.copy()  # leaves the calculator behind
    bare.constraints = []
    return Frame(bare, energy.item(), forces, stress, mask, group, origin, hints)


def require_components(config: DataConfig) -> None:
    """Refuse names in ``ignore_stress`` that are no components of the stress.

    Raises
    ------
    InputError
        Naming the first such name.
    """
    for group, names in config.ignore_stress.items():
        for name in names:
            if name != "all" and name not in _VOIGT:
                raise InputError(
                    explain(
                        f"ignore_stress of group {group!r} names {name!r}",
                        "that is no component of the stress",
                        f"Use {', '.join(_VOIGT)} or all",
                    )
                )


def fault(origin: str, what: str, why: str, fix: str) -> InputError:
    """Return the error that names a structure and what is wrong with it."""
    return InputError(explain(f"{origin} {what}", why, fix))


def _label(atoms: Atoms, key: str, origin: str, *, required: bool) -> Any:
    """Find a label in ``info``, ``arrays`` or, where ASE has moved it, the attached results."""
    for place in (atoms.info, atoms.arrays):
        if key in place:
            return place[key]
    results = getattr(atoms.calc, "results", {})
    if key in results:
        return results[key]
    if not required:
        return None
    here = sorted({*atoms.info, *atoms.arrays, *results} - {"numbers", "positions"})
    raise fault(
        origin,
        f"has no {key!r}",
        f"it has {', '.join(map(repr, here)) or 'no labels at all'}",
        "Name the right key in [data], or remove the structure",
    )


def _numbers(atoms: Atoms, key: str, origin: str) -> np.ndarray:
    """Return a label that must be there as an array of numbers."""
    return _as_numbers(_label(atoms, key, origin, required=True), key, origin)


def _as_numbers(value: Any, key: str, origin: str) -> np.ndarray:
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        what = f"has {str(value)[:40]!r} under {key!r}"
        raise fault(origin, what, "these are no numbers", "Name the right key") from error


def _stress(
    atoms: Atoms, config: DataConfig, group: str, origin: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return stress (3, 3) and mask (3, 3); without label or volume nothing is known."""
    value = _label(atoms, config.stress, origin, required=False) if config.stress else None
    if value is None or not all(atoms.pbc):
        return np.zeros((3, 3)), np.zeros((3, 3), dtype=bool)
    stress = _as_numbers(value, config.stress, origin)
    if stress.shape == (6,):
        xx, yy, zz, yz, xz, xy = stress
        stress = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    elif stress.size == 9:
        stress = stress.reshape(3, 3)
    else:
        what = f"has a stress of shape {stress.shape} under {config.stress!r}"
        raise fault(origin, what, "(6,) Voigt or (3, 3) is needed", "Name the right key")
    mask = np.ones((3, 3), dtype=bool)
    for name in config.ignore_stress.get(group, ()):
        for i, j in _VOIGT.values() if name == "all" else [_VOIGT[name]]:
            mask[i, j] = mask[j, i] = False
    _require_finite(origin, "stress", stress[mask])
    return np.where(mask, stress, 0.0), mask


def _hints(atoms: Atoms, config: DataConfig, forces: np.ndarray) -> Hints:
    """Look for what explains labels that are fine one by one and wrong together."""
    held: set[int] = set()
    for constraint in atoms.constraints:
        if hasattr(constraint, "get_indices"):
            held.update(int(index) for index in constraint.get_indices())
    frozen = sum(1 for index in held if not forces[index].any()) if forces.any() else 0
    free = _label(atoms, "free_energy", "", required=False) if config.energy == "energy" else None
    energy = None if free is None or np.size(free) != 1 else float(np.asarray(free).item())
    results = getattr(atoms.calc, "results", {})
    moments = [results.get("magmoms"), *map(atoms.arrays.get, ("magmoms", "initial_magmoms"))]
    magnetic = any(m is not None and np.abs(np.asarray(m)).max(initial=0) > 0.1 for m in moments)
    return Hints(frozen, energy if energy is None or np.isfinite(energy) else None, magnetic)


def _require_finite(origin: str, name: str, values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        what = f"has {count} values in its {name} that are not finite"
        raise fault(origin, what, "NaN or infinity cannot be learned", "Remove the structure")
