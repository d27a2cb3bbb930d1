"""The ASE calculator of the shipped potentials."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

from scatterml_ase.calculator import TorchCalculator
from scatterml_ase.card import Card
from scatterml_ase.errors import InputError, ModelError, explain, name_species
from scatterml_ase.potential import hessian
from scatterml_ase.store import covering_models, load_model

if TYPE_CHECKING:
    from scatterml_ase.graph import Graph


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
    skin
        How much farther than the cutoff neighbours are kept between steps, in Å; it changes no
        number, only how often they are searched.

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
        skin: float = 0.5,
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
        super().__init__(model, dtype=dtype, device=device, skin=skin, **identity)

    # -- second derivatives -------------------------------------------------------------------

    def get_hessian(self, atoms: Atoms | None = None, *, progress: bool = False) -> np.ndarray:
        """Return ∂²E/∂r_i∂r_j, exact, shape (atoms, 3, atoms, 3), in eV/Å².

        This is what ``ase.vibrations.VibrationsData(atoms, hessian)`` takes. All atoms are free,
        whatever the constraints; periodic images of an atom move together.

        Raises
        ------
        InputError
            If the structure cannot be computed, or has more atoms than a dense matrix allows.
        """
        with self._lock, torch.inference_mode(mode=False):
            graph = self._graph(atoms)
            return hessian.hessian(self.model, graph, layers=self._layers, progress=progress)

    def get_hessian_vector_product(self, atoms: Atoms | None, vectors: np.ndarray) -> np.ndarray:
        """Return H v, shape (atoms, 3) or (k, atoms, 3), for one or k vectors v of that shape.

        The unit is eV/Å² times that of v. No matrix is formed: it serves eigenvalue searches in
        structures of any size.
        """
        with self._lock, torch.inference_mode(mode=False):
            graph = self._graph(atoms)
            v = np.asarray(vectors, dtype=np.float64)
            shape = (len(graph.numbers), 3)
            if v.shape[-2:] != shape or v.ndim > 3 or not np.isfinite(v).all():
                raise InputError(
                    explain(
                        f"The vectors have shape {v.shape}, or numbers that are not finite",
                        f"a vector moves each of the {shape[0]} atoms in three directions",
                        f"Give shape {shape} or (k, {shape[0]}, 3)",
                    )
                )
            products = hessian.hessian_vector_products(self.model, graph, v.reshape(-1, *shape))
            return products.reshape(v.shape)

    def get_hessian_blocks(
        self,
        atoms: Atoms | None = None,
        *,
        rows: Sequence[int] | np.ndarray | None = None,
        progress: bool = False,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return Φ_ij(S) = ∂²E/∂r_i(0)∂r_j(S), exact, with periodic images told apart.

        Parameters
        ----------
        atoms
            The structure; the one computed last if None.
        rows
            The atoms i that are wanted, where symmetry tells the others; all if None.
        progress
            Whether a progress bar is shown.

        Returns
        -------
        tuple of arrays
            Pairs (p, 2) and cell shifts (p, 3), integers, and blocks (p, 3, 3) in eV/Å².

        Raises
        ------
        PropertyNotImplementedError
            If it is unknown how far the model sees (``interaction_range`` is None).
        InputError
            If a row is no atom of the structure.
        """
        if self._layers is None:
            raise PropertyNotImplementedError(
                explain(
                    f"Force constants of {self.label_of_model} cannot be told apart by image",
                    "its config has no number of layers, so it is unknown how far atoms see",
                    "Give its config a field layers (1: energies depend on neighbours only), or "
                    "use get_hessian on a supercell",
                )
            )
        with self._lock, torch.inference_mode(mode=False):
            graph = self._graph(atoms)
            if rows is not None:
                rows = _rows(rows, len(graph.numbers))
            return hessian.force_constant_blocks(
                self.model, graph, layers=self._layers, rows=rows, progress=progress
            )

    @property
    def interaction_range(self) -> float | None:
        """Distance in Å beyond which force constants vanish; None if the model does not tell."""
        return None if self._layers is None else 2 * self._layers * self.cutoff

    @property
    def _layers(self) -> int | None:
        layers = getattr(self.model.config, "layers", None)
        return layers if isinstance(layers, int) and layers > 0 else None

    def _graph(self, atoms: Atoms | None) -> Graph:
        """Return the graph of a structure, checked; of the last one for None."""
        structure: Any = self.atoms if atoms is None else atoms
        self._check(structure, ())
        ((graph, _),) = self._batches([structure])
        return graph

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


def _rows(rows: Sequence[int] | np.ndarray, atoms: int) -> np.ndarray:
    """Return the wanted rows as an array of different atoms."""
    wanted = np.asarray(rows)
    whole = wanted.ndim == 1 and wanted.size > 0 and wanted.dtype.kind in "iu"
    if whole and wanted.min() >= 0 and wanted.max() < atoms:
        return np.unique(wanted)
    raise InputError(
        explain(
            f"rows={rows!r} cannot be used",
            f"rows are atoms of the structure, numbered from 0 to {atoms - 1}",
            "Give a list of such numbers, or None for all",
        )
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
