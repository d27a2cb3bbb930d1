"""Machine learning for neutron and x-ray scattering with ASE.

The public names are imported on first use, so that ``import scatterml_ase`` is quick and pure.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Every public name and the module that holds it; the only list of the kind.
_PUBLIC = {
    "CommitteeCalculator": "potential.committee",
    "Crystal": "results.crystal",
    "Cylinder": "scattering.self_shielding",
    "DetectorMap": "results.detector_map",
    "ElasticConstants": "results.elastic",
    "EnergyVolume": "results.energy_volume",
    "Ensemble": "workflows.ensemble",
    "FiniteDisplacementPhonons": "phonons.finite_displacement",
    "FlatPlate": "scattering.self_shielding",
    "ForceConstants": "results.force_constants",
    "ForceConstantsPredictor": "phonons.force_constants_predictor",
    "GridScattering": "scattering.grid",
    "HessianPhonons": "phonons.from_hessian",
    "IncoherentScattering": "scattering.incoherent",
    "Instrument": "scattering.instruments",
    "IntermediateScattering": "results.intermediate",
    "Measurement": "scattering.measurement",
    "MultipleScattering": "scattering.multiple",
    "PairDistribution": "results.pair_distribution",
    "PathScattering": "scattering.path",
    "PhononBands": "results.bands",
    "PhononDOS": "results.dos",
    "PhononDOSPredictor": "phonons.dos_predictor",
    "PhononModes": "results.modes",
    "PlaneScattering": "scattering.plane",
    "PotentialCalculator": "potential.calculator",
    "PowderScattering": "scattering.powder",
    "SpectrumFunction": "scattering.functional",
    "SqwGrid": "results.sqw_grid",
    "SqwMap": "results.sqw",
    "SqwPlane": "results.sqw_plane",
    "StopOnExtrapolation": "potential.observer",
    "ThermalExpansion": "results.thermal_expansion",
    "ThermalProperties": "results.thermal",
    "TrajectoryCorrelations": "scattering.trajectory.intermediate",
    "TrajectoryDOS": "scattering.trajectory.density_of_states",
    "TrajectoryScattering": "scattering.trajectory.spectrum",
    "analyze_trajectory": "scattering.trajectory.analyzer",
    "elastic_constants": "workflows.properties.elastic",
    "equation_of_state": "workflows.properties.equation_of_state",
    "list_models": "store",
    "load_model": "store",
    "load_result": "results",
    "melt": "workflows.properties.melt",
    "read_detectors": "scattering.files",
    "read_force_constants": "phonons.convert",
    "read_sqw": "scattering.files",
    "relax": "workflows.relax",
    "report": "workflows.report",
    "screen": "workflows.screen",
    "spectrum": "workflows.spectrum",
    "surface_energy": "workflows.properties.defects",
    "thermal_expansion": "workflows.properties.thermal_expansion",
    "vacancy_formation_energy": "workflows.properties.defects",
    "write_sqw": "scattering.files",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
