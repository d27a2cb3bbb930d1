"""Numbers of a training file that no training can use."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from scatterml_ase.errors import InputError, explain

if TYPE_CHECKING:
    from scatterml_ase.training.config import SplitConfig, SplitRule, TrainingConfig

Test = Callable[[float], bool]

# What a number must be, in words, by which it is tested, and where it stands.
_RANGES: dict[str, tuple[Test, tuple[str, ...]]] = {
    "1 or more": (
        lambda x: x >= 1,
        (
            "run.epochs",
            "run.batch_structures",
            "run.batch_atoms",
            "run.batch_edges",
            "run.threads",
            "run.validate_every",
            "run.patience",
            "optimizer.plateau_patience",
        ),
    ),
    "0 or more": (
        lambda x: x >= 0,
        (
            "loss.energy",
            "loss.energy_late",
            "loss.forces",
            "loss.stress",
            "optimizer.weight_decay",
            "optimizer.warmup_steps",
            "run.checkpoint_minutes",
            "run.select_energy",
        ),
    ),
    "positive": (
        lambda x: x > 0,
        (
            "loss.energy_unit",
            "loss.force_unit",
            "loss.stress_unit",
            "optimizer.learning_rate",
            "optimizer.clip_gradient",
            "optimizer.plateau_factor",
            "run.minutes",
        ),
    ),
    "more than 0 and at most 1": (lambda x: 0 < x <= 1, ("data.fraction",)),
    "from 0 to 1": (
        lambda x: 0 <= x <= 1,
        ("loss.late_from", "optimizer.final_fraction"),
    ),
    "from 0 to below 1": (lambda x: 0 <= x < 1, ("optimizer.ema_decay",)),
    "from 0 to 2³² − 1": (lambda x: 0 <= x < 2**32, ("run.seed", "data.fraction_seed")),
}


def check_ranges(config: TrainingConfig) -> None:
    """Refuse numbers and names that no training can use.

    Raises
    ------
    InputError
        Naming the first such value.
    """
    for name, value, test, allowed in _numbers(config):
        if isinstance(value, int | float) and not (math.isfinite(value) and test(value)):
            raise _unusable(name, value, f"Choose a number that is {allowed}")
    if config.name in ("", ".", "..") or set(config.name) & set("/\\\0"):
        raise _unusable("name", repr(config.name), "Choose one that can be the name of a folder")
    loss = config.loss
    if not (loss.energy or loss.energy_late or loss.forces or loss.stress):
        raise _unusable("loss", "0 for energy, forces and stress", "Give one of them a weight")


def _numbers(config: TrainingConfig) -> Iterator[tuple[str, Any, Test, str]]:
    """Yield name, value, test and what is allowed for every number that has a range."""
    for allowed, (test, names) in _RANGES.items():
        for name in names:
            yield name, attrgetter(name)(config), test, allowed
    parts: dict[str, SplitConfig | SplitRule] = {"split": config.split}
    parts |= {f"split rule {rule.file!r}": rule for rule in config.split.rules}
    for where, part in parts.items():
        yield f"{where}.fraction", part.fraction, lambda x: 0 <= x < 1, "from 0 to below 1"
        yield f"{where}.gap", part.gap, lambda x: x >= 0, "0 or more"


def _unusable(name: str, value: Any, fix: str) -> InputError:
    return InputError(explain(f"{name} = {value}", "no training can use that", fix))
