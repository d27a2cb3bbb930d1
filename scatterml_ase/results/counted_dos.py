"""From modes on a mesh to their density of states."""

from __future__ import annotations

import numpy as np

from scatterml_ase.errors import AccuracyWarning, InputError, explain, warn
from scatterml_ase.physics import debye_waller
from scatterml_ase.physics import density_of_states as physics
from scatterml_ase.results.dos import Method, PhononDOS
from scatterml_ase.results.modes import PhononModes


def phonon_dos(
    modes: PhononModes,
    *,
    energy_edges: np.ndarray | None = None,
    energy_step: float | None = None,
    fwhm: float | None = None,
    method: Method | None = None,
) -> PhononDOS:
    """Make the density of states from modes on a mesh.

    Parameters
    ----------
    modes
        Modes on a mesh, full or irreducible; with eigenvectors there is a partial DOS.
    energy_edges
        Edges of the bins in meV, shape (energy + 1,).
    energy_step
        Or the width of the bins in meV, which then cover all modes; a round width that makes
        about 300 bins if None.
    fwhm
        Gaussian broadening in meV. None broadens nothing in the tetrahedron method, and by 1/40
        of the highest energy when single points are counted.
    method
        "tetrahedron" interpolates between the points of a regular mesh, "points" counts them as
        they are; the first where ``modes`` has a mesh, if None.

    Raises
    ------
    InputError
        If the edges do not ascend, or tetrahedra are asked for without a mesh.
    """
    modes = modes.to("meV")
    # Translations at Γ scatter about zero by rounding: they count as stable.
    tiny = np.abs(modes.frequencies) < debye_waller.MINIMUM_FREQUENCY
    energies = np.where(tiny, np.abs(modes.frequencies) + 1e-9, modes.frequencies)
    method = method or ("points" if modes.mesh_mapping is None else "tetrahedron")
    if energy_edges is None:
        edges = physics.nice_edges(energies.min(), energies.max(), energy_step)
    else:
        edges = physics.check_edges(energy_edges)
    shares = np.ones((*energies.shape, 1))
    if modes.eigenvectors is not None:
        shares = np.sum(np.abs(modes.eigenvectors) ** 2, axis=3)
    if method == "tetrahedron":
        corners, weights = _tetrahedra(modes)
        counts = physics.count_tetrahedra(energies, shares, corners, weights, edges)
    else:
        counts = physics.count_points(energies, shares * modes.weights[:, None, None], edges)
    missing = 1 - counts.sum() / energies.shape[1]
    if missing > 1e-6:
        _warn_of_cut(missing, edges)
    density = counts / np.diff(edges)
    partial = modes.site_average(density.T).T if modes.eigenvectors is not None else None
    total = density.sum(axis=0) if partial is None else partial.sum(axis=0)
    dos = PhononDOS(
        crystal=modes.crystal,
        energy_edges=edges,
        total=total,
        partial=partial,
        provenance={**modes.provenance, "dos_method": method, "dos_mesh": modes.mesh},
    )
    if fwhm is None:
        fwhm = 0.0 if method == "tetrahedron" else energies.max() / 40
    return dos.broadened(fwhm) if fwhm > 0 else dos


def _tetrahedra(modes: PhononModes) -> tuple[np.ndarray, np.ndarray]:
    if modes.mesh is None or modes.mesh_mapping is None:
        raise InputError(
            explain(
                "The tetrahedron method needs modes on a regular mesh",
                "these modes have no mesh",
                "Make them with ForceConstants.mesh_modes, or use method='points'",
            )
        )
    return physics.tetrahedra(modes.mesh, modes.mesh_mapping, modes.crystal.reciprocal_cell)


def _warn_of_cut(missing: float, edges: np.ndarray) -> None:
    warn(
        explain(
            f"{missing:.2%} of the modes lie outside the energy edges",
            f"the edges run from {edges[0]:g} to {edges[-1]:g} meV",
            "Leave energy_edges out to cover all modes",
        ),
        AccuracyWarning,
    )
