"""Contracts as functions: check your own calculator, analyzer or result in your own tests.

>>> for name, atoms in structure_kinds("Cu").items():
...     check_calculator(EMT(), atoms)  # doctest: +SKIP
"""

from scatterml_ase.testing.calculators import check_calculator
from scatterml_ase.testing.results import check_analyzer, check_result
from scatterml_ase.testing.structures import structure_kinds
from scatterml_ase.testing.violation import ContractError

__all__ = [
    "ContractError",
    "check_analyzer",
    "check_calculator",
    "check_result",
    "structure_kinds",
]
