"""What a training of phonon models is: one TOML file, read into frozen dataclasses."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scatterml_ase.errors import InputError, explain
from scatterml_ase.training.config import CardConfig, OptimizerConfig
from scatterml_ase.training.tables import from_table


@dataclass(frozen=True)
class HarmonicRunConfig:
    """Table ``[run]``: length, batches and seeds.

    A batch is closed when its crystals, all padded to the largest of them, have ``batch_atoms``
    atoms. Of each crystal ``points`` wavevectors and ``modes`` modes are looked at in a step.
    ``blend`` weighs errors between modes of different frequencies, which change frequencies to
    second order only: it falls from 1 to this over the run. Crystals with more than ``most_atoms``
    atoms are left out. Of the formulas a share ``development`` is set aside to watch the run.
    """

    epochs: int = 30
    batch_atoms: int = 400
    most_atoms: int = 64
    points: int = 2
    modes: int = 24
    blend: float = 0.2
    development: float = 0.03
    polarity_every: int = 3
    seed: int = 0
    threads: int = 1
    checkpoint_minutes: float = 3.0


@dataclass(frozen=True)
class HarmonicConfig:
    """A training of force constants; ``options`` go to the model's ``Config``."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            learning_rate=2e-3, weight_decay=0.01, amsgrad=False, clip_gradient=1.0, ema_decay=0.999
        )
    )
    run: HarmonicRunConfig = HarmonicRunConfig()
    card: CardConfig = CardConfig()


def read_harmonic_config(path: str | Path) -> HarmonicConfig:
    """Read a training file.

    Raises
    ------
    InputError
        If the file is missing or no TOML, or a key is unknown, missing or of the wrong type.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        what = f"Cannot read the training file {str(path)!r}"
        raise InputError(explain(what, str(error), "Check the path and that line")) from error
    return from_table(HarmonicConfig, table, where=path.name)
