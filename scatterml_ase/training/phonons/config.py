"""What a training of phonon models is: one TOML file, read into frozen dataclasses."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scatterml_ase.errors import InputError, explain
from scatterml_ase.training.config import CardConfig, OptimizerConfig
from scatterml_ase.training.tables import from_table


@dataclass(frozen=True)
class PhononDataConfig:
    """Table ``[data]``: where reference phonons are.

    ``forces`` is a packed file of :class:`~scatterml_ase.training.phonons.reference.
    ReferencePhonons`; ``reserved`` a JSON file whose ``validation_formulas`` are never trained on;
    ``labels`` a file of :func:`~scatterml_ase.training.phonons.labelled.read_labelled`, or "".
    """

    forces: str
    reserved: str
    labels: str = ""


@dataclass(frozen=True)
class HarmonicRunConfig:
    """Tables ``[charges]`` and ``[run]``: length, batches and seeds of a training.

    A batch is closed when its crystals, all padded to the largest of them, have ``batch_atoms``
    atoms. Of each crystal ``points`` wavevectors and ``modes`` modes are looked at in a step.
    ``blend`` weighs errors between modes of different frequencies, which change frequencies to
    second order only: it falls to this from ``first_blend`` over the first half of the run.
    Crystals with more than ``most_atoms`` atoms are left out. Of the formulas a share
    ``development`` is set aside to watch the run. ``stop`` ends it after so many of its epochs.
    Every ``labelled_every`` steps crystals with densities of states are learned from too.
    """

    epochs: int = 15
    stop: int | None = None
    batch_atoms: int = 400
    most_atoms: int = 64
    points: int = 2
    modes: int = 24
    first_blend: float = 1.0
    blend: float = 0.2
    development: float = 0.03
    polarity_every: int = 3
    labelled_every: int = 3
    labelled_weight: float = 1.0
    seed: int = 0
    threads: int = 1

    @property
    def last(self) -> int:
        """The epoch the run ends before."""
        return self.epochs if self.stop is None else min(self.stop, self.epochs)


@dataclass(frozen=True)
class DosRunConfig:
    """Table ``[dos]``: training of the heads of a DOS model, and the parts of its loss."""

    epochs: int = 40
    batch_crystals: int = 64
    wasserstein: float = 8.0
    partial: float = 4.0
    divergence: float = 0.5
    square: float = 8.0
    doubt: float = 0.02
    members: int = 4
    label_modes: int = 4000
    seed: int = 0


_HARMONIC = OptimizerConfig(
    learning_rate=2e-3, weight_decay=0.01, amsgrad=False, clip_gradient=1.0, ema_decay=0.999
)
_HEADS = OptimizerConfig(
    learning_rate=2e-3, weight_decay=0.03, amsgrad=False, clip_gradient=1.0, ema_decay=0.998
)


@dataclass(frozen=True)
class PhononTrainingConfig:
    """A training of force constants and densities of states, in three stages.

    ``[charges]`` learns from crystals as they are; its Born charges complete those that come
    without; ``[run]`` goes on from it with all dipoles taken off. ``[dos]`` then trains heads on
    features of the finished model. ``options`` go to the ``Config`` of the models.
    """

    name: str
    data: PhononDataConfig
    options: Mapping[str, Any] = field(default_factory=dict)
    charges: HarmonicRunConfig = field(default_factory=lambda: HarmonicRunConfig(epochs=24, stop=7))
    run: HarmonicRunConfig = HarmonicRunConfig()
    dos: DosRunConfig = DosRunConfig()
    optimizer: OptimizerConfig = _HARMONIC
    dos_optimizer: OptimizerConfig = _HEADS
    card: CardConfig = CardConfig()


def read_phonon_config(path: str | Path) -> PhononTrainingConfig:
    """Read a training file; file names in it may contain environment variables.

    Raises
    ------
    InputError
        If the file is missing or no TOML, a key is unknown, missing or of the wrong type, or an
        environment variable is not set.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        what = f"Cannot read the training file {str(path)!r}"
        raise InputError(explain(what, str(error), "Check the path and that line")) from error
    config = from_table(PhononTrainingConfig, table, where=path.name)
    places = {
        item.name: _locate(given, path.parent) if (given := getattr(config.data, item.name)) else ""
        for item in dataclasses.fields(config.data)
    }
    return dataclasses.replace(config, data=PhononDataConfig(**places))


def _locate(name: str, folder: Path) -> str:
    """Return a path of the training file with environment variables put in."""
    expanded = os.path.expandvars(name)
    if "$" in expanded:
        what = f"The path {name!r} names an environment variable that is not set"
        why = "the training file leaves the place of the data to you"
        raise InputError(explain(what, why, "Set the variable to the folder of the data"))
    return str(folder / Path(expanded).expanduser())
