"""The page ``docs/stability.md``, from the JSON files of :mod:`stability`, whichever there are."""

from pathlib import Path

from stability_records import records

from scatterml_ase.store import list_models

HEAD = """# Stability, measured

`python benchmarks/stability.py MODEL --element ELEMENT`, one thread, seed {seeds}. T_m is the
experimental melting temperature, V₀ the volume of the static minimum. "Alive" means: no two atoms
ever closer than 0.77 radii of the sphere of the atomic volume, never five times hotter than the
temperature asked for, and every position finite (looked at every 10 steps)."""

ORDER = ("Ni", "Cu", "Li", "Mo", "Si", "Ge")
COLUMNS = {
    "cold": "0.9 T_m",
    "hot": "2 T_m",
    "squeezed": "2 T_m in 0.6 V₀",
    "nve": "constant energy",
    "static": "0.4 V₀ to free atoms",
}
DEEPEST_HOLE = 1.0  # meV: shallower ones are noise of the sum
LARGEST_DRIFT = 1.0  # meV/atom/ns


def table(folder: Path) -> str:
    """Return the page."""
    found, others = records(folder)
    current = [r for r in found if not outdated(r)]
    others += [f"{name(r)} {r['part']} (other weights)" for r in found if outdated(r)]
    current.sort(key=rank)
    seeds = sorted({str(r["seed"]) for r in current if "seed" in r}) or ["0"]
    lines = [
        HEAD.format(seeds=", ".join(seeds)),
        *verdict_lines(current),
        *nvt_lines(current),
        *nve_lines(current),
        *static_lines(current),
    ]
    if others:
        lines.append(f"\nLeft out: {', '.join(others)}.")
    return "\n".join(lines)


def outdated(record: dict) -> bool:
    """Tell whether a shipped model has got other weights since."""
    shipped = {card.name: card.sha256 for card in list_models()}
    made = record["calculator"]
    return shipped.get(made.get("model"), made.get("sha256")) != made.get("sha256")


def rank(record: dict) -> tuple:
    """Sort by model (one element each, then several), element, and part."""
    model, element = identity(record)
    place = ORDER.index(element) if element in ORDER else len(ORDER)
    return (model != element.lower(), model if model != element.lower() else "", place, element)


def identity(record: dict) -> tuple[str, str]:
    """Return model and element."""
    return record["calculator"].get("model", record["calculator"]["class"]), record["element"]


def name(record: dict) -> str:
    """Name model and element as two columns."""
    return " | ".join(identity(record))


def progress(record: dict) -> str:
    """Say how much was run of what was asked for."""
    return f"{record['done_ps']:g} / {record['target_ps']:g}"


# -- verdicts -------------------------------------------------------------------------------------


def verdict_lines(found: list[dict]) -> list[str]:
    """One line per model and element: every part, run or not."""
    by_subject: dict[tuple[str, str], dict[str, dict]] = {}
    for record in found:
        by_subject.setdefault(identity(record), {})[record["part"]] = record
    return [
        "\n## In short\n",
        f"| model | element | {' | '.join(COLUMNS.values())} |",
        "|---" * (2 + len(COLUMNS)) + "|",
        *(
            f"| {model} | {element} "
            + "".join(f"| {verdict(parts.get(part))} " for part in COLUMNS)
            + "|"
            for (model, element), parts in by_subject.items()
        ),
    ]


def verdict(record: dict | None) -> str:
    """Say how a part went."""
    if record is None:
        return "not run"
    if record["part"] == "static":
        return static_verdict(record)
    if "blew_up" in record:
        return f"**blew up** after {record['done_ps']:g} ps"
    text = "alive" if record["part"] != "nve" else drift_verdict(record)
    if record["done_ps"] < record["target_ps"]:
        return f"{text} so far ({progress(record)} ps)"
    return f"{text} ({record['done_ps']:g} ps)"


def drift_verdict(record: dict) -> str:
    """Say whether the slope of the energy is below the limit, as far as its error tells."""
    value, error = record["drift_mev_per_atom_per_ns"]
    text = f"{value:.2f} ± {error:.2f} meV/atom/ns"
    if abs(value) - 2 * error >= LARGEST_DRIFT:
        return f"**drifts** {text}"
    if abs(value) + 2 * error <= LARGEST_DRIFT:
        return f"below {LARGEST_DRIFT:g}: {text}"
    return f"undecided: {text}"


def static_verdict(record: dict) -> str:
    """Say whether there is a hole or a number that is none."""
    volumes, pair = record["volumes"], record["pair"]
    if not (volumes["finite"] and pair["finite"]):
        return "**not finite**"
    deepest = max(volumes["deepest_hole_mev"], pair["deepest_hole_mev"])
    return "no holes" if deepest < DEEPEST_HOLE else f"**hole** of {deepest:.0f} meV"


# -- the parts ------------------------------------------------------------------------------------


def nvt_lines(found: list[dict]) -> list[str]:
    """Langevin runs."""
    lines = [
        "\n## Constant volume and temperature (Langevin, float32)\n",
        "| model | element | T/T_m | V/V₀ | atoms | step, fs | ps run / asked "
        "| mean T, K (thermostat) | closest pair, Å | largest force, eV/Å | ⟨u²⟩ at the end, Å² "
        "| ms/step | alive |",
        "|---" * 13 + "|",
    ]
    for part in ("cold", "hot", "squeezed"):
        for r in (r for r in found if r["part"] == part):
            lines.append(
                f"| {name(r)} | {r['temperature'] / r['melting_temperature']:.1f} "
                f"| {r['volume_share']:g} | {r['atoms']} | {r['timestep_fs']:g} | {progress(r)} "
                f"| {measured(r, 'mean_temperature', '.0f')} ({r['temperature']:.0f}) "
                f"| {measured(r, 'closest_pair', '.2f')} | {measured(r, 'largest_force', '.1f')} "
                f"| {measured(r, 'mean_square_displacement', '.2f')} "
                f"| {measured(r, 'ms_per_step', '.1f')} | {alive(r)} |"
            )
    return lines


def nve_lines(found: list[dict]) -> list[str]:
    """Constant energy."""
    lines = [
        "\n## Constant energy (velocity Verlet, float64, started at 0.9 T_m)\n",
        "The slope of the total energy, its standard error from the scatter of ten blocks about\n"
        "the line. It is below the limit if it is by two errors, and undecided if the limit lies\n"
        "within them.\n",
        "| model | element | atoms | step, fs | ps run / asked | mean T, K | closest pair, Å "
        "| slope, meV/atom/ns | fluctuation, meV/atom | alive | < 1 meV/atom/ns |",
        "|---" * 11 + "|",
    ]
    for r in (r for r in found if r["part"] == "nve"):
        slope = drift_verdict(r).split(":")[0] if "drift_mev_per_atom_per_ns" in r else "-"
        answer = {"undecided": "undecided", "-": "-"}.get(slope, "no" if "*" in slope else "yes")
        lines.append(
            f"| {name(r)} | {r['atoms']} | {r['timestep_fs']:g} | {progress(r)} "
            f"| {measured(r, 'mean_temperature', '.0f')} | {measured(r, 'closest_pair', '.2f')} "
            f"| {measured(r, 'drift_mev_per_atom_per_ns', '.2f')} "
            f"| {measured(r, 'energy_fluctuation_mev_per_atom', '.3f')} | {alive(r)} | {answer} |"
        )
    return lines


def measured(record: dict, key: str, form: str) -> str:
    """Write a number, or a value and its error; a dash where nothing was measured."""
    if key not in record:
        return "-"
    values = record[key] if isinstance(record[key], list) else [record[key]]
    return " ± ".join(format(value, form) for value in values)


def alive(record: dict) -> str:
    """Say whether a simulation lived, and what ended it."""
    if "blew_up" in record:
        return f"no, {record['blew_up']}"
    return "yes" if record["done_ps"] >= record["target_ps"] else "yes, so far"


def static_lines(found: list[dict]) -> list[str]:
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
        "|---" * 8 + "|",
    ]
    for r in (r for r in found if r["part"] == "static"):
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
    if depth < DEEPEST_HOLE:
        return f"{depth:.1f}"
    return f"{depth:.1f} ({volumes['hole_between'][0]:.2f} and {volumes['hole_between'][1]:.2f})"
