"""A small packed file of forces, made with EMT, in place of the reference data."""

import json

import h5py
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from scatterml_ase import FiniteDisplacementPhonons, relax

CRYSTALS = {
    f"mp-{number}": bulk(symbol, cubic=True)
    for number, symbol in enumerate(("Cu", "Al", "Ni", "Pd", "Ag", "Au"), start=1)
}
CRYSTALS["mp-7"] = bulk("AgAu", "cesiumchloride", a=3.3)
RESERVED = "Ag1"


@pytest.fixture(scope="session")
def phonopies():
    """Make a phonopy object with displacements and forces for each crystal."""
    analyzer = FiniteDisplacementPhonons(supercell=(2, 2, 2), symmetrize=False)
    found = {}
    for name, atoms in CRYSTALS.items():
        found[name] = analyzer.phonopy(relax(atoms, EMT()))
    return found


@pytest.fixture(scope="session")
def reference(phonopies, tmp_path_factory):
    """Write the packed file and the file of reserved formulas."""
    folder = tmp_path_factory.mktemp("reference")
    _pack(folder / "phonons.h5", phonopies)
    text = json.dumps({"validation_formulas": [RESERVED]})
    (folder / "splits.json").write_text(text, encoding="utf-8")
    return folder


def _pack(path, phonopies):
    columns = {key: [] for key in ("numbers", "frac", "disp", "disp_atom", "force_scale", "forces")}
    cells = {key: [] for key in ("cell", "supercell_matrix", "primitive_matrix")}
    offsets = {"atom": [0], "disp": [0], "force": [0]}
    for phonopy in phonopies.values():
        first = phonopy.dataset["first_atoms"]
        scales = [np.abs(one["forces"]).max() for one in first]
        columns["numbers"].append(phonopy.unitcell.numbers)
        columns["frac"].append(phonopy.unitcell.scaled_positions)
        columns["disp"].append([one["displacement"] for one in first])
        columns["disp_atom"].append([one["number"] for one in first])
        columns["force_scale"].append(scales)
        columns["forces"] += [
            one["forces"] / scale for one, scale in zip(first, scales, strict=True)
        ]
        cells["cell"].append(phonopy.unitcell.cell)
        cells["supercell_matrix"].append(phonopy.supercell_matrix)
        cells["primitive_matrix"].append(phonopy.primitive_matrix)
        offsets["atom"].append(offsets["atom"][-1] + len(phonopy.unitcell))
        offsets["disp"].append(offsets["disp"][-1] + len(first))
        offsets["force"].append(offsets["force"][-1] + len(first) * len(phonopy.supercell))
    with h5py.File(path, "w") as file:
        file["mp_id"] = [name.encode() for name in phonopies]
        file["born"] = [b""] * len(phonopies)
        for key, values in columns.items():
            file[key] = np.concatenate(values)
        for key, values in cells.items():
            file[key] = np.array(values)
        for key, values in offsets.items():
            file[f"offset_{key}"] = values
