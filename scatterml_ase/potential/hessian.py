"""Exact second derivatives of the energy: force constants, Hessians, Hessian–vector products.

E depends on positions through the edge vectors d alone. For changes u of them, (∂²E/∂d∂d) u is one
more backward pass through the gradient ∂E/∂d, and what it is on positions follows from sums over
edges, as forces do in :mod:`scatterml_ase.nn.derivatives`: no force arises from a rigid shift.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from scatterml_ase.errors import InputError, ModelError, explain
from scatterml_ase.graph import edge_vectors
from scatterml_ase.nn.cutoff import segment_sum
from scatterml_ase.potential.patches import Adjacency, Patch

if TYPE_CHECKING:
    from torch_geometric.data import Data

    from scatterml_ase.graph import Graph

# A batch of rows is closed when it has this many edges: what they need then stays in the cache.
_EDGES_PER_BATCH = 8000
_MOST_BYTES = 8 * 2**30  # of a dense Hessian


def force_constant_blocks(
    model: nn.Module,
    graph: Data | Graph,
    *,
    layers: int | None,
    rows: Sequence[int] | np.ndarray | None = None,
    progress: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Φ_ij(S) = ∂²E/∂r_i(0)∂r_j(S) of the infinite crystal, without any supercell.

    Parameters
    ----------
    model
        As in :func:`~scatterml_ase.nn.derivatives.energies_forces_stress`.
    graph
        The graph of one structure.
    layers
        Layers of messages of the model: energies depend on atoms that many edges away. None, for
        a model that does not tell, sums over the images: Σ_S Φ_ij(S) as if it were Φ_ij(0).
    rows
        The atoms i whose force constants are wanted; all if None.
    progress
        Whether a progress bar is shown.

    Returns
    -------
    tuple of arrays
        Pairs (p, 2) and cell shifts (p, 3), integers, and blocks (p, 3, 3) in eV/Å².

    Raises
    ------
    ModelError
        If the energies depend on atoms further away than ``layers`` edges.
    """
    wanted = np.arange(len(graph.numbers)) if rows is None else np.asarray(rows, dtype=int)
    parts = _batches_of_rows(model, graph, layers, wanted, progress=progress)
    pairs, shifts, blocks = (np.concatenate(part) for part in zip(*parts, strict=True))
    return pairs, shifts, blocks


def hessian(
    model: nn.Module, graph: Data | Graph, *, layers: int | None, progress: bool = False
) -> np.ndarray:
    """Return ∂²E/∂r_i∂r_j, shape (atoms, 3, atoms, 3), in eV/Å²; images of j are summed.

    Parameters are those of :func:`force_constant_blocks`, for all rows.

    Raises
    ------
    InputError
        If the result would not fit into memory.
    """
    atoms = len(graph.numbers)
    if 72 * atoms**2 > _MOST_BYTES:
        raise InputError(
            explain(
                f"The Hessian of {atoms} atoms has {9 * atoms**2:.1e} numbers",
                f"that is {72 * atoms**2 / 2**30:.0f} GiB",
                "Use get_hessian_vector_product(atoms, vectors), or get_hessian_blocks(atoms), "
                "which is sparse",
            )
        )
    adjacency = Adjacency.from_graph(graph)
    if layers is not None:
        patch = Patch.unfolded(adjacency, np.array([atoms // 2]), layers)
        if len(patch.edges) >= len(adjacency.neighbour):
            layers = None  # the structure is smaller than the surroundings of one of its atoms
    result = np.zeros((atoms, 3, atoms, 3))
    by_pair = result.transpose(0, 2, 1, 3)  # the same memory
    rows = np.arange(atoms)
    for pairs, _, blocks in _batches_of_rows(model, graph, layers, rows, progress=progress):
        np.add.at(by_pair, (pairs[:, 0], pairs[:, 1]), blocks)
    return result


def hessian_vector_products(
    model: nn.Module, graph: Data | Graph, vectors: np.ndarray
) -> np.ndarray:
    """Return H v for vectors v of shape (k, atoms, 3), in eV/Å² times their unit.

    Each costs one more backward pass through that of the forces, and no matrix is formed.
    """
    centre, neighbour = graph.edge_index
    v = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float64)).to(graph.pos.device)
    changes = (x[neighbour] - x[centre] for x in v)
    d = edge_vectors(graph).detach()
    everyone = torch.arange(len(graph.numbers), device=d.device)
    products, _ = _curvatures(model, d, graph.edge_index, graph.numbers, everyone, changes)
    atoms = len(graph.numbers)
    result = [segment_sum(h, neighbour, atoms) - segment_sum(h, centre, atoms) for h in products]
    return np.array([x.numpy(force=True) for x in result]).reshape(v.shape)


def _curvatures(
    model: nn.Module,
    vectors: Tensor,
    edge_index: Tensor,
    numbers: Tensor,
    counted: Tensor,
    changes: Iterable[Tensor],
) -> tuple[list[Tensor], Tensor]:
    """Return (∂²E/∂d∂d) u (edges, 3) for each change u of the vectors, and the counted energies."""
    with torch.enable_grad():
        d = vectors.clone().requires_grad_()
        energies = model(d.to(_dtype(model)), edge_index, numbers).to(torch.float64)[counted]
        if not energies.requires_grad:  # no edges
            return [torch.zeros_like(d) for _ in changes], energies
        (gradient,) = torch.autograd.grad(
            energies.sum(), d, create_graph=True, materialize_grads=True
        )
        products = [
            torch.autograd.grad(gradient, d, u, retain_graph=True, materialize_grads=True)[0]
            for u in changes
        ]
    return products, energies.detach()


def _batches_of_rows(
    model: nn.Module,
    graph: Data | Graph,
    layers: int | None,
    wanted: np.ndarray,
    *,
    progress: bool,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield pairs (p, 2), cell shifts (p, 3) and blocks (p, 3, 3) for some wanted atoms at once."""
    adjacency = Adjacency.from_graph(graph)
    vectors = edge_vectors(graph).detach()  # [edge, 3] float64
    with torch.no_grad():
        energies = model(vectors.to(_dtype(model)), graph.edge_index, graph.numbers)
    with tqdm(total=len(wanted), desc="Hessian", unit=" atoms", disable=not progress) as bar:
        for rows, patch in _patches(adjacency, layers, wanted):
            blocks, found = _rows_of(model, vectors, patch)
            _check_reach(found, energies[patch.counted_atoms], layers, _dtype(model))
            pairs = np.column_stack([rows[patch.nodes[:, 0]], patch.nodes[:, 1]])
            yield pairs, patch.nodes[:, 2:], blocks
            bar.update(len(rows))


def _patches(
    adjacency: Adjacency, layers: int | None, wanted: np.ndarray
) -> Iterator[tuple[np.ndarray, Patch]]:
    """Yield batches of the wanted atoms and the patch that holds their rows of the Hessian."""
    done, size = 0, 1
    while done < len(wanted):
        rows = wanted[done : done + size]
        if layers is None:
            patch = Patch.folded(adjacency, rows)
        else:
            patch = Patch.unfolded(adjacency, rows, layers)
        if len(patch.edges) > 2 * _EDGES_PER_BATCH and size > 1:  # lonely atoms came before these
            size = max(1, len(rows) // 2)
            continue
        yield rows, patch
        done += len(rows)
        edges_per_row = len(patch.edges) / len(rows)
        fitting = max(1, int(_EDGES_PER_BATCH / max(edges_per_row, 1)))
        size = min(fitting, 4 * max(size, 8))


def _rows_of(model: nn.Module, vectors: Tensor, patch: Patch) -> tuple[np.ndarray, Tensor]:
    """Return ∂²E/∂r_i∂r_node (nodes, 3, 3) for the atom i of each node's row, and energies."""
    edges, ends, index, numbers, counted = (
        torch.from_numpy(x).to(vectors.device)
        for x in (patch.edges, patch.ends, patch.index, patch.numbers, patch.counted)
    )
    is_home = torch.zeros(len(patch.nodes), dtype=torch.float64, device=vectors.device)
    is_home[torch.from_numpy(patch.homes).to(vectors.device)] = 1.0
    moved = is_home[ends[1]] - is_home[ends[0]]  # [edge] how the edge vector follows the atom
    axes = torch.eye(3, dtype=torch.float64, device=vectors.device)
    changes = (moved.unsqueeze(1) * axis for axis in axes)
    products, energies = _curvatures(model, vectors[edges], index, numbers, counted, changes)
    h = torch.stack(products, dim=1)  # [edge, axis of i, axis of the node]
    nodes = len(patch.nodes)
    blocks = segment_sum(h, ends[1], nodes) - segment_sum(h, ends[0], nodes)
    return blocks.numpy(force=True), energies


def _check_reach(found: Tensor, expected: Tensor, layers: int | None, dtype: torch.dtype) -> None:
    """Refuse a model whose energies in a patch are not those in the crystal."""
    tolerance = torch.finfo(dtype).eps ** 0.5
    if torch.allclose(found, expected.to(found), rtol=tolerance, atol=tolerance):
        return
    raise ModelError(
        explain(
            f"The model says it has {layers} layers, but its atoms see further",
            "energies computed from the edges within that reach differ from those in the crystal "
            f"by up to {float((found - expected).abs().max()):.1e} eV",
            "Correct config.layers of the model, or leave it out: then nothing is assumed",
        )
    )


def _dtype(model: nn.Module) -> torch.dtype:
    return next(model.parameters()).dtype
