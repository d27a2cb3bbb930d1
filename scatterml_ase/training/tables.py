"""From the tables of a TOML file to frozen dataclasses, naming whatever does not fit."""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from scatterml_ase.errors import InputError, explain

T = TypeVar("T")


def from_table(cls: type[T], table: Mapping[str, Any], *, where: str) -> T:
    """Make the dataclass ``cls`` of a TOML table, naming every key that does not fit.

    ``where`` is what messages call the table.
    """
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in table:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            fix = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(fields)}"
            raise InputError(explain(f"{where} has the unknown key {key!r}", "a typo?", fix))
    values = {}
    for name, one in fields.items():
        if name in table:
            values[name] = _convert(table[name], hints[name], f"{where}: {name}")
        elif one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            what = f"{where} lacks the key {name!r}"
            raise InputError(explain(what, "it has no default", f"Add {name} = …"))
    return cls(**values)


def compiled(pattern: str, *, where: str) -> re.Pattern[str]:
    """Return a regular expression of a training file, which ``where`` names in messages.

    Raises
    ------
    InputError
        If it is none.
    """
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InputError(
            explain(f"{where}: {pattern!r} is no regular expression", str(error), "Correct it")
        ) from error


def _convert(value: Any, hint: Any, where: str) -> Any:
    """Bring one TOML value to the type of its field."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_table(typing.cast(type, hint), value, where=f"[{where.split(': ')[-1]}]")
    if origin is Literal:
        if value in arguments:
            return value
        raise _misfit(where, value, "one of " + ", ".join(map(repr, arguments)))
    if origin in (types.UnionType, typing.Union):
        kinds = [a for a in arguments if a is not types.NoneType]
        words = [word for kind in kinds for word in typing.get_args(kind) if type(word) is str]
        if value in words:
            return value
        return _convert(value, kinds[0], where + "".join(f" (or {word!r})" for word in words))
    if origin is tuple:
        if isinstance(value, str):  # one name where a list may stand
            value = [value]
        if isinstance(value, list | tuple):
            return tuple(_convert(item, arguments[0], where) for item in value)
        raise _misfit(where, value, "a list")
    if isinstance(value, Mapping) and origin is not None:
        return {key: _convert(item, arguments[1], f"{where}.{key}") for key, item in value.items()}
    if hint is Any:
        return value
    if hint is float and type(value) is int:
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    raise _misfit(where, value, getattr(hint, "__name__", "a table"))


def _misfit(where: str, value: Any, wanted: str) -> InputError:
    return InputError(
        explain(f"{where} = {value!r}", f"it must be {wanted}", "Correct it in the training file")
    )
