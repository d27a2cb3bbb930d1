"""Write files whole or not at all."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scatterml_ase.errors import InputError, explain

_FIX = "Choose another place or change its permissions"


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block succeeds.

    A killed or failing run leaves the old file (or none), never half a new one. The temporary
    name keeps the suffix of ``path``, because writers choose their format by it. A link is
    followed: the file it points to is replaced.

    Raises
    ------
    InputError
        If the folder is missing or cannot be written to, or ``path`` is a folder.
    """
    path = Path(path).resolve()
    writable_folder(path.parent, create=False)
    if path.is_dir():
        raise InputError(explain(f"Cannot write the file {str(path)!r}", "it is a folder", _FIX))
    temporary = path.with_name(f".{path.stem[:200]}-{secrets.token_hex(4)}{path.suffix}")
    try:
        temporary.touch(exist_ok=False)
        yield temporary
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
    try:
        if create:
            folder.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            why = "it is a file" if folder.exists() else "it does not exist"
            raise InputError(explain(f"Cannot write into {str(folder)!r}", why, _FIX))
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(explain(f"Cannot write into {str(folder)!r}", why, _FIX)) from error
    return folder
