"""Set validation structures aside: snapshots of one trajectory never straddle the border."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.training.config import SplitConfig
from scatterml_ase.training.data import Frame
from scatterml_ase.training.tables import compiled


def split_frames(
    frames: Sequence[Frame], config: SplitConfig
) -> tuple[list[Frame], list[Frame], list[Frame]]:
    """Split into training, validation and unused (gap) structures.

    Parameters
    ----------
    frames
        Structures in the order of their files, which is the order in time of each trajectory.
    config
        The rules; see :class:`~scatterml_ase.training.config.SplitConfig`.

    Returns
    -------
    tuple of three lists
        Training, validation and unused structures, each in the order of the files.

    Raises
    ------
    InputError
        If an expression is wrong or matches nothing, or if a part would be empty.
    """
    part = ["train"] * len(frames)
    for rule, members in _by_rule(frames, config):
        keys = {i: str(frames[i].atoms.info.get(rule.key, "")) for i in members}
        held = _held_out(keys, rule.hold_out)
        for index in held:
            part[index] = "validation"
        files = {i: _file(frames[i]) for i in keys if i not in held}
        for trajectory in _trajectories(keys, files, rule):
            count = math.ceil(rule.fraction * len(trajectory))
            if not 0 < count < len(trajectory):
                continue  # a trajectory of one structure is trained on
            start = len(trajectory) - count
            for index in trajectory[start:]:
                part[index] = "validation"
            for index in trajectory[max(start - rule.gap, 0) : start]:
                part[index] = "unused"
    train, validation, unused = (
        [frame for frame, name in zip(frames, part, strict=True) if name == wanted]
        for wanted in ("train", "validation", "unused")
    )
    _require_both(train, validation, config)
    return train, validation, unused


def subset(frames: Sequence[Frame], fraction: float, *, seed: int) -> list[Frame]:
    """Return a random part of the frames, in their order, with the same mixture of groups.

    Each group of each file is put in a random order of its own, and these orders are interleaved
    in proportion; the part is the first ``fraction`` of all. So smaller parts are subsets of larger
    ones with the same seed.
    """
    if fraction >= 1:
        return list(frames)
    random = np.random.default_rng(seed)
    groups: dict[Hashable, list[int]] = {}
    for index, frame in enumerate(frames):
        groups.setdefault((_file(frame), frame.group), []).append(index)
    ranked = []
    for members in groups.values():
        for place, index in enumerate(random.permutation(members)):
            ranked.append(((place + 0.5) / len(members), int(index)))
    count = max(1, round(fraction * len(frames)))
    return [frames[index] for index in sorted(index for _, index in sorted(ranked)[:count])]


def _file(frame: Frame) -> str:
    return str(frame.atoms.info.get("file", ""))


def _by_rule(
    frames: Sequence[Frame], config: SplitConfig
) -> Iterable[tuple[SplitConfig, list[int]]]:
    """Yield each rule with the structures it serves; the first rule that matches a file does."""
    left = list(range(len(frames)))
    for rule in config.rules:
        pattern = compiled(rule.file, where="split.rules.file")
        mine = [i for i in left if pattern.search(_file(frames[i]))]
        if not mine:
            files = ", ".join(sorted({_file(frames[i]) for i in left})) or "none"
            raise InputError(
                explain(
                    f"split.rules: file = {rule.file!r} matches no data file",
                    f"those that no earlier rule serves are: {files}",
                    "Correct the expression, or remove the rule",
                )
            )
        given = {k: v for k, v in vars(rule).items() if k != "file" and v is not None}
        yield dataclasses.replace(config, rules=(), **given), mine
        served = set(mine)
        left = [i for i in left if i not in served]
    if left:
        yield config, left


def _held_out(keys: dict[int, str], patterns: Sequence[str]) -> set[int]:
    held: set[int] = set()
    for text in patterns:
        pattern = compiled(text, where="split.hold_out")
        found = [i for i, key in keys.items() if pattern.search(key)]
        if not found:
            raise _no_match("hold_out", text, keys)
        held.update(found)
    return held


def _trajectories(
    keys: dict[int, str], files: dict[int, str], config: SplitConfig
) -> list[list[int]]:
    """Return the structures of each trajectory in order; ``files`` has those not held out."""
    if not config.trajectory and config.hold_out:
        return []  # with hold_out alone there is none; without any expression a file is one
    pattern = compiled(config.trajectory, where="split.trajectory")
    found: dict[Hashable, list[int]] = {}
    for index, file in files.items():
        match = pattern.search(keys[index])
        if match:
            found.setdefault((file, match.groups() or match.group()), []).append(index)
    if not found:
        raise _no_match("trajectory", config.trajectory, keys)
    return list(found.values())


def _no_match(name: str, pattern: str, keys: dict[int, str]) -> InputError:
    example = next(iter(keys.values()))
    return InputError(
        explain(
            f"split.{name} = {pattern!r} matches no structure",
            f"the values of split.key look different: the first is {example!r}",
            "Correct the expression, or split.key",
        )
    )


def _require_both(train: list[Frame], validation: list[Frame], config: SplitConfig) -> None:
    if not train or not validation:
        empty = "training" if not train else "validation"
        raise InputError(
            explain(
                f"No structures are left for {empty}",
                f"the split sets fraction = {config.fraction} and hold_out = {config.hold_out}",
                "Give more structures, change [split], or name data.validation files",
            )
        )
