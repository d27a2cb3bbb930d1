"""Lengths and energies that cannot be right, judged by covalent radii and by the other data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from ase.data import covalent_radii
from ase.units import Bohr

from scatterml_ase.errors import explain, name_species
from scatterml_ase.graph import neighbours
from scatterml_ase.training.data import Frame, reference_energies, species_of

_NOBLE = (2, 10, 18, 36, 54, 86)  # their distances have nothing to do with covalent radii
_MOST_FRAMES = 50
_REACH = 2.6  # neighbours are looked for up to so many sums of covalent radii
_SHORT, _LONG, _TOUCHING = 0.7, 1.5, 0.4  # of the sum of covalent radii
_FARTHEST_ENERGY = 10.0  # eV/atom; free atoms and clusters are nearer to the crystal
_DENSEST = 1.0  # Å³ per atom; no matter on a desk is a third as dense


def spacing(frames: Sequence[Frame]) -> float | None:
    """Return the typical distance of nearest neighbours in Å, None where there are none."""
    nearest = [found[0] for frame in _sample(frames) if (found := _nearest(frame)) is not None]
    values = np.concatenate([d[np.isfinite(d)] for d in nearest]) if nearest else np.array([])
    return float(np.median(values)) if values.size else None


def implausible_lengths(frames: Sequence[Frame]) -> Iterator[str]:
    """Yield messages on distances too long, too short, or both atoms on one place."""
    dense = [frame for frame in frames if _volume(frame) < _DENSEST]
    if dense:
        yield explain(
            f"{dense[0].origin} has {_volume(dense[0]):.2g} Å³ per atom"
            + (f", and {len(dense) - 1} more are as dense" if len(dense) > 1 else ""),
            "no matter is so dense",
            "Convert positions and cell to Å (from nm: multiply by 10)",
        )
    found = [(f, near) for f in _sample(frames) if (near := _nearest(f)) is not None]
    ratios = [(frame, near[1][np.isfinite(near[1])]) for frame, near in found]
    ratios = [(frame, ratio) for frame, ratio in ratios if ratio.size]
    if not ratios:
        return
    typical = float(np.median([np.median(ratio) for _, ratio in ratios]))
    if not _SHORT < typical < _LONG:
        too = "long" if typical > 1 else "short"
        usual = "bohr" if typical > 1 else "nm or fractions of the cell"
        yield explain(
            f"Nearest neighbours are {typical:.2f} times the sum of their covalent radii apart "
            "(median)",
            f"0.8 to 1.4 is usual: lengths seem too {too}, as if they were in {usual}",
            f"Convert positions and cell to Å (from bohr: multiply by {Bohr:.5f})",
        )
        return
    touching = [(ratio, f) for f in frames if (ratio := _closest(f)) < _TOUCHING]
    if touching:
        worst, frame = min(touching, key=lambda pair: pair[0])
        yield explain(
            f"{len(touching)} structures have atoms on top of each other (worst: {frame.origin}, "
            f"{worst:.2f} times the sum of the covalent radii)",
            "such energies are enormous and say nothing about matter",
            "Remove them, unless the potential is meant for collisions",
        )


def implausible_energies(frames: Sequence[Frame]) -> Iterator[str]:
    """Yield messages on energies far from the others', and on files that disagree."""
    if len(frames) < 10:
        return
    rest = _residuals(frames)
    middle, width = np.median(rest), _width(rest)
    far = np.flatnonzero(np.abs(rest - middle) > max(20 * width, _FARTHEST_ENERGY))
    if 0 < len(far) <= 0.1 * len(frames):
        worst = far[np.argmax(np.abs(rest[far] - middle))]
        yield explain(
            f"{len(far)} structures have energies far from what their composition explains (worst: "
            f"{frames[worst].origin}, {rest[worst] - middle:+.3g} eV/atom; the others scatter by "
            f"{width:.2g})",
            "another level of theory, an unconverged calculation, or a wrong unit in some",
            "Look at them, and remove or recompute them",
        )
    yield from _disagreeing_files(frames)


def _disagreeing_files(frames: Sequence[Frame]) -> Iterator[str]:
    """Yield a message for every file whose energies are shifted against one of the same species.

    Only crystals and melts of about the same density are compared: surfaces and clusters differ.
    """
    groups: dict[tuple[int, ...], dict[str, list[Frame]]] = {}
    for frame in frames:
        files = groups.setdefault(species_of([frame]), {})
        files.setdefault(frame.file, []).append(frame)
    for species, files in groups.items():
        largest = max(files.values(), key=len)
        usual = float(np.median([_volume(frame) for frame in largest]))
        alike = {name: [f for f in one if _alike(f, usual)] for name, one in files.items()}
        large = {name: members for name, members in alike.items() if len(members) >= 5}
        if len(large) < 2:
            continue
        reference = max(large, key=lambda name: len(large[name]))
        binding = reference_energies(large[reference], species)
        rest = {name: _residuals(members, binding) for name, members in large.items()}
        for name in large:
            shift = float(np.median(rest[name]) - np.median(rest[reference]))
            if abs(shift) > max(1.0, 5 * (_width(rest[name]) + _width(rest[reference]))):
                yield explain(
                    f"The energies of {name} are shifted by {shift:+.3g} eV/atom against "
                    f"{reference} ({name_species(species)} in both)",
                    "the two seem computed at different levels of theory or with different "
                    "references of the energy",
                    "Recompute one of them, or shift its energies if only the reference differs",
                )


def _alike(frame: Frame, volume: float) -> bool:
    """Whether a structure is periodic and about as dense as ``volume`` (Å³ per atom)."""
    return np.isfinite(volume) and abs(_volume(frame) / volume - 1) < 0.15


def _residuals(frames: Sequence[Frame], binding: Sequence[float] | None = None) -> np.ndarray:
    """Return energies per atom (structures,) in eV without what the composition explains."""
    species = species_of(frames)
    binding = reference_energies(frames, species) if binding is None else binding
    of_species = dict(zip(species, binding, strict=True))
    return np.array(
        [
            f.energy / len(f.atoms) - np.mean([of_species[z] for z in f.atoms.numbers])
            for f in frames
        ]
    )


def _width(values: np.ndarray) -> float:
    """Return the standard deviation of the bulk of the values."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _sample(frames: Sequence[Frame]) -> Sequence[Frame]:
    return frames[:: len(frames) // _MOST_FRAMES + 1]


def _volume(frame: Frame) -> float:
    """Return the volume per atom in Å³, infinite where not all axes are periodic."""
    return frame.atoms.cell.volume / len(frame.atoms) if frame.atoms.pbc.all() else np.inf


def _nearest(frame: Frame) -> tuple[np.ndarray, np.ndarray] | None:
    """Return, per atom, the shortest distance (Å) and in sums of covalent radii; inf if none."""
    if _volume(frame) < _DENSEST:
        return None
    i, lengths, ratios = _distances(frame, _REACH)
    distance, ratio = np.full(len(frame.atoms), np.inf), np.full(len(frame.atoms), np.inf)
    np.minimum.at(distance, i, lengths)
    np.minimum.at(ratio, i, ratios)
    return distance, ratio


def _closest(frame: Frame) -> float:
    """Return the shortest distance in sums of covalent radii if it is below the limit."""
    if _volume(frame) < _DENSEST:
        return np.inf
    return float(_distances(frame, _TOUCHING)[2].min(initial=np.inf))


def _distances(frame: Frame, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return centres, distances (Å) and these in sums of covalent radii, all (pairs,)."""
    atoms = frame.atoms
    radii = covalent_radii[atoms.numbers]
    i, j, shifts = neighbours(atoms, float(2 * reach * radii.max()))
    vectors = atoms.positions[j] - atoms.positions[i] + shifts @ atoms.cell.array
    lengths = np.linalg.norm(vectors, axis=1)
    noble = np.isin(atoms.numbers[i], _NOBLE) | np.isin(atoms.numbers[j], _NOBLE)
    return i, lengths, np.where(noble, np.inf, lengths / (radii[i] + radii[j]))
