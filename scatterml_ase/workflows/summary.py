"""What a spectrum says in numbers: the summary a user reads first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.spacegroup.symmetrize import check_symmetry

import scatterml_ase
from scatterml_ase.phonons.provenance import describe_calculator
from scatterml_ase.units import EV_PER_ANGSTROM3_TO_GPA

if TYPE_CHECKING:
    from scatterml_ase.results.force_constants import ForceConstants
    from scatterml_ase.results.modes import PhononModes
    from scatterml_ase.results.sqw import SqwMap
    from scatterml_ase.results.thermal import ThermalProperties

# A mode below this (meV) is an instability; above it, rounding and Fourier interpolation.
IMAGINARY = -0.1
_ADVICE = (
    "First make sure it is real: a larger supercell (minimum_length), a tighter relaxation. If it "
    "stays, the crystal lowers its energy by moving along the mode: displace it along the mode in "
    "a supercell that fits q and relax that with symmetry_precision=None. Phases that only "
    "temperature stabilises have no harmonic phonons."
)


def describe_structure(atoms: Atoms) -> dict[str, Any]:
    """Return formula, cell (Å, degrees, Å³) and space group of a crystal."""
    names = ("a", "b", "c", "alpha", "beta", "gamma")
    parameters = [round(float(x), 6) for x in atoms.cell.cellpar()]
    group = check_symmetry(atoms, symprec=1e-4)
    conventional = np.linalg.norm(group.std_lattice, axis=1)
    return {
        "formula": atoms.get_chemical_formula(empirical=True),
        "atoms": len(atoms),
        "space_group": f"{group.international} ({group.number})",
        "cell": dict(zip(names, parameters, strict=True)),
        "conventional_lengths": [round(float(x), 6) for x in conventional],
        "volume": float(atoms.get_volume()),
    }


def describe_energy(atoms: Atoms) -> dict[str, Any]:
    """Return energy per atom (eV), largest force (eV/Å), stress (GPa, Voigt) and calculator."""
    result: dict[str, Any] = {
        "energy_per_atom": float(atoms.get_potential_energy()) / len(atoms),
        "largest_force": float(np.linalg.norm(atoms.get_forces(), axis=1).max()),
        "calculator": describe_calculator(atoms.calc),
    }
    try:
        result["stress"] = (atoms.get_stress() * EV_PER_ANGSTROM3_TO_GPA).tolist()
    except (PropertyNotImplementedError, NotImplementedError):
        result["stress"] = None
    return result


def describe_stability(modes: PhononModes) -> dict[str, Any]:
    """Return lowest and highest frequency (meV) on a mesh, where the lowest is, and a verdict."""
    frequencies = np.array(modes.to("meV").frequencies)
    highest = float(frequencies.max())
    for k in np.flatnonzero(~modes.q_reduced.any(axis=1)):  # translations are no vibrations
        frequencies[k, np.argsort(np.abs(frequencies[k]))[:3]] = np.inf
    k, _ = np.unravel_index(np.argmin(frequencies), frequencies.shape)
    lowest = float(frequencies.min())
    where = [round(float(x), 4) for x in modes.q_reduced[k]]
    stable = lowest > IMAGINARY
    verdict = (
        "stable: no imaginary mode on the mesh"
        if stable
        else f"unstable: imaginary modes, the lowest at {lowest:.2f} meV, q = {where}. {_ADVICE}"
    )
    return {
        "stable": stable,
        "verdict": verdict,
        "lowest_frequency": lowest,
        "lowest_at": where,
        "highest_frequency": highest,
        "mesh": list(modes.mesh) if modes.mesh is not None else None,
    }


def describe_thermal(thermal: ThermalProperties) -> dict[str, Any]:
    """Return thermal properties per mole of formula units, one entry per temperature.

    Heat capacity and entropy in J/(K mol), free energy in kJ/mol, ⟨u²⟩ = tr U per species in Å²
    (three-dimensional; a third of it along a direction in a cubic crystal).
    """
    per_mole = thermal.per("formula_unit")
    displacements: dict[str, list[float]] = {}
    if thermal.displacement_tensors is not None:
        total = np.trace(thermal.displacement_tensors, axis1=2, axis2=3)  # [temperature, atom]
        symbols = np.array(thermal.crystal.symbols)
        for symbol in dict.fromkeys(symbols.tolist()):
            displacements[symbol] = total[:, symbols == symbol].mean(axis=1).tolist()
    return {
        "temperatures": per_mole.temperatures.tolist(),
        "heat_capacity": per_mole.heat_capacity.tolist(),
        "entropy": per_mole.entropy.tolist(),
        "free_energy": per_mole.free_energy.tolist(),
        "zero_point_energy": per_mole.zero_point_energy,
        "mean_square_displacement": displacements,
        "debye_temperature": thermal.debye_temperature,
        "per": "mole of formula units",
    }


def describe_sound(force_constants: ForceConstants, directions: Mapping[str, Any]) -> dict:
    """Return the three sound velocities (m/s, ascending) along each named direction."""
    velocities = force_constants.sound_velocities(np.array(list(directions.values())))
    return {name: row.tolist() for name, row in zip(directions, velocities, strict=True)}


def supercell_atoms(force_constants: ForceConstants) -> int | None:
    """Return how many atoms the supercell of force constants has; None if there is none."""
    matrix = force_constants.supercell_matrix
    if matrix is None or "ForceConstantsPredictor" in force_constants.provenance:
        return None
    return round(abs(np.linalg.det(matrix))) * len(force_constants.crystal)


def describe_magnetism(maps: Sequence[SqwMap]) -> dict[str, str]:
    """Return what is told of magnetic scattering; nothing where nothing is magnetic."""
    told = [sqw.provenance["magnetism"] for sqw in maps if "magnetism" in sqw.provenance]
    return {"magnetism": told[0]} if told else {}


def sound_directions(atoms: Atoms) -> dict[str, np.ndarray]:
    """Return the distinct main directions of the conventional cell, Cartesian, by name."""
    group = check_symmetry(atoms, symprec=1e-4)
    conventional = np.linalg.inv(group.transformation_matrix).T @ atoms.cell.array
    a, b, c = conventional
    if group.number >= 195:  # cubic
        return {"[100]": a, "[110]": a + b, "[111]": a + b + c}
    if group.number >= 75:  # tetragonal, trigonal, hexagonal
        return {"[100]": a, "[001]": c}
    return {"[100]": a, "[010]": b, "[001]": c}


def provenance() -> dict[str, str]:
    """Return the version that made a summary."""
    return {"version": f"scatterml_ase {scatterml_ase.__version__}"}


UNITS = {
    "cell": "angstrom, degree",
    "volume": "angstrom^3",
    "energy_per_atom": "eV",
    "largest_force": "eV/angstrom",
    "stress": "GPa (xx yy zz yz xz xy, tension positive)",
    "lowest_frequency": "meV",
    "acoustic_residual": "meV",
    "heat_capacity": "J/(K mol)",
    "entropy": "J/(K mol)",
    "free_energy": "kJ/mol",
    "mean_square_displacement": "angstrom^2 (three-dimensional)",
    "debye_temperature": "K",
    "sound_velocities": "m/s (ascending: two transverse, longitudinal)",
    "wall_time": "s",
}
"""The units of the numbers in a summary."""
