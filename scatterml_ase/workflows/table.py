"""The summary of a spectrum as a table for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_WIDTH = 88


def summary_table(summary: Mapping[str, Any]) -> str:
    """Return the table that is printed at the end of the main job."""
    rows = [
        *_structure_rows(summary["structure"]),
        *_energy_rows(summary),
        *_phonon_rows(summary),
        *_thermal_rows(summary["thermal"]),
        *_sound_rows(summary["sound_velocities"]),
        *([("magnetism", summary["magnetism"])] if "magnetism" in summary else []),
        *_time_rows(summary["wall_time"]),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(_wrap(name, text, width) for name, text in rows)


def _wrap(name: str, text: str, width: int) -> str:
    indent = " " * (width + 4)
    first = f"  {name:<{width}}  "
    return textwrap.fill(text, _WIDTH, initial_indent=first, subsequent_indent=indent)


def _structure_rows(structure: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    cell = structure["cell"]
    formula, group, atoms = structure["formula"], structure["space_group"], structure["atoms"]
    yield "crystal", f"{formula}, {group}, {atoms} atom{'s' * (atoms > 1)} in the cell"
    yield "cell lengths", "a, b, c = {a:.4f}, {b:.4f}, {c:.4f} Å".format(**cell)
    yield "cell angles", "α, β, γ = {alpha:.2f}, {beta:.2f}, {gamma:.2f}°".format(**cell)
    lengths = ", ".join(f"{length:.4f}" for length in structure["conventional_lengths"])
    yield "conventional cell", f"{lengths} Å"


def _energy_rows(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "calculator" not in summary:
        model = summary.get("model")
        source = f"predicted by {model}" if model else "force constants were given"
        yield "calculator", f"none: {source}"
        return
    calculator = summary["calculator"]
    model = f" ({calculator['model']})" if "model" in calculator else ""
    yield "calculator", f"{calculator['class']}{model}"
    yield "energy", f"{summary['energy_per_atom']:.6f} eV/atom"
    yield "largest force", f"{summary['largest_force']:.1e} eV/Å"
    if summary["stress"] is not None:
        yield "stress xx yy zz yz xz xy", f"{_numbers(summary['stress'], '.4f')} GPa"


def _phonon_rows(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    stability = summary["stability"]
    if summary["supercell_atoms"] is not None:
        yield "supercell", f"{summary['supercell_atoms']} atoms"
    yield (
        "frequencies",
        (
            f"{stability['lowest_frequency']:.2f} to {stability['highest_frequency']:.2f} meV "
            f"on a {'×'.join(map(str, stability['mesh']))} mesh"
        ),
    )
    yield "stability", stability["verdict"]
    yield "acoustic modes at Γ", f"{summary['acoustic_residual']:.1e} meV (exactly: 0)"
    yield "Debye temperature", f"{summary['thermal']['debye_temperature']:.1f} K"


def _thermal_rows(thermal: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "temperature", f"{_numbers(thermal['temperatures'], 'g')} K"
    mole = "per mole of formula units"
    yield "heat capacity", f"{_numbers(thermal['heat_capacity'], '.3f')} J/(K mol) {mole}"
    yield "entropy", f"{_numbers(thermal['entropy'], '.3f')} J/(K mol)"
    yield "free energy", f"{_numbers(thermal['free_energy'], '.3f')} kJ/mol"
    for symbol, values in thermal["mean_square_displacement"].items():
        yield f"⟨u²⟩ of {symbol}", f"{_numbers(values, '.5f')} Å² (three-dimensional)"


def _sound_rows(velocities: Mapping[str, Sequence[float]]) -> Iterator[tuple[str, str]]:
    for direction, values in velocities.items():
        yield f"sound along {direction}", f"{_numbers(values, '.0f')} m/s"


def _time_rows(times: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    space = "\N{NO-BREAK SPACE}"
    yield (
        "wall time",
        ", ".join(f"{name}{space}{value:.1f}{space}s" for name, value in times.items()),
    )


def _numbers(values: Sequence[float], form: str) -> str:
    texts = (f"{value:{form}}" for value in values)
    return "  ".join(text.lstrip("-") if float(text) == 0 else text for text in texts)
