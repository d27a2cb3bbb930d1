"""What a result remembers of the calculator its forces came from."""

from __future__ import annotations

from typing import Any


def describe_calculator(calculator: Any) -> dict[str, str]:
    """Name a calculator by class and module, and its model by name and sha256 if it has a card."""
    kind = type(calculator)
    description = {"class": kind.__name__, "module": kind.__module__}
    card = getattr(calculator, "card", None) or getattr(
        getattr(calculator, "model", None), "card", None
    )
    for key in ("name", "sha256", "version"):
        if isinstance(value := getattr(card, key, None), str):
            description["model" if key == "name" else key] = value
    return description
