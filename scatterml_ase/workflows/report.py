"""The physics of a potential in one report per element, beside DFT and experiment."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from scatterml_ase.atomic_write import atomic_write, writable_folder
from scatterml_ase.errors import InputError, explain, name_species
from scatterml_ase.phonons.finite_displacement import FiniteDisplacementPhonons
from scatterml_ase.potential.calculator import PotentialCalculator
from scatterml_ase.results.bands import PhononBands
from scatterml_ase.results.elastic import ElasticConstants
from scatterml_ase.results.energy_volume import EnergyVolume
from scatterml_ase.results.pair_distribution import PairDistribution
from scatterml_ase.results.thermal_expansion import ThermalExpansion
from scatterml_ase.workflows import report_rows
from scatterml_ase.workflows.calculators import make_calculator, require_results
from scatterml_ase.workflows.properties import reference
from scatterml_ase.workflows.properties.defects import (
    DefectEnergy,
    surface_energy,
    vacancy_formation_energy,
)
from scatterml_ase.workflows.properties.elastic import elastic_constants
from scatterml_ase.workflows.properties.equation_of_state import equation_of_state
from scatterml_ase.workflows.properties.melt import melt
from scatterml_ase.workflows.properties.provenance import provenance
from scatterml_ase.workflows.properties.special_points import (
    SpecialFrequency,
    crystal_kind,
    special_frequencies,
)
from scatterml_ase.workflows.properties.thermal_expansion import thermal_expansion
from scatterml_ase.workflows.relax import relax
from scatterml_ase.workflows.report_options import ReportOptions
from scatterml_ase.workflows.report_rows import ReportRow
from scatterml_ase.workflows.stages import stage
from scatterml_ase.workflows.structures import ground_state

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The faces that are usually lowest, by kind of crystal.
_FACES = {
    "fcc": ((1, 1, 1), (1, 0, 0)),
    "bcc": ((1, 1, 0), (1, 0, 0)),
    "diamond": ((1, 1, 1), (1, 1, 0)),
}
_EXPANSION_SHARES = (0.3, 0.6)  # of the melting temperature
_MELT_SHARE = 2.0  # where no reference says otherwise


@dataclass(frozen=True, eq=False, kw_only=True)
class Report:
    """Everything a report found.

    Parameters
    ----------
    element
        Symbol.
    atoms
        The relaxed crystal, calculator attached.
    rows
        One per property, with references.
    elastic, energy_volume, bands, frequencies
        Of the relaxed crystal at 0 K.
    elastic_clamped
        In diamond the elastic constants of ions that keep their scaled positions; else None.
    vacancy, surfaces
        Relaxed; surfaces by their indices.
    expansion, melt
        From molecular dynamics; None in a quick report.
    melt_reference
        g(r) of DFT at the temperature and density of ``melt``, where there is one.
    summary
        Plain values: provenance, options, wall times.
    """

    element: str
    atoms: Atoms
    rows: tuple[ReportRow, ...]
    elastic: ElasticConstants
    elastic_clamped: ElasticConstants | None
    energy_volume: EnergyVolume
    bands: PhononBands
    frequencies: tuple[SpecialFrequency, ...]
    vacancy: DefectEnergy
    surfaces: dict[tuple[int, int, int], DefectEnergy]
    expansion: ThermalExpansion | None
    melt: PairDistribution | None
    melt_reference: PairDistribution | None
    summary: dict[str, Any] = field(repr=False)

    @property
    def table(self) -> str:
        """The rows as text for a terminal."""
        return report_rows.table(self.rows)

    def plot(self) -> Figure:
        """Draw everything into one figure."""
        from scatterml_ase.workflows.report_figure import draw_report

        return draw_report(self)

    def save(self, folder: str | Path) -> dict[str, Path]:
        """Write picture, table (csv, md, json) and results (NeXus) to a folder; return paths."""
        folder = writable_folder(folder, create=True)
        writers = self._writers()
        for name, write in writers.items():
            with atomic_write(folder / name) as temporary:
                write(temporary)
        return {name: folder / name for name in writers}

    def _writers(self) -> dict[str, Callable[[Path], Any]]:
        def text(content: str) -> Callable[[Path], Any]:
            return lambda path: path.write_text(content, encoding="utf-8")

        figure = self.plot()
        record = {**self.summary, "rows": report_rows.to_json(self.rows)}
        title = f"# {self.element}: {self.summary['label']}\n\n![report](report.png)\n\n"
        results = {
            "elastic": self.elastic,
            "energy_volume": self.energy_volume,
            "bands": self.bands,
            "expansion": self.expansion,
            "melt": self.melt,
        }
        return {
            "report.png": lambda path: figure.savefig(path, dpi=180),
            "report.pdf": figure.savefig,
            "report.csv": text(report_rows.to_csv(self.rows)),
            "report.md": text(title + report_rows.markdown(self.rows)),
            "report.json": text(json.dumps(record, indent=2, ensure_ascii=False) + "\n"),
            **{f"{name}.nxs": r.save for name, r in results.items() if r is not None},
        }


def report(
    calculator: BaseCalculator | str,
    element: str | None = None,
    options: ReportOptions | None = None,
    *,
    structure: Atoms | None = None,
    progress: bool = False,
) -> Report:
    """Compute the properties of an elemental crystal and lay them beside references.

    Parameters
    ----------
    calculator
        An ASE calculator with a stress, or a name (see :func:`~scatterml_ase.workflows.
        calculators.make_calculator`).
    element
        Symbol; needed where neither the calculator (by its ``species``) nor ``structure`` tells.
    options
        See :class:`ReportOptions`.
    structure
        The crystal; by default ASE's ground state of the element.
    progress
        Whether progress bars are shown.

    Raises
    ------
    InputError
        If the element is not clear, the crystal is no element, or it cannot be computed.
    """
    options = options or ReportOptions()
    calculator = make_calculator(calculator)
    element = element_of(calculator, element, structure)
    if not options.quick and options.melting_temperature is None:
        reference.melting_temperature(element)  # refused now, not after the work
    times: dict[str, float] = {}
    with stage("relax", f"relaxing {element}", times):
        atoms = ground_state(element) if structure is None else structure.copy()
        atoms.calc = calculator
        require_results(atoms)
        atoms = relax(atoms, progress=progress)
    parts = _static(atoms, options, times, progress=progress)
    parts |= dict.fromkeys(("expansion", "melt", "melt_reference"))
    if not options.quick:
        parts |= _dynamic(element, atoms, options, times, progress=progress)
    made_by = provenance(atoms)
    summary = {
        "element": element,
        "label": made_by["calculator"].get("model", made_by["calculator"]["class"]),
        "provenance": made_by,
        "options": asdict(options),
        "wall_time_s": {**times, "total": round(sum(times.values()), 1)},
    }
    rows = tuple(report_rows.rows_of(element, atoms, parts))
    return Report(element=element, atoms=atoms, rows=rows, summary=summary, **parts)


def _static(
    atoms: Atoms, options: ReportOptions, times: dict[str, float], *, progress: bool
) -> dict[str, Any]:
    """Return what follows from energies, forces and stresses at rest."""
    with stage("elastic", "E(V) and elastic constants", times):
        energy_volume = equation_of_state(atoms)
        elastic = elastic_constants(atoms, progress=progress)
        kind, clamped = crystal_kind(atoms), None
        if kind == "diamond":  # the only one of the three whose atoms move under strain
            clamped = elastic_constants(atoms, relax_ions=False, progress=progress)
    with stage("phonons", "phonons by finite displacements", times):
        force_constants = FiniteDisplacementPhonons(progress=progress)(atoms)
    with stage("defects", "vacancy and surfaces", times):
        vacancy = vacancy_formation_energy(
            atoms, minimum_length=options.minimum_length, seed=options.seed, progress=progress
        )
        faces = _FACES.get(kind or "", ())
        surfaces = {face: surface_energy(atoms, face, progress=progress) for face in faces}
    return {
        "energy_volume": energy_volume,
        "elastic": elastic,
        "elastic_clamped": clamped,
        "bands": force_constants.bands(),
        "frequencies": special_frequencies(force_constants),
        "vacancy": vacancy,
        "surfaces": surfaces,
    }


def _dynamic(
    element: str,
    atoms: Atoms,
    options: ReportOptions,
    times: dict[str, float],
    *,
    progress: bool,
) -> dict[str, Any]:
    """Return what needs molecular dynamics; the melt at temperature and density of DFT's."""
    melting = options.melting_temperature or reference.melting_temperature(element)
    known = reference.liquid(element)
    common: dict[str, Any] = {
        "calculator": _single_precision(atoms.calc),
        "minimum_length": options.minimum_length,
        "seed": options.seed,
        "progress": progress,
    }
    with stage("thermal expansion", "dynamics at zero pressure", times):
        temperatures = [float(round(share * melting)) for share in _EXPANSION_SHARES]
        expansion = thermal_expansion(
            atoms, temperatures, picoseconds=options.expansion_time, **common
        )
    with stage("melt", "dynamics of the melt", times):
        liquid = melt(
            atoms,
            known.temperature if known else _MELT_SHARE * melting,
            volume_per_atom=1 / known.density if known else None,
            r_edges=known.r_edges if known else None,
            picoseconds=options.melt_time,
            **common,
        )
    return {"expansion": expansion, "melt": liquid, "melt_reference": known}


def element_of(calculator: Any, element: str | None, structure: Atoms | None) -> str:
    """Return the symbol the report is about.

    Raises
    ------
    InputError
        If neither the calculator nor the structure tells, or they contradict ``element``.
    """
    if structure is not None:
        kinds = sorted(set(structure.get_chemical_symbols()))
        if len(kinds) == 1 and element in (None, kinds[0]):
            return kinds[0]
        what = f"{structure.get_chemical_formula()} is no crystal of {element or 'one element'}"
        raise InputError(explain(what, "a report is about one element", "Give such a crystal"))
    species = tuple(getattr(calculator, "species", ()))
    if element is not None:
        return element
    if len(species) == 1:
        return Atoms(numbers=species).get_chemical_symbols()[0]
    knows = name_species(species) if species else "elements it does not tell"
    raise InputError(
        explain(
            "No element was chosen",
            f"a report is about one element, and the calculator knows {knows}",
            "Choose one: element='Si' (--element Si)",
        )
    )


def _single_precision(calculator: Any) -> BaseCalculator:
    """Return the same potential in float32 where it is ours: dynamics needs no more."""
    if type(calculator) is PotentialCalculator:
        return PotentialCalculator(calculator.model, dtype="float32", device=str(calculator.device))
    return calculator
