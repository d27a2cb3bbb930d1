"""What each bank of detectors sees: a map along its trajectory |Q|(E)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scatterml_ase.errors import InputError, explain
from scatterml_ase.physics.kinematics import ring_borders
from scatterml_ase.physics.rebinning import Rebinned, q_to_rings, ring_overlaps
from scatterml_ase.results.cut import SqwCut
from scatterml_ase.results.sqw import SqwMap


def bank_spectra(sqw: SqwMap, kinematics: Mapping[str, Any] | None = None) -> dict[str, SqwCut]:
    """Return one spectrum per bank: the mean of a powder map over the |Q| it sees at each energy.

    A spectrometer of indirect geometry measures along such trajectories and nothing else.

    Parameters
    ----------
    sqw
        A powder map; bins that are not measured do not count.
    kinematics
        ``geometry``, ``fixed_energy`` in meV, ``two_theta`` in degrees and, if they have names,
        ``banks``; None for those of the map.

    Returns
    -------
    dict[str, SqwCut]
        By the name of the bank; NaN at energies where it sees nothing of the map. The unit is that
        of the map, in meV.

    Raises
    ------
    InputError
        If the map is of no powder, or of no instrument.
    """
    sqw = sqw.to("meV").to("angstrom^-1")
    known = (sqw.kinematics if kinematics is None else kinematics) or {}
    if sqw.axis != "powder" or not {"two_theta", "fixed_energy"} <= set(known):
        raise InputError(
            explain(
                "This map has no spectra of detector banks",
                "it is of a path" if sqw.axis != "powder" else "it belongs to no instrument",
                "Make one with PowderScattering, and give an instrument: "
                "Instrument.load('TOSCA').spectra(sqw)",
            )
        )
    ranges = known["two_theta"]
    names = known.get("banks") or [bank_name(*pair) for pair in ranges]
    overlaps = list(
        ring_overlaps(
            ring_borders(ranges),
            sqw.energy_transfer,
            sqw.q,
            known["fixed_energy"],
            known.get("geometry", "direct"),
        )
    )

    def mean(values: np.ndarray, error: np.ndarray | None = None) -> Rebinned:
        return q_to_rings(values, error, sqw.mask, iter(overlaps), len(ranges))

    seen = mean(sqw.intensity, sqw.error)
    parts = None if sqw.parts is None else np.array([mean(part).values for part in sqw.parts])
    return {
        name: SqwCut(
            crystal=sqw.crystal,
            intensity=seen.values[k],
            error=None if seen.error is None else seen.error[k],
            parts=None if parts is None else parts[:, k],
            part_names=sqw.part_names,
            energy_transfer=sqw.energy_transfer,
            temperature=sqw.temperature,
            scale=sqw.scale,
            ki_over_kf=sqw.ki_over_kf,
            units=sqw.units,
            provenance={**sqw.provenance, "bank": {"name": name, "two_theta": list(ranges[k])}},
        )
        for k, name in enumerate(names)
    }


def bank_name(first: float, last: float) -> str:
    """Name a bank by its angles in degrees."""
    return f"{first:g}°" if first == last else f"{first:g}°–{last:g}°"
