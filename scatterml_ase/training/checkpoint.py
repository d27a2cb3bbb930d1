"""Checkpoints: all a run needs to go on as if it had never stopped, in one file, nothing pickled.

Tensors are safetensors; the rest is JSON in the same file's header, so the two cannot disagree.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from scatterml_ase.atomic_write import atomic_write
from scatterml_ase.errors import InputError, explain
from scatterml_ase.training.config import DataConfig, TrainingConfig
from scatterml_ase.training.optimize import RunningMean


@dataclass
class RunState:
    """Where a run stands.

    Attributes
    ----------
    epoch, batch
        The next batch to be trained on.
    steps
        Steps done.
    seconds
        Wall-clock time spent in training so far.
    sums
        Running sums of the current epoch.
    rows
        One row per finished epoch, as in the CSV file.
    best_score, best_epoch
        Best validation score (eV/Å, lower is better) and its epoch.
    plateau_factor, stale
        Plateau schedule: factor on the learning rate; validations since the last improvement.
    waited
        Validations since the last improvement, for early stopping.
    """

    epoch: int = 0
    batch: int = 0
    steps: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    rows: list[dict[str, float]] = field(default_factory=list)
    best_score: float | None = None
    best_epoch: int = -1
    plateau_factor: float = 1.0
    stale: int = 0
    waited: int = 0


@dataclass
class Moving:
    """The parts of a run that change from step to step."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    mean: RunningMean
    best: dict[str, Tensor]
    state: RunState


def save_checkpoint(path: Path, moving: Moving, *, identity: dict[str, Any]) -> None:
    """Write a checkpoint whole or not at all.

    ``identity`` is what must be the same when the run is resumed: configuration and data.
    """
    tensors: dict[str, Tensor] = {}
    for prefix, values in (
        ("model", moving.model.state_dict()),
        ("mean", moving.mean.weights),
        ("best", moving.best),
    ):
        tensors |= {f"{prefix}/{name}": value for name, value in values.items()}
    for index, slots in moving.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{slot}": value for slot, value in slots.items()}
    header = {"state": dataclasses.asdict(moving.state), "identity": identity}
    with atomic_write(path) as temporary:
        save_file(
            {name: value.detach().clone().contiguous() for name, value in tensors.items()},
            temporary,
            metadata={"run": json.dumps(header)},
        )


def load_checkpoint(path: Path, moving: Moving, *, identity: dict[str, Any]) -> None:
    """Bring ``moving`` to where the checkpoint left off.

    Raises
    ------
    InputError
        If the file is damaged, or was made with another configuration or other data.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["run"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        state = RunState(**header["state"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _unusable(path, str(error) or type(error).__name__) from error
    _require_same(header["identity"], identity, path)
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "mean": {}, "best": {}, "optimizer": {}}
    for name, value in tensors.items():
        prefix, rest = name.split("/", 1)
        parts[prefix][rest] = value
    try:
        moving.model.load_state_dict(parts["model"])
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise _unusable(path, f"the architecture has changed since: {reason}") from error
    device = next(moving.model.parameters()).device
    moving.mean.weights = {name: value.to(device) for name, value in parts["mean"].items()}
    moving.best = {name: value.to(device) for name, value in parts["best"].items()}
    _load_optimizer(moving.optimizer, parts["optimizer"])
    moving.state = state


def _unusable(path: Path, why: str) -> InputError:
    what = f"The checkpoint {str(path)!r} cannot be read"
    return InputError(explain(what, why, "Start anew (resume=False, or --fresh)"))


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, slot = name.split("/")
        slots.setdefault(int(index), {})[slot] = value
    optimizer.load_state_dict(
        {"state": slots, "param_groups": optimizer.state_dict()["param_groups"]}
    )


def _require_same(saved: dict[str, Any], now: dict[str, Any], path: Path) -> None:
    """Compare as JSON does, so that tuples and lists are the same.

    An option that did not exist yet when the checkpoint was made had its default, and older
    checkpoints do not tell the model's configuration and how many structures there were.
    """
    now = json.loads(json.dumps(now))
    saved = _completed(saved, now)
    different = sorted(_differences(saved, now))
    # The model follows from the rest, and is named where nothing else explains it.
    different = [name for name in different if not name.startswith("model.")] or different
    if different:
        raise InputError(
            explain(
                f"The checkpoint {str(path)!r} belongs to another run",
                f"different: {', '.join(different)}",
                "Choose another output folder, or start anew (resume=False, or --fresh)",
            )
        )


def _completed(saved: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    defaults = json.loads(json.dumps(TrainingConfig("", DataConfig(train=())).to_dict()))
    config = dict(saved.get("config", {}))
    for table, options in now.get("config", {}).items():
        if isinstance(options, dict) and isinstance(config.get(table), dict):
            new = {k: v for k, v in defaults[table].items() if k in options}
            config[table] = new | config[table]
    unknown = {part: now[part] for part in ("model", "structures") if part in now}
    return unknown | saved | {"config": config}


def _differences(a: dict[str, Any], b: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key in a.keys() | b.keys():
        left, right = a.get(key), b.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            found += _differences(left, right, f"{prefix}{key}.")
        elif not _alike(left, right):
            found.append(prefix + key)
    return found


def _alike(a: Any, b: Any) -> bool:
    """Compare values; numbers fitted on another machine may differ by rounding."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_alike, a, b))
    if isinstance(a, float) and isinstance(b, float | int):
        return math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-9)
    return bool(a == b)
