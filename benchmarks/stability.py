"""Is a potential stable? Long runs, extreme volumes, and the smoothness of its cutoff.

One process, one thread, one element; every part writes its own JSON file after each picosecond.
The same command goes on where it was stopped and leaves out what is done (delete a file to run
its part again; other weights are another simulation and begin anew):

    python benchmarks/stability.py si                          # all parts
    python benchmarks/stability.py elements-6 --element Li --parts hot nve
    python benchmarks/stability.py si --nvt 5 --nve 2 --squeezed 2 --output runs/look
    python benchmarks/stability.py --table > docs/stability.md # from all JSON files

Parts: ``cold`` and ``hot`` are Langevin dynamics at 0.9 and 2 T_m at the volume of the static
minimum (float32); ``squeezed`` the same at 0.6 of that volume and 2 T_m; ``nve`` constant energy
after a start at 0.9 T_m (float64); ``static`` the energy from 0.4 to many times the volume and of
a pair of atoms, and the second derivative where a shell of neighbours crosses the cutoff.
"""

import argparse
from pathlib import Path

import torch
from ase import Atoms
from ase.build import bulk
from stability_dynamics import SIMULATIONS, dynamics
from stability_records import earlier, place, write
from stability_static import static_checks
from stability_table import table

import scatterml_ase
from scatterml_ase import PotentialCalculator, relax
from scatterml_ase.phonons.provenance import describe_calculator
from scatterml_ase.workflows.properties.reference import melting_temperature

PARTS = ("static", *SIMULATIONS)


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
        file = place(options.output, options.model, options.element, part)
        print(f"{options.model} {options.element} {part} -> {file}", flush=True)
        common = {
            "scatterml_ase": scatterml_ase.__version__,
            "calculator": describe_calculator(crystal.calc),
            "element": options.element,
            "part": part,
            "melting_temperature": options.melting_temperature,
        }
        if part == "static":
            if earlier(file, common) is None:
                write(file, {**common, **static_checks(crystal)})
            continue
        common["seed"] = options.seed
        duration = {"nve": options.nve, "squeezed": options.squeezed}.get(part, options.nvt)
        dynamics(part, crystal, options.model, duration, options.length, common, file)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("model", nargs="?", default="si", help="a shipped model or a folder")
    parser.add_argument("--element", help="needed where the model knows several")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--nvt", type=int, default=100, help="ps at 0.9 and at 2 T_m")
    parser.add_argument("--squeezed", type=int, default=10, help="ps at 0.6 of the volume")
    parser.add_argument("--nve", type=int, default=20, help="ps at constant energy")
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
    if min(options.nvt, options.squeezed, options.nve) < 1:
        parser.error("give 1 ps or more")
    if options.element is None:
        species = PotentialCalculator(options.model).species
        if len(species) != 1:
            parser.error("this model knows several elements: choose one with --element")
        options.element = Atoms(numbers=species).get_chemical_symbols()[0]
    if options.melting_temperature is None:
        options.melting_temperature = melting_temperature(options.element)
    return options


if __name__ == "__main__":
    main()
