"""What a training run is: one TOML file, read into frozen dataclasses.

Each table of the file is one dataclass below; its fields are the keys, its defaults the defaults.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from scatterml_ase.errors import InputError, explain
from scatterml_ase.training.ranges import check_ranges
from scatterml_ase.training.tables import from_table


@dataclass(frozen=True)
class DataConfig:
    """Table ``[data]``: which files, and how their labels are called.

    ``energy``, ``forces`` and ``stress`` are keys of ``atoms.info``/``atoms.arrays`` or, where ASE
    has moved them, of the attached results (eV, eV/Å, eV/Å³ tension positive). An empty ``stress``
    trains without. ``group`` is the ``info`` key whose values get their own rows in the metrics.
    ``ignore_stress`` names components per group that are not to be trusted, or ``["all"]``; its
    keys are "GROUP" for all files, or "FILE:GROUP" for those in whose name the expression FILE is
    found. ``fraction`` trains on a part of the training structures only, for learning curves: a
    random one by ``fraction_seed``, with each file's groups in proportion; smaller fractions are
    subsets of larger ones, and the validation structures stay the same.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...] = ()
    energy: str = "energy"
    forces: str = "forces"
    stress: str = "stress"
    group: str = "group"
    ignore_stress: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fraction: float = 1.0
    fraction_seed: int = 0


@dataclass(frozen=True)
class SplitRule:
    """Table ``[[split.rules]]``: how the structures of some files are split.

    It serves the files in whose name the expression ``file`` is found and no earlier rule's is;
    what it does not give is as in ``[split]``.
    """

    file: str
    fraction: float | None = None
    gap: int | None = None
    key: str | None = None
    trajectory: str | None = None
    hold_out: tuple[str, ...] | None = None


@dataclass(frozen=True)
class SplitConfig:
    r"""Table ``[split]``: how structures are set aside for validation.

    Structures whose ``key`` matches one of the expressions ``hold_out`` go to validation. Those
    whose ``key`` matches ``trajectory`` form one trajectory for each file and text the expression's
    groups capture; its last ``fraction`` goes to validation as one block and ``gap`` structures
    before it are used for nothing. The rest is trained on. With neither expression every file is
    one trajectory. ``key`` is a key of ``atoms.info``; "index" is the position of the structure in
    its file (0, 1, …), of which ``trajectory = '^(\d*)\d$'`` makes blocks of ten, and "file" the
    file's name. ``rules`` make exceptions for some of the files.
    """

    fraction: float = 0.1
    gap: int = 0
    key: str = "group"
    trajectory: str = ""
    hold_out: tuple[str, ...] = ()
    rules: tuple[SplitRule, ...] = ()


@dataclass(frozen=True)
class ModelConfig:
    """Table ``[model]``: the architecture and the options its ``Config`` takes.

    Options that the data decide (species, binding energies, mean number of neighbours, …) are
    filled in unless they are given. ``reference_energies`` are the energies of free atoms by
    symbol (eV); a species not named has that of its isolated atom in the data, if there is one,
    else zero. ``start`` is the name or the folder of a model to go on from (fine-tuning); it has
    the architecture, its energies are refitted to the data and species are added as needed.
    Weights in whose name an expression of ``freeze`` is found stay as they are.
    """

    architecture: str = "E3NNPotential"
    options: Mapping[str, Any] = field(default_factory=dict)
    reference_energies: Mapping[str, float] = field(default_factory=dict)
    start: str = ""
    freeze: tuple[str, ...] = ()


@dataclass(frozen=True)
class LossConfig:
    """Table ``[loss]``: weights of the error in energy per atom, force and stress components.

    Errors are measured in ``energy_unit`` eV/atom, ``force_unit`` eV/Å and ``stress_unit`` eV/Å³
    before ``kind`` is applied; ``huber`` is quadratic below 1 of these units and linear above.
    Small units let the quiet crystal count beside the melt, as phonons need it. From the
    fraction ``late_from`` of the run on, the energy weight is ``energy_late``.
    """

    kind: Literal["huber", "l1", "l2"] = "huber"
    energy: float = 1.0
    forces: float = 3.0
    stress: float = 2.0
    energy_unit: float = 0.01
    force_unit: float = 0.03
    stress_unit: float = 0.001
    energy_late: float | None = 5.0
    late_from: float = 0.6


@dataclass(frozen=True)
class OptimizerConfig:
    """Table ``[optimizer]``: Adam, its schedule, and the running mean of the weights."""

    kind: Literal["adam", "adamw"] = "adamw"
    learning_rate: float = 0.01
    weight_decay: float = 0.02
    amsgrad: bool = True
    clip_gradient: float | None = 10.0
    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    warmup_steps: int = 100
    final_fraction: float = 0.01
    plateau_factor: float = 0.5
    plateau_patience: int = 10
    ema_decay: float = 0.998


@dataclass(frozen=True)
class RunConfig:
    """Table ``[run]``: length, batches, precision, device and seeds.

    ``minutes`` ends the run by the wall clock, and the schedule follows whichever of the two
    limits is nearer; runs are reproducible to the bit only without it. A batch is closed when it
    has ``batch_structures`` structures or would exceed ``batch_atoms`` atoms or ``batch_edges``
    edges. Either of these may be "auto", for data of mixed sizes: then batches are closed by size
    alone, at that of ``batch_structures`` structures of mean size, so that steps cost about the
    same. ``device`` "auto" is CUDA where there is some. ``select_energy`` (atoms per Å) weighs the
    energy error (eV/atom) against the force error (eV/Å) when the best epoch is chosen.
    """

    epochs: int = 100
    minutes: float | None = None
    batch_structures: int = 4
    batch_atoms: int | Literal["auto"] | None = None
    batch_edges: int | Literal["auto"] | None = None
    dtype: Literal["float32", "float64"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None
    seed: int = 0
    validate_every: int = 1
    checkpoint_minutes: float = 3.0
    patience: int | None = None
    select_energy: float = 10.0


@dataclass(frozen=True)
class CardConfig:
    """Table ``[card]``: what the data cannot tell about themselves, copied into the card."""

    description: str = ""
    data: str = ""
    level_of_theory: str = ""
    licence: str = ""
    citation: str = ""
    split: str = ""
    hardware: str = ""
    never_shown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingConfig:
    """A whole training run; ``name`` becomes the model's name."""

    name: str
    data: DataConfig
    split: SplitConfig = SplitConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    run: RunConfig = RunConfig()
    card: CardConfig = CardConfig()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as they would stand in the TOML file."""
        return dataclasses.asdict(self)


def read_config(path: str | Path, *, data: Sequence[str | Path] = ()) -> TrainingConfig:
    """Read a training file.

    File names in it are relative to it and may contain environment variables (``${DATA}/x.xyz``);
    ``data``, if given, takes the place of its ``data.train``. ``model.start`` is such a file name
    if it has a slash in it, and else the name of a model.

    Raises
    ------
    InputError
        If the file is missing or no TOML, or a key is unknown, missing or of the wrong type.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(
            explain(f"Cannot read the training file {str(path)!r}", why, "Check the path")
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            explain(f"{str(path)!r} is not a TOML file", str(error), "Correct that line")
        ) from error
    config = from_table(TrainingConfig, table, where=path.name)
    check_ranges(config)
    named = data or [_locate(name, path.parent) for name in config.data.train]
    files = dataclasses.replace(
        config.data,
        train=tuple(str(name) for name in named),
        validation=tuple(_locate(name, path.parent) for name in config.data.validation),
    )
    start = config.model.start
    if "/" in start or "$" in start:
        start = _locate(start, path.parent)
    model = dataclasses.replace(config.model, start=start)
    return dataclasses.replace(config, data=files, model=model)


def _locate(name: str, folder: Path) -> str:
    """Return a path of the training file with environment variables put in."""
    expanded = os.path.expandvars(name)
    if "$" in expanded:
        raise InputError(
            explain(
                f"The path {name!r} names an environment variable that is not set",
                "the training file leaves the place of the data to you",
                "Set the variable, or pass the data file yourself (--data FILE, or data=…)",
            )
        )
    return str(folder / Path(expanded).expanduser())
