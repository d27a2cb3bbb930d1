"""What the banks of a spectrometer of indirect geometry show, beside its map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scatterml_ase.results.plotting import INK, PALETTE, intensity_label
from scatterml_ase.scattering.bank_spectra import bank_spectra

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scatterml_ase.results.cut import SqwCut
    from scatterml_ase.results.sqw import SqwMap

_ONE_PHONON = ("coherent 1", "incoherent 1", "1 phonon")
_LOW = 0.1
"""Below this share of the energy axis acoustic modes may leave the frame."""


def spectra_of(sqw: SqwMap) -> dict[str, SqwCut]:
    """Return the spectra of the banks of indirect geometry by name; none of other maps."""
    if (sqw.kinematics or {}).get("geometry") != "indirect":
        return {}
    return bank_spectra(sqw)


def draw_banks(spectra: dict[str, SqwCut], ax: Axes) -> None:
    """Draw the spectra of banks to the right, energies upwards; one phonon alone is filled."""
    for (bank, cut), color in zip(spectra.items(), PALETTE, strict=False):
        first, last = cut.provenance["bank"]["two_theta"]
        angles = f"{first:g}°" if first == last else f"{first:.0f}°–{last:.0f}°"
        ax.plot(cut.intensity, cut.centres, color=color, lw=1.1, label=f"{bank}, {angles}")
        if (single := _one_phonon(cut)) is not None:
            ax.fill_betweenx(cut.centres, single, color=color, alpha=0.35, lw=0)
    shown = cut.centres > _LOW * cut.edges[-1]
    top = max(np.nanmax(one.intensity[shown], initial=0.0) for one in spectra.values())
    ax.set_xlim(0, 1.08 * top or None)
    ax.set_xlabel(intensity_label(cut.axis, cut.units["energy"], cut.scale).replace(" (", "\n("))
    if any(_one_phonon(one) is not None for one in spectra.values()):
        ax.fill_betweenx([], [], color=INK, alpha=0.35, lw=0, label="one phonon alone")
    ax.legend(frameon=False, fontsize="small", handlelength=1.2)


def _one_phonon(cut: SqwCut) -> np.ndarray | None:
    """Return what one phonon scatters, None if that is all or not known."""
    once = [name in _ONE_PHONON for name in cut.part_names]
    return None if cut.parts is None or all(once) else cut.parts[once].sum(axis=0)
