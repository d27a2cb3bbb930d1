"""Set validation structures aside: snapshots of one trajectory never straddle the border."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from scatterml_ase.errors import InputError, explain
from scatterml_ase.training.config import SplitConfig
from scatterml_ase.training.data import Frame


def split_frames(
    frames: Sequence[Frame], config: SplitConfig
) -> tuple[list[Frame], list[Frame], list[Frame]]:
    """Split into training, validation and unused (gap) structures.

    Parameters
    ----------
    frames
        Structures in the order of the file, which is the order in time of each trajectory.
    config
        The rule; see :class:`~scatterml_ase.training.config.SplitConfig`.

    Returns
    -------
    tuple of three lists
        Training, validation and unused structures, each in the order of the file.

    Raises
    ------
    InputError
        If an expression is wrong or matches nothing, or if a part would be empty.
    """
    part = ["train"] * len(frames)
    keys = [str(frame.atoms.info.get(config.key, "")) for frame in frames]
    held = _held_out(keys, config.hold_out)
    for index in held:
        part[index] = "validation"
    for members in _trajectories(keys, held, config).values():
        count = math.ceil(config.fraction * len(members))
        if not 0 < count < len(members):
            continue  # a trajectory of one structure is trained on
        start = len(members) - count
        for index in members[start:]:
            part[index] = "validation"
        for index in members[max(start - config.gap, 0) : start]:
            part[index] = "unused"
    train, validation, unused = (
        [frame for frame, name in zip(frames, part, strict=True) if name == wanted]
        for wanted in ("train", "validation", "unused")
    )
    _require_both(train, validation, config)
    return train, validation, unused


def _held_out(keys: Sequence[str], patterns: Sequence[str]) -> set[int]:
    held: set[int] = set()
    for pattern in patterns:
        found = [i for i, key in enumerate(keys) if _compiled(pattern).search(key)]
        if not found:
            raise _no_match("hold_out", pattern)
        held.update(found)
    return held


def _trajectories(keys: Sequence[str], held: set[int], config: SplitConfig) -> dict[str, list[int]]:
    """Return the structures of each trajectory in order; those held out belong to none."""
    if not config.trajectory:
        # Without any expression the file is one trajectory; with hold_out alone there is none.
        return {} if config.hold_out else {"": list(range(len(keys)))}
    pattern = _compiled(config.trajectory)
    found: dict[str, list[int]] = {}
    for index, key in enumerate(keys):
        match = pattern.search(key)
        if match and index not in held:
            name = "|".join(str(text) for text in match.groups() or (match.group(),))
            found.setdefault(name, []).append(index)
    if not found:
        raise _no_match("trajectory", config.trajectory)
    return found


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InputError(
            explain(f"split: {pattern!r} is no regular expression", str(error), "Correct it")
        ) from error


def _no_match(name: str, pattern: str) -> InputError:
    return InputError(
        explain(
            f"split.{name} = {pattern!r} matches no structure",
            "the values of split.key look different",
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
