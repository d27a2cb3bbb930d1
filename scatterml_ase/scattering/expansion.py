"""Incoherent scattering order by order in the number of phonons, on the bins of a powder map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics import brillouin, multiphonon
from scatterml_ase.results.dos import PhononDOS
from scatterml_ase.scattering.view import EnergyView

Order = int | Literal["all"]
BEYOND = "beyond"
"""Name of the part that holds all orders without a part of their own."""

_SEPARATE = 4
"""Orders up to this one have a part of their own."""
_NODES = 3
"""Points of |Q| in each shell, of a Gauss–Legendre rule: S is smooth in |Q|."""
_CELLS = (400, 1200)
"""Smallest and largest number of cells of the energy lattice up to the highest mode."""
_LATTICE = 400_000
"""Cells times orders that are worked on at most, unless the smallest lattice needs more."""
_BARN_TO_MBARN = 1e3


class Parts(NamedTuple):
    """Scattering of a powder, one part for each number of phonons.

    Attributes
    ----------
    names
        Of the parts: what the first was called, "2 phonons", …, "beyond".
    densities
        In mbarn/sr/meV per atom, shape (part, q, energy).
    orders
        The largest number of phonons.
    truncation_error
        Share of the scattering at the largest |Q| that is left out beyond it.
    imaginary_share
        Share of modes that are imaginary and left out.
    mesh
        Of the density of states, if it is known.
    """

    names: tuple[str, ...]
    densities: np.ndarray
    orders: int
    truncation_error: float
    imaginary_share: float
    mesh: tuple[int, ...] | None = None

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> Self:
        """Return no parts of maps of this shape."""
        return cls((), np.zeros((0, *shape)), 0, 0.0, 0.0)

    def provenance(self) -> dict[str, Any]:
        """Return what belongs in the provenance of a result; nothing if there are no parts."""
        if not self.names:
            return {}
        return {
            "orders": self.orders,
            "truncation_error": self.truncation_error,
            "dos_mesh": self.mesh,
        }


@dataclass(frozen=True, eq=False)
class CrossSections:
    """Bound cross-sections of every atom in barn, shape (atoms,).

    Parameters
    ----------
    one
        For scattering by one phonon; None to leave one phonon out.
    several
        For scattering by several.
    """

    one: np.ndarray | None
    several: np.ndarray


class _Kind(NamedTuple):
    """Atoms that symmetry makes equal: their indices, G_1, and U in Å², shape (3, 3)."""

    members: np.ndarray
    spectrum: multiphonon.OnePhononSpectrum
    displacement: np.ndarray


def check_order(order: Any) -> Order:
    """Return the order, a whole number of phonons ≥ 1 or "all".

    Raises
    ------
    InputError
        If it is anything else.
    """
    whole = isinstance(order, int | np.integer) and not isinstance(order, bool) and order >= 1
    if not whole and order != "all":
        what = f"order={order!r} is no number of phonons"
        raise InputError(explain(what, "scattering by 1 … order phonons is summed",
                                 "Give 1, 2, … or 'all'"))  # fmt: skip
    return order if order == "all" else int(order)


def expand(
    dos: PhononDOS,
    temperature: float,
    sections: CrossSections,
    bins: tuple[np.ndarray, EnergyView],
    *,
    order: Order = "all",
    displacements: np.ndarray | None = None,
    first_name: str = "incoherent 1",
) -> Parts:
    """Return the incoherent scattering of a powder, separately by number of phonons.

    Parameters
    ----------
    dos
        With its partial part.
    temperature
        In K.
    sections
        What each atom scatters with.
    bins
        Edges of the shells of |Q| in Å⁻¹, and the energy bins.
    order
        The largest number of phonons; "all": as many as it takes.
    displacements
        ⟨uu⟩ tensors, shape (atoms, 3, 3), for the anisotropy of the Debye–Waller factor: their
        traces are replaced by those that follow from the DOS, so that sum rules hold. None: every
        atom moves alike in all directions.
    first_name
        What to call scattering by one phonon.
    """
    shells, energies = bins
    dos = dos.to("meV")
    counts = _shares(dos)
    kinds = list(_kinds(dos, counts, temperature, displacements, _step(dos)))
    q_max = float(shells[-1])
    largest = max(_orders(kind, q_max, order) for kind in kinds)
    if _step(dos, largest) > _step(dos):
        kinds = list(_kinds(dos, counts, temperature, displacements, _step(dos, largest)))
    named = _named_orders(order, first_name if sections.one is not None else None)
    content = np.zeros((len(named), len(shells) - 1, len(energies.inner_edges) - 1))
    for kind in kinds:
        orders = _orders(kind, q_max, order)
        probabilities = _shell_means(kind.displacement, orders, shells)
        spectra = _binned(kind.spectrum, orders, energies.inner_edges)
        for part, (low, high) in zip(content, named.values(), strict=True):
            barn = sections.one if low == 1 and sections.one is not None else sections.several
            strength = barn[kind.members].sum() * _BARN_TO_MBARN / (4 * np.pi * len(dos.crystal))
            chosen = slice(low - 1, high)
            part += strength * probabilities[chosen].T @ spectra[chosen]
    error = max(_left_out(kind, q_max, order) for kind in kinds)
    imaginary = float(counts[:, dos.energy_edges[1:] <= 0].sum() / counts.sum())
    density, mesh = energies.density(content), dos.provenance.get("dos_mesh")
    return Parts(tuple(named), density, largest, error, imaginary, mesh)


def _named_orders(order: Order, first_name: str | None) -> dict[str, tuple[int, int | None]]:
    """Return the smallest and largest number of phonons of each part; None: all."""
    last = None if order == "all" else int(order)
    separate = _SEPARATE if last is None else min(last, _SEPARATE)
    named: dict[str, tuple[int, int | None]] = {}
    if first_name is not None:
        named[first_name] = (1, 1)
    named |= {f"{n} phonons": (n, n) for n in range(2, separate + 1)}
    if last is None or last > _SEPARATE:
        named[BEYOND] = (_SEPARATE + 1, last)
    return named


def _kinds(
    dos: PhononDOS,
    counts: np.ndarray,
    temperature: float,
    displacements: np.ndarray | None,
    step: float,
) -> Iterator[_Kind]:
    """Yield the kinds of atoms of a crystal, each with the mean partial DOS of its atoms."""
    crystal = dos.crystal.to("angstrom")
    operations = brillouin.symmetry_operations(
        crystal.cell, crystal.scaled_positions, crystal.numbers, crystal.masses
    )
    first = operations.permutations.min(axis=0)
    for atom in np.unique(first):
        members = np.flatnonzero(first == atom)
        share = counts[members].mean(axis=0)
        spectrum = multiphonon.one_phonon_spectrum(dos.energy_edges, share, temperature, step)
        shape = np.eye(3) if displacements is None else np.asarray(displacements[atom], float)
        isotropic = spectrum.displacement(crystal.masses[atom])
        yield _Kind(members, spectrum, shape * isotropic * 3 / np.trace(shape))


def _shares(dos: PhononDOS) -> np.ndarray:
    """Return each atom's share of modes per bin, shape (atoms, bins); each row sums to 1."""
    if dos.partial is None:
        raise InputError(
            explain(
                "This DOS has no partial part",
                "every atom scatters with its own mass, cross-section and density of states",
                "Make it with eigenvectors: force_constants.dos(mesh, partial=True)",
            )
        )
    counts = dos.partial * dos.widths
    if not np.isfinite(counts).all() or counts.min() < -1e-3 * counts.max():
        what = f"The partial DOS has values down to {counts.min():.3g} per bin"
        raise InputError(explain(what, "densities of states are not negative", "Check its origin"))
    counts = np.maximum(counts, 0.0)
    total = counts.sum(axis=1, keepdims=True)
    if not total.all():
        what = f"Atom {int(np.argmin(total))} has a partial DOS of zero"
        raise InputError(explain(what, "every atom takes part in three modes", "Check its origin"))
    return counts / total


def _step(dos: PhononDOS, orders: int = 1) -> float:
    """Return the step of the lattice in meV: half a bin of the DOS, wider for very many orders."""
    occupied = np.flatnonzero(dos.total > 0)
    top = float(dos.energy_edges[occupied[-1] + 1]) if len(occupied) else 1.0
    cells = min(2 * top / np.median(dos.widths), _LATTICE / orders)
    return top / float(np.clip(cells, *_CELLS))


def _orders(kind: _Kind, q_max: float, order: Order) -> int:
    """Return how many orders of a kind of atom are needed, no more than are wanted."""
    exponent = _exponent(kind, q_max)
    if order != "all" and exponent > multiphonon.MAXIMUM_EXPONENT:
        return order
    needed = multiphonon.needed_orders(exponent)
    return needed if order == "all" else min(needed, order)


def _left_out(kind: _Kind, q_max: float, order: Order) -> float:
    """Return the share of the scattering of a kind of atom that is in no order."""
    orders = _orders(kind, q_max, order)
    return float(multiphonon.truncation_error(_exponent(kind, q_max), orders))


def _exponent(kind: _Kind, q_max: float) -> float:
    """Return the largest 2W: at the largest |Q|, where the atom moves most."""
    return q_max**2 * float(np.linalg.eigvalsh(kind.displacement)[-1])


def _shell_means(displacement: np.ndarray, orders: int, shells: np.ndarray) -> np.ndarray:
    """Return the probabilities of 1 … n phonons, means over each shell, shape (orders, shell)."""
    nodes, gauss = np.polynomial.legendre.leggauss(_NODES)
    q = shells[:-1, None] + np.diff(shells)[:, None] * (nodes + 1) / 2
    found = multiphonon.phonon_probabilities(q.ravel(), displacement, orders)[1:]
    return found.reshape(orders, -1, _NODES) @ (gauss / 2)


def _binned(one: multiphonon.OnePhononSpectrum, orders: int, edges: np.ndarray) -> np.ndarray:
    """Return the content of bins of G_1 … G_n, shape (orders, energy)."""
    highest = float(np.abs(edges).max())
    spectra = multiphonon.n_phonon_spectra(one, orders, highest_energy=highest)
    return np.array(
        [multiphonon.into_bins(loss, one.step, one.temperature, edges) for loss in spectra]
    )
