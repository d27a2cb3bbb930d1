"""``scatterml screen``: vibrational properties of many structures, as a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from scatterml_ase.cli.terminal import Terminal

if TYPE_CHECKING:
    from scatterml_ase.workflows.screen import ScreenRow

_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Screen:
    """Predict heat capacities and more of many structures, from structure alone.

    Writes a table, one row per structure; structures that cannot be predicted say why.

    Parameters
    ----------
    structures
        A folder of structure files, or files.
    output
        The table: a name that ends with .csv or .json.
    temperature
        In K.
    method
        fast, or force_constants: slower, with sharper spectra, without error bars.
    """

    structures: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="STRUCTURES", help_behavior_hint="(required)")
    ]
    output: Annotated[Path, arg(aliases=["-o"])] = Path("screening.csv")
    temperature: float = 300.0
    method: Literal["fast", "force_constants"] = "fast"
    terminal: OmitArgPrefixes[Terminal] = field(default_factory=Terminal)

    def run(self) -> None:
        """Predict, write, and say how many there were."""
        from scatterml_ase.phonons.dos_predictor import PhononDOSPredictor
        from scatterml_ase.workflows.screen import screen, table_path

        table_path(self.output)  # before the work, which may be long
        table = screen(
            self.structures[0] if len(self.structures) == 1 else self.structures,
            temperature=self.temperature,
            predictor=PhononDOSPredictor(method=self.method),
            progress=not self.terminal.quiet,
        )
        table.save(self.output)
        if self.terminal.quiet:
            return
        for row in table.rows[:_SHOWN]:
            print(_line(row))
        if len(table.rows) > _SHOWN:
            print(f"… and {len(table.rows) - _SHOWN} more")
        counts = f"{len(table.rows)} structures, {len(table.failed)} of them without prediction"
        print(f"{counts}: the table is {self.output}")


def _line(row: ScreenRow) -> str:
    name = f"{Path(row.structure).name:24.24s} {row.formula:12.12s}"
    if row.heat_capacity is None:
        return f"{name} {row.remark}"
    error = "" if row.heat_capacity_error is None else f" ± {row.heat_capacity_error:.2f}"
    debye = f"θ_D {row.debye_temperature:.0f} K" if row.debye_temperature else ""
    return f"{name} C_V {row.heat_capacity:7.2f}{error} J/(K mol)  {debye}  {row.remark}".rstrip()
