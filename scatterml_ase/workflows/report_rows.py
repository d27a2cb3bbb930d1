"""The rows of a report: what was found, beside what is known."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ase import Atoms

from scatterml_ase.results.elastic import ElasticConstants
from scatterml_ase.results.energy_volume import EnergyVolume
from scatterml_ase.results.pair_distribution import PairDistribution
from scatterml_ase.results.thermal_expansion import ThermalExpansion
from scatterml_ase.workflows.properties.reference import (
    Reference,
    mean_expansion,
    references,
    source,
)
from scatterml_ase.workflows.properties.special_points import crystal_kind, in_ground_state

_ORDER = {"dft-pbe": 0, "dft-gga": 0, "dft-pbesol": 1, "experiment": 2}  # then as in the table
_NO_CONSTANT = 1e-4  # of the largest: zero by symmetry


@dataclass(frozen=True)
class ReportRow:
    """One property of a report.

    Parameters
    ----------
    key
        Name in the tables of references, such as ``"c11"``.
    label
        Name for people.
    value, error
        What the calculator gives, and its statistical error (None where there is none).
    unit
        Of both, and of the references.
    references
        What is known, DFT first.
    alike
        Whether the references are of the same quantity; otherwise there is no deviation.
    """

    key: str
    label: str
    value: float
    unit: str
    error: float | None = None
    references: tuple[Reference, ...] = ()
    alike: bool = True

    @property
    def deviation(self) -> float | None:
        """Relative to the first reference; None without one that is alike."""
        if not self.alike or not self.references or self.references[0].value == 0:
            return None
        return self.value / self.references[0].value - 1

    @property
    def text(self) -> str:
        """The value with its error, in as many digits as make sense."""
        if self.error is not None:
            return f"{self.value:.4g} ± {self.error:.1g}"
        return f"{self.value:.4g}"


def make_row(
    element: str, key: str, label: str, value: float, unit: str, error: float | None = None
) -> ReportRow:
    """Return a row with the references of its property."""
    known = sorted(references(element, key), key=lambda r: _ORDER.get(r.method, 9))
    return ReportRow(key, label, float(value), unit, error, tuple(known))


def rows_of(element: str, atoms: Atoms, parts: Mapping[str, Any]) -> Iterator[ReportRow]:
    """Yield the rows of a report from its parts, which are the fields of ``Report``.

    What is known of an element is known of its ground state: rows of another crystal have no
    references, but for those of the melt, which has forgotten where it came from.
    """
    rows = _solid_rows(element, atoms, parts)
    known = in_ground_state(atoms)
    yield from (row if known else replace(row, references=()) for row in rows)
    if (liquid := parts["melt"]) is not None:
        yield from _melt_rows(element, liquid, parts["melt_reference"])


def _solid_rows(element: str, atoms: Atoms, parts: Mapping[str, Any]) -> Iterator[ReportRow]:
    kind = crystal_kind(atoms)
    eos: EnergyVolume = parts["energy_volume"]
    if kind is not None:
        per_cell = {"fcc": 4, "bcc": 2, "diamond": 8}[kind]
        a = (atoms.get_volume() / len(atoms) * per_cell) ** (1 / 3)
        yield make_row(element, "lattice_constant", "lattice constant a", a, "angstrom")
    else:
        volume = atoms.get_volume() / len(atoms)
        yield make_row(element, "atomic_volume", "volume per atom", volume, "angstrom^3")
    yield make_row(element, "bulk_modulus", "bulk modulus (E(V))", eos.bulk_modulus, "GPa")
    yield make_row(element, "bulk_modulus_derivative", "dB/dp", eos.bulk_modulus_derivative, "")
    if kind is not None:
        for name, value in zip(("c11", "c12", "c44"), parts["elastic"].cubic, strict=True):
            yield make_row(element, name, name.upper(), value, "GPa")
    else:
        yield from _elastic_rows(element, parts["elastic"])
    if (clamped := parts["elastic_clamped"]) is not None:
        yield make_row(element, "c44_clamped", "C44, clamped ions", clamped.cubic[2], "GPa")
    for f in parts["frequencies"]:
        yield make_row(element, f.key, f"phonon {f.point} {f.branch}", f.frequency, "THz")
    yield make_row(
        element, "vacancy_energy", "vacancy formation energy", parts["vacancy"].relaxed, "eV"
    )
    for face, energy in parts["surfaces"].items():
        name = "".join(map(str, face))
        yield make_row(
            element, f"surface_energy_{name}", f"surface energy ({name})", energy.relaxed, "J/m^2"
        )
    if (expansion := parts["expansion"]) is not None:
        yield _expansion_row(element, expansion)


def _elastic_rows(element: str, elastic: ElasticConstants) -> Iterator[ReportRow]:
    """Yield the constants of a crystal that is not cubic, those that symmetry leaves, and means."""
    stiffness = elastic.stiffness
    for i, j in zip(*np.triu_indices(6), strict=True):
        value = float(stiffness[i, j])
        if abs(value) > _NO_CONSTANT * float(np.abs(stiffness).max()):
            name = f"c{i + 1}{j + 1}"
            yield make_row(element, name, name.upper(), value, "GPa")
    mean = elastic.shear_modulus
    yield make_row(element, "shear_modulus", "shear modulus (Hill)", mean, "GPa")


def _expansion_row(element: str, expansion: ThermalExpansion) -> ReportRow:
    """Compare between the two temperatures; what was measured elsewhere is shown, not compared."""
    low, high = (float(t) for t in (expansion.temperatures.min(), expansion.temperatures.max()))
    mean = expansion.between_extremes
    label = f"linear expansion {low:.0f}-{high:.0f} K"
    row = make_row(element, "linear_expansion", label, 1e6 * mean.value, "1e-6/K", 1e6 * mean.error)
    if (measured := mean_expansion(element, low, high)) is not None:
        return replace(row, references=(measured,))
    return replace(row, alike=False)


def _melt_rows(
    element: str, liquid: PairDistribution, known: PairDistribution | None
) -> Iterator[ReportRow]:
    found = {"position": liquid.first_peak[0], "height": liquid.first_peak[1]}
    other = None if known is None else dict(zip(found, known.first_peak, strict=True))
    for name, unit in (("position", "angstrom"), ("height", "")):
        known_values: tuple[Reference, ...] = ()
        if other is not None:
            known_values = (
                Reference(element, f"melt_{name}", round(other[name], 3), unit, "dft-pbe",
                                    liquid.temperature, "mlearn"),
            )  # fmt: skip
        label = f"melt {liquid.temperature:.0f} K, g(r): peak {name}"
        yield ReportRow(f"melt_{name}", label, found[name], unit, None, known_values)


def table(rows: Sequence[ReportRow]) -> str:
    """Return the table that is printed: a column for DFT, one for experiment, the deviation."""
    lines = [("property", "this model", "unit", "reference (source)", "deviation")]
    lines += [
        (row.label, row.text, row.unit, _known(row), _per_cent(row.deviation)) for row in rows
    ]
    widths = [max(len(line[k]) for line in lines) for k in range(5)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines]  # fmt: skip
    return "\n".join([text[0], "-" * len(text[0]), *text[1:]])


def markdown(rows: Sequence[ReportRow]) -> str:
    """Return a markdown table and the list of sources."""
    lines = ["| property | this model | unit | references | deviation from the first |",
             "|---|---|---|---|---|"]  # fmt: skip
    lines += [
        f"| {r.label} | {r.text} | {r.unit} | {_known(r)} | {_per_cent(r.deviation)} |"
        for r in rows
    ]
    return "\n".join([*lines, "", "Sources:", "", *source_lines(rows)]) + "\n"


def source_lines(rows: Sequence[ReportRow]) -> Iterator[str]:
    """Yield one line per source that the rows name."""
    keys = dict.fromkeys(r.source for row in rows for r in row.references)
    for key in keys:
        entry = source(key)
        where = f", doi {entry['doi']}" if "doi" in entry else f", {entry.get('url', '')}"
        yield f"- {key}: {entry['title']}{where.rstrip(', ')} ({entry['checked']})"


def to_csv(rows: Sequence[ReportRow]) -> str:
    """Return a CSV table: one line per property and reference."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ["property", "value", "error", "unit", "reference", "method", "temperature_K", "source"]
    )
    for row in rows:
        start = [row.key, f"{row.value:.6g}", "" if row.error is None else f"{row.error:.2g}",
                 row.unit]  # fmt: skip
        for r in row.references or (None,):
            rest = ["", "", "", ""] if r is None else [
                f"{r.value:.6g}", r.method, "" if r.temperature is None else f"{r.temperature:g}",
                r.source]  # fmt: skip
            writer.writerow([*start, *rest])
    return buffer.getvalue()


def to_json(rows: Sequence[ReportRow]) -> list[dict]:
    """Return plain dicts."""
    return [
        {
            "property": row.key,
            "label": row.label,
            "value": row.value,
            "error": row.error,
            "unit": row.unit,
            "deviation": row.deviation,
            "references_are_alike": row.alike,
            "references": [
                {
                    "value": r.value,
                    "method": r.method,
                    "temperature": r.temperature,
                    "source": source(r.source) | {"key": r.source},
                }
                for r in row.references
            ],
        }
        for row in rows
    ]


def _known(row: ReportRow) -> str:
    text = "; ".join(f"{r.value:g} {_method(r)} ({_named(r)})" for r in row.references)
    return text + (", not alike" if text and not row.alike else "") or "–"


def _named(reference: Reference) -> str:
    """Name the source, and say if nobody looked."""
    unchecked = source(reference.source)["checked"].startswith("from memory")
    return f"{reference.source}, unchecked" if unchecked else reference.source


def _method(reference: Reference) -> str:
    names = {"dft-pbe": "PBE", "dft-gga": "GGA", "dft-pbesol": "PBEsol", "experiment": "exp."}
    name = names.get(reference.method, reference.method)
    at = reference.temperature
    return name if at is None else f"{name} {at:g} K"


def _per_cent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:+.1f} %"
