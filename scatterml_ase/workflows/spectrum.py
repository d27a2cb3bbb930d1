"""The main job: a structure goes in, what a neutron spectrometer sees comes out."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from scatterml_ase.atomic_write import atomic_write, writable_folder
from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.bands import PhononBands
from scatterml_ase.results.dos import PhononDOS, phonon_dos
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.results.thermal import ThermalProperties
from scatterml_ase.workflows import summary as describe
from scatterml_ase.workflows.options import SpectrumOptions
from scatterml_ase.workflows.structures import check_crystal, read_structure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)
_SHELLS, _WIDTH = 160, 1 / 40
_FORCE_CONSTANTS = (".yaml", ".yml", ".nxs", ".hdf5", ".h5")


@dataclass(frozen=True, eq=False, kw_only=True)
class SpectrumResult:
    """Everything the main job found.

    Parameters
    ----------
    atoms
        The relaxed crystal, calculator attached.
    force_constants, bands, dos, thermal
        The phonons.
    sqw
        One powder map S(Q,E) per temperature.
    summary
        Plain numbers and text; ``summary["units"]`` says the units.
    """

    atoms: Atoms
    force_constants: ForceConstants
    bands: PhononBands
    dos: PhononDOS
    thermal: ThermalProperties
    sqw: tuple[SqwMap, ...]
    summary: dict[str, Any] = field(repr=False)

    def plot(self, temperature: float | None = None) -> Figure:
        """Draw dispersion, DOS and the map at a temperature (the first if None)."""
        from scatterml_ase.workflows.figure import draw_spectrum

        chosen = self.sqw[0]
        if temperature is not None:
            chosen = min(self.sqw, key=lambda sqw: abs(sqw.temperature - temperature))
        return draw_spectrum(self, chosen)

    def save(self, folder: str | Path) -> dict[str, Path]:
        """Write results, pictures and summary to a folder; return the paths by name.

        Each file appears complete or not at all, the summary last.
        """
        folder = writable_folder(folder, create=True)
        paths = {
            name: getattr(self, name).save(folder / f"{name}.nxs")
            for name in ("force_constants", "bands", "dos", "thermal")
        }
        for sqw in self.sqw:
            name = f"sqw_{sqw.temperature:g}K"
            paths[name] = sqw.save(folder / f"{name}.nxs")
        paths["relaxed"] = folder / "relaxed.extxyz"
        with atomic_write(paths["relaxed"]) as temporary:
            self.atoms.write(temporary, format="extxyz")
        figure = self.plot()
        for ending in ("png", "pdf"):
            paths[ending] = folder / f"spectrum.{ending}"
            with atomic_write(paths[ending]) as temporary:
                figure.savefig(temporary, dpi=200)
        paths["summary"] = folder / "summary.json"
        with atomic_write(paths["summary"]) as temporary:
            temporary.write_text(json.dumps(self.summary, indent=2, ensure_ascii=False) + "\n")
        return paths


def spectrum(
    structure: Atoms | ForceConstants | str | Path,
    calculator: BaseCalculator | str | None = None,
    options: SpectrumOptions | None = None,
    *,
    progress: bool = False,
) -> SpectrumResult:
    """Make phonons and the powder spectrum of a crystal.

    Parameters
    ----------
    structure
        ASE Atoms, a structure file, or a name (see
        :func:`~scatterml_ase.workflows.structures.read_structure`). Or force constants made
        elsewhere, which need no calculator: the object, ``phonopy_params.yaml`` or a file of ours.
    calculator
        An ASE calculator or a name (see :func:`~scatterml_ase.workflows.calculators.
        make_calculator`). If None, that of the atoms, else the shipped potential that covers the
        structure.
    options
        See :class:`SpectrumOptions`.
    progress
        Whether progress bars are shown.

    Raises
    ------
    InputError
        If structure, calculator or options cannot be used.
    """
    options = options or SpectrumOptions()
    check_options(options)
    times: dict[str, float] = {}
    if isinstance(structure, ForceConstants) or _holds_force_constants(structure):
        with _stage("setup", "reading force constants", times):
            force_constants = _given(structure)
        atoms = force_constants.crystal.to_atoms()
        return _observe(atoms, force_constants, options, times, progress=progress)
    with _stage("setup", "reading the structure, loading the calculator", times):
        atoms = _prepare(structure, calculator)
    if options.relax:
        from scatterml_ase.workflows.relax import relax

        with _stage("relax", f"relaxing {atoms.symbols}", times):
            atoms = relax(atoms, progress=progress)
    with _stage("force constants", "force constants by finite displacements", times):
        force_constants = _force_constants(atoms, options, progress=progress)
    return _observe(atoms, force_constants, options, times, progress=progress)


def check_options(options: SpectrumOptions) -> None:
    """Refuse impossible options before anything is computed."""
    temperatures = np.asarray(options.temperature, dtype=float)
    if temperatures.ndim != 1 or not len(temperatures) or not np.all(temperatures >= 0):
        what = f"temperature={options.temperature} cannot be used"
        fix = "Give one or more temperatures such as (100, 300)"
        raise InputError(explain(what, "temperatures are numbers ≥ 0 in K", fix))
    if not 0 < options.mesh_spacing < 2:
        what = f"mesh_spacing={options.mesh_spacing} cannot be used"
        raise InputError(explain(what, "it is a distance in 1/Å", "Give a number such as 0.08"))
    if options.supercell is not None:
        from scatterml_ase.phonons.supercell import supercell_matrix

        supercell_matrix(options.supercell)
    if options.q_max is not None and not 0 < options.q_max < 100:
        what = f"q_max={options.q_max} cannot be used"
        raise InputError(explain(what, "it is a |Q| in 1/Å", "Give a number such as 8"))
    from scatterml_ase.scattering.view import resolve_instrument

    resolve_instrument(options.instrument, options.incident_energy)


# -- stages ---------------------------------------------------------------------------------------


@contextmanager
def _stage(name: str, text: str, times: dict[str, float]) -> Iterator[None]:
    """Say what is being done and remember how long it took, in s."""
    logger.info("%s …", text)
    start = time.perf_counter()
    yield
    times[name] = round(time.perf_counter() - start, 3)


def _holds_force_constants(structure: Any) -> bool:
    """Tell by its ending whether a file holds force constants instead of a structure."""
    return isinstance(structure, str | Path) and Path(structure).suffix in _FORCE_CONSTANTS


def _given(source: Any) -> ForceConstants:
    from scatterml_ase.phonons.convert import read_force_constants

    return source if isinstance(source, ForceConstants) else read_force_constants(source)


def _prepare(structure: Atoms | str | Path, calculator: BaseCalculator | str | None) -> Atoms:
    """Return the checked crystal with a calculator that can compute it."""
    from scatterml_ase.workflows.calculators import make_calculator, require_results

    if isinstance(structure, Atoms):
        check_crystal(structure)
        atoms = structure.copy()
        atoms.calc = make_calculator(calculator or structure.calc, atoms=atoms)
    else:
        atoms = read_structure(structure)
        atoms.calc = make_calculator(calculator, atoms=atoms)
    require_results(atoms)
    return atoms


def _force_constants(atoms: Atoms, options: SpectrumOptions, *, progress: bool) -> ForceConstants:
    from scatterml_ase.phonons.finite_displacement import FiniteDisplacementPhonons

    analyzer = FiniteDisplacementPhonons(
        supercell=options.supercell, minimum_length=options.minimum_length, progress=progress
    )
    return analyzer(atoms)


def _scattering(
    options: SpectrumOptions, temperature: float, highest: float, *, progress: bool
) -> Any:
    """Return the analyzer of the powder map; ``highest`` is the highest phonon energy in meV."""
    from scatterml_ase.scattering.powder import PowderScattering

    width = highest * _WIDTH if options.energy_fwhm is None else options.energy_fwhm
    return PowderScattering(
        temperature=temperature,
        instrument=options.instrument,
        incident_energy=options.incident_energy,
        q_edges=None if options.q_max is None else np.linspace(0, options.q_max, _SHELLS + 1),
        energy_fwhm=0.0 if options.instrument else width,
        tolerance=options.tolerance,
        progress=progress,
    )


def _observe(
    atoms: Atoms,
    force_constants: ForceConstants,
    options: SpectrumOptions,
    times: dict[str, float],
    *,
    progress: bool,
) -> SpectrumResult:
    """Go from force constants to everything that can be observed."""
    mesh = mesh_for(force_constants, options.mesh_spacing)
    with _stage("phonons", f"bands, density of states, thermal properties (mesh {mesh})", times):
        bands = force_constants.bands()
        modes = force_constants.mesh_modes(mesh, progress=progress)
        dos = phonon_dos(modes)
        thermal = force_constants.thermal(np.array(options.temperature), modes)
        stability = describe.describe_stability(modes)
        highest = stability["highest_frequency"]
    maps = []
    with _stage("scattering", "powder S(|Q|,E)", times):
        for temperature in options.temperature:
            analyzer = _scattering(options, float(temperature), highest, progress=progress)
            maps.append(analyzer(force_constants))
    summary = {
        **describe.provenance(),
        "structure": describe.describe_structure(atoms),
        **(describe.describe_energy(atoms) if atoms.calc is not None else {}),
        "stability": stability,
        "acoustic_residual": force_constants.acoustic_residual(),
        "thermal": describe.describe_thermal(thermal),
        "sound_velocities": describe.describe_sound(
            force_constants, describe.sound_directions(force_constants.crystal.to_atoms())
        ),
        "supercell_atoms": _supercell_atoms(force_constants),
        "options": asdict(options),
        "wall_time": {**times, "total": round(sum(times.values()), 3)},
        "units": describe.UNITS,
    }
    return SpectrumResult(
        atoms=atoms,
        force_constants=force_constants,
        bands=bands,
        dos=dos,
        thermal=thermal,
        sqw=tuple(maps),
        summary=summary,
    )


def mesh_for(force_constants: ForceConstants, spacing: float) -> tuple[int, int, int]:
    """Return the divisions of a Γ-centred mesh with points at most ``spacing`` (1/Å) apart."""
    lengths = np.linalg.norm(force_constants.crystal.to("angstrom").reciprocal_cell, axis=1)
    n1, n2, n3 = np.maximum(1, np.ceil(lengths / spacing - 1e-6)).astype(int).tolist()
    return n1, n2, n3


def _supercell_atoms(force_constants: ForceConstants) -> int | None:
    matrix = force_constants.supercell_matrix
    if matrix is None:
        return None
    return round(abs(np.linalg.det(matrix))) * len(force_constants.crystal)
