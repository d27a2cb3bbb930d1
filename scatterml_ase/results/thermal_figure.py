"""The picture of thermal properties: heat capacity, entropy and free energy over temperature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scatterml_ase.results.plotting import INK, PALETTE, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scatterml_ase.results.thermal import ThermalProperties

_OF = {"cell": "of cells", "formula_unit": "of formula units", "atom": "of atoms"}


def draw_thermal(thermal: ThermalProperties, ax: Axes | None) -> Axes:
    """Draw C_V and S on the left axes and F on the right, with bands; return the left axes."""
    left = new_axes(ax)
    right = left.twinx()
    lines = [
        _curve(left, thermal, "heat_capacity", "$C_V$", color=PALETTE[0], linestyle="-"),
        _curve(left, thermal, "entropy", "$S$", color=PALETTE[2], linestyle="-"),
        _curve(right, thermal, "free_energy", "$F$", color=PALETTE[1], linestyle="--"),
    ]
    classical = f"$3nR$ = {thermal.dulong_petit:.1f}"
    lines.append(left.axhline(thermal.dulong_petit, color=INK, lw=0.8, ls=":", label=classical))
    _label_axes(left, right, thermal)
    above: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
    small: dict[str, Any] = {"fontsize": "small", "columnspacing": 1.2, "ncols": len(lines)}
    left.legend(handles=lines, frameon=False, **above, **small)
    return left


def _curve(axes: Axes, thermal: ThermalProperties, name: str, label: str, **style: Any) -> Any:
    """Draw one property and its band, or its only value as a point with an error bar."""
    values, error = getattr(thermal, name), getattr(thermal, f"{name}_error")
    kelvin = thermal.temperatures
    if len(values) > 1:
        if error is not None:
            band = (values - error, values + error)
            axes.fill_between(kelvin, *band, color=style["color"], alpha=0.25, linewidth=0)
        return axes.plot(kelvin, values, label=label, linewidth=1.8, **style)[0]
    label = f"{label} = {values[0]:.4g}"
    if error is not None:
        label += f" ± {error[0]:.2g}"
        axes.errorbar(kelvin, values, yerr=error, color=style["color"], capsize=3)
    return axes.plot(kelvin, values, label=label, marker="o", **style)[0]


def _label_axes(left: Axes, right: Axes, thermal: ThermalProperties) -> None:
    left.set_xlabel("Temperature (K)")
    left.set_ylabel(f"$C_V$, $S$ (J/K per mole {_OF[thermal.basis]})")
    right.set_ylabel(f"$F$ (kJ per mole {_OF[thermal.basis]})", color=PALETTE[1])
    right.tick_params(axis="y", colors=PALETTE[1])
    left.set_ylim(bottom=0)
    kelvin = thermal.temperatures
    if len(kelvin) == 1:
        left.set_xticks(kelvin)
    else:
        left.set_xlim(kelvin.min(), kelvin.max())
        left.set_ylim(0, 1.08 * max(thermal.dulong_petit, thermal.entropy.max()))
