"""What :mod:`stability` learns from dynamics: picosecond after picosecond, resumable."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.md.md import MolecularDynamics
from ase.md.verlet import VelocityVerlet
from matscipy.neighbours import neighbour_list
from stability_records import earlier, restore, state, write

from scatterml_ase import PotentialCalculator
from scatterml_ase.physics.averages import block_average, slope
from scatterml_ase.workflows.properties.dynamics import (
    BlowUpError,
    langevin,
    run,
    set_temperature,
    simulation_cell,
    timestep_for,
)

PICOSECOND = 1000.0  # fs, the length of a block
EVERY = 10  # steps between samples
EQUILIBRATION = 2000.0  # fs of Langevin dynamics before constant energy


@dataclass(frozen=True)
class Simulation:
    """One part: ``share`` of T_m, ``volume`` as a share of the static one, what is kept."""

    share: float
    volume: float = 1.0
    start: float = 1.0  # of the temperature; 2 for a crystal, half of it becomes potential energy
    constant_energy: bool = False

    @property
    def dtype(self) -> str:
        """The precision: float64 where the slope of the energy is looked at."""
        return "float64" if self.constant_energy else "float32"


SIMULATIONS = {
    "cold": Simulation(0.9, start=2.0),
    "hot": Simulation(2.0),
    "squeezed": Simulation(2.0, volume=0.6),
    "nve": Simulation(0.9, constant_energy=True),
}


def dynamics(
    part: str,
    crystal: Atoms,
    model: str,
    duration: int,
    length: float,
    common: dict,
    file: Path,
) -> None:
    """Run one part for a duration (whole ps) in blocks of one; go on from the last one."""
    simulation = SIMULATIONS[part]
    perfect = simulation_cell(crystal, length)
    atoms = perfect.copy()
    atoms.set_cell(atoms.cell * simulation.volume ** (1 / 3), scale_atoms=True)
    atoms.calc = PotentialCalculator(model, dtype=simulation.dtype)
    record = {
        **common,
        "atoms": len(atoms),
        "dtype": simulation.dtype,
        "timestep_fs": timestep_for(atoms) / (2 if simulation.constant_energy else 1),
        "temperature": simulation.share * common["melting_temperature"],
        "volume_share": simulation.volume,
        "target_ps": duration,
        "blocks": [],
    }
    before = earlier(file, record)
    if before and ("blew_up" in before or before["done_ps"] >= duration):
        print(f"  done before: {before['done_ps']:g} ps")
        return
    try:
        if before and "state" in before:
            restore(atoms, before["state"])
            record["blocks"] = before["blocks"]
        else:
            equilibrate(simulation, atoms, record)
        for number in range(len(record["blocks"]), duration):
            generator = np.random.default_rng((record["seed"], number))
            displaced_from = perfect.get_scaled_positions(wrap=False)
            record["blocks"].append(block(simulation, atoms, displaced_from, record, generator))
            write(file, {**summarised(record), "state": state(atoms)})
    except BlowUpError as error:
        record["blew_up"] = f"after {len(record['blocks'])} whole ps: {error}"
        write(file, summarised(record))


def equilibrate(simulation: Simulation, atoms: Atoms, record: dict) -> None:
    """Give momenta; before constant energy also let them settle."""
    temperature, seed = record["temperature"], record["seed"]
    set_temperature(atoms, simulation.start * temperature, seed)
    if simulation.constant_energy:
        step = 2 * record["timestep_fs"]
        settle = langevin(atoms, temperature, step, np.random.default_rng((seed, 10**6)))
        run(settle, EQUILIBRATION, step, lambda _: None, temperature=temperature)


def block(
    simulation: Simulation,
    atoms: Atoms,
    displaced_from: np.ndarray,
    record: dict,
    generator: np.random.Generator,
) -> dict:
    """Run one picosecond and sum it up."""
    step, temperature = record["timestep_fs"], record["temperature"]
    engine: MolecularDynamics = (
        VelocityVerlet(atoms, step * units.fs)
        if simulation.constant_energy
        else langevin(atoms, temperature, step, generator)
    )
    clock = time.perf_counter()
    samples = np.array(run(engine, PICOSECOND, step, sample, every=EVERY, temperature=temperature))
    seconds = time.perf_counter() - clock
    moved = (atoms.get_scaled_positions(wrap=False) - displaced_from) @ atoms.cell.array
    moved -= moved.mean(axis=0)
    return {
        "temperature": samples[:, 0].tolist(),
        "potential_energy": samples[:, 1].tolist(),
        "total_energy": samples[:, 2].tolist(),
        "largest_force": float(samples[:, 3].max()),
        "closest_pair": float(samples[:, 4].min()),
        "mean_square_displacement": float((moved**2).sum(axis=1).mean()),
        "ms_per_step": 1000 * seconds / (len(samples) * EVERY),
    }


def sample(atoms: Atoms) -> tuple[float, ...]:
    """Return temperature (K), energies per atom (eV), largest force (eV/Å), closest pair (Å)."""
    energy, n = atoms.get_potential_energy(), len(atoms)
    force = np.linalg.norm(atoms.get_forces(), axis=1).max()
    kinetic = atoms.get_kinetic_energy()
    closest = closest_pair(atoms)
    return atoms.get_temperature(), energy / n, (energy + kinetic) / n, force, closest


def closest_pair(atoms: Atoms) -> float:
    """Return the shortest distance in Å, periodic images included."""
    reach = 1.2 * (atoms.get_volume() / len(atoms)) ** (1 / 3)
    while not len(distances := neighbour_list("d", atoms, reach)):
        reach *= 1.5
    return float(distances.min())


def summarised(record: dict) -> dict:
    """Add what the series say."""
    blocks = record["blocks"]
    done = {"done_ps": len(blocks)}
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
    if SIMULATIONS[record["part"]].constant_energy:
        times = (1 + np.arange(len(series["total_energy"]))) * EVERY * record["timestep_fs"]
        drift = slope(times * 1e-6, 1000 * series["total_energy"])  # ns, meV/atom
        done["drift_mev_per_atom_per_ns"] = [drift.value, drift.error]
        done["energy_fluctuation_mev_per_atom"] = float(1000 * series["total_energy"].std())
    return {**record, **done}
