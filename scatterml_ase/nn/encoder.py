"""From atomic numbers to the features a network starts with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from scatterml_ase.errors import ModelError, explain, name_species

_ELEMENTS = 119


class SpeciesIndex(nn.Module):
    """Position of each atomic number in the species a model knows."""

    table: Tensor

    def __init__(self, species: Sequence[int]) -> None:
        super().__init__()
        self.species = tuple(int(number) for number in species)
        table = torch.full((_ELEMENTS,), -1)
        table[list(self.species)] = torch.arange(len(self.species))
        self.register_buffer("table", table, persistent=False)

    def forward(self, numbers: Tensor) -> Tensor:
        """Return the index (atoms,) of ``numbers`` (atoms,) among the species.

        Raises
        ------
        ModelError
            If an atom is of another species.
        """
        index = self.table[numbers]
        if bool((index < 0).any()):
            unknown = sorted(set(numbers.tolist()) - set(self.species))
            raise ModelError(
                explain(
                    f"{name_species(unknown)} is not a species of this model",
                    f"it knows {name_species(self.species)}",
                    "Choose a model that covers the structure, see list_models()",
                )
            )
        return index


class SpeciesEmbedding(nn.Module):
    """Trainable features of each species; one-hot at the start where there is room for it."""

    def __init__(self, n_species: int, size: int) -> None:
        super().__init__()
        one_hot = torch.eye(n_species, size)
        random = torch.randn(n_species, size) * size**-0.5
        self.weight = nn.Parameter(one_hot if size >= n_species else random)

    def forward(self, species_index: Tensor) -> Tensor:
        """Return the features (atoms, size) of ``species_index`` (atoms,)."""
        return self.weight[species_index]
