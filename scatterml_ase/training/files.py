"""The data files of a run, each read by its own rules."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from scatterml_ase.errors import AccuracyWarning, InputError, explain, warn
from scatterml_ase.training.config import DataConfig
from scatterml_ase.training.data import Fault, Frame, require_all, scan_frames
from scatterml_ase.training.tables import compiled


def read_parts(config: DataConfig) -> tuple[list[Frame], list[Frame]]:
    """Read the structures to train on and those of validation files, as :func:`scan_files` does.

    Raises
    ------
    InputError
        If no file is named or one cannot be read, or a structure lacks a label or has one that
        cannot be right.
    """
    if not config.train:
        raise InputError(
            explain("data.train names no file", "there is nothing to learn from", "Name one")
        )
    files = [*config.train, *config.validation]
    found = _read_each(files, config)
    require_all(*_joined(found))
    count = len(config.train)
    return _joined(found[:count])[0], _joined(found[count:])[0]


def read_files(files: Sequence[str], config: DataConfig) -> list[Frame]:
    """Read labelled structures that know where they stand, as :func:`scan_files` does.

    Raises
    ------
    InputError
        If a file cannot be read, or a structure lacks a label or has one that cannot be right.
    """
    frames, faults = scan_files(files, config)
    require_all(frames, faults)
    return frames


def scan_files(files: Sequence[str], config: DataConfig) -> tuple[list[Frame], list[Fault]]:
    """Read labelled structures that know where they stand, and collect the faults of the others.

    ``atoms.info`` of each receives ``file`` (the name of its file, without folder unless two files
    share it) and ``index`` (its position there, from 0), by which the rules of a split may name it.

    Raises
    ------
    InputError
        If a file cannot be read, or the rules for its stress are wrong.
    """
    return _joined(_read_each(files, config))


def _read_each(files: Sequence[str], config: DataConfig) -> list[tuple[list[Frame], list[Fault]]]:
    """Return structures and faults file by file; warn of rules for stress that served none."""
    found = []
    unseen = set(config.ignore_stress)
    for path, name in zip(files, file_names(files), strict=True):
        distrusted = _distrusted(config, name)
        ignored = {group: parts for group, (_, parts) in distrusted.items()}
        frames, faults = scan_frames(
            [path], dataclasses.replace(config, ignore_stress=ignored), names=[name]
        )
        for frame in frames:
            frame.atoms.info |= {"file": name, "index": int(frame.origin.rpartition(" ")[2])}
        groups = {frame.group for frame in frames}
        unseen -= {key for group, (key, _) in distrusted.items() if group in groups}
        found.append((frames, faults))
    if unseen and not any(faults for _, faults in found):
        warn(
            explain(
                f"data.ignore_stress names {', '.join(map(repr, sorted(unseen)))}",
                f"no structure is in such a group (info key {config.group!r}) of such a file",
                "All of its stress is trained on; correct the name, or remove it",
            ),
            AccuracyWarning,
        )
    return found


def _joined(
    found: Sequence[tuple[list[Frame], list[Fault]]],
) -> tuple[list[Frame], list[Fault]]:
    frames = [frame for frames, _ in found for frame in frames]
    return frames, [fault for _, faults in found for fault in faults]


def file_names(files: Sequence[str]) -> list[str]:
    """Return the names of files without folders; whole paths where two files share a name."""
    counts = Counter(Path(path).name for path in set(files))
    return [path if counts[Path(path).name] > 1 else Path(path).name for path in files]


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
