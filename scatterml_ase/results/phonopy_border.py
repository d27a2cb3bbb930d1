"""The border to phonopy: its supercell arrays become pairs, and pairs become its arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.results.crystal import Crystal

if TYPE_CHECKING:
    from phonopy import Phonopy


def read_phonopy(phonopy: Phonopy) -> dict[str, Any]:
    """Return the fields of ``ForceConstants`` that a ``Phonopy`` object holds."""
    if phonopy.force_constants is None:
        what = "The Phonopy object has no force constants"
        fix = "Run produce_force_constants() first, or set its force_constants"
        raise InputError(explain(what, "forces alone make no phonons", fix))
    primitive = phonopy.primitive
    crystal = Crystal(
        cell=primitive.cell,
        scaled_positions=primitive.scaled_positions,
        numbers=primitive.numbers,
        masses=primitive.masses,
    )
    pairs, shifts, blocks = _expand(phonopy)
    supercell = phonopy.supercell.cell @ np.linalg.inv(primitive.cell)
    fields = {
        "crystal": crystal,
        "pairs": pairs,
        "cell_shifts": shifts,
        "blocks": blocks,
        "supercell_matrix": np.rint(supercell).astype(int),
    }
    if phonopy.nac_params is not None:
        fields["born_charges"] = phonopy.nac_params["born"]
        fields["dielectric"] = phonopy.nac_params["dielectric"]
    return fields


def _expand(phonopy: Phonopy) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Expand supercell force constants along phonopy's shortest vectors."""
    primitive = phonopy.primitive
    vectors, multiplicities = primitive.get_smallest_vectors()
    counts, starts = multiplicities[..., 0], multiplicities[..., 1]  # [supercell, primitive]
    k, i = np.nonzero(counts)
    count = counts[k, i]
    first = np.repeat(np.cumsum(count) - count, count)
    order = np.repeat(starts[k, i], count) + np.arange(count.sum()) - first
    k, i, count = np.repeat(k, count), np.repeat(i, count), np.repeat(count, count)
    primitive_index = np.array([primitive.p2p_map[s] for s in primitive.s2p_map])
    j = primitive_index[k]
    x = primitive.scaled_positions
    shifts = vectors[order] - x[j] + x[i]
    constants = phonopy.force_constants
    row = i if len(constants) == len(primitive) else np.asarray(primitive.p2s_map)[i]
    blocks = constants[row, k] / count[:, None, None]
    return np.stack([i, j], axis=1), np.rint(shifts).astype(int), blocks
