"""One calculator in one process: reads requests as JSON lines, times calls, answers as JSON lines.

It is started by ``benchmarks/potential.py`` with the Python of whatever environment holds the
calculator, so it imports nothing but that calculator's package, ASE, numpy and torch.

    python potential_worker.py NAME FOLDER
    {"atoms": 64, "calls": 5, "seed": 0}  ->  {"atoms": 64, "wall": [...], "cpu": [...]}  (seconds)
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk

# Every size is a repetition of the cubic cell of eight atoms.
REPEATS = {8: (1, 1, 1), 64: (2, 2, 2), 216: (3, 3, 3), 512: (4, 4, 4)}
RATTLE = 0.05  # Å


# -- the calculators: random weights cost the same as trained ones ---------------------------------


def ours(dtype: str, model: str = "si"):
    """Make the potential of this package."""
    from scatterml_ase import PotentialCalculator

    return PotentialCalculator(model, dtype=dtype)


def chgnet():
    """Make CHGNet with the weights it ships."""
    from chgnet.model.dynamics import CHGNetCalculator

    return CHGNetCalculator(use_device="cpu")


def mace(irreps: str):
    """Make a MACE of the published size for one species: two layers, products to third order."""
    from mace import modules  # first: it lets its old e3nn load its constants
    from mace.calculators import MACECalculator

    irreps_of = sys.modules["e3nn.o3"].Irreps
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    block = modules.interaction_classes
    model = modules.ScaleShiftMACE(
        r_max=5.0, num_bessel=8, num_polynomial_cutoff=5, max_ell=3, correlation=3,
        interaction_cls=block["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=block["RealAgnosticInteractionBlock"], num_interactions=2,
        hidden_irreps=irreps_of(irreps), MLP_irreps=irreps_of("16x0e"), num_elements=1,
        atomic_numbers=[14], atomic_energies=np.zeros(1), avg_num_neighbors=28.0,
        gate=torch.nn.functional.silu, radial_MLP=[64, 64, 64], radial_type="bessel",
        atomic_inter_scale=1.0, atomic_inter_shift=0.0,
    )  # fmt: skip
    torch.set_default_dtype(default)
    return MACECalculator(models=[model], device="cpu", default_dtype="float32")


def nequip_model():
    """Make a NequIP of four layers, 64 channels, l ≤ 2, cutoff 5 Å."""
    from nequip.model import NequIPGNNModel
    from nequip.utils.global_state import set_global_state

    set_global_state()
    model = NequIPGNNModel(
        seed=1, model_dtype="float32", type_names=["Si"], r_max=5.0, num_layers=4, l_max=2,
        parity=False, num_features=64, avg_num_neighbors=28.0,
    )  # fmt: skip
    return getattr(model, "sole_model", model).eval()


def nequip():
    """Make the NequIP calculator without compilation."""
    from nequip.integrations.ase import NequIPCalculator

    return NequIPCalculator(nequip_model(), "cpu", transforms=nequip_transforms())


def nequip_transforms() -> list:
    """Return what NequIP does with Atoms before the model."""
    from nequip.integrations.utils import basic_transforms, handle_chemical_species_map

    metadata = nequip_model().metadata
    species = handle_chemical_species_map(None, ["Si"])
    return basic_transforms(metadata, 5.0, ["Si"], species)


def nequip_compiled(cache: Path):
    """Make the same calculator compiled ahead of time by AOTInductor, as nequip-compile does."""
    from nequip.data import from_ase
    from nequip.integrations.ase import NequIPCalculator
    from nequip.scripts._compile_utils import COMPILE_TARGET_DICT
    from nequip.utils import aoti_metadata
    from nequip.utils.aot import aot_export_model
    from nequip.utils.global_state import get_latest_global_state

    path = cache / "benchmark.nequip.pt2"
    if not path.is_file():
        data = from_ase(silicon(64, 0))
        for transform in nequip_transforms():
            data = transform(data)
        target = COMPILE_TARGET_DICT["ase"]
        dimensions = {
            "graph": torch.export.Dim.STATIC,
            "node": torch.export.Dim("num_nodes", min=2, max=torch.inf),
            "edge": torch.export.Dim("num_edges", min=2, max=torch.inf),
        }
        model = nequip_model()
        metadata = model.metadata | get_latest_global_state(only_metadata_related=True)
        metadata = {k: str(int(v)) if isinstance(v, bool) else str(v) for k, v in metadata.items()}
        for end, key in (("input", "INPUTS"), ("output", "OUTPUTS")):
            name = getattr(aoti_metadata, f"NEQUIP_AOTI_{key}_KEY")
            metadata[name] = aoti_metadata.serialize_aoti_keys(target[end])
        aot_export_model(
            model, "cpu", target["input"], target["output"], target["data_settings"](data),
            dimensions, str(path), {"aot_inductor.metadata": metadata},
        )  # fmt: skip
    return NequIPCalculator.from_compiled_model(path, device="cpu")


CALCULATORS: dict[str, Callable[[Path], object]] = {
    "ours-float32": lambda cache: ours("float32"),
    "ours-float64": lambda cache: ours("float64"),
    "chgnet": lambda cache: chgnet(),
    "mace-128x0e+128x1o": lambda cache: mace("128x0e+128x1o"),
    "mace-64x0e": lambda cache: mace("64x0e"),
    "nequip": lambda cache: nequip(),
    "nequip-compiled": nequip_compiled,
}


# -- timing ----------------------------------------------------------------------------------------


def silicon(atoms: int, seed: int) -> Atoms:
    """Return rattled silicon with 8, 64, 216 or 512 atoms."""
    crystal = bulk("Si", cubic=True, a=5.469) * REPEATS[atoms]
    crystal.rattle(RATTLE, seed=seed)
    return crystal


def measure(calculator, atoms: int, calls: int, seed: int) -> dict:
    """Time calls for energy, forces and stress; atoms move before each, so nothing is kept."""
    crystal = silicon(atoms, seed)
    crystal.calc = calculator
    generator = np.random.default_rng(seed)
    ideal, wall, cpu = crystal.positions.copy(), [], []
    for _ in range(calls):
        crystal.positions = ideal + generator.normal(scale=RATTLE, size=ideal.shape)
        start, start_cpu = time.perf_counter(), time.process_time()
        forces = crystal.get_forces()
        crystal.get_potential_energy(), crystal.get_stress()
        cpu.append(time.process_time() - start_cpu)
        wall.append(time.perf_counter() - start)
    return {"atoms": atoms, "wall": wall, "cpu": cpu, "finite": bool(np.isfinite(forces).all())}


def main(name: str, cache: str) -> None:
    """Make the calculator, then answer requests until the input ends."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what packages print must not mix with the answers

    def answer(message: dict) -> None:
        print(json.dumps(message), file=answers, flush=True)

    try:
        start = time.perf_counter()
        with contextlib.redirect_stdout(sys.stderr):
            calculator = CALCULATORS[name](Path(cache))
        answer({"ready": name, "seconds": time.perf_counter() - start, "torch": torch.__version__})
    except Exception as error:
        answer({"failed": f"{type(error).__name__}: {error}"})
        raise
    for line in sys.stdin:
        answer(measure(calculator, **json.loads(line)))


if __name__ == "__main__":
    main(*sys.argv[1:])
