"""What the results of this folder remember."""

from __future__ import annotations

from typing import Any

from ase import Atoms

import scatterml_ase
from scatterml_ase.phonons.provenance import describe_calculator


def provenance(atoms: Atoms, **options: Any) -> dict[str, Any]:
    """Return version, formula, calculator, and the options by the name of the function."""
    return {
        "version": f"scatterml_ase {scatterml_ase.__version__}",
        "formula": atoms.get_chemical_formula(),
        "calculator": describe_calculator(atoms.calc),
        **options,
    }
