"""The base of every ASE calculator that holds a torch model."""

from __future__ import annotations

import copy
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
from ase.stress import full_3x3_to_voigt_6_stress
from torch_geometric.data import Data

from scatterml_ase.card import as_dtype, count
from scatterml_ase.errors import InputError, ModelError, explain, name_species
from scatterml_ase.graph import batch_graphs, check_structure, edge_vectors, graph_from_atoms
from scatterml_ase.nn.derivatives import PotentialOutput, energies_forces_stress

# Two nuclei nearer than this (Å) are one site entered twice, not a configuration.
_SAME_SITE = 0.05


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
    options
        More entries of ``calculator.parameters`` and ``todict()``: plain values.
    """

    # A list of its own: ASE shares the one of the base class among all calculators.
    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]  # noqa: RUF012
    max_edges: int = 50_000
    """A batch is closed when it has this many edges, so that memory stays bounded."""

    def __init__(
        self,
        model: torch.nn.Module,
        /,
        *,
        dtype: str | torch.dtype | None = None,
        device: str | torch.device = "cpu",
        **options: Any,
    ) -> None:
        self.dtype = as_dtype(dtype or "float64")
        self.device = _usable(device)
        self.model = _ready(model, self.dtype, self.device)
        config: Any = model.config
        self.cutoff = float(config.cutoff)
        self.species = tuple(sorted(int(z) for z in config.species))
        name = str(self.dtype).removeprefix("torch.")
        super().__init__(dtype=name, device=str(self.device), **options)

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

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Collection[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute everything the structure allows and store it in ``results``."""
        structure: Any = self.atoms if atoms is None else atoms
        self.reset()
        results = self.evaluate([structure], properties)[0]
        self.atoms = structure.copy()
        self.results = results

    def evaluate(
        self, images: Sequence[Atoms], properties: Collection[str] | None = None
    ) -> list[dict[str, Any]]:
        """Compute many structures, of any sizes, in batches.

        Parameters
        ----------
        images
            Structures; they are not changed and get no calculator.
        properties
            What must be there, e.g. ``("energy", "stress")``. None asks for what every structure
            has: stress then is left out of those without a cell volume.

        Returns
        -------
        list of dict
            Per structure ``energy`` and ``free_energy`` (eV), ``energies`` (atoms,) eV,
            ``forces`` (atoms, 3) eV/Å and, in a cell with a volume, ``stress`` (6,) eV/Å³ in
            Voigt order xx yy zz yz xz xy, tension positive. All are Python floats or float64.

        Raises
        ------
        InputError
            If a structure cannot be computed; the message says which and why.
        PropertyNotImplementedError
            If a property is asked for that is not implemented, or stress without a cell.
        """
        images = [images] if isinstance(images, Atoms) else list(images)
        for atoms in images:
            self._check(atoms, properties or ())
        results = []
        with torch.inference_mode(mode=False):  # a caller's inference mode would allow no gradient
            for batch, atoms_of_batch in self._batches(images):
                output = energies_forces_stress(self.model, batch)
                results += _split(output, atoms_of_batch)
        for atoms, result in zip(images, results, strict=True):
            _check_finite(atoms, result)
        return results

    # -- checks and batches -------------------------------------------------------------------

    def _check(self, atoms: Atoms, properties: Collection[str]) -> None:
        check_structure(atoms)
        unknown = {int(z) for z in np.unique(atoms.numbers)} - set(self.species)
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

    def _batches(self, images: Sequence[Atoms]) -> Iterator[tuple[Data, list[Atoms]]]:
        """Yield batches of graphs with at most ``max_edges`` edges, or of one structure."""
        graphs: list[Data] = []
        members: list[Atoms] = []
        edges = 0
        for atoms in images:
            graph = graph_from_atoms(atoms, self.cutoff)
            _check_overlap(atoms, graph)
            if graphs and edges + graph.num_edges > self.max_edges:
                yield batch_graphs(graphs).to(self.device), members
                graphs, members, edges = [], [], 0
            graphs.append(graph)
            members.append(atoms)
            edges += graph.num_edges
        if graphs:
            yield batch_graphs(graphs).to(self.device), members


def has_stress(atoms: Atoms) -> bool:
    """Tell whether stress, energy per strain and volume, is defined for a structure."""
    return bool(atoms.pbc.any()) and atoms.cell.rank == 3


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


def _split(output: PotentialOutput, images: Sequence[Atoms]) -> list[dict[str, Any]]:
    """Cut the output of a batch into one dict of ASE's names and shapes per structure."""
    energy = output.energy.numpy(force=True).astype(np.float64)
    energies = output.energies.numpy(force=True).astype(np.float64)
    forces = output.forces.numpy(force=True).astype(np.float64)
    stress = output.stress.numpy(force=True).astype(np.float64)
    ends = np.cumsum([len(atoms) for atoms in images])
    results = []
    for k, (atoms, end) in enumerate(zip(images, ends, strict=True)):
        own = slice(end - len(atoms), end)
        result: dict[str, Any] = {
            "energy": float(energy[k]),
            "free_energy": float(energy[k]),
            "energies": energies[own].copy(),
            "forces": forces[own].copy(),
        }
        if has_stress(atoms):
            result["stress"] = full_3x3_to_voigt_6_stress(stress[k])
        results.append(result)
    return results


def _check_overlap(atoms: Atoms, graph: Data) -> None:
    if graph.num_edges == 0:
        return
    lengths = edge_vectors(graph).norm(dim=1)
    shortest, edge = float(lengths.min()), int(lengths.argmin())
    if shortest >= _SAME_SITE:
        return
    i, j = (int(k) for k in graph.edge_index[:, edge])
    raise InputError(
        explain(
            f"Atoms {i} ({atoms.symbols[i]}) and {j} ({atoms.symbols[j]}) are {shortest:.2g} Å "
            "apart",
            "that is one site entered twice, or the images of a cell that is too small",
            "Remove duplicates, e.g. with ase.geometry.get_duplicate_atoms(atoms, delete=True), "
            "or check atoms.cell",
        )
    )


def _check_finite(atoms: Atoms, result: dict[str, Any]) -> None:
    if np.isfinite(result["energy"]) and np.isfinite(result["forces"]).all():
        return
    raise InputError(
        explain(
            f"The energy or forces of {atoms.get_chemical_formula()} are not finite",
            "some atoms are so close that the numbers overflow, or the weights are damaged",
            "Check the shortest distances of the structure, or use dtype='float64'",
        )
    )
