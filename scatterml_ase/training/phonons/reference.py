"""Reference phonons to learn from: DFT forces of displaced supercells, one crystal at a time.

The packed file holds, crystal after crystal, what phonopy calls a displacement dataset. Source:
the Kyoto phonon database (A. Togo, DFT-PBEsol, CC-BY 4.0).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase.data import chemical_symbols

from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.units import COULOMB_EV_ANGSTROM

SUSPICIOUS = frozenset({"mp-23907", "mp-632250", "mp-12265", "mp-12266", "mp-9245"})
"""Crystals whose forces contradict themselves: neither trained on nor judged by."""


class ReferencePhonons:
    """The crystals of a packed file of forces; indexing gives :class:`ForceConstants`.

    Parameters
    ----------
    path
        HDF5: ``mp_id`` (c,), ``offset_{atom,disp,force}`` (c + 1,), per crystal ``cell`` (3, 3) Å
        as rows, ``supercell_matrix`` and ``primitive_matrix`` (3, 3) and ``born`` (the text of a
        BORN file, "" if there is none); per atom ``numbers`` and ``frac``; per displacement
        ``disp`` (3,) Å, ``disp_atom`` and ``force_scale``; ``forces`` in eV/Å over the scale.
    """

    def __init__(self, path: str | Path) -> None:
        self.file = h5py.File(path, "r")
        self.names = [name.decode() for name in self.file["mp_id"][()]]
        self._offsets = {key: self.file[f"offset_{key}"][()] for key in ("atom", "disp", "force")}

    def __len__(self) -> int:
        return len(self.names)

    def formula(self, index: int) -> str:
        """Return the reduced formula with species by atomic number, e.g. ``"O2Si1"``."""
        return reduced_formula(self.numbers(index))

    def numbers(self, index: int) -> np.ndarray:
        """Return the atomic numbers (n,) of the unit cell."""
        return self._cut("numbers", "atom", index).astype(int)

    def force_constants(self, index: int) -> ForceConstants:
        """Return the force constants of the primitive cell, sum rules imposed.

        With Born charges and ε∞ where the source has them.
        """
        phonopy = self._phonopy(index)
        phonopy.produce_force_constants(calculate_full_force_constants=False)
        if text := self.file["born"][index].decode():
            phonopy.nac_params = _born(text, phonopy)
        source = {"source": self.names[index]}
        return ForceConstants.from_phonopy(phonopy, source).symmetrized()

    def _cut(self, name: str, kind: str, index: int) -> np.ndarray:
        start, stop = self._offsets[kind][index : index + 2]
        return self.file[name][start:stop]

    def _phonopy(self, index: int) -> Any:
        from phonopy import Phonopy
        from phonopy.structure.atoms import PhonopyAtoms

        scale = self._cut("force_scale", "disp", index)
        forces = self._cut("forces", "force", index).reshape(len(scale), -1, 3)
        cell = PhonopyAtoms(
            numbers=self.numbers(index),
            cell=self.file["cell"][index],
            scaled_positions=self._cut("frac", "atom", index),
        )
        phonopy = Phonopy(
            cell,
            supercell_matrix=self.file["supercell_matrix"][index],
            primitive_matrix=self.file["primitive_matrix"][index],
            log_level=0,
        )
        displacements = zip(
            self._cut("disp_atom", "disp", index),
            self._cut("disp", "disp", index),
            forces * scale[:, None, None],
            strict=True,
        )
        phonopy.dataset = {
            "natom": forces.shape[1],
            "first_atoms": [
                {"number": int(atom), "displacement": u, "forces": f}
                for atom, u, f in displacements
            ],
        }
        return phonopy


def reduced_formula(numbers: np.ndarray) -> str:
    """Return the reduced formula, species in the order of their atomic numbers: ``"O2Si1"``."""
    species, counts = np.unique(numbers, return_counts=True)
    counts = counts // np.gcd.reduce(counts)
    return "".join(f"{chemical_symbols[z]}{n}" for z, n in zip(species, counts, strict=True))


def reserved_formulas(path: str | Path) -> frozenset[str]:
    """Read the formulas that no training may see from a JSON file's ``validation_formulas``."""
    try:
        return frozenset(json.loads(Path(path).read_text(encoding="utf-8"))["validation_formulas"])
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        what = f"{str(path)!r} names no reserved formulas"
        why = f"it has no list 'validation_formulas' ({type(error).__name__})"
        raise InputError(
            explain(what, why, 'Give {"validation_formulas": ["O2Si1", …]}')
        ) from error


def _born(text: str, phonopy: Any) -> dict[str, Any]:
    """Read the text of a BORN file for the primitive cell of a ``Phonopy`` object."""
    from phonopy.file_IO import parse_BORN_from_strings

    parameters = parse_BORN_from_strings(text, phonopy.primitive)
    return {**parameters, "factor": COULOMB_EV_ANGSTROM, "method": "gonze"}
