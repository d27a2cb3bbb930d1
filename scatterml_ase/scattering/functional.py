"""S(Q, E) as a function that can be differentiated: by force constants and by strain.

Broadened one-phonon scattering is a smooth function of the dynamical matrix,

    S(Q, E) = a† f_E(D) a,   a_k = b_k M_k^-½ exp(iQ·r_k) exp(−W_k(Q)) Q,
    f_E(ω²) = ħ²/2N [(n + 1)/ω g(E − ω) + n/ω g(E + ω)],

with g a Gaussian integrated over the bins, so no eigenvector has to be differentiated and
degenerate modes do no harm (:mod:`~scatterml_ase.scattering.matrix_function`). Values are those of
:mod:`~scatterml_ase.scattering.one_phonon`, in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.form_factors import coefficients
from scatterml_ase.physics.lattice import position_phases
from scatterml_ase.results.force_constants import ForceConstants
from scatterml_ase.results.histogram import check_edges
from scatterml_ase.scattering.line_profile import LineProfile
from scatterml_ase.scattering.matrix_function import quadratic_form
from scatterml_ase.scattering.one_phonon import check_scattering_vectors
from scatterml_ase.scattering.probe import XrayProbe
from scatterml_ase.scattering.scatterer import Scatterer
from scatterml_ase.units import ELECTRON_RADIUS, FM2_TO_MBARN, HBAR2_PER_AMU


@dataclass(frozen=True, eq=False, repr=False)
class SpectrumFunction:
    """One-phonon S(Q, E) of a crystal at given Q, as a function of force constants and strain.

    Make it with :meth:`prepare`, call it as often as a fit needs:

    >>> spectrum = SpectrumFunction.prepare(
    ...     force_constants, hkl, 300, energy_edges=edges, energy_fwhm=1.5
    ... )  # doctest: +SKIP
    >>> spectrum(blocks, strain=strain).sum().backward()  # doctest: +SKIP

    What does not follow from force constants and strain: atomic positions in the cell, Born
    charges, and the displacements of the Debye–Waller factor, unless they are given. A mode below
    0.02 meV, imaginary or acoustic at a Bragg peak, is left out and has no gradient of its own.

    Parameters
    ----------
    scatterer
        The crystal, probe, temperature and displacements.
    hkl
        Scattering vectors in reciprocal-lattice units, shape (points, 3).
    profile
        The lines: from ω² to bins.
    fourier
        From blocks to D(q).
    fixed
        The part of D(q) that blocks do not make (dipoles), shape (points, 3n, 3n), or None.
    """

    scatterer: Scatterer
    hkl: Tensor
    profile: LineProfile
    fourier: _Fourier
    fixed: Tensor | None

    @classmethod
    def prepare(
        cls,
        force_constants: ForceConstants,
        hkl: np.ndarray | Sequence[Sequence[float]],
        temperature: float,
        *,
        energy_edges: np.ndarray | Sequence[float],
        energy_fwhm: float | np.ndarray,
        **options: Any,
    ) -> Self:
        """Look up and compute all that stays the same.

        Parameters
        ----------
        force_constants
            Of the crystal; its pairs are those that blocks belong to.
        hkl
            Scattering vectors in reciprocal-lattice units of the primitive cell, (points, 3).
        temperature
            In K.
        energy_edges
            Of the bins of energy transfer, in meV.
        energy_fwhm
            Of the Gaussian in meV, one or one for each bin.
        options
            ``probe``, ``ions``, ``scattering_lengths``, ``displacements``, as of
            :func:`~scatterml_ase.scattering.one_phonon.one_phonon`.

        Raises
        ------
        InputError
            If the width is not positive, bins are no bins, or as ``one_phonon`` does.
        """
        scatterer = Scatterer.prepare(force_constants, temperature, **options)
        points = check_scattering_vectors(np.asarray(hkl, dtype=float))
        edges = check_edges("energy_edges", energy_edges)
        profile = LineProfile.make(edges, energy_fwhm, scatterer.temperature)
        fourier = _Fourier.of(force_constants, points)
        fixed = None
        if force_constants.born_charges is not None and force_constants.dielectric is not None:
            total = torch.as_tensor(_cell_gauge(force_constants, points))
            fixed = total - fourier.matrices(_tensor(force_constants.blocks))
        return cls(scatterer, torch.as_tensor(points), profile, fourier, fixed)

    def __call__(
        self,
        blocks: Tensor | None = None,
        *,
        strain: Tensor | None = None,
        displacements: Tensor | None = None,
    ) -> Tensor:
        """Return the mean S in each bin in mbarn/sr/meV per atom, shape (points, energies).

        Parameters
        ----------
        blocks
            Force constants in eV/Å², shape (pairs, 3, 3), for the ``pairs`` of the crystal;
            None: its own. Φ_ij(S) and Φ_ji(−S)ᵀ enter as their mean.
        strain
            ε, shape (3, 3): cell and atoms go from r to (1 + ε) r, at the same hkl. How the
            force constants change with it is for ``blocks`` to say. None: no strain.
        displacements
            ⟨uu⟩ in Å² of the Debye–Waller factor, shape (atoms, 3, 3); None: as prepared.

        Raises
        ------
        InputError
            If a shape is wrong.
        """
        own = _tensor(self.scatterer.force_constants.blocks)
        given = own if blocks is None else _checked("blocks", blocks, own.shape)
        dynamical = self.fourier.matrices(given)
        if self.fixed is not None:
            dynamical = dynamical + self.fixed
        amplitudes = self._amplitudes(strain, displacements)
        squares = quadratic_form(dynamical, amplitudes, self.profile)
        return squares * (HBAR2_PER_AMU * FM2_TO_MBARN / self.scatterer.atoms)

    def __repr__(self) -> str:
        """Say what it is a function of, and how large."""
        crystal = self.scatterer.force_constants.crystal
        bins = len(self.profile.edges) - 1
        pairs = len(self.fourier.slots)
        return f"SpectrumFunction({crystal!r}, {len(self.hkl)} Q, {bins} energies, {pairs} pairs)"

    def _amplitudes(self, strain: Tensor | None, displacements: Tensor | None) -> Tensor:
        """Return a in the cell gauge, where its phase is exp(iQ·r), shape (points, 3n)."""
        crystal = self.scatterer.force_constants.crystal.to("angstrom")
        reciprocal = _tensor(crystal.reciprocal_cell)
        if strain is not None:
            one = torch.eye(3, dtype=torch.float64)
            strain = _checked("strain", strain, one.shape)
            reciprocal = reciprocal @ torch.linalg.inv(one + strain)
        Q = self.hkl @ reciprocal
        scaled = _tensor(crystal.scaled_positions)
        phases = torch.exp(2j * math.pi * (self.hkl @ scaled.T))  # [point, atom]
        factors = phases * self._strengths(Q) / _tensor(crystal.masses).sqrt()
        assert self.scatterer.displacements is not None  # they are looked up in ``prepare``
        tensors = _tensor(self.scatterer.displacements)
        if displacements is not None:
            tensors = _checked("displacements", displacements, tensors.shape)
        factors = factors * torch.exp(-0.5 * torch.einsum("pa,kab,pb->pk", Q, tensors, Q))
        return (factors[:, :, None] * Q[:, None, :]).reshape(len(Q), -1)

    def _strengths(self, Q: Tensor) -> Tensor:
        """Return b or r_e f(|Q|) in fm, shape (atoms,) or (points, atoms)."""
        probe = self.scatterer.probe
        if not isinstance(probe, XrayProbe):
            return torch.as_tensor(probe.amplitude_factors(Q.detach().numpy()))
        a, b, c = (_tensor(np.array(part)) for part in zip(*map(coefficients, probe.names),
                                                           strict=True))  # fmt: skip
        squares = Q.square().sum(dim=1) / (4 * math.pi) ** 2
        gaussians = a * torch.exp(-squares[:, None, None] * b)  # [point, atom, 5]
        return ELECTRON_RADIUS * (gaussians.sum(dim=-1) + c)


@dataclass(frozen=True, eq=False)
class _Fourier:
    """From blocks to D(q) in the cell gauge, by two matrix products.

    Parameters
    ----------
    phases
        exp(2πi q·S), shape (points, shifts).
    slots
        Where each pair's block belongs among (shift, i, j), shape (pairs,).
    roots
        1/√(M_i M_j) of each pair, shape (pairs,).
    atoms
        Number n of atoms.
    """

    phases: Tensor
    slots: Tensor
    roots: Tensor
    atoms: int

    @classmethod
    def of(cls, force_constants: ForceConstants, hkl: np.ndarray) -> Self:
        atoms, pairs = len(force_constants.crystal), force_constants.pairs
        shifts, rows = np.unique(force_constants.cell_shifts, axis=0, return_inverse=True)
        slots = (rows.reshape(-1) * atoms + pairs[:, 0]) * atoms + pairs[:, 1]
        masses = force_constants.crystal.masses
        return cls(
            torch.exp(2j * math.pi * (_tensor(hkl) @ _tensor(shifts).T)),
            torch.as_tensor(slots),
            _tensor(1 / np.sqrt(masses[pairs[:, 0]] * masses[pairs[:, 1]])),
            atoms,
        )

    def matrices(self, blocks: Tensor) -> Tensor:
        """Return the Hermitian part of D(q) in eV/Å²/amu, shape (points, 3n, 3n)."""
        n, shifts = self.atoms, self.phases.shape[1]
        weighted = blocks.reshape(-1, 9) * self.roots[:, None]
        table = torch.zeros((shifts * n * n, 9), dtype=torch.float64)
        table = table.index_add(0, self.slots, weighted)  # several images may share a slot
        table = table.reshape(shifts, n, n, 3, 3).transpose(2, 3).reshape(shifts, 9 * n * n)
        found = (self.phases @ table.to(self.phases.dtype)).reshape(-1, 3 * n, 3 * n)
        return (found + found.mH) / 2


def _cell_gauge(force_constants: ForceConstants, hkl: np.ndarray) -> np.ndarray:
    """Return D(q), dipoles included, in the cell gauge, shape (points, 3n, 3n)."""
    folded = hkl - np.rint(hkl)
    phases = position_phases(folded, force_constants.crystal.scaled_positions).repeat(3, axis=1)
    matrices = force_constants.dynamical_matrices(folded)
    return phases.conj()[:, :, None] * matrices * phases[:, None, :]


def _tensor(values: np.ndarray) -> Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float64)


def _checked(name: str, values: Tensor, shape: torch.Size) -> Tensor:
    if not isinstance(values, Tensor) or values.shape != shape:
        what = f"{name} is a {type(values).__name__} of shape {tuple(np.shape(values))}"
        why = f"a tensor of shape {tuple(shape)} is needed"
        raise InputError(explain(what, why, f"Give torch.zeros{tuple(shape)}, or what it is"))
    return values.to(torch.float64)
