"""The base of every result: frozen arrays that know their dimensions and units.

A subclass declares its arrays once, as dataclass fields::

    frequencies: np.ndarray = array("q", "mode", unit="{energy}")
    total: np.ndarray = array("energy", unit="1/{energy}")

and gets validation, unit conversion (densities take the Jacobian), NXdata files, CSV and xarray
from here. ``{energy}``, ``{wavevector}`` and ``{length}`` stand for the unit the object is in at
present. A dimension written ``"energy+1"`` holds the edges of the bins of dimension ``"energy"``;
a dimension that is a number, or starts with ``"xyz"``, has that many entries (three).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from scatterml_ase import __version__
from scatterml_ase.atomic_write import atomic_write
from scatterml_ase.errors import InputError, explain
from scatterml_ase.results import export, nexus
from scatterml_ase.results.plotting import new_axes
from scatterml_ase.units import canonical, conversion_factor, dimension

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

__all__ = ["DEFAULT_UNITS", "Provenance", "Result", "array", "new_axes"]

DEFAULT_UNITS: Mapping[str, str] = MappingProxyType(
    {"energy": "meV", "wavevector": "angstrom^-1", "length": "angstrom"}
)
Provenance = Mapping[str, Any]


def array(*dims: str, unit: str = "", default: Any = MISSING) -> Any:
    """Declare an array field of a result: its dimensions, in order, and its unit template."""
    return field(default=default, metadata={"dims": dims, "unit": unit})


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """Numbers with dimensions, units and provenance; nothing in it can be changed in place."""

    units: Mapping[str, str] = field(default_factory=lambda: DEFAULT_UNITS, repr=False)
    provenance: Provenance = field(default_factory=dict, repr=False)

    signal: ClassVar[str] = ""
    """The array a viewer shows first."""
    axes: ClassVar[tuple[str, ...]] = ()
    """The arrays along the dimensions of the signal, for viewers and CSV."""
    row_dims: ClassVar[tuple[str, ...]] = ()
    """The dimensions that run down the rows of a CSV file."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Keep the short repr: each dataclass would otherwise print its arrays."""
        super().__init_subclass__(**kwargs)
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = Result.__repr__  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        """Freeze the fields and check that equally named dimensions have equal sizes."""
        object.__setattr__(self, "units", self._checked_units())
        stamped = {"scatterml_ase": __version__, **self.provenance}
        object.__setattr__(self, "provenance", stamped)
        sizes: dict[str, tuple[str, int]] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if "dims" not in item.metadata:
                object.__setattr__(self, item.name, freeze(value))
            elif value is not None:
                value = self._checked_array(item.name, value)
                object.__setattr__(self, item.name, value)
                self._check_shape(item.name, value, item.metadata["dims"], sizes)

    def __repr__(self) -> str:
        """Name the class, the formula and the sizes of the dimensions."""
        crystal = getattr(self, "crystal", self)
        formula = [crystal.formula] if hasattr(crystal, "formula") else []
        sizes = self.sizes().items()
        parts = [f"{dim}={size}" for dim, size in sizes if not (dim.isdigit() or dim[:3] == "xyz")]
        return f"{type(self).__name__}({', '.join(formula + parts)})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy through the constructor, which freezes again."""
        values = {item.name: thaw(getattr(self, item.name)) for item in fields(self)}
        return _rebuild, (type(self), values)

    # -- units -------------------------------------------------------------------------------

    def to(self, unit: str) -> Self:
        """Convert every array to ``unit`` of its dimension; densities take the Jacobian.

        ``dos.to("THz")`` scales frequencies by 1/4.1357 and the DOS by 4.1357, so that integrals
        stay what they are.

        Raises
        ------
        InputError
            If the unit is unknown or this result has no quantity of its dimension.
        """
        kind = dimension(unit)
        templates = [template for _, _, template in self.declared()]
        if kind is None or not any(f"{{{kind}}}" in template for template in templates):
            present = sorted({k for k in self.units for t in templates if f"{{{k}}}" in t})
            raise InputError(
                explain(
                    f"{type(self).__name__} cannot be converted to {unit!r}",
                    f"it has quantities of dimension {', '.join(present) or 'none'} only",
                    "Use a unit such as 'THz', 'cm^-1' or 'meV' (energy), 'nm^-1' (wavevector) "
                    "or 'nm' (length)",
                )
            )
        factor = conversion_factor(self.units[kind], unit)
        changed = {
            name: getattr(self, name) * factor ** _power(template, kind)
            for name, _, template in self.declared()
            if getattr(self, name) is not None and _power(template, kind)
        }
        return replace(self, units={**self.units, kind: canonical(unit)}, **changed)

    def unit_of(self, name: str) -> str:
        """Return the present unit of the array ``name``, e.g. ``"1/meV"``."""
        template = next((t for n, _, t in self.declared() if n == name), None)
        if template is None:
            known = ", ".join(n for n, _, _ in self.declared())
            raise InputError(
                explain(f"{name!r} is not an array of {type(self).__name__}", f"it has {known}",
                        "Use one of these names")
            )  # fmt: skip
        return template.format(**self.units)

    # -- files -------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write a NeXus-style HDF5 file (NXdata with signal, axes and units); return its path.

        Any NeXus viewer opens it. The file appears complete or not at all.
        """
        path = Path(path)
        with atomic_write(path) as temporary:
            nexus.write(temporary, self)
        return path

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a result of this class written by :meth:`save`.

        Raises
        ------
        InputError
            If the file is unreadable, was not written by this package, or holds another class.
        """
        result = nexus.read(Path(path))
        if not isinstance(result, cls):
            raise InputError(
                explain(
                    f"{str(path)!r} holds {type(result).__name__}, not {cls.__name__}",
                    "the class in the file decides",
                    f"Use {type(result).__name__}.load or scatterml_ase.load_result",
                )
            )
        return result

    def to_csv(self, path: str | Path) -> Path:
        """Write a CSV table: one row per point of ``row_dims``, one column per number."""
        path = Path(path)
        with atomic_write(path) as temporary:
            export.write_csv(temporary, self)
        return path

    def to_xarray(self) -> xarray.Dataset:
        """Return an ``xarray.Dataset`` with the same names, dimensions and units.

        The axes are coordinates; a dimension given by bin edges has its centres as index.

        Raises
        ------
        InputError
            If xarray is not installed.
        """
        return export.to_xarray(self)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the result into ``ax`` (a new figure if None) and return the axes."""
        raise NotImplementedError(f"{type(self).__name__} defines no plot")

    # -- what the subclasses and the file layer share -----------------------------------------

    @classmethod
    def declared(cls) -> Iterator[tuple[str, tuple[str, ...], str]]:
        """Yield name, dimensions and unit template of every array."""
        for item in fields(cls):
            if "dims" in item.metadata:
                yield item.name, item.metadata["dims"], item.metadata["unit"]

    def sizes(self) -> dict[str, int]:
        """Return the size of every dimension; edges count as the bins between them."""
        return {
            dim.removesuffix("+1"): length - dim.endswith("+1")
            for name, dims, _ in self.declared()
            if getattr(self, name) is not None
            for dim, length in zip(dims, getattr(self, name).shape, strict=True)
        }

    def _checked_units(self) -> Mapping[str, str]:
        units = {**DEFAULT_UNITS, **{k: canonical(unit) for k, unit in self.units.items()}}
        for kind, unit in units.items():
            if kind not in DEFAULT_UNITS or dimension(unit) != kind:
                raise InputError(
                    explain(
                        f"{unit!r} cannot be the unit of {kind!r} of {type(self).__name__}",
                        f"results have units of {', '.join(DEFAULT_UNITS)}",
                        f"Leave units= out for {', '.join(DEFAULT_UNITS.values())}",
                    )
                )
        return units

    def _checked_array(self, name: str, value: Any) -> np.ndarray:
        """Return a read-only copy of ``value`` (``value`` itself if it is one already)."""
        if isinstance(value, np.ndarray) and value.base is None and not value.flags.writeable:
            frozen = value
        else:
            try:
                frozen = np.array(value)
            except ValueError:  # rows of unequal length
                frozen = np.array(None)
        if frozen.dtype.kind not in "biufc":
            raise InputError(
                explain(
                    f"{type(self).__name__}.{name} is not an array of numbers",
                    f"it was given {type(value).__name__} {str(value)[:60]!r}",
                    "Give numbers, every row as long as the others",
                )
            )
        frozen.flags.writeable = False
        return frozen

    def _check_shape(
        self,
        name: str,
        value: np.ndarray,
        dims: tuple[str, ...],
        sizes: dict[str, tuple[str, int]],
    ) -> None:
        if value.ndim != len(dims):
            raise InputError(
                explain(
                    f"{type(self).__name__}.{name} has shape {value.shape}",
                    f"it must have the {len(dims)} dimensions ({', '.join(dims)})",
                    "Reshape it",
                )
            )
        for dim, length in zip(dims, value.shape, strict=True):
            base, extra = (dim[:-2], 1) if dim.endswith("+1") else (dim, 0)
            fixed = int(base) if base.isdigit() else 3 if base.startswith("xyz") else None
            first, known = (
                ("its definition", fixed)
                if fixed is not None
                else sizes.setdefault(base, (repr(name), length - extra))
            )
            if length - extra != known:
                raise InputError(
                    explain(
                        f"{type(self).__name__}.{name} has shape {value.shape}",
                        f"dimension {base!r} has size {known} in {first}",
                        f"Give {known + extra} entries along {dim!r}",
                    )
                )


def freeze(value: Any) -> Any:
    """Return plain values: tuples for lists and arrays, read-only mappings for dicts.

    What JSON has no word for comes out as a file would give it back: keys as strings, complex
    numbers as (real, imaginary).
    """
    if isinstance(value, np.ndarray | np.generic):
        return freeze(value.tolist())
    if isinstance(value, Mapping):
        return MappingProxyType({str(key): freeze(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return tuple(freeze(item) for item in value)
    return (value.real, value.imag) if isinstance(value, complex) else value


def thaw(value: Any) -> Any:
    """Undo :func:`freeze` as far as pickling needs it: dicts for read-only mappings."""
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    return tuple(thaw(item) for item in value) if isinstance(value, tuple) else value


def _rebuild(cls: type[Result], values: dict[str, Any]) -> Result:
    return cls(**values)


def _power(template: str, kind: str) -> int:
    """Return the power of a unit: 1 for "{energy}", -1 for "1/{energy}", 2 for "{length}^2"."""
    found = re.search(rf"(/?)\{{{kind}\}}(?:\^(-?\d+))?", template)
    if found is None:
        return 0
    return (-1 if found[1] else 1) * int(found[2] or 1)
