"""The page ``docs/stability.md``, from the JSON files of :mod:`stability`."""

import json
from pathlib import Path

HEAD = """# Stability, measured

`python benchmarks/stability.py MODEL --element ELEMENT`, one thread; seed 0. T_m is the
experimental melting temperature, V₀ the volume of the static minimum. "Alive" means: no two atoms
ever closer than 0.77 radii of the sphere of the atomic volume, and never five times hotter than
the thermostat (both looked at every 10 steps)."""


def table(folder: Path) -> str:
    """Return the page."""
    records = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    parts = [HEAD, *nvt_lines(records), *nve_lines(records), *static_lines(records)]
    return "\n".join(parts)


def name(record: dict) -> str:
    """Name model and element."""
    return (
        f"{record['calculator'].get('model', record['calculator']['class'])} | {record['element']}"
    )


def nvt_lines(records: list[dict]) -> list[str]:
    """Langevin runs."""
    lines = [
        "\n## Constant volume and temperature (Langevin, float32)\n",
        "| model | element | T/T_m | V/V₀ | atoms | step, fs | ps run / asked "
        "| mean T, K (thermostat) | closest pair, Å | largest force, eV/Å | ⟨u²⟩ at the end, Å² "
        "| ms/step | alive |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in records:
        if r["part"] not in ("cold", "hot", "squeezed") or "mean_temperature" not in r:
            continue
        mean, error = r["mean_temperature"]
        lines.append(
            f"| {name(r)} | {r['temperature'] / r['melting_temperature']:.1f} "
            f"| {r['volume_share']:g} | {r['atoms']} | {r['timestep_fs']:g} "
            f"| {r['done_ps']:g} / {r['target_ps']:g} | {mean:.0f} ± {error:.0f} "
            f"({r['temperature']:.0f}) | {r['closest_pair']:.2f} | {r['largest_force']:.1f} "
            f"| {r['mean_square_displacement']:.2f} | {r['ms_per_step']:.1f} "
            f"| {r.get('blew_up', 'yes')} |"
        )
    return lines


def nve_lines(records: list[dict]) -> list[str]:
    """Constant energy."""
    lines = [
        "\n## Constant energy (velocity Verlet, float64, started at 0.9 T_m)\n",
        "The slope of the total energy, its error from the scatter of ten blocks about the line.\n",
        "| model | element | atoms | step, fs | ps run / asked | mean T, K | slope, meV/atom/ns "
        "| fluctuation, meV/atom | consistent with < 1 meV/atom/ns |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in records:
        if "drift_mev_per_atom_per_ns" not in r:
            continue
        value, error = r["drift_mev_per_atom_per_ns"]
        verdict = "yes" if abs(value) - 2 * error < 1 else "no"
        if error > 1:
            verdict += ", but the error is larger than the limit"
        lines.append(
            f"| {name(r)} | {r['atoms']} | {r['timestep_fs']:g} | {r['done_ps']:g} / "
            f"{r['target_ps']:g} | {r['mean_temperature'][0]:.0f} | {value:.2f} ± {error:.2f} "
            f"| {r['energy_fluctuation_mev_per_atom']:.3f} | {r.get('blew_up', verdict)} |"
        )
    return lines


def static_lines(records: list[dict]) -> list[str]:
    """Extreme volumes, pairs, the cutoff."""
    lines = [
        "\n## From 0.4 V₀ to free atoms, and through the cutoff (float64)\n",
        "A hole is how far the energy falls again on the way up from its minimum, in either\n"
        "direction (volumes: per atom; pair: two atoms from 0.2 Å). The jump of d²E/dλ² where a\n"
        "shell of neighbours crosses the cutoff under uniform strain λ, relative to its value at\n"
        "the minimum, is extrapolated from strains ±δ, ±2δ: with a continuous second derivative\n"
        "it falls as δ².\n",
        "| model | element | all finite | hole in E(V), meV (between a/a₀) | hole in E(r), meV "
        "| torn apart − free, meV | cohesive energy, eV | jump at δ = 4e-3 / 5e-4 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in records:
        if r["part"] != "static":
            continue
        volumes, pair = r["volumes"], r["pair"]
        jumps = r["curvature"]["relative_jumps"]
        worst = max(jumps, key=lambda row: row[-1]) if jumps else None
        text = f"{worst[0]:.0e} / {worst[-1]:.0e}" if worst else "no shell within 5 %"
        lines.append(
            f"| {name(r)} | {'yes' if volumes['finite'] and pair['finite'] else 'no'} "
            f"| {hole_text(volumes)} | {pair['deepest_hole_mev']:.1f} "
            f"| {volumes['torn_apart_minus_lone_mev']:.2g} | {volumes['cohesive_energy']:.3f} "
            f"| {text} |"
        )
    return lines


def hole_text(volumes: dict) -> str:
    """Say how deep the deepest hole is and where."""
    depth = volumes["deepest_hole_mev"]
    if depth < 1:
        return f"{depth:.1f}"
    return f"{depth:.1f} ({volumes['hole_between'][0]:.2f} and {volumes['hole_between'][1]:.2f})"
