"""One small structure of every kind a calculator can meet."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc111
from ase.data import atomic_numbers, covalent_radii

# Nearest-neighbour distance (Å) of the silicon-like prototypes below, before scaling.
_PROTOTYPE_BOND = 2.351


def structure_kinds(symbol: str = "Si", bond: float | None = None) -> dict[str, Atoms]:
    """Return structures of one element that have broken neighbour lists and calculators before.

    Parameters
    ----------
    symbol
        The element.
    bond
        Nearest-neighbour distance the structures are scaled to, in Å; 1.06 times twice the
        covalent radius if None.

    Returns
    -------
    dict
        Structures by the name of their kind, all without symmetry where their kind allows it.
    """
    bond = bond or 2.12 * float(covalent_radii[atomic_numbers[symbol]])
    kinds = {**_crystals(), **_low_dimensional(), **_finite()}
    for atoms in kinds.values():
        atoms.symbols = symbol
        scale = bond / _PROTOTYPE_BOND
        atoms.positions *= scale
        atoms.cell *= scale
    return kinds


def _crystals() -> dict[str, Atoms]:
    cubic = _rattled(bulk("Si", "diamond", a=5.43, cubic=True))
    hops = np.random.default_rng(5).integers(-7, 8, size=(len(cubic), 3))
    unwrapped = cubic.copy()
    unwrapped.positions += hops @ cubic.cell.array
    skewed = cubic.copy()
    skewed.set_cell(np.array([[1, 0, 0], [2, 1, 0], [-1, 3, 1]]) @ cubic.cell.array)
    triclinic = Atoms(
        "Si4",
        cell=[[4.1, 0.2, -0.3], [1.3, 4.4, 0.4], [-0.9, 1.1, 4.7]],
        scaled_positions=[[0, 0, 0], [0.52, 0.49, 0.03], [0.03, 0.48, 0.55], [0.48, 0.02, 0.51]],
        pbc=True,
    )
    left_handed = triclinic.copy()
    left_handed.set_cell(triclinic.cell.array[[1, 0, 2]])
    return {
        "crystal": cubic,
        "one atom": bulk("Si", "sc", a=2.6),
        "cell smaller than the cutoff": _rattled(bulk("Si", "diamond", a=5.43)),
        "triclinic": triclinic,
        "left-handed cell": left_handed,
        "oblique cell": skewed,
        "unwrapped positions": unwrapped,
    }


def _low_dimensional() -> dict[str, Atoms]:
    slab = _rattled(fcc111("Si", size=(2, 2, 2), a=3.6, vacuum=6.0, periodic=True))
    zero_vector = _rattled(fcc111("Si", size=(2, 2, 2), a=3.6))
    zero_vector.cell[2] = 0.0
    zero_vector.pbc = [True, True, False]
    outside = _rattled(fcc111("Si", size=(1, 2, 3), a=3.6, vacuum=1.0))
    outside.pbc = [True, True, False]
    outside.positions[:, 2] -= 5.0
    wire = Atoms(
        "Si4",
        positions=[[0, 0, 0], [1.9, 1.3, 0.2], [0.3, 1.2, 2.0], [-30.0, 9.0, 5.0]],
        cell=[[0, 0, 0], [0.4, 3.4, 0.3], [0, 0, 0]],
        pbc=[False, True, False],
    )
    return {
        "slab in a periodic cell": slab,
        "slab with a zero vector": zero_vector,
        "slab outside of its cell": outside,
        "wire": wire,
    }


def _finite() -> dict[str, Atoms]:
    positions = [[0, 0, 0], [2.3, 0.1, 0], [0.9, 2.2, 0.3], [1.0, 0.8, 2.1], [3.1, 2.0, 1.4]]
    molecule = Atoms("Si5", positions=positions)
    boxed = molecule.copy()
    boxed.cell = [3.0, 3.0, 3.0]
    alone = Atoms("Si", positions=[[1.0, -2.0, 3.0]])
    in_cell = Atoms("Si", positions=[[1.0, -2.0, 3.0]], cell=[20, 21, 22], pbc=True)
    return {
        "molecule without a cell": molecule,
        "molecule outside of its box": boxed,
        "isolated atom": alone,
        "isolated atom in a periodic cell": in_cell,
    }


def _rattled(atoms: Atoms) -> Atoms:
    atoms.rattle(0.05, seed=1)
    return atoms
