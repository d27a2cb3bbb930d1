"""The base of every result: frozen arrays that know their dimensions and units.

A subclass declares its arrays once, as dataclass fields::

    frequencies: np.ndarray = array("q", "mode", unit="{energy}")
    total: np.ndarray = array("energy", unit="1/{energy}")

and gets validation, unit conversion (densities take the Jacobian), NXdata files, CSV and xarray
from here. ``{energy}`` and ``{wavevector}`` stand for the unit the object is in at present.
A dimension written ``"energy+1"`` holds the edges of the bins of dimension ``"energy"``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from scatterml_ase.atomic_write import atomic_write
from scatterml_ase.errors import InputError, explain
from scatterml_ase.results import nexus
from scatterml_ase.units import canonical, conversion_factor, dimension

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

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

    def __post_init__(self) -> None:
        """Freeze the arrays and check that equally named dimensions have equal sizes."""
        object.__setattr__(self, "units", MappingProxyType({**DEFAULT_UNITS, **self.units}))
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))
        sizes: dict[str, tuple[str, int]] = {}
        for name, dims, _ in self._declared():
            value = getattr(self, name)
            if value is None:
                continue
            frozen = np.array(value)
            frozen.flags.writeable = False
            object.__setattr__(self, name, frozen)
            self._check_shape(name, frozen, dims, sizes)

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
        templates = [template for _, _, template in self._declared()]
        if kind is None or not any(f"{{{kind}}}" in template for template in templates):
            present = sorted({k for k in self.units for t in templates if f"{{{k}}}" in t})
            raise InputError(
                explain(
                    f"{type(self).__name__} cannot be converted to {unit!r}",
                    f"it has quantities of dimension {', '.join(present) or 'none'} only",
                    "Use a unit such as 'THz', 'cm^-1' or 'meV' (energy) or 'nm^-1' (wavevector)",
                )
            )
        factor = conversion_factor(self.units[kind], unit)
        changed = {
            name: getattr(self, name) * factor ** _power(template, kind)
            for name, _, template in self._declared()
            if getattr(self, name) is not None and _power(template, kind)
        }
        return replace(self, units={**self.units, kind: canonical(unit)}, **changed)

    def unit_of(self, name: str) -> str:
        """Return the present unit of the array ``name``, e.g. ``"1/meV"``."""
        template = next((t for n, _, t in self._declared() if n == name), None)
        if template is None:
            known = ", ".join(n for n, _, _ in self._declared())
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
        columns = dict(self._columns())
        path = Path(path)
        with atomic_write(path) as temporary, temporary.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(columns)
            writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
        return path

    def to_xarray(self) -> xarray.Dataset:
        """Return an ``xarray.Dataset`` with the same names, dimensions and units.

        Raises
        ------
        InputError
            If xarray is not installed.
        """
        try:
            import xarray
        except ImportError as error:
            raise InputError(
                explain("xarray is not installed", "to_xarray() needs it",
                        "Run: pip install 'scatterml-ase[xarray]'")
            ) from error  # fmt: skip
        variables = {
            name: (
                [dim.replace("+1", "_edge") for dim in dims],
                getattr(self, name),
                {"units": self.unit_of(name)},
            )
            for name, dims, _ in self._declared()
            if getattr(self, name) is not None
        }
        return xarray.Dataset(variables, attrs={"class": type(self).__name__})

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the result into ``ax`` (a new figure if None) and return the axes."""
        raise NotImplementedError(f"{type(self).__name__} defines no plot")

    # -- what the subclasses and the file layer share -----------------------------------------

    @classmethod
    def _declared(cls) -> Iterator[tuple[str, tuple[str, ...], str]]:
        """Yield name, dimensions and unit template of every array."""
        for item in fields(cls):
            if "dims" in item.metadata:
                yield item.name, item.metadata["dims"], item.metadata["unit"]

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
            size = int(base) if base.isdigit() else length - extra
            first, known = sizes.setdefault(base, (name, size))
            if length - extra != known:
                raise InputError(
                    explain(
                        f"{type(self).__name__}.{name} has shape {value.shape}",
                        f"dimension {base!r} has size {known} in {first!r}",
                        f"Give {known + extra} entries along {dim!r}",
                    )
                )

    def _columns(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the columns of the CSV table: coordinates first, then data."""
        sizes = {
            dim: size
            for name, dims, _ in self._declared()
            if getattr(self, name) is not None
            for dim, size in zip(dims, getattr(self, name).shape, strict=True)
        }
        edges = {f"{dim}+1" for dim in self.row_dims}
        for name, dims, _ in self._declared():
            value = getattr(self, name)
            if value is None or not (set(dims) & (set(self.row_dims) | edges)):
                continue
            for k, dim in enumerate(dims):
                if dim in edges:  # a row belongs to a bin: give its centre
                    value = np.moveaxis(value, k, -1)
                    value = np.moveaxis((value[..., 1:] + value[..., :-1]) / 2, -1, k)
            plain = tuple(dim.removesuffix("+1") for dim in dims)
            yield from _table_columns(
                f"{name} ({self.unit_of(name)})" if self.unit_of(name) else name,
                value,
                plain,
                [(dim, sizes.get(dim, sizes.get(f"{dim}+1", 1) - 1)) for dim in self.row_dims],
            )


def new_axes(ax: Axes | None) -> Axes:
    """Return ``ax``, or the axes of a new figure."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]


def _power(template: str, kind: str) -> int:
    """Return the power with which a unit enters: 1 for "{energy}", -1 for "1/{energy}"."""
    placeholder = f"{{{kind}}}"
    if placeholder not in template:
        return 0
    return -1 if f"/{placeholder}" in template else 1


def _table_columns(
    name: str, value: np.ndarray, dims: tuple[str, ...], rows: list[tuple[str, int]]
) -> Iterator[tuple[str, np.ndarray]]:
    """Broadcast an array over all rows; dimensions that are no rows become numbered columns."""
    row_names = [dim for dim, _ in rows]
    order = [dims.index(dim) for dim in row_names if dim in dims]
    rest = [k for k in range(len(dims)) if k not in order]
    value = value.transpose(order + rest)
    shape = [size if dim in dims else 1 for dim, size in rows]
    value = value.reshape(*shape, *value.shape[len(order) :])
    full = np.broadcast_to(value, (*(size for _, size in rows), *value.shape[len(rows) :]))
    full = full.reshape(int(np.prod([size for _, size in rows])), -1)
    labels = list(np.ndindex(*value.shape[len(rows) :]))
    for column, index in zip(full.T, labels, strict=True):
        label = name if not index else f"{name}[{','.join(map(str, index))}]"
        if np.iscomplexobj(column):
            yield f"{label} real", column.real
            yield f"{label} imag", column.imag
        else:
            yield label, column
