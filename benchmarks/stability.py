"""Is a potential stable? Long runs, extreme volumes, and the smoothness of its cutoff.

One process, one thread, one element; every part writes its own JSON file after each picosecond,
and the same command goes on where it was stopped:

    python benchmarks/stability.py si                          # all parts
    python benchmarks/stability.py elements-6 --element Li --parts hot nve
    python benchmarks/stability.py si --nvt 5 --nve 2          # a look
    python benchmarks/stability.py --table > docs/stability.md # from all JSON files

Parts: ``cold`` and ``hot`` are Langevin dynamics at 0.9 and 2 T_m at the volume of the static
minimum (float32); ``squeezed`` the same at 0.6 of that volume and 2 T_m; ``nve`` constant energy
after a start at 0.9 T_m (float64); ``static`` the energy from 0.4 to many times the volume and of
a pair of atoms, and the second derivative where a shell of neighbours crosses the cutoff.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.md.verlet import VelocityVerlet
from matscipy.neighbours import neighbour_list
from stability_static import static_checks
from stability_table import table

import scatterml_ase
from scatterml_ase import PotentialCalculator, relax
from scatterml_ase.atomic_write import atomic_write
from scatterml_ase.phonons.provenance import describe_calculator
from scatterml_ase.physics.averages import block_average, slope
from scatterml_ase.workflows.properties.dynamics import (
    BlowUpError,
    langevin,
    run,
    set_temperature,
    simulation_cell,
    timestep_for,
)
from scatterml_ase.workflows.properties.reference import melting_temperature

# Part: (share of T_m, share of the static volume).
NVT = {"cold": (0.9, 1.0), "hot": (2.0, 1.0), "squeezed": (2.0, 0.6)}
PARTS = (*NVT, "nve", "static")
BLOCK = 1000.0  # fs
EVERY = 10  # steps between samples
EQUILIBRATION = 2000.0  # fs of Langevin dynamics before constant energy


def main() -> None:
    """Run what the command line asks for."""
    options = arguments()
    if options.table:
        print(table(options.output))
        return
    torch.set_num_threads(1)
    options.output.mkdir(parents=True, exist_ok=True)
    crystal = relax(bulk(options.element), PotentialCalculator(options.model))
    for part in options.parts:
        file = options.output / f"{options.model}_{options.element}_{part}.json"
        common = {
            "scatterml_ase": scatterml_ase.__version__,
            "calculator": describe_calculator(crystal.calc),
            "element": options.element,
            "part": part,
            "melting_temperature": options.melting_temperature,
            "seed": options.seed,
        }
        print(f"{options.model} {options.element} {part} -> {file}", flush=True)
        if part == "static":
            write(file, {**common, **static_checks(crystal)})
        else:
            dynamics(part, crystal, options, common, file)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("model", nargs="?", default="si", help="a shipped model or a folder")
    parser.add_argument("--element", help="needed where the model knows several")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--nvt", type=float, default=100, help="ps at 0.9 and at 2 T_m")
    parser.add_argument("--squeezed", type=float, default=10, help="ps at 0.6 of the volume")
    parser.add_argument("--nve", type=float, default=20, help="ps at constant energy")
    parser.add_argument("--length", type=float, default=10, help="Å between periodic images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--melting-temperature", type=float, help="K, for elements not in the table"
    )
    parser.add_argument("--output", type=Path, default=Path("runs/stability"))
    parser.add_argument("--table", action="store_true", help="print the table of all JSON files")
    options = parser.parse_args()
    if options.table:
        return options
    if options.element is None:
        species = PotentialCalculator(options.model).species
        if len(species) != 1:
            parser.error("this model knows several elements: choose one with --element")
        options.element = Atoms(numbers=species).get_chemical_symbols()[0]
    if options.melting_temperature is None:
        options.melting_temperature = melting_temperature(options.element)
    return options


def dynamics(
    part: str, crystal: Atoms, options: argparse.Namespace, common: dict, file: Path
) -> None:
    """Run one simulation in blocks of a picosecond; go on from the last complete one."""
    share, volume = NVT.get(part, (0.9, 1.0))
    atoms = simulation_cell(crystal, options.length)
    atoms.set_cell(atoms.cell * volume ** (1 / 3), scale_atoms=True)
    dtype = "float64" if part == "nve" else "float32"
    atoms.calc = PotentialCalculator(options.model, dtype=dtype)
    duration = {"nve": options.nve, "squeezed": options.squeezed}.get(part, options.nvt)
    step = timestep_for(atoms) / (2 if part == "nve" else 1)
    record = {
        **common,
        "atoms": len(atoms),
        "dtype": dtype,
        "timestep_fs": step,
        "temperature": share * options.melting_temperature,
        "volume_share": volume,
        "target_ps": duration,
        "blocks": [],
    }
    state = file.with_suffix(".npz")
    record["blocks"] = resume(atoms, record, file, state)
    if not record["blocks"]:
        equilibrate(part, atoms, record["temperature"], step, options.seed)
    start = simulation_cell(crystal, options.length).get_scaled_positions(wrap=False)
    for number in range(len(record["blocks"]), round(duration * 1000 / BLOCK)):
        generator = np.random.default_rng((options.seed, number))
        try:
            record["blocks"].append(block(part, atoms, start, record, generator))
        except BlowUpError as error:
            record["blew_up"] = f"in picosecond {number + 1}: {error}"
        save_state(state, atoms, len(record["blocks"]))
        write(file, summarised(record))
        if "blew_up" in record:
            return


def equilibrate(part: str, atoms: Atoms, temperature: float, step: float, seed: int) -> None:
    """Give momenta; before constant energy also let them settle."""
    set_temperature(atoms, (2 if part == "cold" else 1) * temperature, seed)
    if part == "nve":
        generator = np.random.default_rng((seed, 10**6))
        settle = langevin(atoms, temperature, 2 * step, generator)
        run(settle, EQUILIBRATION, 2 * step, lambda _: None)


def block(
    part: str, atoms: Atoms, start: np.ndarray, record: dict, generator: np.random.Generator
) -> dict:
    """Run one picosecond and sum it up."""
    step, temperature = record["timestep_fs"], record["temperature"]
    if part == "nve":
        engine = VelocityVerlet(atoms, step * units.fs)
    else:
        engine = langevin(atoms, temperature, step, generator)
    clock = time.perf_counter()
    samples = np.array(run(engine, BLOCK, step, sample, every=EVERY, temperature=temperature))
    seconds = time.perf_counter() - clock
    moved = (atoms.get_scaled_positions(wrap=False) - start) @ atoms.cell.array
    moved -= moved.mean(axis=0)
    return {
        "temperature": samples[:, 0].tolist(),
        "potential_energy": samples[:, 1].tolist(),
        "total_energy": samples[:, 2].tolist(),
        "largest_force": float(samples[:, 3].max()),
        "closest_pair": float(samples[:, 4].min()),
        "mean_square_displacement": float((moved**2).sum(axis=1).mean()),
        "ms_per_step": 1000 * seconds / (BLOCK / step),
    }


def sample(atoms: Atoms) -> tuple[float, ...]:
    """Return temperature (K), energies per atom (eV), largest force (eV/Å), closest pair (Å)."""
    energy, n = atoms.get_potential_energy(), len(atoms)
    force = np.linalg.norm(atoms.get_forces(), axis=1).max()
    distances = neighbour_list("d", atoms, 3.5)
    closest = distances.min() if len(distances) else np.inf
    kinetic = atoms.get_kinetic_energy()
    return atoms.get_temperature(), energy / n, (energy + kinetic) / n, force, closest


def summarised(record: dict) -> dict:
    """Add what the series say."""
    blocks = record["blocks"]
    done = {"done_ps": len(blocks) * BLOCK / 1000}
    if not blocks:
        return {**record, **done}
    series = {
        key: np.concatenate([b[key] for b in blocks])
        for key in ("temperature", "potential_energy", "total_energy")
    }
    temperature = block_average(series["temperature"])
    done |= {
        "mean_temperature": [temperature.value, temperature.error],
        "largest_force": max(b["largest_force"] for b in blocks),
        "closest_pair": min(b["closest_pair"] for b in blocks),
        "mean_square_displacement": blocks[-1]["mean_square_displacement"],
        "ms_per_step": float(np.median([b["ms_per_step"] for b in blocks])),
    }
    if record["part"] == "nve":
        times = (1 + np.arange(len(series["total_energy"]))) * EVERY * record["timestep_fs"]
        drift = slope(times * 1e-6, 1000 * series["total_energy"])  # ns, meV/atom
        done["drift_mev_per_atom_per_ns"] = [drift.value, drift.error]
        done["energy_fluctuation_mev_per_atom"] = float(1000 * series["total_energy"].std())
    return {**record, **done}


# -- files ----------------------------------------------------------------------------------------


def resume(atoms: Atoms, record: dict, file: Path, state: Path) -> list[dict]:
    """Return the blocks already there, if they belong to this simulation, and set the state."""
    if not (file.is_file() and state.is_file()):
        return []
    before = json.loads(file.read_text())
    same = ("calculator", "atoms", "dtype", "timestep_fs", "temperature", "volume_share", "seed")
    if "blew_up" in before or any(before.get(key) != record[key] for key in same):
        return []
    with np.load(state, allow_pickle=False) as data:
        if int(data["blocks"]) != len(before["blocks"]):
            return []  # stopped between the two files: begin anew
        atoms.set_positions(data["positions"])
        atoms.set_momenta(data["momenta"])
    return before["blocks"]


def save_state(file: Path, atoms: Atoms, blocks: int) -> None:
    """Write positions and momenta in full precision."""
    with atomic_write(file) as temporary:
        np.savez(temporary, positions=atoms.positions, momenta=atoms.get_momenta(), blocks=blocks)


def write(file: Path, record: dict) -> None:
    """Write a record, whole or not at all."""
    with atomic_write(file) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
