"""The picture of a report: six panels, each with what DFT or experiment says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from scatterml_ase.results.plotting import INK, PALETTE
from scatterml_ase.units import THZ_TO_MEV
from scatterml_ase.workflows.properties.reference import uniaxial_strain
from scatterml_ase.workflows.properties.special_points import in_ground_state

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from scatterml_ase.workflows.report import Report

MODEL, DFT, EXPERIMENT = PALETTE[0], PALETTE[1], PALETTE[2]
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.linewidth": 0.8,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "legend.fontsize": 8,
    "legend.frameon": False,
    "pdf.fonttype": 42,
}
_DFT_METHODS = ("dft-pbe", "dft-gga")


def draw_report(report: Report) -> Figure:
    """Draw strains, elastic constants, phonons, expansion, melt, and all deviations."""
    import matplotlib
    from matplotlib.figure import Figure

    panels = [_draw_strain, _draw_elastic, _draw_bands, _draw_deviations]
    if report.expansion is not None:
        panels[3:3] = [_draw_expansion]
    if report.melt is not None:
        panels[-1:-1] = [_draw_melt]
    columns = (len(panels) + 1) // 2
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(4.2 * columns, 7.4), layout="constrained")
        axes = figure.subplots(2, columns, squeeze=False).ravel()
        for letter, draw, ax in zip("abcdef", panels, axes, strict=False):
            ax.set_title(f"({letter})  {draw(report, ax)}", loc="left")
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        label = report.summary["label"]
        figure.suptitle(
            f"{report.element} ({label}) beside DFT and experiment",
            fontsize=11,
            fontweight="bold",
        )
    return figure


def _draw_strain(report: Report, ax: Axes) -> str:
    """Energy over uniform and uniaxial strain, the latter with the points of DFT."""
    atoms = report.atoms
    known = uniaxial_strain(report.element) if in_ground_state(atoms) else None
    eos = report.energy_volume
    lengths = np.cbrt(eos.volumes / eos.volume) - 1
    curve = np.linspace(lengths.min(), lengths.max(), 100)
    energies = eos.fit(eos.volume * (1 + curve) ** 3) - eos.fit.energy
    ax.plot(100 * curve, 1000 * energies, color=INK, linewidth=1.2, label="uniform, this model")
    ax.plot(100 * lengths, 1000 * (eos.energies - eos.fit.energy), ".", color=INK, markersize=4)
    strains = np.linspace(-0.1, 0.1, 21) if known is None else _fine(known[1][:, 0])
    scale = 1.0
    if known is not None:  # the model under the strains, and at the lattice constant, of DFT
        edge, points = known
        own = (atoms.get_volume() / len(atoms)) ** (1 / 3)
        scale = edge / own / _atoms_per_cube(edge, own) ** (1 / 3)
        ax.plot(100 * points[:, 0], 1000 * points[:, 1], "o", color=DFT, markersize=4,
                markerfacecolor="none", label="uniaxial [100], DFT", zorder=3)  # fmt: skip
    ax.plot(100 * strains, 1000 * _uniaxial(atoms, strains, scale), color=MODEL, linewidth=1.4,
            label="uniaxial [100], this model")  # fmt: skip
    ax.set_xlabel("Strain (%)")
    ax.set_ylabel("Energy (meV/atom)")
    ax.legend(loc="upper center")
    ax.set_ylim(top=1.45 * ax.dataLim.ymax)
    return "Energy under strain"


def _fine(strains: np.ndarray) -> np.ndarray:
    return np.unique(np.append(np.linspace(strains.min(), strains.max(), 21), 0.0))


def _atoms_per_cube(edge: float, own: float) -> float:
    """Return 2, 4 or 8: atoms in a conventional cell of this edge, given (V/atom)^⅓."""
    return min((2.0, 4.0, 8.0), key=lambda n: abs(edge**3 / own**3 - n))


def _uniaxial(atoms: Atoms, strains: np.ndarray, scale: float) -> np.ndarray:
    """Energy per atom (eV) under strain along x, from the unstrained cell of the same scale."""
    energies = []
    for strain in (0.0, *strains):
        image = atoms.copy()
        image.set_cell(scale * atoms.cell.array @ np.diag([1 + strain, 1, 1]), scale_atoms=True)
        image.calc = atoms.calc
        energies.append(image.get_potential_energy() / len(atoms))
    return np.array(energies[1:]) - energies[0]


def _draw_elastic(report: Report, ax: Axes) -> str:
    """Bars of the elastic constants and of the bulk modulus."""
    rows = [r for r in report.rows if r.key in ("bulk_modulus", "c11", "c12", "c44")]
    names = {"bulk_modulus": "$B$", "c11": "$C_{11}$", "c12": "$C_{12}$", "c44": "$C_{44}$"}
    kinds = {"this model": (MODEL, None), "DFT": (DFT, _DFT_METHODS),
             "experiment": (EXPERIMENT, ("experiment",))}  # fmt: skip
    for k, (label, (color, methods)) in enumerate(kinds.items()):
        heights = [
            row.value if methods is None
            else next((r.value for r in row.references if r.method in methods), np.nan)
            for row in rows
        ]  # fmt: skip
        if np.isfinite(heights).any():
            places = np.arange(len(rows)) + 0.27 * (k - 1)
            bars = ax.bar(places, heights, width=0.25, color=color, label=label)
            texts = ["" if np.isnan(h) else f"{h:.0f}" for h in heights]
            ax.bar_label(bars, texts, fontsize=6.5)
    ax.set_xticks(range(len(rows)), [names[row.key] for row in rows])
    ax.tick_params(axis="x", length=0)
    ax.set_ylabel("GPa")
    ax.margins(y=0.1)
    ax.legend()
    return "Elastic constants"


def _draw_bands(report: Report, ax: Axes) -> str:
    """Dispersion, with the frequencies of DFT at the special points."""
    bands = report.bands.to("THz")
    bands.plot(ax, color=MODEL)
    names = dict(zip(("dft-pbe", "dft-pbesol", "experiment"),
                     (("DFT-PBE, 300 K", DFT, "o"), ("DFT-PBEsol", PALETTE[3], "D"),
                      ("experiment", EXPERIMENT, "s")), strict=True))  # fmt: skip
    shown: set[str] = set()
    rows = {row.key: row for row in report.rows}
    for f in report.frequencies:
        for known in rows[f.key].references:
            label, color, marker = names.get(known.method, (known.method, INK, "x"))
            for place in _places(bands.ticks(), f.point):
                ax.plot(place, known.value, marker, color=color, markersize=5, zorder=3,
                        markerfacecolor="none", label=None if label in shown else label,
                        clip_on=False)  # fmt: skip
                shown.add(label)
                ax.set_ylim(top=max(ax.get_ylim()[1], 1.04 * known.value))
    ax.set_ylabel("Frequency (THz)")
    secondary = ax.secondary_yaxis("right", (lambda x: x * THZ_TO_MEV, lambda x: x / THZ_TO_MEV))
    secondary.set_ylabel("meV")
    if shown:
        ax.legend(loc="lower right", handletextpad=0.1)
    return "Phonons"


def _places(ticks: tuple[list[float], list[str]], point: str) -> list[float]:
    """Return where a special point is on the path; a break is named ``"U|K"``."""
    wanted = {"Γ": ("Γ", "G", "GAMMA", r"$\Gamma$")}.get(point, (point,))
    return [x for x, name in zip(*ticks, strict=True) if set(name.split("|")) & set(wanted)]


def _draw_expansion(report: Report, ax: Axes) -> str:
    """Thermal expansion, with the experimental slope from the first point on, or at 25 °C."""
    expansion = report.expansion
    assert expansion is not None
    expansion.plot(ax)
    ax.lines[0].set_label("mean slope from 0 K")
    ax.containers[0].set_label(f"this model ({expansion.picoseconds:g} ps each)")
    row = next(row for row in report.rows if row.key == "linear_expansion")
    if row.references:
        first = int(expansion.temperatures.argmin()) if row.alike else None
        low = 0.0 if first is None else float(expansion.temperatures[first])
        start = 0.0 if first is None else 100 * float(expansion.linear_expansion()[0][first])
        ends = np.array([low, expansion.temperatures.max()])
        where = "between them" if row.alike else "at 25 °C"
        ax.plot(ends, start + 1e-4 * row.references[0].value * (ends - low), color=EXPERIMENT,
                linestyle="--", linewidth=1.2, label=f"slope of experiment {where}")  # fmt: skip
    ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    ax.legend(loc="upper left")
    return "Thermal expansion"


def _draw_melt(report: Report, ax: Axes) -> str:
    """g(r) of the melt, with that of DFT."""
    assert report.melt is not None
    label = f"this model ({report.melt.picoseconds:g} ps)"
    report.melt.plot(ax, color=MODEL, label=label)
    if (known := report.melt_reference) is not None:
        ax.errorbar(known.r, known.g, known.g_error, fmt="o", color=DFT, markersize=3.5,
                    markerfacecolor="none", linewidth=0.8, label="DFT snapshots")  # fmt: skip
    ax.legend(loc="lower right")
    return f"Melt at {report.melt.temperature:.0f} K"


def _draw_deviations(report: Report, ax: Axes) -> str:
    """Relative deviation of every row from its first reference."""
    rows = [row for row in report.rows if row.deviation is not None][::-1]
    limit = 25.0
    colors = {"dft-pbe": DFT, "dft-gga": DFT, "experiment": EXPERIMENT}
    for k, row in enumerate(rows):
        value = 100 * (row.deviation or 0.0)
        color = colors.get(row.references[0].method, PALETTE[3])
        end = float(np.clip(value, -limit, limit))
        ax.plot([0, end], [k, k], color=color, linewidth=1.6)
        if row.error is not None and abs(value) <= limit:
            share = 100 * row.error / abs(row.references[0].value)
            ax.errorbar(end, k, xerr=share, color=color, linewidth=0.9, capsize=2.5)
        ax.plot(end, k, "o" if abs(value) <= limit else ">" if value > 0 else "<", color=color,
                markersize=4.5)  # fmt: skip
        if abs(value) > limit:
            ax.text(end, k, f"{value:+.0f} %  ", ha="right" if value > 0 else "left", va="bottom",
                    fontsize=7)  # fmt: skip
    ax.set_yticks(range(len(rows)), [row.label for row in rows], fontsize=7.5)
    ax.tick_params(axis="y", length=0)
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.axvspan(-5, 5, color="0.93", zorder=0)
    ax.set_xlim(-limit * 1.08, limit * 1.08)
    ax.set_xlabel("%  (orange: DFT, green: experiment)")
    return "Deviation from the first reference"
