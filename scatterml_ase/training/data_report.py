"""The report of the checks of training data."""

from __future__ import annotations

import logging
import textwrap
from dataclasses import dataclass
from typing import Literal

from scatterml_ase.errors import AccuracyWarning, InputError, name_species, warn
from scatterml_ase.training.consistency import Consistency

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: an error forbids training, a warning advises against it."""

    severity: Literal["error", "warning", "note"]
    check: str
    message: str


@dataclass(frozen=True)
class DataReport:
    """What the checks found; ``print(report)`` shows a table.

    Attributes
    ----------
    structures, atoms
        How many can be used.
    species
        In how many structures each species (by atomic number) occurs.
    consistency
        How energies agree with forces and stress.
    findings
        What is wrong, errors first.
    """

    structures: int
    atoms: int
    species: dict[int, int]
    consistency: Consistency
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.severity == "note" for finding in self.findings)

    @property
    def errors(self) -> list[str]:
        """Messages on what forbids training."""
        return [finding.message for finding in self.findings if finding.severity == "error"]

    def warn(self) -> None:
        """Raise the errors and give the warnings; notes go to the log.

        Raises
        ------
        InputError
            If something forbids training.
        """
        if self.errors:
            raise InputError(" ".join(self.errors))
        for finding in self.findings:
            if finding.severity == "warning":
                warn(finding.message, AccuracyWarning, stacklevel=4)
            else:
                _log.info("%s", finding.message)

    def __str__(self) -> str:
        species = ", ".join(f"{name_species([z])} in {n}" for z, n in self.species.items())
        rows = [
            f"structures     {self.structures} ({self.atoms} atoms)",
            f"species        {species or 'none'}",
            f"energy/forces  {_slope_text(self.consistency, 'forces')}",
            f"energy/stress  {_slope_text(self.consistency, 'stress')}",
        ]
        rows += [
            textwrap.fill(
                f"{finding.severity:<14} {finding.message}", 100, subsequent_indent=" " * 15
            )
            for finding in self.findings
        ]
        return "\n".join([*rows, *([] if self.findings else ["nothing is wrong"])])


def _slope_text(agreement: Consistency, name: Literal["forces", "stress"]) -> str:
    slope = getattr(agreement, name)
    if slope is None:
        return "not decided (no similar structures)"
    unit = "pairs" if slope.method == "pairs" else "structures, trial fit"
    return f"slope {slope.value:.3f} ± {slope.error:.3f} ({slope.count} {unit}); 1 is right"
