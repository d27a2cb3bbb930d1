"""Write files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scatterml_ase.errors import InputError, explain


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block succeeds.

    A killed or failing run leaves the old file (or none), never half a new one. The temporary
    name keeps the suffix of ``path``, because writers choose their format by it.

    Raises
    ------
    InputError
        If the folder is missing or cannot be written to.
    """
    path = Path(path)
    writable_folder(path.parent, create=False)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def writable_folder(folder: str | Path, *, create: bool) -> Path:
    """Return ``folder`` after making sure that files can be written into it.

    Raises
    ------
    InputError
        If it is missing (and ``create`` is false), is no folder, or is read-only.
    """
    folder = Path(folder)
    fix = "Choose another place or change its permissions"
    try:
        if create:
            folder.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            why = "it is a file" if folder.exists() else "it does not exist"
            raise InputError(explain(f"Cannot write into {str(folder)!r}", why, fix))
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(explain(f"Cannot write into {str(folder)!r}", why, fix)) from error
    return folder


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
