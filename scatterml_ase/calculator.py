"""The base of every ASE calculator that holds a torch model."""

from __future__ import annotations

import copy
import threading
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import (
    Calculator,
    PropertyNotImplementedError,
    all_changes,
)

from scatterml_ase.ase_results import check_finite, check_overlap, has_stress, split_output
from scatterml_ase.card import as_dtype, count
from scatterml_ase.errors import InputError, ModelError, explain, name_species
from scatterml_ase.graph import Graph, join_graphs
from scatterml_ase.neighbours import check_structure
from scatterml_ase.nn.derivatives import energies_forces_stress
from scatterml_ase.verlet import VerletList

# What an energy alone answers, without derivatives of the model.
_ENERGIES = frozenset({"energy", "free_energy", "energies"})


class TorchCalculator(Calculator):
    """Energy, forces and stress of a model of energies per atom.

    Parameters
    ----------
    model
        Maps (edge_vectors (edges, 3) Å, edge_index (2, edges), numbers (atoms,)) to energies
        (atoms,) in eV; ``model.config`` has ``cutoff`` in Å and ``species``. It is held as it is
        if dtype, device and evaluation mode agree, so calculators can share it; otherwise copied.
    dtype
        ``"float64"`` (the default, for phonons) or ``"float32"`` (for MD). Edge vectors are made
        in float64 either way.
    device
        Where the model runs.
    skin
        How much farther than the cutoff neighbours are kept, in Å, so that they are searched
        every so many steps only (:class:`~scatterml_ase.verlet.VerletList`). It changes no number;
        0 searches them at every step.
    options
        More entries of ``calculator.parameters`` and ``todict()``: plain values.

    Notes
    -----
    Threads may share a calculator: they wait for each other. Threads with calculators of their
    own that share a model do not.
    """

    # A list of its own: ASE shares the one of the base class among all calculators.
    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]  # noqa: RUF012
    # Nothing here depends on them; ASE need not compare them.
    ignored_changes = {"initial_charges", "initial_magmoms"}  # noqa: RUF012
    max_edges: int = 50_000
    """A batch is closed when it has this many edges, so that memory stays bounded. It is ten times
    as many for models with a fused pass, whose memory does not grow with its arithmetic."""

    def __init__(
        self,
        model: torch.nn.Module,
        /,
        *,
        dtype: str | torch.dtype | None = None,
        device: str | torch.device = "cpu",
        skin: float = 0.5,
        **options: Any,
    ) -> None:
        self.dtype = as_dtype(dtype or "float64")
        self.device = _usable(device)
        self.model = _ready(model, self.dtype, self.device)
        config: Any = model.config
        self.cutoff = float(config.cutoff)
        self.species = tuple(sorted(int(z) for z in config.species))
        if getattr(self.model, "fused", None) is not None:
            self.max_edges = 10 * type(self).max_edges
        self._lock = threading.RLock()
        self._neighbours = VerletList(self.cutoff, skin)
        name = str(self.dtype).removeprefix("torch.")
        super().__init__(dtype=name, device=str(self.device), skin=self._neighbours.skin, **options)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.RLock())

    @property
    def label_of_model(self) -> str:
        """The name of the model: from its card, else its class."""
        card = getattr(self.model, "card", None)
        return type(self.model).__name__ if card is None else card.name

    def __repr__(self) -> str:
        parameters = sum(p.numel() for p in self.model.parameters())
        return (
            f"{type(self).__name__}({self.label_of_model}, cutoff={self.cutoff} Å, "
            f"{count(parameters)} parameters)"
        )

    def set(self, **kwargs: Any) -> dict[str, Any]:
        """Store the options of the constructor; they cannot change afterwards."""
        if self.parameters and kwargs:
            raise InputError(
                explain(
                    f"Options of {type(self).__name__} cannot be changed to {kwargs}",
                    "the model is already loaded",
                    f"Make a new {type(self).__name__} with these options",
                )
            )
        return super().set(**kwargs)

    # -- ASE's way in -------------------------------------------------------------------------

    def get_property(
        self,
        name: str,
        atoms: Atoms | None = None,
        allow_calculation: bool = True,  # noqa: FBT001, FBT002
    ) -> Any:
        """Return a property as ASE does; threads wait for each other."""
        with self._lock:
            return super().get_property(name, atoms, allow_calculation)

    def check_state(self, atoms: Atoms, tol: float = 0.0) -> list[str]:
        """Name what changed since the last calculation, to the last bit whatever ``tol``."""
        last = self.atoms
        if last is None:
            return list(all_changes)
        pairs = {
            "positions": (last.positions, atoms.positions),
            "numbers": (last.numbers, atoms.numbers),
            "cell": (last.cell.array, atoms.cell.array),
            "pbc": (last.pbc, atoms.pbc),
        }
        return [name for name, (old, new) in pairs.items() if not np.array_equal(old, new)]

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Collection[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute what is asked for and store it in ``results``.

        Energies alone come without derivatives. Whatever needs derivatives brings all that the
        structure has: energies, forces and stress.
        """
        with self._lock:
            structure: Any = self.atoms if atoms is None else atoms
            known = {} if system_changes else self.results  # stays what it was, to the last bit
            self.results = {}
            results = self.evaluate([structure], properties)[0]
            if self.check_state(structure):
                self.atoms = structure.copy()
            self.results = {**results, **known}

    def evaluate(
        self, images: Sequence[Atoms], properties: Collection[str] | None = None
    ) -> list[dict[str, Any]]:
        """Compute many structures, of any sizes, in batches.

        Parameters
        ----------
        images
            Structures; they are not changed and get no calculator.
        properties
            What must be there, e.g. ``("energy", "stress")``; energies alone cost a part of the
            rest. None asks for what every structure has: stress then is left out of those
            without a cell volume.

        Returns
        -------
        list of dict
            Per structure ``energy`` and ``free_energy`` (eV), ``energies`` (atoms,) eV and,
            unless only energies are asked for, ``forces`` (atoms, 3) eV/Å and, in a cell with a
            volume, ``stress`` (6,) eV/Å³ in Voigt order xx yy zz yz xz xy, tension positive. All
            are Python floats or float64.

        Raises
        ------
        InputError
            If a structure cannot be computed; the message says which and why.
        PropertyNotImplementedError
            If a property is asked for that is not implemented, or stress without a cell.
        """
        images = [images] if isinstance(images, Atoms) else list(images)
        properties = (properties,) if isinstance(properties, str) else properties
        for atoms in images:
            self._check(atoms, properties or ())
        derivatives = not properties or not _ENERGIES.issuperset(properties)
        results = []
        with torch.inference_mode(mode=False):  # a caller's inference mode would allow no gradient
            for batch, atoms_of_batch in self._batches(images):
                output = energies_forces_stress(self.model, batch, derivatives=derivatives)
                results += split_output(output, atoms_of_batch, derivatives=derivatives)
        for atoms, result in zip(images, results, strict=True):
            check_finite(atoms, result)
        return results

    # -- checks and batches -------------------------------------------------------------------

    def _check(self, atoms: Atoms, properties: Collection[str]) -> None:
        check_structure(atoms)
        unknown = set(atoms.numbers.tolist()) - set(self.species)
        if unknown:
            raise ModelError(self._explain_unknown(unknown, atoms))
        for name in properties:
            if name not in self.implemented_properties:
                raise PropertyNotImplementedError(
                    explain(
                        f"{type(self).__name__} has no property {name!r}",
                        f"it computes {', '.join(self.implemented_properties)}",
                        "Ask for one of these, or use another calculator",
                    )
                )
        if "stress" in properties and not has_stress(atoms):
            raise PropertyNotImplementedError(
                explain(
                    f"{atoms.get_chemical_formula()} has no stress",
                    f"its cell encloses no volume or no axis is periodic "
                    f"(pbc {atoms.pbc.tolist()}), and stress is energy per volume",
                    "Set a cell with three vectors and pbc, or ask for energy and forces only",
                )
            )

    def _explain_unknown(self, unknown: Collection[int], atoms: Atoms) -> str:
        return explain(
            f"{name_species(unknown)} is not in model {self.label_of_model!r}",
            f"it knows {name_species(self.species)}",
            "Use a model or another ASE calculator that knows all elements of "
            f"{atoms.get_chemical_formula()}",
        )

    def _batches(self, images: Sequence[Atoms]) -> Iterator[tuple[Graph, list[Atoms]]]:
        """Yield batches of graphs with at most ``max_edges`` edges, or of one structure."""
        kept = self._neighbours  # of the structure before; many have a list of their own
        neighbours = kept if len(images) == 1 else VerletList(self.cutoff, kept.skin)
        graphs: list[Graph] = []
        members: list[Atoms] = []
        edges = 0
        for atoms in images:
            graph = neighbours.graph(atoms)
            check_overlap(atoms, graph)
            if graphs and edges + graph.num_edges > self.max_edges:
                yield join_graphs(graphs).to(self.device), members
                graphs, members, edges = [], [], 0
            graphs.append(graph)
            members.append(atoms)
            edges += graph.num_edges
        if graphs:
            yield join_graphs(graphs).to(self.device), members


def _usable(device: str | torch.device) -> torch.device:
    """Return the device as torch names it (``"cuda"`` becomes ``"cuda:0"``) if it is there."""
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ModelError(
            explain(
                f"Device {str(device)!r} cannot be used",
                str(error).splitlines()[0],
                "Pass device='cpu', or install a torch that supports it",
            )
        ) from error


def _ready(model: torch.nn.Module, dtype: torch.dtype, device: torch.device) -> torch.nn.Module:
    """Return the model itself if it is ready to compute, else a copy that is."""
    found = {(p.dtype, p.device, p.is_inference()) for p in model.parameters()}
    if found <= {(dtype, device, False)} and not model.training:
        return model
    with torch.inference_mode(mode=False):
        return copy.deepcopy(model).to(device=device, dtype=dtype).eval()
