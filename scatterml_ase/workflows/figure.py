"""The picture of a spectrum: dispersion, density of states and powder map side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scatterml_ase.results.plotting import subscripts
from scatterml_ase.workflows.banks import draw_banks, spectra_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from scatterml_ase.results.sqw import SqwMap
    from scatterml_ase.workflows.spectrum import SpectrumResult

_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.linewidth": 0.8,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,
}


def draw_spectrum(result: SpectrumResult, sqw: SqwMap) -> Figure:
    """Draw dispersion, density of states and one powder map over one energy axis.

    Of an instrument of indirect geometry the spectra of its banks come last.

    Parameters
    ----------
    result
        What the main job found.
    sqw
        The map to show, one of ``result.sqw``.

    Returns
    -------
    Figure
        Save it with ``savefig``; it belongs to no window.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        spectra = spectra_of(sqw)
        ratios = (2.1, 0.75, 2.1, 1.4) if spectra else (2.1, 0.75, 2.4)
        figure = Figure(figsize=(12.2 if spectra else 10.2, 3.9), layout="constrained")
        grid = figure.add_gridspec(1, len(ratios), width_ratios=ratios, wspace=0.02)
        dispersion = figure.add_subplot(grid[0])
        density = figure.add_subplot(grid[1], sharey=dispersion)
        powder = figure.add_subplot(grid[2])
        result.bands.plot(dispersion)
        result.dos.plot(density, orientation="vertical")
        sqw.plot(powder)
        _share_energies(result, dispersion, density, powder)
        _write_titles(result, sqw, dispersion, density, powder)
        if spectra:
            banks = figure.add_subplot(grid[3], sharey=powder)
            draw_banks(spectra, banks)
            banks.tick_params(axis="y", labelleft=False)
            banks.set_title("(d)  detector banks", loc="left")
    return figure


def _share_energies(result: SpectrumResult, dispersion: Axes, density: Axes, powder: Axes) -> None:
    """Give the three panels one energy scale, so that features line up."""
    highest = max(float(result.bands.frequencies.max()), float(result.dos.energy_edges[-1]))
    lowest = float(result.bands.frequencies.min())
    bottom = 1.08 * lowest if lowest < -0.5 else 0.0
    dispersion.set_ylim(bottom, 1.06 * highest)
    density.set_ylabel("")
    density.tick_params(axis="y", labelleft=False)
    powder.set_ylim(bottom, 1.06 * highest)
    powder.set_facecolor("0.86")  # as the map shows what is not measured


def _write_titles(
    result: SpectrumResult, sqw: SqwMap, dispersion: Axes, density: Axes, powder: Axes
) -> None:
    structure = result.summary["structure"]
    formula = subscripts(result.atoms.get_chemical_formula("metal", empirical=True))
    group = structure["space_group"].split(" ")[0]
    options = result.summary["options"]
    crystal = f"{formula}, {_overlines(group)}"
    if options["isotopes"]:
        crystal += f", {options['isotopes'].replace('->', '→')}"
    dispersion.set_title(f"(a)  {crystal}", loc="left")
    density.set_title("(b)", loc="left")
    condition = f"{sqw.temperature:g} K"
    if options["probe"] == "xray":
        condition += ", x-rays"
    if options["instrument"]:
        condition += f", {options['instrument']}"
    if options["incident_energy"]:
        condition += f", $E_i$ = {options['incident_energy']:g} meV"
    powder.set_title(f"(c)  {condition}", loc="left")


def _overlines(symbol: str) -> str:
    """Write the Hermann-Mauguin symbol ``Fd-3m`` with its bar, ``P6_3/mmc`` with its index."""
    text, bar, below = "", False, False
    for character in symbol:
        if character in "-_":
            bar, below = character == "-", character == "_"
            continue
        if bar:
            text += f"\\overline{{{character}}}"
        elif below:
            text += f"_{{{character}}}"
        elif character.isalpha():
            text += character
        else:
            text += f"\\mathrm{{{character}}}"
        bar = below = False
    return f"${text}$"
