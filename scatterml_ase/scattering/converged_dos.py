"""The partial density of states of force constants, on a mesh that is fine enough."""

from __future__ import annotations

import numpy as np

from scatterml_ase.errors import AccuracyWarning, explain, warn
from scatterml_ase.results.dos import PhononDOS
from scatterml_ase.results.force_constants import ForceConstants

_SPACING = 0.16  # Å⁻¹, of the first mesh
_TOLERANCE = 0.01
_RESOLUTION = 80
"""Number of bins the density of states is compared on: finer structure does not matter."""
_MOST_MODES = 4e5
"""Wavevectors times atoms² that are solved at most, about half a minute."""
_TOLERABLE = 0.03
"""A change that is left when that limit is reached is worth a warning above this."""


def converged_dos(force_constants: ForceConstants) -> PhononDOS:
    """Return the partial DOS on a mesh made denser until the DOS changes by less than 1 %.

    The change is the mean |difference| of two meshes over 1/80 of the energy range; the finer of
    the two is returned, whose own error is a fraction of that. ``provenance`` says the mesh. In
    large cells a limit may come before: then a warning tells the change.
    """
    reciprocal = force_constants.crystal.to("angstrom").reciprocal_cell
    divisions = np.linalg.norm(reciprocal, axis=1) / _SPACING
    dos, moved = force_constants.dos(_mesh(divisions)), np.inf
    atoms = len(dos.crystal)
    if np.prod(divisions) * atoms**2 >= _MOST_MODES:  # no finer one: how far is a coarser one?
        moved = change(force_constants.dos(_mesh(divisions / 1.5)), dos)
    while moved > _TOLERANCE and np.prod(divisions) * atoms**2 < _MOST_MODES:
        divisions = 1.5 * divisions
        coarser, dos = dos, force_constants.dos(_mesh(divisions))
        moved = change(coarser, dos)
    if _TOLERABLE < moved < np.inf:
        warn(
            explain(
                f"The density of states still changes by {100 * moved:.2g} % with the mesh",
                f"a {' × '.join(map(str, _mesh(divisions)))} mesh is the densest that is made",
                "Give one of your own to IncoherentScattering: force_constants.dos(mesh)",
            ),
            AccuracyWarning,
            stacklevel=5,
        )
    return dos


def change(one: PhononDOS, two: PhononDOS) -> float:
    """Return ∫|g − g'| dE over the number of modes, at the resolution that matters."""
    top = max(float(one.energy_edges[-1]), float(two.energy_edges[-1]))
    low = min(float(one.energy_edges[0]), float(two.energy_edges[0]))
    edges = np.linspace(low, top, _RESOLUTION + 1)
    counts = [np.diff(np.interp(edges, dos.energy_edges, _below(dos))) for dos in (one, two)]
    return float(np.abs(counts[0] - counts[1]).sum() / counts[1].sum())


def _below(dos: PhononDOS) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(dos.total * dos.widths)])


def _mesh(divisions: np.ndarray) -> tuple[int, int, int]:
    n1, n2, n3 = np.maximum(2, np.ceil(divisions)).astype(int).tolist()
    return n1, n2, n3
