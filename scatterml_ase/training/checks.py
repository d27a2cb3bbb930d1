"""What is wrong with training data, told before training starts: ``check_data(files)``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from ase import units

from scatterml_ase.errors import InputError, explain, name_species
from scatterml_ase.training.config import DataConfig
from scatterml_ase.training.consistency import Consistency, Slope, consistency
from scatterml_ase.training.copies import contradictions, duplicates
from scatterml_ase.training.data import Fault, Frame
from scatterml_ase.training.data_report import DataReport, Finding
from scatterml_ase.training.files import scan_files
from scatterml_ase.training.plausibility import implausible_energies, implausible_lengths, spacing
from scatterml_ase.training.pulay import pressure_offset
from scatterml_ase.training.wrong_units import name_force_factor, name_stress_factor

# Every wrong unit is further from 1 than this; no honest data set looked at was half as far.
_TELLING = 1.5
_MAGNETIC_SHARE = 0.1
_MOST_ERRORS = 5  # of one kind that are told one by one


def check_data(files: Iterable[str | Path], config: DataConfig | None = None) -> DataReport:
    """Check files of labelled structures.

    Parameters
    ----------
    files
        Anything ASE reads: extxyz, databases, trajectories, vasprun.xml, OUTCAR.
    config
        Names of the labels, as in the table ``[data]`` of a training file; ASE's own by default.

    Raises
    ------
    InputError
        If no file is named, or one cannot be read at all.
    """
    names = [str(name) for name in files]
    if not names:
        raise InputError(explain("No data file is named", "nothing can be checked", "Name one"))
    frames, faults = scan_files(names, config or DataConfig(train=()))
    return check_frames(frames, faults)


def check_frames(frames: Sequence[Frame], faults: Sequence[Fault] = ()) -> DataReport:
    """Check labelled structures; ``faults`` are those that could not be labelled."""
    distance = spacing(frames)
    agreement = Consistency() if distance is None else consistency(frames, distance)
    findings = [
        *_faults(faults),
        *_units_by_file(frames, agreement),
        *(Finding("warning", "lengths", text) for text in implausible_lengths(frames)),
        *(Finding("warning", "energies", text) for text in implausible_energies(frames)),
        *_forces(frames),
        *_labels(frames),
        *_variety(frames),
    ]
    order = ("error", "warning", "note")
    return DataReport(
        len(frames),
        sum(len(frame.atoms) for frame in frames),
        _occurrences(frames),
        agreement,
        tuple(sorted(findings, key=lambda finding: order.index(finding.severity))),
    )


def _faults(faults: Sequence[Fault]) -> Iterator[Finding]:
    """Yield one error for each kind of fault, with the structures it was found in."""
    for kind, count in Counter(fault.kind for fault in faults).most_common():
        places = [fault.origin for fault in faults if fault.kind == kind]
        shown = "; ".join(places[:3]) + (f"; and {count - 3} more" if count > 3 else "")
        yield Finding("error", "labels", f"{shown} {kind}")


def _units_by_file(frames: Sequence[Frame], agreement: Consistency) -> Iterator[Finding]:
    """Yield what is wrong with units and signs, file by file if there are several."""
    files: dict[str, list[Frame]] = {}
    for frame in frames:
        files.setdefault(frame.file, []).append(frame)
    if len(files) == 1:
        yield from _units(frames, agreement)
        return
    for name, members in files.items():
        distance = spacing(members)
        if distance is not None:
            for finding in _units(members, consistency(members, distance)):
                yield replace(finding, message=f"{name}: {finding.message}")


def _units(frames: Sequence[Frame], agreement: Consistency) -> Iterator[Finding]:
    """Yield what is wrong with units and signs."""
    if agreement.unrelated:
        yield _warning(
            "units",
            "Energies and forces have nothing to do with each other",
            "between similar structures the energy does not change by the work of the forces",
            "Check that energies, forces and positions are of the same structures in the same "
            "order of atoms",
        )
    forces, stress, per_atom = agreement.forces, agreement.stress, agreement.per_atom
    off = forces is not None and _telling(forces.value)
    if off and per_atom is not None and not _telling(per_atom.value):
        yield _warning(
            "units",
            "The energies seem to be per atom",
            f"times the number of atoms they agree with the forces (slope {per_atom.value:.3g})",
            "Give total energies in eV",
        )
        return
    explained = False
    if off and forces is not None:
        guesses, explained = name_force_factor(
            forces.value, forces.error / abs(forces.value), stress.value if stress else None
        )
        yield _warning(
            "units",
            f"The forces {_misfit(forces.value)} for the energies",
            _evidence(forces, "forces"),
            f"{_likely(guesses)}. Convert to eV, eV/Å and Å",
        )
    wrong_stress = stress is not None and _telling(stress.value)
    if not off and not wrong_stress:
        yield from _pressure(frames)
    if stress is not None and not explained and _telling(stress.value):
        volume = float(np.median([f.atoms.cell.volume for f in frames if f.stress_mask.any()]))
        named = name_stress_factor(stress.value, stress.error / abs(stress.value), volume)
        yield _warning(
            "units",
            f"The stress {_misfit(stress.value, many=False)} for the energies",
            _evidence(stress, "stress"),
            f"{_likely(named)}. Convert to eV/Å³, tension positive, or train without it "
            '(stress = "" in [data])',
        )


def _pressure(frames: Sequence[Frame]) -> Iterator[Finding]:
    """Yield that the pressure contradicts the energies of strained crystals."""
    offset = pressure_offset(frames)
    if offset is None or not offset.telling:
        return
    groups = sorted({frame.group for frame in frames if frame.stress_mask.diagonal().any()})
    names = ", ".join(f'"{group}"' for group in groups[:5]) + ", …" * (len(groups) > 5)
    what = "above" if offset.value > 0 else "below"
    yield _warning(
        "pressure",
        f"The normal stresses are {1e3 * abs(offset.value):.1f} ± {1e3 * offset.scatter:.1f} "
        f"meV/Å³ ({abs(offset.value) / units.GPa:.1f} GPa) {what} the slope of the energy with the "
        f"volume, in {offset.pairs} pairs of the same crystal under strain",
        "the same pressure is missing everywhere, as with too few plane waves (Pulay stress); a "
        "potential cannot give these energies and these stresses",
        f'Train without them: ignore_stress = {{ GROUP = ["xx", "yy", "zz"] }} in [data], for '
        f"each GROUP of the data ({names}); or recompute with a larger cutoff",
    )


def _forces(frames: Sequence[Frame]) -> Iterator[Finding]:
    """Yield what is wrong with forces in themselves."""
    held = [frame for frame in frames if frame.hints.frozen]
    if held:
        yield _warning(
            "constraints",
            f"{len(held)} structures have forces of exactly zero on constrained atoms "
            f"({held[0].origin}: {held[0].hints.frozen} atoms)",
            "a constraint was applied to them before they were written; the zeros would be learned",
            "Write the true forces: atoms.get_forces(apply_constraint=False)",
        )
    rms = np.array([np.sqrt((frame.forces**2).mean()) for frame in frames])
    if len(frames) > 1 and not rms.any():
        yield _warning(
            "forces",
            f"All forces of all {len(frames)} structures are zero",
            "there is nothing to learn from them",
            "Check how the file was written, and the key of the forces in [data]",
        )
    net = np.array([np.linalg.norm(f.forces.sum(axis=0)) / len(f.atoms) for f in frames])
    pulled = np.flatnonzero((net > 0.02) & (net > 0.05 * rms))
    if not held and len(pulled) > 0.1 * len(frames):
        worst = pulled[np.argmax(net[pulled])]
        yield _warning(
            "net force",
            f"The forces of {len(pulled)} of {len(frames)} structures do not sum to zero (worst: "
            f"{frames[worst].origin}, {net[worst]:.3g} eV/Å per atom)",
            "a potential without an external field cannot pull a structure away",
            "Look for fixed atoms, an external field, missing atoms, or coarse settings",
        )


def _labels(frames: Sequence[Frame]) -> Iterator[Finding]:
    """Yield what is wrong with the choice of labels."""
    apart = [
        abs(frame.hints.free_energy - frame.energy) / len(frame.atoms)
        for frame in frames
        if frame.hints.free_energy is not None
    ]
    if max(apart, default=0.0) > 1e-3:
        yield _warning(
            "free energy",
            f"Energy and free energy differ by up to {1e3 * max(apart):.3g} meV/atom",
            "forces and stress are derivatives of the free energy (electrons at a temperature)",
            'Set energy = "free_energy" in [data]',
        )
    energies = {frame.energy for frame in frames}
    if len(frames) > 2 and len(energies) == 1:
        yield _warning(
            "energies",
            f"All {len(frames)} structures have the energy {frames[0].energy:g} eV",
            "there is nothing to learn from it",
            "Check how the file was written, and the key of the energy in [data]",
        )
    magnetic = sum(frame.hints.magnetic for frame in frames)
    if magnetic > _MAGNETIC_SHARE * len(frames):
        why = "the potential knows positions and species only: of several magnetic states one must"
        fix = "Keep one magnetic order (or the ground state of each structure)"
        what = f"{magnetic} structures have magnetic moments, which are not used"
        yield Finding("note", "magnetism", explain(what, f"{why} be meant", fix))


def _variety(frames: Sequence[Frame]) -> Iterator[Finding]:
    """Yield what there is too much or too little of."""
    copies = duplicates(frames)
    for message in list(contradictions(copies))[:_MOST_ERRORS]:
        yield Finding("error", "duplicates", message)
    if copies:
        shown = "; ".join(f"{b.origin} = {a.origin}" for a, b in copies[:3])
        yield _warning(
            "duplicates",
            f"{len(copies)} of {len(frames)} structures are copies ({shown})",
            "copies weigh twice and may straddle training and validation",
            "Training drops them; clean the file to be rid of this warning",
        )
    lonely = [number for number, count in _occurrences(frames).items() if count == 1]
    if lonely and len(frames) > 1:
        where = next(f.origin for f in frames if lonely[0] in f.atoms.numbers)
        yield _warning(
            "species",
            f"{name_species(lonely)} occur{'s' * (len(lonely) == 1)} in one structure only "
            f"({name_species(lonely[:1])}: {where})",
            "one structure cannot teach what a species does, nor can it be validated",
            "Add structures with it, or remove this one",
        )


def _occurrences(frames: Sequence[Frame]) -> dict[int, int]:
    """Return in how many structures each atomic number occurs, in rising order."""
    found = Counter(int(z) for frame in frames for z in np.unique(frame.atoms.numbers))
    return dict(sorted(found.items()))


def _warning(check: str, what: str, why: str, fix: str) -> Finding:
    return Finding("warning", check, explain(what, why, fix))


def _telling(slope: float) -> bool:
    """Whether a slope is too far from 1 for anything but a wrong unit or sign."""
    return slope < 0 or abs(np.log(slope)) > np.log(_TELLING)


def _misfit(slope: float, *, many: bool = True) -> str:
    """Say by what factor labels are off: the energy changes by ``slope`` times their work."""
    size = abs(slope)
    factor = f"{max(size, 1 / size):.4g} times too {'small' if size > 1 else 'large'}"
    verb, have = ("are", "have") if many else ("is", "has")
    if slope > 0:
        return f"{verb} {factor}"
    wrong = f"{have} the wrong sign"
    return f"{verb} {factor} and {wrong}" if _telling(size) else wrong


def _likely(guesses: Sequence[str]) -> str:
    if not guesses:
        return "No usual unit makes that factor"
    return "Likely " + ", or ".join(guesses)


def _evidence(slope: Slope, name: str) -> str:
    value = f"{slope.value:.4g} ± {slope.error:.1g} (right is 1)"
    if slope.method == "pairs":
        pairs = f"{slope.count} pairs of similar structures"
        return f"over {pairs} the energy changes by {value} times the work of the {name}"
    return (
        f"energies of a quick potential fitted to the forces of {slope.count} structures must be "
        f"multiplied with {value} to give the labels"
    )
