"""The models at hand: ``models``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, Positional, arg

from scatterml_ase.cli.terminal import Terminal
from scatterml_ase.errors import InputError, explain


@dataclass(frozen=True, kw_only=True)
class Models:
    """List the shipped models with what they know.

    Parameters
    ----------
    name
        Show the whole card of this model (a name or a folder).
    """

    name: Annotated[Positional[str | None], arg(metavar="[NAME]")] = None
    terminal: OmitArgPrefixes[Terminal] = field(default_factory=Terminal)

    def run(self) -> None:
        """Print the cards."""
        from scatterml_ase.errors import name_species
        from scatterml_ase.store import list_models

        if self.name is not None:
            print(_card(self.name).to_json(), end="")
            return
        cards = list_models()
        if not cards:
            print("No model is shipped with this installation.")
        for card in cards:
            print(f"{card.name:<12} {card.task:<12} {name_species(card.species)}")
            print(f"{'':<12} {card.training.get('description', '')}".rstrip())
            print(f"{'':<12} {card.training.get('level_of_theory', '')}".rstrip())


def _card(name: str) -> Any:
    """Return the card of a shipped model or of a model folder, without loading the model."""
    from scatterml_ase.card import read_card
    from scatterml_ase.store import list_models

    for card in list_models():
        if card.name == name:
            return card
    if Path(name).is_dir():
        return read_card(name)
    known = ", ".join(card.name for card in list_models()) or "none"
    raise InputError(
        explain(f"There is no model {name!r}", f"shipped are {known}, and no folder is called so",
                "Run: scatterml models")
    )  # fmt: skip
