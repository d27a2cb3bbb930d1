"""The line of one phonon on bins of energy, as a differentiable function of ω²."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.broadening import SIGMA_TO_FWHM
from scatterml_ase.scattering.scatterer import MINIMUM_FREQUENCY
from scatterml_ase.units import BOLTZMANN, ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV


@dataclass(frozen=True, eq=False)
class LineProfile:
    """f_E: what an eigenvalue ω² of D adds to each bin, in 1/meV².

    Parameters
    ----------
    edges
        Of the bins in meV, shape (energies + 1,).
    sigma
        Standard deviation in meV, shape () or (energies,).
    temperature
        In K.
    """

    edges: Tensor
    sigma: Tensor
    temperature: float

    @classmethod
    def make(cls, edges: np.ndarray, fwhm: float | np.ndarray, temperature: float) -> Self:
        """Check a width in meV.

        Raises
        ------
        InputError
            If it is not positive, or there are several and not one for each bin.
        """
        widths = np.asarray(fwhm, dtype=float)
        if widths.shape not in ((), (len(edges) - 1,)) or not np.all(
            (widths > 0) & np.isfinite(widths)
        ):
            raise InputError(
                explain(
                    f"energy_fwhm={fwhm} cannot be used",
                    "a spectrum of sharp lines has no derivative",
                    f"Give a positive width in meV, or {len(edges) - 1}, one for each bin",
                )
            )
        return cls(torch.tensor(edges), torch.tensor(widths / SIGMA_TO_FWHM), temperature)

    def __call__(self, eigenvalues: Tensor) -> Tensor:
        """Return f of eigenvalues in eV/Å²/amu, shape (…, energies); 0 where left out."""
        kept = eigenvalues > (MINIMUM_FREQUENCY / ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV) ** 2
        roots = torch.sqrt(torch.where(kept, eigenvalues, 1.0))
        energies = ROOT_EV_PER_ANGSTROM2_AMU_TO_MEV * roots[..., None]
        occupation = self._bose(energies)
        loss = (occupation + 1) * self._bins(energies)
        lines = loss + occupation * self._bins(-energies)
        return torch.where(kept[..., None], lines / (2 * energies), 0.0)

    def _bose(self, energies: Tensor) -> Tensor:
        if self.temperature == 0:
            return torch.zeros_like(energies)
        x = energies / (BOLTZMANN * self.temperature)
        return torch.exp(-x) / -torch.expm1(-x)

    def _bins(self, energies: Tensor) -> Tensor:
        """Return the mean over each bin of a Gaussian at energies (…, 1), (…, energies)."""
        below = torch.special.ndtr((self.edges[:-1] - energies) / self.sigma)
        above = torch.special.ndtr((self.edges[1:] - energies) / self.sigma)
        return (above - below) / self.edges.diff()
