"""The data files of a run, each read by its own rules."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from scatterml_ase.errors import AccuracyWarning, explain, warn
from scatterml_ase.training.config import DataConfig
from scatterml_ase.training.data import Frame, read_frames
from scatterml_ase.training.tables import compiled


def read_files(files: Iterable[str], config: DataConfig) -> list[Frame]:
    """Read labelled structures that know where they stand.

    ``atoms.info`` of each receives ``file`` (the name of its file, without folder) and ``index``
    (its position there, from 0), by which the rules of a split may name it.

    Raises
    ------
    InputError
        If a file cannot be read, or a structure lacks a label or has one that cannot be right.
    """
    frames = []
    unseen = set(config.ignore_stress)
    for path in files:
        name = Path(path).name
        distrusted = _distrusted(config, name)
        of_file = read_frames(
            [path],
            dataclasses.replace(
                config, ignore_stress={group: parts for group, (_, parts) in distrusted.items()}
            ),
        )
        for index, frame in enumerate(of_file):
            frame.atoms.info |= {"file": name, "index": index}
        groups = {frame.group for frame in of_file}
        unseen -= {key for group, (key, _) in distrusted.items() if group in groups}
        frames += of_file
    if unseen:
        warn(
            explain(
                f"data.ignore_stress names {', '.join(map(repr, sorted(unseen)))}",
                f"no structure is in such a group (info key {config.group!r}) of such a file",
                "All of its stress is trained on; correct the name, or remove it",
            ),
            AccuracyWarning,
        )
    return frames


def _distrusted(config: DataConfig, file: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return, by group, the key that speaks of it in a file and the components it names.

    "GROUP" holds in every file, "FILE:GROUP" where the expression FILE is found in the name; the
    latter has precedence.
    """
    found = {}
    for key, parts in sorted(config.ignore_stress.items(), key=lambda item: ":" in item[0]):
        pattern, colon, group = key.partition(":")
        if not colon:
            found[key] = (key, parts)
        elif compiled(pattern, where="data.ignore_stress").search(file):
            found[group] = (key, parts)
    return found
