"""What the energy, forces and stress of any calculator owe to physics."""

from __future__ import annotations

import numpy as np
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress

from scatterml_ase.testing.subject import Subject, energies_of, properties_of
from scatterml_ase.testing.violation import require_close, violated

# Five-point rule: exact to fourth order, so that the step can be large enough for rounding.
_STENCIL = {-2: 1 / 12, -1: -8 / 12, 1: 8 / 12, 2: -1 / 12}
# Forces on at most this many atoms are compared one by one; all enter the random directions.
_MOST_ATOMS = 4


def check_sums(subject: Subject) -> None:
    """Energies of atoms sum to the energy; forces and torques sum to zero."""
    expected, atoms = subject.expected, subject.atoms
    if "energies" in expected:
        subject.require("energy", "sums", (expected["energy"], np.sum(expected["energies"])),
                        "the energies of the atoms sum to the energy")  # fmt: skip
    if "free_energy" in expected:
        subject.require("energy", "sums", (expected["free_energy"], expected["energy"]),
                        "without electronic smearing free energy and energy are one")  # fmt: skip
    if "forces" in expected:
        subject.require("forces", "sums", (expected["forces"].sum(axis=0), np.zeros(3)),
                        "forces sum to zero: nothing outside pushes the structure")  # fmt: skip
        if not atoms.pbc.any():
            arms = atoms.positions - atoms.positions.mean(axis=0)
            torque = np.cross(arms, expected["forces"]).sum(axis=0) / max(1.0, np.abs(arms).max())
            subject.require("forces", "sums", (torque, np.zeros(3)),
                            "nothing outside turns a molecule")  # fmt: skip


def check_translation(subject: Subject) -> None:
    """Nothing depends on where the structure is."""
    moved = subject.atoms.copy()
    moved.positions += subject.generator.uniform(-20, 20, size=3)
    subject.compare("translation", properties_of(subject.calculator, moved),
                 "moving the whole structure changes nothing")  # fmt: skip


def check_rotation(subject: Subject) -> None:
    """Energy is invariant under rotation, forces and stress follow."""
    _check_orthogonal(subject, "rotation", 1.0)


def check_reflection(subject: Subject) -> None:
    """Energy is invariant under reflection (into a left-handed cell), forces and stress follow."""
    _check_orthogonal(subject, "reflection", -1.0)


def _check_orthogonal(subject: Subject, name: str, determinant: float) -> None:
    matrix = np.linalg.qr(subject.generator.normal(size=(3, 3)))[0]
    matrix *= determinant * np.sign(np.linalg.det(matrix))
    turned = subject.atoms.copy()
    turned.positions = turned.positions @ matrix.T
    turned.cell[:] = turned.cell.array @ matrix.T
    found = properties_of(subject.calculator, turned)
    if "forces" in found:
        found["forces"] = found["forces"] @ matrix
    if "stress" in found:
        full = voigt_6_to_full_3x3_stress(found["stress"])
        found["stress"] = full_3x3_to_voigt_6_stress(matrix.T @ full @ matrix)
    why = f"energy is invariant under {name}, forces and stress follow it"
    subject.compare(name, found, why)


def check_permutation(subject: Subject) -> None:
    """Atoms may come in any order."""
    order = subject.generator.permutation(len(subject.atoms))
    found = properties_of(subject.calculator, subject.atoms[order])
    for name in {"forces", "energies"} & set(found):
        unsorted = np.empty_like(found[name])
        unsorted[order] = found[name]
        found[name] = unsorted
    subject.compare("permutation", found, "the order of atoms has no meaning")


def check_images(subject: Subject) -> None:
    """Each atom may be in any periodic image."""
    atoms = subject.atoms
    hops = subject.generator.integers(-2, 3, size=(len(atoms), 3)) * atoms.pbc
    moved = atoms.copy()
    moved.positions += hops @ atoms.cell.array
    subject.compare("images", properties_of(subject.calculator, moved),
                 "translating one atom by lattice vectors changes nothing")  # fmt: skip


def check_supercell(subject: Subject) -> None:
    """Energy is extensive."""
    if not subject.atoms.pbc.any():
        return
    repeats = np.ones(3, dtype=int)
    repeats[int(np.flatnonzero(subject.atoms.pbc)[0])] = 2
    found = properties_of(subject.calculator, subject.atoms.repeat(repeats))
    for name in {"energy", "free_energy"} & set(found):
        found[name] = found[name] / 2
    for name in {"forces", "energies"} & set(found):
        first, second = np.split(found[name], 2)
        subject.require(name, "supercell", (second, first), "both halves of it are the same")
        found[name] = first
    subject.compare("supercell", found, "twice the cell is twice the energy and nothing else")


def check_forces(subject: Subject) -> None:
    """Compare F·d with −∂E/∂d for single atoms and for random directions of all atoms."""
    if "forces" not in subject.expected:
        return
    n = len(subject.atoms)
    chosen = subject.generator.permutation(n)[:_MOST_ATOMS]
    directions = np.zeros((3 * len(chosen), n, 3))
    for k, (atom, axis) in enumerate((atom, axis) for atom in chosen for axis in range(3)):
        directions[k, atom, axis] = 1.0
    if n > len(chosen):
        random = subject.generator.normal(size=(3, n, 3))
        random /= np.linalg.norm(random, axis=(1, 2), keepdims=True)
        directions = np.concatenate([directions, random])
    images = []
    for direction in directions:
        for k in _STENCIL:
            image = subject.atoms.copy()
            image.positions += k * subject.step * direction
            images.append(image)
    slopes = _slopes(energies_of(subject.calculator, images), subject.step)
    found = np.einsum("kax,ax->k", directions, subject.expected["forces"])
    require_close("forces", f"Force along a direction from {subject.calculator!r}",
                  (found, -slopes), subject.forces,
                  "forces are minus the derivative of the energy")  # fmt: skip


def check_stress(subject: Subject) -> None:
    """Compare V σ with ∂E/∂ε for all six strains."""
    if "stress" not in subject.expected:
        return
    if subject.atoms.cell.rank < 3:
        violated("stress", f"{subject.calculator!r} gives a stress without a cell volume",
                 "stress is energy per strain and volume",
                 "Raise PropertyNotImplementedError")  # fmt: skip
    step = subject.step / 5  # moves neighbours at 5 Å by the step of the forces
    images = []
    for voigt in np.eye(6):
        strain = voigt_6_to_full_3x3_stress(voigt * [1, 1, 1, 0.5, 0.5, 0.5])
        for k in _STENCIL:
            image = subject.atoms.copy()
            image.set_cell(image.cell.array @ (np.eye(3) + k * step * strain), scale_atoms=False)
            image.positions = image.positions @ (np.eye(3) + k * step * strain)
            images.append(image)
    slopes = _slopes(energies_of(subject.calculator, images), step) / subject.atoms.get_volume()
    require_close("stress", f"Stress from {subject.calculator!r}",
                  (subject.expected["stress"], slopes), subject.stress,
                  "stress is the derivative of the energy with strain, per volume, in Voigt "
                  "order xx yy zz yz xz xy, tension positive")  # fmt: skip


def _slopes(energies: np.ndarray, step: float) -> np.ndarray:
    weights = np.array(list(_STENCIL.values()))
    return energies.reshape(-1, len(weights)) @ weights / step
