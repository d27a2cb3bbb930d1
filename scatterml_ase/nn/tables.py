"""Constant tables of a module that stay exact when its dtype changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn


class TableModule(nn.Module):
    """A module with constants: buffers that are filled from a float64 master.

    A plain buffer that has once been float32 keeps float32's rounding in float64, and
    Clebsch–Gordan coefficients wrong at 1e-8 break symmetry at 1e-8. Tables are derived
    from the configuration, so they are not part of the state dict.
    """

    def __init__(self) -> None:
        super().__init__()
        self._masters: dict[str, Tensor] = {}

    def register_table(self, name: str, values: Tensor) -> None:
        """Keep ``values`` (float64) as attribute ``name`` in the dtype of the module."""
        self._masters[name] = values.to(torch.float64)
        self.register_buffer(name, values.to(torch.get_default_dtype()), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Any], recurse: bool = True) -> Self:  # noqa: FBT001, FBT002
        super()._apply(fn, recurse)
        for name, master in self._masters.items():
            getattr(self, name).copy_(master)
        return self
