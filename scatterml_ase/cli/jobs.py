"""From a structure or a potential to physics: ``spectrum`` and ``report``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, arg

from scatterml_ase.cli.terminal import Terminal, folder_stem
from scatterml_ase.errors import InputError, explain
from scatterml_ase.workflows.options import SpectrumOptions
from scatterml_ase.workflows.report_options import ReportOptions

if TYPE_CHECKING:
    from scatterml_ase.results.force_constants import ForceConstants


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """From a structure to its phonons and to what a neutron spectrometer sees.

    Writes a picture, one NeXus file per result and a summary into a folder.

    Parameters
    ----------
    structure
        A structure file (CIF, POSCAR, extxyz, ...), an element ("Si"), a crystal written
        formula:prototype:a ("NaCl:rocksalt:5.64"), or force constants (phonopy_params.yaml,
        FORCE_CONSTANTS or force_constants.hdf5 with phonopy.yaml beside it, or a file of ours).
    calculator
        The name of a shipped model, model:FOLDER, chgnet, mace, nequip:FILE, m3gnet, emt, or
        package.module:factory. By default the shipped potential that covers the structure with
        the fewest species.
    born
        With force constants of phonopy: a BORN file, in place of what else gives Born charges.
    direct
        Predict force constants from the structure alone, in seconds: no calculator, no relaxation.
        The same as --method direct.
    output
        The folder for the results; by default named after the structure.
    """

    structure: Annotated[Positional[str], arg(metavar="STRUCTURE")]
    calculator: Annotated[str | None, arg(aliases=["-c"])] = None
    born: Path | None = None
    direct: Annotated[bool, FlagCreatePairsOff] = False
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    physics: OmitArgPrefixes[SpectrumOptions] = field(default_factory=SpectrumOptions)
    terminal: OmitArgPrefixes[Terminal] = field(default_factory=Terminal)

    def run(self) -> None:
        """Run the main job and tell what it found."""
        from scatterml_ase.phonons.convert import read_force_constants
        from scatterml_ase.workflows.spectrum import spectrum
        from scatterml_ase.workflows.table import summary_table

        physics = self._physics()
        given: str | ForceConstants = self.structure
        if self.born is not None:
            given = read_force_constants(self.structure, born=self.born)
        folder = self.output or Path(f"{folder_stem(self.structure)}_spectrum")
        with _results_folder(folder):
            progress = not self.terminal.quiet
            result = spectrum(given, self.calculator, physics, progress=progress)
            logging.getLogger("scatterml_ase.cli").info("drawing and writing …")
            result.save(folder, progress=not self.terminal.quiet)
        if not self.terminal.quiet:
            print(f"\n{summary_table(result.summary)}\n")
            print(f"Results are in {folder}/ (spectrum.png, spectrum.pdf, summary.json, *.nxs)")

    def _physics(self) -> SpectrumOptions:
        if self.direct and self.physics.method == "hessian":
            what = "--direct was given together with --method hessian"
            why = "force constants are predicted or computed, not both"
            raise InputError(explain(what, why, "Leave out one of the two"))
        return replace(self.physics, method="direct") if self.direct else self.physics


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a potential says of an element, beside DFT and experiment.

    Lattice and elastic constants, E(V), phonons, vacancy and surface energies and, from molecular
    dynamics, thermal expansion and the melt. Writes a picture, a table (csv, md, json) and the
    results into a folder.

    Parameters
    ----------
    calculator
        The name of a shipped model, model:FOLDER, chgnet, mace, nequip:FILE, m3gnet, emt, or
        package.module:factory.
    element
        A symbol, needed where the calculator knows several.
    structure
        A structure of the element; by default its ground state as ASE knows it.
    output
        The folder for the results; by default named after model and element.
    """

    calculator: Annotated[Positional[str], arg(metavar="MODEL")]
    element: Annotated[str | None, arg(aliases=["-e"])] = None
    structure: str | None = None
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    physics: OmitArgPrefixes[ReportOptions] = field(default_factory=ReportOptions)
    terminal: OmitArgPrefixes[Terminal] = field(default_factory=Terminal)

    def run(self) -> None:
        """Make the report and print its table."""
        from scatterml_ase.workflows.calculators import make_calculator
        from scatterml_ase.workflows.report import element_of, report
        from scatterml_ase.workflows.structures import read_structure

        structure = None if self.structure is None else read_structure(self.structure)
        calculator = make_calculator(self.calculator)
        element = element_of(calculator, self.element, structure)
        folder = self.output or Path(f"{folder_stem(self.calculator)}_{element}_report")
        with _results_folder(folder):
            result = report(
                calculator,
                element,
                self.physics,
                structure=structure,
                progress=not self.terminal.quiet,
            )
            result.save(folder)
        if not self.terminal.quiet:
            print(f"\n{result.table}\n")
            print(f"Results are in {folder}/ (report.png, report.md, report.csv, report.json, …)")


@contextmanager
def _results_folder(folder: Path) -> Iterator[None]:
    """Make a folder before the work; remove it again if the work fails and it is still empty."""
    from scatterml_ase.atomic_write import writable_folder

    existed = folder.exists()
    writable_folder(folder, create=True)
    try:
        yield
    except BaseException:
        if not existed:
            with suppress(OSError):
                folder.rmdir()
        raise
