"""Aluminium as measured on ARCS beside what one phonon, two, and all of them scatter.

A measurement in arbitrary units has one unknown scale. Fitted in different windows of (Q, E) it is
the same number only if the calculation holds in all of them; above 40 meV aluminium has no modes,
so that one phonon alone cannot explain what is seen there.

The file is that of github.com/neutrons/multiphonon (Al, E_i = 80 meV, 300 K, MIT licence). Force
constants are those of ASE's EMT, scaled so that the highest mode is at 40 meV.

    python benchmarks/multiphonon.py path/to/multiphonon_Al-iqe.h5 [figure.png]
"""

import sys
from dataclasses import replace

import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT
from matplotlib.figure import Figure

from scatterml_ase import FiniteDisplacementPhonons, PowderScattering, SqwMap, read_sqw, relax
from scatterml_ase.results.force_constants import ForceConstants

WINDOWS = {
    "2…11 Å⁻¹, 12…70 meV": {"q": (2, 11), "energy": (12, 70)},
    "7…11 Å⁻¹, 12…70 meV": {"q": (7, 11), "energy": (12, 70)},
    "7…11 Å⁻¹, 40…70 meV": {"q": (7, 11), "energy": (40, 70)},
}
CALCULATIONS = {
    "coherent, one phonon": {},
    "… and incoherent": {"incoherent": True},
    "… and two phonons": {"incoherent": True, "order": 2},
    "all": {"incoherent": True, "order": "all"},
}
HIGHEST = 40.0  # meV, longitudinal at the zone boundary


def aluminium() -> ForceConstants:
    """Return force constants of aluminium with the measured highest mode."""
    found = FiniteDisplacementPhonons(supercell=(4, 4, 4), progress=False)(relax(bulk("Al"), EMT()))
    highest = found.mesh_modes(8, eigenvectors=False).frequencies.max()
    return replace(found, blocks=found.blocks * (HIGHEST / highest) ** 2)


def calculate(force_constants: ForceConstants, **options: object) -> SqwMap:
    """Return the map on bins about those of the measurement."""
    return PowderScattering(
        300.0, instrument="ARCS", incident_energy=80.0, q_edges=np.linspace(0, 12, 121),
        energy_edges=np.arange(-40, 75, 0.5), progress=False, **options,
    )(force_constants)  # fmt: skip


def draw(sqw: SqwMap, measured: SqwMap, path: str) -> None:
    """Draw the cut at 7 to 11 Å⁻¹, scaled by its fit."""
    scale = sqw.compare(measured, **WINDOWS["7…11 Å⁻¹, 12…70 meV"]).scale
    figure = Figure(figsize=(5.5, 4), layout="constrained")
    ax = sqw.cut(q=(7, 11)).plot_parts(figure.subplots())
    cut = measured.cut(q=(7, 11))
    ax.errorbar(
        cut.centres, cut.intensity / scale, cut.error / scale, fmt=".", color="black", markersize=4
    )
    ax.set(yscale="log", xlim=(5, 72), ylim=(1e-2, 5))
    figure.savefig(path, dpi=150)


def main(path: str, figure: str | None = None) -> None:
    """Print the scale that each calculation needs in each window."""
    measured = read_sqw(path, fixed_energy=80.0, temperature=300.0)
    force_constants = aluminium()
    for label, options in CALCULATIONS.items():
        sqw = calculate(force_constants, **options)
        for window, limits in WINDOWS.items():
            fit = sqw.compare(measured, **limits)
            print(
                f"{label:22s} {window:22s} scale {fit.scale:.3f} ± {fit.scale_error:.3f}"
                f"   mean |difference| {100 * fit.relative_difference:.1f} %",
                flush=True,
            )
    if figure is not None:
        draw(sqw, measured, figure)


if __name__ == "__main__":
    main(*sys.argv[1:])
