"""The ASE calculator of the shipped potentials."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch
from ase import Atoms

from scatterml_ase.calculator import TorchCalculator
from scatterml_ase.card import Card
from scatterml_ase.errors import ModelError, explain, name_species
from scatterml_ase.store import covering_models, load_model


class PotentialCalculator(TorchCalculator):
    """Energy, free energy, energies per atom, forces and stress of a potential.

    Parameters
    ----------
    model
        The name of a shipped model (``list_models()``), the folder of one, or the module itself.
    dtype
        ``"float64"`` for phonons and relaxation, ``"float32"`` for fast MD.
    device
        Where the model runs, e.g. ``"cpu"`` or ``"cuda"``.

    Examples
    --------
    >>> atoms.calc = PotentialCalculator("si")  # doctest: +SKIP
    >>> atoms.get_forces()  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | Path | torch.nn.Module = "si",
        *,
        dtype: str | None = "float64",
        device: str = "cpu",
    ) -> None:
        dtype = dtype or "float64"
        if not isinstance(model, torch.nn.Module):
            model = load_model(model, dtype)
        card = getattr(model, "card", None)
        if card is not None:
            _check_card(card)
        identity = (
            {"model": type(model).__name__}
            if card is None
            else {"model": card.name, "sha256": card.sha256}
        )
        super().__init__(model, dtype=dtype, device=device, **identity)

    def _explain_unknown(self, unknown: Collection[int], atoms: Atoms) -> str:
        others = [card.name for card in covering_models(atoms.numbers)]
        fix = (
            f"Use PotentialCalculator({others[0]!r})"
            if others
            else "Pass another ASE calculator or train a model (scatterml train)"
        )
        return explain(
            f"{name_species(unknown)} is not in model {self.label_of_model!r}",
            f"it knows {name_species(self.species)}"
            + ("" if others else ", and no shipped model covers all elements of the structure"),
            f"{fix}; list_models() shows the elements of every model",
        )


def _check_card(card: Card) -> None:
    """Refuse a model that is no potential in ASE's units: its numbers would mean something else."""
    units = {"energy": "eV", "length": "angstrom"}
    if card.task != "potential":
        problem = f"its task is {card.task!r}"
    elif {**units, **card.units} != units:
        problem = f"its card states the units {card.units}"
    else:
        return
    raise ModelError(
        explain(
            f"Model {card.name!r} is not for PotentialCalculator",
            f"{problem}, but a potential in {units} is needed",
            "Choose another model, see list_models()",
        )
    )
