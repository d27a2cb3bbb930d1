"""What the species of a model contribute to its energy: free atoms, and binding on average."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from scatterml_ase.errors import AccuracyWarning, InputError, explain, name_species, warn
from scatterml_ase.graph import neighbours
from scatterml_ase.training.data import Frame, reference_energies

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SpeciesEnergies:
    """Energies in eV of each species, in the order of the model's species.

    Attributes
    ----------
    reference
        Of the free atom.
    binding
        Mean energy of an atom in a crystal or molecule, relative to the free atom.
    """

    reference: tuple[float, ...]
    binding: tuple[float, ...]


def free_atoms(
    frames: Sequence[Frame], given: Mapping[str, float], *, species: Sequence[int], cutoff: float
) -> dict[int, float]:
    """Return the energies of free atoms (eV) that are known, by atomic number.

    Those given by symbol count; else those of structures with one atom that has no neighbour
    within the cutoff (Å).

    Raises
    ------
    InputError
        If a name is no symbol of a species of the model.
    """
    known: dict[int, float] = {}
    for symbol, energy in given.items():
        if atomic_numbers.get(symbol) not in species:
            raise InputError(
                explain(
                    f"model.reference_energies names {symbol!r}",
                    f"the species of the model are {name_species(species)}",
                    "Correct the symbol, or remove the line",
                )
            )
        known[atomic_numbers[symbol]] = energy
    for frame in frames:
        if not is_free_atom(frame, cutoff):
            continue
        number = int(frame.atoms.numbers[0])
        energy = known.setdefault(number, frame.energy)
        if abs(energy - frame.energy) > 1e-3:
            symbol = chemical_symbols[number]
            warn(
                explain(
                    f"The free atom {symbol} has {energy:.4f} eV by model.reference_energies or "
                    f"an earlier structure, but {frame.energy:.4f} eV in {frame.origin}",
                    "a potential can give one of them only",
                    f"The former is used; keep one level of theory and one spin state of {symbol}",
                ),
                AccuracyWarning,
            )
    return known


def is_free_atom(frame: Frame, cutoff: float) -> bool:
    """Return whether a structure is one atom without neighbours within the cutoff (Å)."""
    return len(frame.atoms) == 1 and not len(neighbours(frame.atoms, cutoff)[0])


def fit_energies(
    frames: Sequence[Frame], species: Sequence[int], free: Mapping[int, float]
) -> SpeciesEnergies:
    """Fit the mean energy of each species by least squares, and divide it up.

    Parameters
    ----------
    frames
        Labelled structures other than free atoms.
    species
        Sorted atomic numbers.
    free
        Energies of free atoms (eV) by atomic number; zero where not known.
    """
    mean = _regression(frames, species)
    reference = tuple(free.get(z, 0.0) for z in species)
    binding = (mean[z] - e if z in mean else 0.0 for z, e in zip(species, reference, strict=True))
    return SpeciesEnergies(reference, tuple(binding))


def shift_energies(
    frames: Sequence[Frame],
    predicted: Sequence[float],
    energies: SpeciesEnergies,
    *,
    species: Sequence[int],
    known: Sequence[int],
    free: Mapping[int, float],
) -> SpeciesEnergies:
    """Bring a model's energies to the level of theory of other data.

    The mean error is fitted by least squares, as one energy per species. That of a species whose
    free atom is not known goes into the energy of the free atom, a constant, so that no force
    changes; otherwise, and for species new to the model, into the binding energy.

    Parameters
    ----------
    frames
        Labelled structures other than free atoms.
    predicted
        Total energies (eV) of the model as it is.
    energies
        Of the model as it is.
    species, known
        Atomic numbers of the model, and those it knew before.
    free
        Energies of free atoms (eV) by atomic number, as far as they are known.
    """
    errors = [
        replace(frame, energy=frame.energy - energy)
        for frame, energy in zip(frames, predicted, strict=True)
    ]
    shifts = _regression(errors, species)
    _log.info(
        "energies of the start shifted by %s eV/atom to the level of the data",
        ", ".join(f"{chemical_symbols[z]} {shift:+.4f}" for z, shift in shifts.items()),
    )
    reference, binding = [], []
    for number, atom, bound in zip(species, energies.reference, energies.binding, strict=True):
        shift = shifts.get(number, 0.0)
        new_atom, new_bound = atom, bound
        if number in free:
            new_atom = free[number]
            new_bound += atom + shift - new_atom if number in shifts else 0.0
        elif number in known:
            new_atom += shift
        else:
            new_bound += shift
        reference.append(new_atom)
        binding.append(new_bound)
    return SpeciesEnergies(tuple(reference), tuple(binding))


def _regression(frames: Sequence[Frame], species: Sequence[int]) -> dict[int, float]:
    """Fit the energy per atom (eV) of each species that occurs."""
    if not frames:
        return {}
    counts = np.array([[np.sum(f.atoms.numbers == z) for z in species] for f in frames])
    present = [z for z, column in zip(species, counts.T, strict=True) if column.any()]
    if np.linalg.matrix_rank(counts) < len(present):
        _log.info(
            "the compositions do not tell the energies of %s apart: they are shared out",
            name_species(present),
        )
    fitted = zip(species, reference_energies(frames, species), strict=True)
    return {z: energy for z, energy in fitted if z in present}
