"""The main job: a structure goes in, what a neutron spectrometer sees comes out."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator
from tqdm import tqdm

from scatterml_ase.atomic_write import atomic_write, writable_folder
from scatterml_ase.results.bands import PhononBands
from scatterml_ase.results.counted_dos import phonon_dos
from scatterml_ase.results.crystal import Crystal
from scatterml_ase.results.dos import PhononDOS
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.results.sqw import SqwMap
from scatterml_ase.results.thermal import ThermalProperties
from scatterml_ase.workflows import summary as describe
from scatterml_ase.workflows.banks import spectra_of
from scatterml_ase.workflows.options import (
    SpectrumOptions,
    check_given,
    check_options,
    chosen_instrument,
    scattered,
)
from scatterml_ase.workflows.sources import (
    computed_force_constants,
    given_force_constants,
    holds_force_constants,
    predicted_force_constants,
    prepared,
)
from scatterml_ase.workflows.stages import stage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHELLS, _WIDTH, _UNSTABLE_WAVEVECTORS = 160, 1 / 40, 100_000


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

    def save(self, folder: str | Path, *, progress: bool = False) -> dict[str, Path]:
        """Write results, pictures and summary to a folder; return the paths by name.

        Each file appears complete or not at all, the summary last. ``progress`` shows a bar.
        """
        folder = writable_folder(folder, create=True)
        writers = self._writers()
        paths = {name: folder / file for name, (file, _) in writers.items()}
        bar = tqdm(writers.items(), desc="writing", unit=" files", disable=not progress)
        for name, (_, write) in bar:
            with atomic_write(paths[name]) as temporary:
                write(temporary)
        return paths

    def _writers(self) -> dict[str, tuple[str, Callable[[Path], Any]]]:
        """Return, by name, each file and the function that writes it to a path."""
        names = ("force_constants", "bands", "dos", "thermal")
        results = {name: getattr(self, name) for name in names}
        results |= {f"sqw_{sqw.temperature:g}K": sqw for sqw in self.sqw}
        for sqw in self.sqw:
            spectra = spectra_of(sqw)
            results |= {f"{bank}_{sqw.temperature:g}K": cut for bank, cut in spectra.items()}
        text = json.dumps(self.summary, indent=2, ensure_ascii=False) + "\n"
        figure = self.plot()
        return {
            **{name: (f"{name}.nxs", result.save) for name, result in results.items()},
            "relaxed": (
                "relaxed.extxyz",
                partial(_with_own_results(self.atoms).write, format="extxyz"),
            ),
            "png": ("spectrum.png", partial(figure.savefig, dpi=200)),
            "pdf": ("spectrum.pdf", partial(figure.savefig, dpi=200)),
            "summary": ("summary.json", partial(Path.write_text, data=text, encoding="utf-8")),
        }


def _with_own_results(atoms: Atoms) -> Atoms:
    """Return a copy that holds what was computed: a shared calculator may hold another's."""
    copy, results = atoms.copy(), {}
    if atoms.calc is not None:
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        with suppress(PropertyNotImplementedError, NotImplementedError):
            results["stress"] = atoms.get_stress()
        copy.calc = SinglePointCalculator(copy, **results)
    return copy


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
    if isinstance(structure, ForceConstants) or holds_force_constants(structure):
        check_given(options)
        with stage("setup", "reading force constants", times):
            force_constants = given_force_constants(structure)
        atoms = force_constants.crystal.to_atoms()
        return _observe(atoms, force_constants, options, times, progress=progress)
    if options.method == "direct":
        with stage("force constants", "predicting force constants from structure", times):
            force_constants = predicted_force_constants(structure, calculator)
        atoms = force_constants.crystal.to_atoms()
        return _observe(atoms, force_constants, options, times, progress=progress)
    with stage("setup", "reading the structure, loading the calculator", times):
        atoms = prepared(structure, calculator, progress=progress)
        if options.isotopes is not None:  # refuse those of other elements before the work
            Crystal.from_atoms(atoms).substituted(options.isotopes)
    if options.relax:
        from scatterml_ase.workflows.relax import relax

        with stage("relax", f"relaxing {atoms.symbols}", times):
            atoms = relax(atoms, progress=progress)
    with stage("force constants", f"force constants ({options.method})", times):
        force_constants = computed_force_constants(atoms, options, progress=progress)
    return _observe(atoms, force_constants, options, times, progress=progress)


# -- stages ---------------------------------------------------------------------------------------


def _scattering(
    options: SpectrumOptions, temperature: float, stability: dict[str, Any], *, progress: bool
) -> Any:
    """Return the analyzer of the powder map.

    Near an instability S(Q,E) diverges as 1/E² and no sample converges: it is cut short.
    """
    from scatterml_ase.scattering.powder import PowderScattering

    highest = stability["highest_frequency"]
    width = highest * _WIDTH if options.energy_fwhm is None else options.energy_fwhm
    return PowderScattering(
        temperature=temperature,
        instrument=chosen_instrument(options),
        incident_energy=options.incident_energy,
        q_edges=None if options.q_max is None else np.linspace(0, options.q_max, _SHELLS + 1),
        energy_fwhm=0.0 if options.instrument else width,
        tolerance=options.tolerance,
        maximum_wavevectors=None if stability["stable"] else _UNSTABLE_WAVEVECTORS,
        progress=progress,
        **scattered(options),
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
    if options.isotopes is not None:
        force_constants = force_constants.substituted(options.isotopes)
    mesh = mesh_for(force_constants, options.mesh_spacing)
    with stage("phonons", f"bands, density of states, thermal properties (mesh {mesh})", times):
        bands = force_constants.bands()
        modes = force_constants.mesh_modes(mesh, progress=progress)
        dos = phonon_dos(modes)
        thermal = force_constants.thermal(np.array(options.temperature), modes)
        stability = describe.describe_stability(modes)
    with stage("scattering", "powder S(|Q|,E)", times):
        maps = [
            _scattering(options, kelvin, stability, progress=progress)(force_constants)
            for kelvin in options.temperature
        ]
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
        "model": force_constants.provenance.get("model"),
        "supercell_atoms": describe.supercell_atoms(force_constants),
        **describe.describe_magnetism(maps),
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
