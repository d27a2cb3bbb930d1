"""The mean of several results of one kind, and how far they are apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.base import Result

_ResultT = TypeVar("_ResultT", bound=Result)

_AVERAGED = ("intensity", "parts", "total", "partial")
_SCALARS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "relative_error": max,
    "points": sum,
    "wavevectors": sum,
    "imaginary_modes": sum,
    "imaginary_share": lambda shares: sum(shares) / len(shares),
}
_SAME = 1e-6


def mean_and_spread(results: Sequence[_ResultT]) -> _ResultT:
    """Return the mean of results on the same bins, with their standard deviation as ``error``.

    A bin is known where all of them know it. Densities of states keep the members' partial
    densities as ``samples``, or, where the members have samples themselves, all of those together,
    whose standard deviation the error then is. What the provenances agree on is kept; where they
    differ they are listed under ``"ensemble"``.

    Parameters
    ----------
    results
        Two or more of one class that has an ``error``: :class:`~scatterml_ase.SqwMap`,
        ``SqwCut``, :class:`~scatterml_ase.SqwPlane` or :class:`~scatterml_ase.PhononDOS`.

    Raises
    ------
    InputError
        If there are fewer than two, the class has no error, or bins, units or parts differ.
    """
    first = _check_kind(results)
    changed: dict[str, Any] = {"provenance": _provenance([one.provenance for one in results])}
    for name, _, _ in first.declared():
        arrays = [getattr(one, name) for one in results]
        if name in _AVERAGED:
            changed[name] = None if _all_none(name, arrays) else _stack(name, arrays).mean(axis=0)
        elif name == "mask":
            changed[name] = np.logical_and.reduce(arrays)
        elif name not in ("error", "samples"):
            _check_same(name, arrays)
    spread = _stack(first.signal, [getattr(one, first.signal) for one in results])
    if hasattr(first, "samples"):
        changed["samples"] = _samples(results)
        if first.samples is not None:  # how unsure each member is counts too
            spread = changed["samples"].sum(axis=1)
    changed["error"] = spread.std(axis=0, ddof=1)
    for item in fields(first):
        values = [getattr(one, item.name) for one in results]
        if item.name in _SCALARS and None not in values:
            changed[item.name] = _SCALARS[item.name](values)
    return replace(first, **changed)


def _check_kind(results: Sequence[_ResultT]) -> _ResultT:
    if len(results) < 2:
        what = f"{len(results)} results have no spread"
        raise InputError(explain(what, "a standard deviation takes two", "Give more members"))
    first = results[0]
    kinds = {type(one).__name__ for one in results}
    if len(kinds) > 1 or not hasattr(first, "error"):
        what = f"{', '.join(sorted(kinds))} cannot be averaged"
        why = "results of one class are, that has an error"
        raise InputError(explain(what, why, "Give maps, cuts, planes, or densities of states"))
    for name in ("units", "scale", "part_names", "ki_over_kf"):
        if any(getattr(one, name, None) != getattr(first, name, None) for one in results):
            what = f"The results have different {name}"
            raise InputError(explain(what, "their numbers mean different things", "Convert them"))
    return first


def _check_same(name: str, arrays: Sequence[np.ndarray | None]) -> None:
    if _all_none(name, arrays):
        return
    first = np.asarray(arrays[0])
    scale = np.abs(first).max(initial=0.0)
    for other in map(np.asarray, arrays[1:]):
        if other.shape != first.shape or not np.allclose(other, first, rtol=0, atol=_SAME * scale):
            what = f"{name} differs between the results"
            fix = f"Give the same {name} to all, e.g. energy_edges=np.linspace(0, 80, 161)"
            raise InputError(explain(what, "only equal bins can be averaged", fix))


def _all_none(name: str, arrays: Sequence[np.ndarray | None]) -> bool:
    """Tell whether nobody has an array; raise if only some have it."""
    missing = [array is None for array in arrays]
    if any(missing) and not all(missing):
        what = f"{sum(missing)} of {len(arrays)} results have no {name}"
        raise InputError(explain(what, "only what all have can be averaged", "Make them alike"))
    return all(missing)


def _stack(name: str, arrays: Sequence[Any]) -> np.ndarray:
    if len({np.shape(array) for array in arrays}) > 1:
        what = f"{name} differs in shape between the results"
        fix = "Give the same energy_edges and q_edges to all"
        raise InputError(explain(what, "only equal bins can be averaged", fix))
    return np.stack(arrays)


def _samples(results: Sequence[Any]) -> np.ndarray | None:
    """Return the equally likely partial densities of states of all members."""
    own = [one.samples for one in results]
    if _all_none("samples", own):
        partial = [one.partial for one in results]
        return None if _all_none("partial", partial) else _stack("partial", partial)
    if len({len(samples) for samples in own}) > 1:
        what = f"The results have {', '.join(str(len(samples)) for samples in own)} samples"
        why = "taken together, members with more samples would weigh more"
        raise InputError(explain(what, why, "Give members with as many samples each"))
    return np.concatenate(own)


def _provenance(members: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = dict.fromkeys(name for member in members for name in member)
    missing = object()
    common = {
        name: members[0][name]
        for name in names
        if all(member.get(name, missing) == members[0].get(name, missing) for member in members)
    }
    apart = [{k: v for k, v in member.items() if k not in common} for member in members]
    note = {"size": len(members), "error": "standard deviation over members", "members": apart}
    return {**common, "ensemble": note}
