"""The error of a broken contract, and the comparison that raises it."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from scatterml_ase.errors import explain


class ContractError(AssertionError):
    """An object breaks a contract; the message names the property, the numbers and the remedy."""


def violated(name: str, what: str, why: str, fix: str) -> NoReturn:
    """Raise for the contract ``name``."""
    raise ContractError(f"[{name}] {explain(what, why, fix)}")


def require_close(name: str, subject: str, pair: tuple[Any, Any], allowed: float, why: str) -> None:
    """Raise unless the arrays of ``pair``, found and expected, differ by ``allowed`` at most."""
    found, expected = (np.asarray(value, dtype=float) for value in pair)
    if found.shape != expected.shape:
        violated(name, f"{subject} has shape {found.shape}, not {expected.shape}", why,
                 "Return the shape ASE documents")  # fmt: skip
    if found.size == 0:
        return
    deviation = np.abs(found - expected)
    if np.all(deviation <= allowed):  # NaN is never close
        return
    worst = np.unravel_index(
        np.argmax(np.where(np.isnan(deviation), np.inf, deviation)), deviation.shape
    )
    place = f" at {[int(k) for k in worst]}" if found.ndim else ""
    violated(
        name,
        f"{subject} is {found[worst]:.10g}{place}, expected {expected[worst]:.10g} "
        f"(difference {deviation[worst]:.2g}, allowed {allowed:.2g})",
        why,
        "Correct it, or pass a wider tolerance if the calculator works in low precision",
    )
